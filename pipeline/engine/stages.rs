//! One stage for aggregates that gather.
//!
//! The engine aggregates each thread's share first, brings the shares together by group, and aggregates once more. What sums
//! up gets small on the way. What gathers doesn't: it is gathered, passed on, and gathered again. For those the rows
//! themselves are brought together by group, so that one stage does.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use super::functions::gathers;

/// Where the engine sees to it that rows are where operators want them: after the stages are settled.
const PLACES_ROWS: &str = "EnsureRequirements";

#[derive(Debug)]
struct GatherOnce;

pub(super) fn with_gathering(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = PhysicalOptimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == PLACES_ROWS).unwrap_or(0);
    rules.insert(at, Arc::new(GatherOnce));
    builder.with_physical_optimizer_rules(rules)
}

impl PhysicalOptimizerRule for GatherOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let one_stage = |plan: Arc<dyn ExecutionPlan>| {
            let Some((last, first)) = two_stages(&plan) else { return Ok(Transformed::no(plan)) };
            let (groups, aggregates) = (first.group_expr().clone(), first.aggr_expr().to_vec());
            let (filters, input) = (first.filter_expr().to_vec(), Arc::clone(first.input()));
            let mode = AggregateMode::SinglePartitioned;
            let both = AggregateExec::try_new(mode, groups, aggregates, filters, input, first.input_schema())?;
            Ok(Transformed::yes(Arc::new(both.with_limit_options(last.limit_options())) as Arc<dyn ExecutionPlan>))
        };
        Ok(plan.transform_down(one_stage)?.data)
    }

    fn name(&self) -> &'static str {
        "GatherOnce"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The last and the first stage of an aggregate that gathers.
fn two_stages(plan: &Arc<dyn ExecutionPlan>) -> Option<(&AggregateExec, &AggregateExec)> {
    let last = plan.downcast_ref::<AggregateExec>()?;
    let first = last.input().downcast_ref::<AggregateExec>()?;
    let is_pair = (last.mode(), first.mode()) == (&AggregateMode::FinalPartitioned, &AggregateMode::Partial);
    (is_pair && first.aggr_expr().iter().any(|aggregate| gathers(aggregate.fun()))).then_some((last, first))
}

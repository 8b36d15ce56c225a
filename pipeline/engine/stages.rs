//! One stage for aggregates that gather.
//!
//! The engine aggregates each thread's share first, brings the shares together by group, and aggregates once more. What sums
//! up gets small on the way. What gathers doesn't: it is gathered, passed on, and gathered again. For those the rows
//! themselves are brought together by group, so that one stage does.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use super::functions::gathers;

/// Where the engine sees to it that rows are where operators want them: after the stages are settled.
pub(super) const BEFORE: &str = "EnsureRequirements";

#[derive(Debug)]
pub(super) struct GatherOnce;

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

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    const OWNED: &str = "(select value % 7 as g, cast(value % 13 as int) as item, 'n' || (value % 5) as name from \
                         generate_series(1, 1000))";

    fn context() -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(3);
        let builder = SessionStateBuilder::new_with_default_features().with_config(config);
        let builder = builder.with_physical_optimizer_rules(super::super::physical_rules(false));
        let context = SessionContext::new_with_state(builder.build());
        super::super::register_functions(&context);
        context
    }

    #[tokio::test]
    async fn what_gathers_has_one_stage_and_what_sums_up_has_two() {
        for (aggregate, stages) in [
            ("favourite(name, 1, 0)", 1),
            ("best_offers(item, [item + 1], [item])", 1),
            ("count(*), favourite(name, 1, 0) filter (where item > 3)", 1),
            ("count(*)", 2),
        ] {
            let sql = format!("select g, {aggregate} from {OWNED} group by g");
            let plan = context().sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let plan = displayable(plan.as_ref()).indent(false).to_string();
            assert_eq!(plan.matches("AggregateExec").count(), stages, "{plan}");
            assert!(plan.contains("RepartitionExec: partitioning=Hash([g@"), "{plan}");
        }
    }

    #[tokio::test]
    async fn one_stage_says_what_two_say() {
        let sql = format!(
            "select g, favourite(name, item, 0) as name, best_offers(item, [item + 1, item + 2], [item, 20 - item]) as best \
             from {OWNED} group by g order by g"
        );
        let plain = SessionContext::new();
        super::super::register_functions(&plain);
        let mut found = vec![];
        for context in [context(), plain] {
            let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
            found.push(pretty_format_batches(&batches).unwrap().to_string());
        }
        assert_eq!(found[0], found[1]);
        assert!(found[0].contains("| 6 |"), "{}", found[0]);
    }
}

//! Models whose rows are those of one table, in that table's order.
//!
//! The engine brings both sides of a join together by their keys, and sorts in the end what that has mixed up. Where a model's
//! rows lie in the order of one of its tables already, this copies a wide table several times over for nothing. Here each join
//! holds its other side in memory and that table streams past, so that nothing is left to sort.
//!
//! What can't be done so is planned as always: the final ORDER BY stands, and the writer looks at each row's place.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// The rule before this one has settled which side of a join is held.
pub(super) const AFTER: &str = "join_selection";

/// Sides of joins as the SQL has them, and rows where they are: exchanges would mix them up.
pub(super) fn configure(options: &mut ConfigOptions) {
    options.optimizer.join_reordering = false;
    options.optimizer.repartition_joins = false;
    options.optimizer.enable_round_robin_repartition = false;
}

/// The order of a file's rows: ascending by these columns, NULL last.
pub(super) fn ordering(columns: &[String], schema: &SchemaRef) -> Result<Option<LexOrdering>> {
    let ascending = SortOptions { descending: false, nulls_first: false };
    let sorted = columns.iter().map(|name| Ok(PhysicalSortExpr::new(col(name, schema)?, ascending)));
    Ok(LexOrdering::new(sorted.collect::<Result<Vec<_>>>()?))
}

#[derive(Debug)]
pub(super) struct StreamPast;

impl PhysicalOptimizerRule for StreamPast {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let hold_the_other = |plan: Arc<dyn ExecutionPlan>| match plan.downcast_ref::<HashJoinExec>() {
            Some(join) if streams(join.left()) && keeps_order_swapped(join.join_type()) => {
                Ok(Transformed::yes(join.swap_inputs(PartitionMode::CollectLeft)?))
            }
            _ => Ok(Transformed::no(plan)),
        };
        Ok(plan.transform_up(hold_the_other)?.data)
    }

    fn name(&self) -> &'static str {
        "StreamPast"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn keeps_order_swapped(join: &JoinType) -> bool {
    matches!(join, JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti)
}

/// Whether rows come out of a plan in the order of a file that is in order.
fn streams(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<DataSourceExec>() {
        return plan.output_ordering().is_some();
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return plan.maintains_input_order()[1] && streams(join.right());
    }
    let passes_on = plan.is::<ProjectionExec>() || plan.is::<FilterExec>() || plan.is::<UnionExec>();
    passes_on && plan.children().into_iter().any(streams)
}

//! Models whose rows are those of one table, in that table's order.
//!
//! The engine brings both sides of a join together by their keys, and sorts in the end what that has mixed up. Where a model's
//! rows lie in the order of one of its tables already, this copies a wide table several times over for nothing. Here that table
//! streams past: tables in the same order are merged with it, and of each other join the other side is held in memory. Nothing
//! is left to sort.
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
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::steps::{ahead, over};

const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The rule before this one has settled which side of a join is held.
pub(super) const AFTER: &str = "join_selection";
/// When all else is settled.
pub(super) const LAST_BEFORE: &str = "SanityCheckPlan";

/// Sides of joins as the SQL has them, and nothing exchanged between threads for a join's sake: that would mix up what streams past.
///
/// The other sides' own aggregates may have several threads. Not where tables in order are merged: both would be exchanged.
pub(super) fn configure(options: &mut ConfigOptions, threads: usize) {
    options.optimizer.join_reordering = false;
    options.optimizer.repartition_joins = false;
    options.optimizer.enable_round_robin_repartition = false;
    options.execution.target_partitions = threads;
}

/// Whether a plan exchanges rows between threads and keeps their order: such a query stood still for good.
pub(super) fn exchanges_in_order(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let exchanges = |plan: &Arc<dyn ExecutionPlan>| {
        plan.downcast_ref::<RepartitionExec>().is_some_and(|exchange| {
            exchange.preserve_order() && exchange.input().output_partitioning().partition_count() > 1
        })
    };
    plan.exists(|plan| Ok(exchanges(plan))).unwrap_or(true)
}

/// The order of a file's rows: ascending by these columns, NULL last.
pub(super) fn ordering(columns: &[String], schema: &SchemaRef) -> Result<Option<LexOrdering>> {
    let sorted = columns.iter().map(|name| Ok(PhysicalSortExpr::new(col(name, schema)?, ASCENDING)));
    Ok(LexOrdering::new(sorted.collect::<Result<Vec<_>>>()?))
}

#[derive(Debug)]
pub(super) struct StreamPast;

impl PhysicalOptimizerRule for StreamPast {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let may_merge = options.execution.target_partitions == 1;
        let go_along = |plan: Arc<dyn ExecutionPlan>| {
            let Some(join) = plan.downcast_ref::<HashJoinExec>().filter(|join| streams(join.left())) else {
                return Ok(Transformed::no(plan));
            };
            if let Some(merged) = if may_merge { merged(join)? } else { None } {
                return Ok(Transformed::yes(merged));
            }
            match keeps_order_of_left(join.join_type()) {
                true => Ok(Transformed::yes(join.swap_inputs(PartitionMode::CollectLeft)?)),
                false => Ok(Transformed::no(plan)),
            }
        };
        Ok(plan.transform_up(go_along)?.data)
    }

    fn name(&self) -> &'static str {
        "StreamPast"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Files in order and joins as tasks of their own, a few batches ahead of one another: what streams past is read, brought together
/// and put into its final form side by side.
#[derive(Debug)]
pub(super) struct SideBySide;

impl PhysicalOptimizerRule for SideBySide {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let in_tasks = |plan: Arc<dyn ExecutionPlan>| {
            let is_task = |input: &Arc<dyn ExecutionPlan>| {
                plan.is::<SortMergeJoinExec>()
                    || (input.is::<DataSourceExec>() && streams(input))
                    || (is_join(input) && !is_join(&plan))
            };
            let inputs: Vec<_> = plan.children().into_iter().cloned().collect();
            if !inputs.iter().any(is_task) {
                return Ok(Transformed::no(plan));
            }
            let inputs = inputs.into_iter().map(|input| if is_task(&input) { ahead(input) } else { input }).collect();
            Ok(Transformed::yes(over(&plan, inputs)?))
        };
        Ok(plan.transform_up(in_tasks)?.data)
    }

    fn name(&self) -> &'static str {
        "SideBySide"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<SortMergeJoinExec>() || plan.is::<HashJoinExec>()
}

/// As a merge, or with its sides swapped.
fn keeps_order_of_left(join: &JoinType) -> bool {
    matches!(join, JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti)
}

/// The join as a merge, where both sides come in the order of what they are joined by: nothing is held.
fn merged(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let [(left, right)] = join.on() else { return Ok(None) };
    let ascends = |side: &Arc<dyn ExecutionPlan>, by: &PhysicalExprRef| {
        streams(side) && side.output_ordering().is_some_and(|ordering| ordering.first().expr.eq(by))
    };
    if !keeps_order_of_left(join.join_type())
        || join.projection.is_some()
        || !ascends(join.left(), left)
        || !ascends(join.right(), right)
    {
        return Ok(None);
    }
    let merge = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().cloned(),
        *join.join_type(),
        vec![ASCENDING],
        join.null_equality(),
    )?;
    Ok(Some(Arc::new(merge)))
}

/// Whether rows come out of a plan in the order of a file that is in order.
fn streams(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<DataSourceExec>() {
        return plan.output_ordering().is_some();
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return plan.maintains_input_order()[1] && streams(join.right());
    }
    if let Some(merge) = plan.downcast_ref::<SortMergeJoinExec>() {
        return plan.maintains_input_order()[0] && streams(merge.left());
    }
    // Groups of what they are sorted by come one after the other.
    let passes_on =
        plan.is::<ProjectionExec>() || plan.is::<FilterExec>() || plan.is::<AggregateExec>() || plan.is::<UnionExec>();
    passes_on && plan.output_ordering().is_some() && plan.children().into_iter().all(streams)
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext, col};

    use super::*;

    const SQL: &str = "select customers.id, states.state, labels.label, groups.states, (select max(state) from states) as most \
                       from customers \
                       left join states on states.id = customers.id \
                       left join (select id, count(*) as states from states group by id) as groups on groups.id = customers.id \
                       left join labels on labels.code = states.state \
                       order by customers.id";

    /// Customers, some of them with states, and what the states are called. Going along, so many of the first two tables are
    /// in order, and it is told.
    async fn context(in_order: usize) -> SessionContext {
        let threads = 3;
        let mut config = SessionConfig::new().with_target_partitions(threads);
        if in_order > 0 {
            configure(config.options_mut(), if in_order == 1 { threads } else { 1 });
        }
        let builder = SessionStateBuilder::new_with_default_features().with_config(config);
        let builder = builder.with_physical_optimizer_rules(super::super::physical_rules(in_order > 0));
        let context = SessionContext::new_with_state(builder.build());
        let tables = [
            ("customers", "select 'c' || lpad(value, 4, '0') as id from generate_series(1, 2000)"),
            (
                "states",
                "select 'c' || lpad(value, 4, '0') as id, value % 7 as state from generate_series(1, 2000) where value % 3 > 0",
            ),
            ("labels", "select value as code, 'state ' || value as label from generate_series(1, 5)"),
        ];
        for (place, (name, rows)) in tables.into_iter().enumerate() {
            let frame = context.sql(&format!("{rows} order by 1")).await.unwrap();
            let schema = Arc::clone(frame.schema().inner());
            let table = MemTable::try_new(schema, vec![frame.collect().await.unwrap()]).unwrap();
            let order = if place < in_order { vec![vec![col("id").sort(true, false)]] } else { vec![] };
            context.register_table(name, Arc::new(table.with_sort_order(order))).unwrap();
        }
        context
    }

    async fn plan(in_order: usize) -> Arc<dyn ExecutionPlan> {
        context(in_order).await.sql(SQL).await.unwrap().create_physical_plan().await.unwrap()
    }

    #[tokio::test]
    async fn what_is_in_order_is_merged_side_by_side_and_nothing_is_sorted() {
        let plan = displayable(plan(2).await.as_ref()).indent(false).to_string();
        for (operator, times) in [
            ("SortExec", 0),
            ("RepartitionExec", 0),
            ("SortMergeJoinExec", 2),
            ("HashJoinExec: mode=CollectLeft, join_type=Right", 1),
        ] {
            assert_eq!(plan.matches(operator).count(), times, "{operator} in {plan}");
        }
        assert!(plan.matches("BufferExec").count() >= 4, "{plan}");
    }

    #[tokio::test]
    async fn with_one_table_in_order_what_is_held_has_all_threads() {
        let plan = plan(1).await;
        assert!(!exchanges_in_order(&plan));
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        for (operator, times) in [("SortExec", 0), ("SortMergeJoinExec", 0), ("join_type=Right", 3)] {
            assert_eq!(plan.matches(operator).count(), times, "{operator} in {plan}");
        }
        assert!(plan.contains("RepartitionExec: partitioning=Hash([id@0], 3)"), "{plan}");
    }

    #[tokio::test]
    async fn it_says_what_the_engine_says_by_itself() {
        let mut found = vec![];
        for in_order in [0, 1, 2] {
            let batches = context(in_order).await.sql(SQL).await.unwrap().collect().await.unwrap();
            found.push(pretty_format_batches(&batches).unwrap().to_string());
        }
        assert!(found[0] == found[1] && found[0] == found[2]);
        assert_eq!(found[0].lines().count(), 2004);
    }
}

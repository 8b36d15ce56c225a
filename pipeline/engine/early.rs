//! Sorting rows, and merging what several threads have sorted, before labels are put beside them.
//!
//! A mart ends in joins that say in words what its codes mean, and then it is sorted: each row with all of its words. Such a join
//! holds the labels in memory and passes rows on in the order in which they come. So they are sorted while there is less of them.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use super::steps::{ahead, over};

/// When it is settled what is sorted, and which columns of a join are passed on.
pub(super) const BEFORE: &str = "PushdownSort";

#[derive(Debug)]
pub(super) struct SortEarly;

impl PhysicalOptimizerRule for SortEarly {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sort_early = |plan: Arc<dyn ExecutionPlan>| {
            let sorted = match plan.downcast_ref::<SortPreservingMergeExec>() {
                Some(merge) if merge.fetch().is_none() => sorted_below(merge.input(), None, true)?,
                Some(_) => None,
                None => match plan.downcast_ref::<SortExec>() {
                    Some(sort) if !sort.preserve_partitioning() => sorted_below(&plan, None, false)?,
                    _ => None,
                },
            };
            Ok(sorted.map_or_else(|| Transformed::no(plan), Transformed::yes))
        };
        Ok(plan.transform_down(sort_early)?.data)
    }

    fn name(&self) -> &'static str {
        "SortEarly"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan with its rows sorted below at least one join, and merged there where several threads sort; `None` where there is no
/// join to pass, or the order is by what it adds.
///
/// `by` is the order that the sort above is to bring about; `None` while the sort is further below, and what is between passes on
/// its order as it is.
fn sorted_below(
    plan: &Arc<dyn ExecutionPlan>,
    by: Option<&LexOrdering>,
    merges: bool,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(sort) = plain_sort(plan) {
        return if by.is_none() { sorted_below(sort.input(), Some(sort.expr()), merges) } else { Ok(None) };
    }
    let Some(step) = Step::of(plan) else { return Ok(None) };
    let by = match by {
        None => None,
        Some(by) => match step.renamed(by) {
            None => return Ok(None),
            renamed => renamed,
        },
    };
    let rows = match sorted_below(step.rows, by.as_ref(), merges)? {
        Some(rows) => rows,
        None if step.held.is_none() => return Ok(None),
        None => match (by, plain_sort(step.rows)) {
            (Some(by), _) => sorted(step.rows, by, merges),
            (None, Some(sort)) => sorted(sort.input(), sort.expr().clone(), merges),
            (None, None) => return Ok(None),
        },
    };
    let inputs = step.held.into_iter().cloned().chain([rows]).collect();
    Ok(Some(over(plan, inputs)?))
}

fn plain_sort(plan: &Arc<dyn ExecutionPlan>) -> Option<&SortExec> {
    plan.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none())
}

/// The merge is a task of its own, a few batches ahead of the joins.
fn sorted(rows: &Arc<dyn ExecutionPlan>, by: LexOrdering, merges: bool) -> Arc<dyn ExecutionPlan> {
    let sort = SortExec::new(by.clone(), Arc::clone(rows)).with_preserve_partitioning(merges);
    if !merges {
        return Arc::new(sort);
    }
    ahead(Arc::new(SortPreservingMergeExec::new(by, Arc::new(sort))))
}

/// What passes rows on in their order: a projection, or a join that holds its other side.
struct Step<'p> {
    rows: &'p Arc<dyn ExecutionPlan>,
    held: Option<&'p Arc<dyn ExecutionPlan>>,
    /// Whether all rows come out, each once or more often: then no more are sorted below than above.
    keeps_all: bool,
    /// Of each column that comes out, its place in the rows.
    places: Vec<Option<usize>>,
}

impl<'p> Step<'p> {
    fn of(plan: &'p Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let place = |expr: &ProjectionExpr| expr.expr.downcast_ref::<Column>().map(Column::index);
            let places = projection.expr().iter().map(place).collect();
            return Some(Self { rows: projection.input(), held: None, keeps_all: true, places });
        }
        let join = plan.downcast_ref::<HashJoinExec>()?;
        let is_plain = matches!(join.join_type(), JoinType::Inner | JoinType::Right);
        if *join.partition_mode() != PartitionMode::CollectLeft || !is_plain {
            return None;
        }
        let (held, rows) = (join.left(), join.right());
        let first = held.schema().fields().len();
        let all: Vec<_> = (0..first + rows.schema().fields().len()).map(|column| column.checked_sub(first)).collect();
        let places = match &join.projection {
            Some(kept) => kept.iter().map(|column| all.get(*column).copied().flatten()).collect(),
            None => all,
        };
        Some(Self { rows, held: Some(held), keeps_all: *join.join_type() == JoinType::Right, places })
    }

    /// An order by what its columns are called in the rows, if it is for them.
    fn renamed(&self, by: &LexOrdering) -> Option<LexOrdering> {
        let schema = self.rows.schema();
        let renamed = by.iter().map(|sorted| {
            let place = self.places.get(sorted.expr.downcast_ref::<Column>()?.index()).copied().flatten()?;
            Some(PhysicalSortExpr::new(Arc::new(Column::new(schema.field(place).name(), place)), sorted.options))
        });
        LexOrdering::new(renamed.collect::<Option<Vec<_>>>()?).filter(|_| self.keeps_all)
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    /// Rows in no order whose codes have labels, but for some.
    const ROWS: &str = "with rows as (select value * 7919 % 20011 as id, value % 7 as code from generate_series(1, 20000)), \
                        labels as (select * from (values (0, 'none'), (1, 'one'), (2, 'two'), (3, 'three')) as labels (code, label)) ";

    fn context(rules: bool) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(3);
        let builder = SessionStateBuilder::new_with_default_features().with_config(config);
        let builder =
            if rules { builder.with_physical_optimizer_rules(super::super::physical_rules(false)) } else { builder };
        SessionContext::new_with_state(builder.build())
    }

    async fn plan(sql: &str) -> String {
        let plan = context(true).sql(&format!("{ROWS}{sql}")).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test]
    async fn rows_are_sorted_before_they_are_labelled_and_come_out_the_same() {
        let sql = "select rows.id as row, upper(labels.label) as label, others.label as other from rows \
                   left join labels on labels.code = rows.code \
                   left join labels as others on others.code = rows.code + 1 order by row, rows.code";
        let planned = plan(sql).await;
        let (sort, joins) = (planned.find("SortExec").unwrap(), planned.rfind("HashJoinExec").unwrap());
        assert!(sort > joins && planned.matches("SortExec").count() == 1, "{planned}");
        let mut found = vec![];
        for rules in [true, false] {
            let batches = context(rules).sql(&format!("{ROWS}{sql}")).await.unwrap().collect().await.unwrap();
            found.push(pretty_format_batches(&batches).unwrap().to_string());
        }
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0].lines().count(), 20_004);
    }

    #[tokio::test]
    async fn an_order_by_the_label_or_of_few_rows_stays_where_it_is() {
        for sql in [
            "select rows.id, labels.label from rows left join labels on labels.code = rows.code order by label, id",
            "select rows.id, labels.label from rows left join labels on labels.code = rows.code order by id limit 5",
        ] {
            let planned = plan(sql).await;
            assert!(planned.find("SortExec").unwrap() < planned.find("HashJoinExec").unwrap(), "{planned}");
        }
    }
}

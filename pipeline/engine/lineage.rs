//! Where a query's columns come from, read off its logical plan: nothing is run.
//!
//! A column whose way can't be followed has no origins here, rather than guessed ones.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::expr::{Sort, WindowFunctionDefinition};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Case, Distinct, Expr, Join, LogicalPlan, Subquery, Union, Window};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a column has to do with another that stands on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Its values, as they are.
    Identity,
    /// Values computed from its values, row by row.
    Transformation,
    /// Values computed from many of its values.
    Aggregation,
    /// It decides which of several values is taken.
    Conditional,
    /// It orders or parts the rows that a window function looks at.
    Window,
    /// It orders the rows of which some are taken.
    Sort,
    /// It decides which rows count.
    Filter,
    /// It decides which rows are put side by side.
    Join,
    /// It decides which rows become one.
    GroupBy,
}

impl Use {
    /// Whether values come from it; otherwise it only has a say in them.
    pub fn is_direct(self) -> bool {
        matches!(self, Use::Identity | Use::Transformation | Use::Aggregation)
    }

    /// What becomes of a use of a column that is itself used so.
    pub fn then(self, outer: Use) -> Use {
        match (self, outer) {
            (inner, Use::Identity) => inner,
            (Use::Identity, outer) => outer,
            (_, outer) if !outer.is_direct() => outer,
            (inner, _) if !inner.is_direct() => inner,
            (Use::Transformation, Use::Transformation) => Use::Transformation,
            _ => Use::Aggregation,
        }
    }
}

/// Columns, each of a table, and what is made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub BTreeMap<(String, String), BTreeSet<Use>>);

impl Origins {
    /// A column of a table as it is.
    pub fn of(table: &str, column: &str) -> Self {
        Origins([((table.to_owned(), column.to_owned()), BTreeSet::from([Use::Identity]))].into())
    }

    /// These origins of a column that is itself used so.
    pub fn then(&self, outer: Use) -> Self {
        let then = |uses: &BTreeSet<Use>| uses.iter().map(|inner| inner.then(outer)).collect();
        Origins(self.0.iter().map(|(column, uses)| (column.clone(), then(uses))).collect())
    }

    pub fn add(&mut self, other: Origins) {
        for (column, uses) in other.0 {
            self.0.entry(column).or_default().extend(uses);
        }
    }
}

/// Where the columns of a query come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the query's order; `None` for a column whose way can't be followed.
    pub columns: Vec<(String, Option<Origins>)>,
    /// What decides which rows there are, as far as it can be followed.
    pub rows: Origins,
}

impl Trace {
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        let traced = relation(plan, None);
        let names = plan.schema().fields().iter().map(|field| field.name().clone());
        Trace { columns: names.zip(traced.columns).collect(), rows: traced.rows }
    }
}

/// A relation's columns, by position.
#[derive(Debug, Clone, Default)]
struct Traced {
    columns: Vec<Option<Origins>>,
    rows: Origins,
}

/// What the columns in an expression stand for.
struct Scope<'a> {
    tables: Vec<(&'a DFSchema, &'a [Option<Origins>])>,
    /// Around the subquery that the expression is in.
    outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn find(&self, column: &Column) -> Option<Origins> {
        let own = |(schema, columns): &(&DFSchema, &[Option<Origins>])| {
            schema.maybe_index_of_column(column).map(|at| columns.get(at).cloned().flatten())
        };
        self.tables.iter().find_map(own).flatten()
    }

    fn find_outer(&self, column: &Column) -> Option<Origins> {
        self.outer.and_then(|outer| outer.find(column).or_else(|| outer.find_outer(column)))
    }
}

fn relation(plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Traced {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.to_string();
            let columns = scan.projected_schema.fields().iter().map(|field| Some(Origins::of(&table, field.name())));
            Traced { columns: columns.collect(), rows: Origins::default() }
        }
        LogicalPlan::Projection(projection) => over(&projection.input, outer, |scope| {
            (projection.expr.iter().map(|expr| value(expr, scope)).collect(), Origins::default())
        }),
        LogicalPlan::Filter(filter) => {
            keeping(&filter.input, outer, |scope| known(value(&filter.predicate, scope), Use::Filter))
        }
        LogicalPlan::Aggregate(node) => aggregate(node, outer),
        LogicalPlan::Window(node) => window(node, outer),
        LogicalPlan::Join(node) => join(node, outer),
        LogicalPlan::Union(node) => union(node, outer),
        // The order of rows says nothing of which there are, unless only the first are taken.
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => relation(&sort.input, outer),
        LogicalPlan::Sort(sort) => keeping(&sort.input, outer, |scope| sorted_by(&sort.expr, scope)),
        LogicalPlan::Limit(limit) => {
            let mut all = relation(&limit.input, outer);
            all.rows.add(order(&limit.input, outer));
            all
        }
        LogicalPlan::SubqueryAlias(alias) => relation(&alias.input, outer),
        LogicalPlan::Subquery(subquery) => relation(&subquery.subquery, outer),
        LogicalPlan::Repartition(repartition) => relation(&repartition.input, outer),
        LogicalPlan::Distinct(Distinct::All(input)) => relation(input, outer),
        LogicalPlan::Distinct(Distinct::On(on)) => over(&on.input, outer, |scope| {
            let mut rows = sorted_by(on.sort_expr.as_deref().unwrap_or_default(), scope);
            on.on_expr.iter().for_each(|expr| rows.add(known(value(expr, scope), Use::GroupBy)));
            (on.select_expr.iter().map(|expr| value(expr, scope)).collect(), rows)
        }),
        LogicalPlan::Unnest(unnest) => {
            let input = relation(&unnest.input, outer);
            let unnested = |at: &usize| input.columns.get(*at).cloned().flatten().map(|o| o.then(Use::Transformation));
            Traced { columns: unnest.dependency_indices.iter().map(unnested).collect(), rows: input.rows }
        }
        LogicalPlan::Values(values) => {
            let scope = Scope { tables: vec![], outer };
            let column = |at: usize| all(values.values.iter().filter_map(|row| row.get(at)), &scope);
            Traced { columns: (0..values.schema.fields().len()).map(column).collect(), rows: Origins::default() }
        }
        LogicalPlan::EmptyRelation(empty) => {
            let columns = empty.schema.fields().iter().map(|_| Some(Origins::default()));
            Traced { columns: columns.collect(), rows: Origins::default() }
        }
        LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => {
            Traced { columns: plan.schema().fields().iter().map(|_| None).collect(), rows: Origins::default() }
        }
    }
}

/// What decides about the order of a relation's rows.
fn order(plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Origins {
    match plan {
        LogicalPlan::Projection(projection) => order(&projection.input, outer),
        LogicalPlan::Sort(sort) => {
            let below = relation(&sort.input, outer);
            sorted_by(&sort.expr, &Scope { tables: vec![(sort.input.schema(), &below.columns)], outer })
        }
        _ => Origins::default(),
    }
}

/// A relation with new columns over its input, and what more decides about rows.
fn over(
    input: &LogicalPlan,
    outer: Option<&Scope<'_>>,
    node: impl FnOnce(&Scope<'_>) -> (Vec<Option<Origins>>, Origins),
) -> Traced {
    let below = relation(input, outer);
    let scope = Scope { tables: vec![(input.schema(), &below.columns)], outer };
    let (columns, more) = node(&scope);
    let mut rows = below.rows;
    rows.add(more);
    Traced { columns, rows }
}

/// A relation with its input's columns, and what more decides about rows.
fn keeping(input: &LogicalPlan, outer: Option<&Scope<'_>>, node: impl FnOnce(&Scope<'_>) -> Origins) -> Traced {
    let mut below = relation(input, outer);
    let scope = Scope { tables: vec![(input.schema(), &below.columns)], outer };
    let more = node(&scope);
    below.rows.add(more);
    below
}

fn aggregate(node: &Aggregate, outer: Option<&Scope<'_>>) -> Traced {
    over(&node.input, outer, |scope| {
        let keys = grouping_set_to_exprlist(&node.group_expr).unwrap_or_default();
        let mut columns: Vec<Option<Origins>> = keys.iter().map(|key| value(key, scope)).collect();
        let mut rows = Origins::default();
        for key in &columns {
            rows.add(known(key.clone(), Use::GroupBy));
        }
        // Grouping sets have a column of their own that says which set a row is of.
        let computed = node.schema.fields().len().saturating_sub(node.aggr_expr.len());
        columns.resize(computed, Some(Origins::default()));
        columns.extend(node.aggr_expr.iter().map(|expr| value(expr, scope)));
        (columns, rows)
    })
}

fn window(node: &Window, outer: Option<&Scope<'_>>) -> Traced {
    let mut below = relation(&node.input, outer);
    let scope = Scope { tables: vec![(node.input.schema(), &below.columns)], outer };
    let computed: Vec<_> = node.window_expr.iter().map(|expr| value(expr, &scope)).collect();
    below.columns.extend(computed);
    below
}

fn join(node: &Join, outer: Option<&Scope<'_>>) -> Traced {
    let left = relation(&node.left, outer);
    let lateral = Scope { tables: vec![(node.left.schema(), &left.columns)], outer };
    let right = relation(&node.right, Some(&lateral));
    let both =
        Scope { tables: vec![(node.left.schema(), &left.columns), (node.right.schema(), &right.columns)], outer };
    let mut rows = Origins::default();
    for expr in node.on.iter().flat_map(|(left, right)| [left, right]).chain(&node.filter) {
        rows.add(known(value(expr, &both), Use::Join));
    }
    rows.add(left.rows);
    rows.add(right.rows);
    let columns = match node.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            left.columns.into_iter().chain(right.columns).collect()
        }
        JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
        JoinType::RightSemi | JoinType::RightAnti => right.columns,
        // The mark says whether there is a partner.
        JoinType::LeftMark => left.columns.into_iter().chain([Some(rows.clone())]).collect(),
        JoinType::RightMark => right.columns.into_iter().chain([Some(rows.clone())]).collect(),
    };
    Traced { columns, rows }
}

fn union(node: &Union, outer: Option<&Scope<'_>>) -> Traced {
    let mut parts = node.inputs.iter().map(|input| relation(input, outer));
    let Some(mut whole) = parts.next() else { return Traced::default() };
    for part in parts {
        whole.rows.add(part.rows);
        for (column, other) in whole.columns.iter_mut().zip(part.columns) {
            *column = column.take().zip(other).map(|(mut column, other)| {
                column.add(other);
                column
            });
        }
    }
    whole
}

/// What is known of an expression that is only looked at.
fn known(origins: Option<Origins>, as_what: Use) -> Origins {
    origins.map(|origins| origins.then(as_what)).unwrap_or_default()
}

fn sorted_by(sorts: &[Sort], scope: &Scope<'_>) -> Origins {
    let mut origins = Origins::default();
    sorts.iter().for_each(|sort| origins.add(known(value(&sort.expr, scope), Use::Sort)));
    origins
}

/// The origins of all of them; `None` as soon as one can't be followed.
fn all<'e>(exprs: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>) -> Option<Origins> {
    used(exprs, Use::Transformation, scope)
}

fn used<'e>(exprs: impl IntoIterator<Item = &'e Expr>, as_what: Use, scope: &Scope<'_>) -> Option<Origins> {
    let mut origins = Origins::default();
    for expr in exprs {
        origins.add(value(expr, scope)?.then(as_what));
    }
    Some(origins)
}

fn both(left: Option<Origins>, right: Option<Origins>) -> Option<Origins> {
    let mut origins = left?;
    origins.add(right?);
    Some(origins)
}

/// Where an expression's value comes from.
fn value(expr: &Expr, scope: &Scope<'_>) -> Option<Origins> {
    match expr {
        Expr::Alias(alias) => value(&alias.expr, scope),
        Expr::Column(column) => scope.find(column),
        Expr::OuterReferenceColumn(_, column) => scope.find_outer(column),
        Expr::Literal(..) | Expr::Placeholder(_) | Expr::ScalarVariable(..) => Some(Origins::default()),
        Expr::Case(case) => cased(case, scope),
        Expr::AggregateFunction(function) => {
            let params = &function.params;
            let looked_at = both(
                used(params.filter.as_deref(), Use::Filter, scope),
                used(params.order_by.iter().map(|sort| &sort.expr), Use::Sort, scope),
            );
            both(used(&params.args, Use::Aggregation, scope), looked_at)
        }
        Expr::WindowFunction(function) => {
            let params = &function.params;
            let how = match function.fun {
                WindowFunctionDefinition::AggregateUDF(_) => Use::Aggregation,
                WindowFunctionDefinition::WindowUDF(_) => Use::Transformation,
            };
            let parts = params.partition_by.iter().chain(params.order_by.iter().map(|sort| &sort.expr));
            let looked_at = both(used(params.filter.as_deref(), Use::Filter, scope), used(parts, Use::Window, scope));
            both(used(&params.args, how, scope), looked_at)
        }
        Expr::ScalarSubquery(query) => {
            let traced = subquery(query, scope);
            both(traced.columns.into_iter().next().flatten(), Some(traced.rows))
        }
        Expr::Exists(exists) => Some(subquery(&exists.subquery, scope).rows.then(Use::Conditional)),
        Expr::InSubquery(within) => compared(&within.expr, &within.subquery, scope),
        Expr::SetComparison(comparison) => compared(&comparison.expr, &comparison.subquery, scope),
        Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::ScalarFunction(_)
        | Expr::InList(_)
        | Expr::GroupingSet(_)
        | Expr::Unnest(_) => computed(expr, scope),
        Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => None,
        #[expect(deprecated, reason = "a plan has none any more, and the match is to name every kind")]
        Expr::Wildcard { .. } => None,
    }
}

fn computed(expr: &Expr, scope: &Scope<'_>) -> Option<Origins> {
    let mut origins = Some(Origins::default());
    let followed = expr.apply_children(|child| {
        origins = both(origins.take(), used([child], Use::Transformation, scope));
        Ok(if origins.is_some() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    followed.ok().and(origins)
}

fn cased(case: &Case, scope: &Scope<'_>) -> Option<Origins> {
    let conditions = case.when_then_expr.iter().map(|(when, _)| when.as_ref()).chain(case.expr.as_deref());
    let values = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
    both(used(conditions, Use::Conditional, scope), used(values, Use::Transformation, scope))
}

fn subquery(query: &Subquery, scope: &Scope<'_>) -> Traced {
    relation(&query.subquery, Some(scope))
}

/// Whether a value is among a subquery's.
fn compared(expr: &Expr, query: &Subquery, scope: &Scope<'_>) -> Option<Origins> {
    let traced = subquery(query, scope);
    let others = traced.columns.into_iter().next().flatten().map(|column| column.then(Use::Conditional));
    let theirs = both(others, Some(traced.rows));
    both(used([expr], Use::Transformation, scope), theirs)
}

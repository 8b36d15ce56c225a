//! What can be read off a SELECT without planning it: the tables and parameters it names, and its final order.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Expr, OrderByKind, Query, Statement, Value, visit_expressions};

use super::Table;
use super::guard::{self, Fault};

#[derive(Debug)]
pub(super) struct Parsed {
    pub tables: BTreeSet<Table>,
    pub parameters: BTreeSet<String>,
    /// The ascending plain columns, NULL last, that the final ORDER BY begins with.
    pub order: Vec<String>,
}

/// Parses one SELECT. Anything else, and any table that isn't a model's or a source's name, is refused:
/// a model can neither write nor read outside the lake.
///
/// # Errors
/// What is wrong, with its line in `sql`; where that can't be told, the line on which the SQL begins.
pub(super) fn parse(state: &SessionState, sql: &str) -> Result<Parsed, Fault> {
    let first = sql.lines().take_while(|line| line.trim().is_empty()).count() + 1;
    parse_select(state, sql).map_err(|fault| Fault { line: fault.line.or(Some(first)), ..fault })
}

fn parse_select(state: &SessionState, sql: &str) -> Result<Parsed, Fault> {
    let not_a_select = || Fault::new(None, "a model is one SELECT, nothing else");
    let statement = state.sql_to_statement(sql, &Dialect::Generic)?;
    let DfStatement::Statement(inner) = &statement else { return Err(not_a_select()) };
    let Statement::Query(query) = inner.as_ref() else { return Err(not_a_select()) };
    guard::query(state, query)?;
    let references = state.resolve_table_references(&statement)?;
    let tables = references.iter().map(|reference| table(query, reference)).collect::<Result<_, Fault>>()?;
    Ok(Parsed { tables, parameters: parameters(query), order: order(query) })
}

fn table(query: &Query, reference: &TableReference) -> Result<Table, Fault> {
    match reference {
        TableReference::Bare { table } if is_plain_name(table) => Ok(Table::Model(table.to_string())),
        TableReference::Partial { schema, table } if &**schema == "source" && is_plain_name(table) => {
            Ok(Table::Source(table.to_string()))
        }
        other => Err(Fault::new(
            guard::line_of_table(query, other.table()),
            format!("`{other}` is not a table that a model may read: name another model, or source.<name> in staging"),
        )),
    }
}

/// Whether SQL can name it without quotes and it can stand in a path: lower-case letters, digits and `_`.
pub(super) fn is_plain_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| word(c) && !c.is_ascii_digit())
}

fn parameters(query: &Query) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _ = visit_expressions(query, |expr: &Expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            names.insert(name.trim_start_matches('$').to_owned());
        }
        ControlFlow::<()>::Continue(())
    });
    names
}

fn order(query: &Query) -> Vec<String> {
    let Some(order_by) = &query.order_by else { return vec![] };
    let OrderByKind::Expressions(expressions) = &order_by.kind else { return vec![] };
    expressions
        .iter()
        .take_while(|e| e.options.asc != Some(false) && e.options.nulls_first != Some(true))
        .map_while(|e| match &e.expr {
            Expr::Identifier(name) => Some(name.value.clone()),
            Expr::CompoundIdentifier(parts) => parts.last().map(|p| p.value.clone()),
            _ => None,
        })
        .collect()
}

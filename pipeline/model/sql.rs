//! What can be read off a SELECT without planning it: the tables and parameters it names, and its final order.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Expr, OrderByKind, Query, Statement, Value, visit_expressions};

use super::Table;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Parsed {
    pub tables: BTreeSet<Table>,
    pub parameters: BTreeSet<String>,
    /// The ascending plain columns that the final ORDER BY begins with.
    pub order: Vec<String>,
}

/// Parses one SELECT. Anything else, and any table that isn't a model's or a source's name, is refused:
/// a model can neither write nor read outside the lake.
pub(super) fn parse(state: &SessionState, sql: &str) -> Result<Parsed> {
    let statement = state.sql_to_statement(sql, &Dialect::Generic)?;
    let DfStatement::Statement(inner) = &statement else {
        return Err(Error::config("a model is one SELECT, nothing else"));
    };
    let Statement::Query(query) = inner.as_ref() else {
        return Err(Error::config("a model is one SELECT, nothing else"));
    };
    let references = state.resolve_table_references(&statement)?;
    let tables = references.iter().map(table).collect::<Result<_>>()?;
    Ok(Parsed { tables, parameters: parameters(query), order: order(query) })
}

fn table(reference: &TableReference) -> Result<Table> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match reference {
        TableReference::Bare { table } if plain(table) => Ok(Table::Model(table.to_string())),
        TableReference::Partial { schema, table } if &**schema == "source" && plain(table) => {
            Ok(Table::Source(table.to_string()))
        }
        other => Err(Error::config(format!(
            "`{other}` is not a table that a model may read: name another model, or source.<name> in staging"
        ))),
    }
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
        .take_while(|e| e.options.asc != Some(false))
        .map_while(|e| match &e.expr {
            Expr::Identifier(name) => Some(name.value.clone()),
            Expr::CompoundIdentifier(parts) => parts.last().map(|p| p.value.clone()),
            _ => None,
        })
        .collect()
}

//! What SQL of the user's may say: queries over named tables, of functions that give the same tomorrow.
//!
//! Invariant: SQL from models, checks, seeds, mappings and skip rules reaches the engine only past this module. It
//! reads tables that it is handed, writes nothing, and names no file, no URL and no system table.

use std::fmt;
use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, ObjectName, Query, Select, SetExpr, Spanned, Statement, TableFactor, Visit, Visitor,
};

use crate::error::Error;

/// What is wrong with a text of the user's, and on which of its lines.
#[derive(Debug)]
pub(crate) struct Fault {
    /// From 1; `None` where it cannot be told.
    pub line: Option<usize>,
    pub error: Error,
}

impl Fault {
    pub fn new(line: Option<usize>, message: impl fmt::Display) -> Self {
        Fault { line, error: Error::config(message) }
    }

    /// The same fault of a text that begins on line `first` of its file.
    pub fn after(self, first: usize) -> Self {
        Fault { line: Some(self.line.map_or(first, |line| first + line - 1)), ..self }
    }

    /// `place:line: message`, as editors and terminals make it clickable.
    pub fn in_file(&self, place: &str) -> String {
        match self.line {
            Some(line) => format!("{place}:{line}: {}", self.error),
            None => format!("{place}: {}", self.error),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let line = error.to_string().split_once("at Line: ").and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
        });
        Fault { line, error }
    }
}

impl From<datafusion::error::DataFusionError> for Fault {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Error::from(error).into()
    }
}

/// Refuses whatever in a query is more than a query.
pub(super) fn query(state: &SessionState, query: &Query) -> Result<(), Fault> {
    visit(query, Guard { state, takes_queries: true })
}

/// Refuses queries and functions that give another value at another time in an expression.
pub(crate) fn expression(state: &SessionState, expression: &Expr) -> Result<(), Fault> {
    visit(expression, Guard { state, takes_queries: false })
}

fn visit(node: &impl Visit, mut guard: Guard<'_>) -> Result<(), Fault> {
    match node.visit(&mut guard) {
        ControlFlow::Break(fault) => Err(fault),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The line on which a table is named.
pub(super) fn line_of_table(query: &Query, table: &str) -> Option<usize> {
    struct Finder<'a>(&'a str);
    impl Visitor for Finder<'_> {
        type Break = Option<usize>;
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
            let last = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
            match last.is_some_and(|name| name.eq_ignore_ascii_case(self.0)) {
                true => ControlFlow::Break(line(relation)),
                false => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Finder(table)) {
        ControlFlow::Break(line) => line,
        ControlFlow::Continue(()) => None,
    }
}

/// The parser leaves a span of zeros where it doesn't know.
fn line(node: &impl Spanned) -> Option<usize> {
    usize::try_from(node.span().start.line).ok().filter(|line| *line > 0)
}

struct Guard<'a> {
    state: &'a SessionState,
    takes_queries: bool,
}

fn refuse(node: &impl Spanned, message: impl fmt::Display) -> ControlFlow<Fault> {
    ControlFlow::Break(Fault::new(line(node), message))
}

impl Visitor for Guard<'_> {
    type Break = Fault;

    /// The statement that holds the query isn't visited: this is one inside of it.
    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Fault> {
        refuse(statement, "a model is one SELECT, nothing else: it writes nothing")
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Fault> {
        if !self.takes_queries {
            return refuse(query, "a mapping may not contain a query");
        }
        let is_plain = query.locks.is_empty()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        if !is_plain {
            return refuse(query, "a model is one plain SELECT: no FOR, SETTINGS, FORMAT or pipes");
        }
        match query.body.as_ref() {
            SetExpr::Table(_) => refuse(query, "name a table in a SELECT … FROM, not with TABLE"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Fault> {
        match &select.into {
            Some(_) => refuse(select, "a model is one SELECT, nothing else: there is no INTO"),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Fault> {
        match factor {
            TableFactor::Derived { sample: None, .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            TableFactor::Table { args: None, sample: None, version: None, json_path: None, with_hints, .. }
                if with_hints.is_empty() =>
            {
                ControlFlow::Continue(())
            }
            other => {
                refuse(other, "a model reads models and sources by their plain names: no table functions, no samples")
            }
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Fault> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if !self.takes_queries && matches!(function.args, FunctionArguments::Subquery(_)) {
            return refuse(expr, "a mapping may not contain a query");
        }
        let last = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        let known = last.as_ref().and_then(|name| self.state.scalar_functions().get(name));
        match known.filter(|known| known.signature().volatility != Volatility::Immutable) {
            Some(known) => refuse(
                expr,
                format!(
                    "`{}` gives another value at another time; a model reads $as_of, and a mapping its row alone",
                    known.name()
                ),
            ),
            None => ControlFlow::Continue(()),
        }
    }
}

//! The user's SQL expressions over raw columns: compiled once, bound to what each file has.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::Dialect;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, lit};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, visit_expressions};

use super::numbers::NumberStyle;
use crate::contract::{Column, ColumnType, Contract};
use crate::decode::{Kind, LINE_COLUMN};
use crate::engine::register_functions;
use crate::error::{Error, Result};
use crate::model::guard;

/// A source's mapping, as written: which raw columns it names is known, their types are not yet.
pub struct Mapping {
    context: SessionContext,
    /// Contract column → expression; columns without one take the raw column of their own name.
    columns: BTreeMap<String, String>,
    /// Rule → condition, in the config's order.
    skip: Vec<(String, String)>,
    raw_columns: BTreeSet<String>,
    named: BTreeSet<String>,
    /// The columns whose times may come as numbers, since the config says what those count.
    dated: BTreeSet<String>,
}

/// The raw columns of a batch, and how numbers are written in it.
pub struct RawShape {
    schema: SchemaRef,
    /// JSON has every wanted column in every batch, so an absent one can't be told from an empty one.
    names_are_certain: bool,
    numbers: NumberStyle,
}

impl RawShape {
    /// `numbers` is how the source writes them. JSON has a way of its own: where thousands are set apart by points, its
    /// `1.234` would be taken for 1234.
    pub fn of(kind: Kind, batch: &RecordBatch, numbers: NumberStyle) -> Self {
        let is_json = kind == Kind::Json;
        let numbers = if is_json { NumberStyle::default() } else { numbers };
        Self { schema: batch.schema(), names_are_certain: !is_json, numbers }
    }
}

/// Expressions bound to the columns and types of a file.
pub struct Bound {
    schema: SchemaRef,
    /// How numbers that come as text are written.
    pub numbers: NumberStyle,
    pub columns: Vec<Arc<dyn PhysicalExpr>>,
    pub skip: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl Bound {
    pub fn fits(&self, batch: &RecordBatch) -> bool {
        self.schema.fields() == batch.schema().fields()
    }
}

/// What is wrong with one expression of the config, by the key it stands under.
pub struct ExpressionFault {
    pub key: String,
    pub message: String,
}

impl Mapping {
    /// Parses every expression; all faults are returned together.
    pub fn new(
        contract: &Contract,
        columns: Vec<(String, String)>,
        skip: Vec<(String, String)>,
        dated: BTreeSet<String>,
    ) -> Result<Self, Vec<ExpressionFault>> {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.parse_float_as_decimal = true;
        let context = SessionContext::new_with_config(config);
        register_functions(&context);
        let mut raw_columns = BTreeSet::new();
        let mut faults = Vec::new();
        for (key, sql) in columns.iter().chain(&skip) {
            match check(&context, sql) {
                Ok(names) => raw_columns.extend(names),
                Err(e) => faults.push(ExpressionFault { key: key.clone(), message: e.to_string() }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let columns: BTreeMap<String, String> = columns.into_iter().collect();
        let unmapped = contract.names().filter(|name| !columns.contains_key(*name));
        let named = raw_columns.clone();
        raw_columns.extend(unmapped.map(str::to_owned));
        Ok(Self { context, columns, skip, raw_columns, named, dated })
    }

    /// The raw columns that a decoder is asked for.
    pub fn wanted(&self) -> Vec<String> {
        self.raw_columns.iter().cloned().collect()
    }

    /// The raw columns that a contract column is made of.
    pub fn raw_columns(&self, column: &str) -> Vec<String> {
        match self.columns.get(column) {
            Some(sql) => check(&self.context, sql).unwrap_or_default().into_iter().collect(),
            None => vec![column.to_owned()],
        }
    }

    pub fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.columns, self.skip)
    }

    /// The raw columns that the config's expressions name, but for paths into nested JSON.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        let own = |name: &&String| *name == LINE_COLUMN || name.contains('.');
        self.named.iter().filter(move |name| !own(name))
    }

    /// Types every expression as CSV and JSON have it: over text.
    ///
    /// # Errors
    /// The first expression that doesn't type.
    pub fn type_as_text(&self, contract: &Contract) -> Result<()> {
        let fields: Vec<Field> = self.raw_columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let shape = RawShape { schema, names_are_certain: false, numbers: NumberStyle::default() };
        self.bind(contract, &shape, &[]).map(|_| ())
    }

    /// Binds the expressions to a file's columns.
    ///
    /// # Errors
    /// A required column that the file has no raw column for, and expressions of a type that the contract
    /// cannot take: the whole source is wrong, not a row of it.
    pub fn bind(&self, contract: &Contract, shape: &RawShape, found: &[String]) -> Result<Bound> {
        let present: BTreeSet<&str> = shape.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let absent: Vec<String> =
            self.raw_columns.iter().filter(|n| !present.contains(n.as_str()) && *n != LINE_COLUMN).cloned().collect();
        let fields = shape.schema.fields().iter().cloned();
        let nulls = absent.iter().map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
        let full: SchemaRef = Arc::new(Schema::new(fields.chain(nulls).collect::<Vec<_>>()));
        let df_schema = DFSchema::try_from(full)?;
        let columns = contract.columns.iter().map(|column| {
            let expr = self.expression(column.name, &df_schema)?;
            let missing = missing_names(&expr, &absent);
            let is_lacking = column.required && !missing.is_empty() && shape.names_are_certain;
            match self.bind_column(column, expr, &absent, &df_schema) {
                // What is there may do without the rest: coalesce("New name", "Old name").
                Ok(bound) if !(is_lacking && is_null(&bound)) => Ok(bound),
                Err(e) if !is_lacking => Err(e),
                _ => Err(missing_column(contract, column.name, &missing, found)),
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let skip = self.skip.iter().map(|(rule, sql)| {
            let expr = nulled(self.context.parse_sql_expr(sql, &df_schema)?, &absent)?;
            if expr.get_type(&df_schema)? != DataType::Boolean {
                return Err(Error::config(format!("skip.{rule}: not a condition (true or false)")));
            }
            Ok((rule.clone(), self.physical(expr, &df_schema)?))
        });
        let skip = skip.collect::<Result<Vec<_>>>()?;
        Ok(Bound { schema: shape.schema.clone(), numbers: shape.numbers, columns, skip })
    }

    fn bind_column(
        &self,
        column: &Column,
        expr: Expr,
        absent: &[String],
        schema: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = nulled(expr, absent)?;
        accept_type(column.name, column.kind, self.dated.contains(column.name), &expr.get_type(schema)?)?;
        self.physical(expr, schema)
    }

    /// Simplified first: some functions, coalesce among them, exist only as what they are simplified to.
    fn physical(&self, expr: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
        let simplifier = ExprSimplifier::new(context);
        let simple = simplifier.simplify(simplifier.coerce(expr.clone(), schema)?).unwrap_or(expr);
        Ok(self.context.create_physical_expr(simple, schema)?)
    }

    fn expression(&self, column: &str, schema: &DFSchema) -> Result<Expr> {
        match self.columns.get(column) {
            Some(sql) => {
                self.context.parse_sql_expr(sql, schema).map_err(|e| Error::from(e).at(format!("columns.{column}")))
            }
            None => Ok(datafusion::prelude::ident(column)),
        }
    }
}

/// Parses one expression, refuses what isn't an immutable scalar, and returns the raw columns that it names.
fn check(context: &SessionContext, sql: &str) -> Result<BTreeSet<String>> {
    let state = context.state();
    let parsed = state.sql_to_expr(sql, &Dialect::Generic)?;
    guard::expression(&state, &parsed).map_err(|fault| fault.error)?;
    let mut names = BTreeSet::new();
    let found = visit_expressions(&parsed, |expr: &SqlExpr| match expr {
        SqlExpr::Identifier(name) => {
            let folded = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
            names.insert(folded);
            ControlFlow::Continue(())
        }
        SqlExpr::CompoundIdentifier(_) => {
            ControlFlow::Break("a column with a dot in its name is written in double quotes")
        }
        _ => ControlFlow::Continue(()),
    });
    if let ControlFlow::Break(message) = found {
        return Err(Error::config(message));
    }
    let fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>();
    let schema = DFSchema::try_from(Schema::new(fields))?;
    refuse_mutable(&context.parse_sql_expr(sql, &schema)?)?;
    Ok(names)
}

fn refuse_mutable(expr: &Expr) -> Result<()> {
    let mut refused = None;
    expr.apply(|node| {
        refused = match node {
            Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
                Some(format!("`{}` gives another value at another time; a mapping may not use it", f.name()))
            }
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
                Some("a mapping sees one row at a time: no aggregates, no windows".to_owned())
            }
            Expr::Placeholder(_) => Some("a mapping has no parameters".to_owned()),
            _ => None,
        };
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    refused.map_or(Ok(()), |message| Err(Error::config(message)))
}

fn missing_names(expr: &Expr, absent: &[String]) -> Vec<String> {
    let columns = expr.column_refs();
    absent.iter().filter(|name| columns.iter().any(|c| &&c.name == name)).cloned().collect()
}

/// Whether an expression is NULL whatever the row.
fn is_null(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Literal>().is_some_and(|literal| literal.value().is_null())
}

/// Columns that a file doesn't have are NULL in it.
fn nulled(expr: Expr, absent: &[String]) -> Result<Expr> {
    let replaced = expr.transform(|node| match &node {
        Expr::Column(column) if absent.contains(&column.name) => {
            Ok(datafusion::common::tree_node::Transformed::yes(lit(ScalarValue::Utf8(None))))
        }
        _ => Ok(datafusion::common::tree_node::Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

fn missing_column(contract: &Contract, column: &str, missing: &[String], found: &[String]) -> Error {
    let source = contract.source;
    let shown: Vec<String> = found.iter().map(|name| shown(name)).collect();
    let has =
        if found.is_empty() { "its names are withheld".to_owned() } else { format!("it has: {}", shown.join(", ")) };
    Error::config(format!(
        "source {source}: the required column `{column}` needs the raw column \"{}\", which the file doesn't have{}\n  \
         {has}\n  hint: {}",
        missing.join("\", \""),
        nearest(&missing[0], found).map_or(String::new(), |name| format!("; did you mean \"{name}\"?")),
        one_column_hint(found).unwrap_or_else(|| format!(
            "map it under [sources.{source}.columns], as {column} = '\"raw name\"'; header = false, if the file has no header"
        ))
    ))
}

/// The name that is most like the missing one, unless none is.
fn nearest(missing: &str, found: &[String]) -> Option<String> {
    let missing = missing.to_lowercase();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &missing);
    let best = found.iter().map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.4).then(|| shown(best.1))
}

/// What is the matter with a header that is one name.
fn one_column_hint(found: &[String]) -> Option<String> {
    let [only] = found else { return None };
    let delimiter = [";", "\t", "|", ","].into_iter().find(|delimiter| only.contains(delimiter))?;
    Some(format!("that is one column: set delimiter = \"{}\"", if delimiter == "\t" { "tab" } else { delimiter }))
}

/// A name with what can't be seen in it made visible.
fn shown(name: &str) -> String {
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    name.chars().map(|c| if invisible(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Types that could only be guessed at are the mapping's to say, once for all rows.
fn accept_type(column: &str, kind: ColumnType, is_dated: bool, given: &DataType) -> Result<()> {
    let is_time = matches!(kind, ColumnType::Timestamp | ColumnType::Date);
    if is_time && !is_dated && (given.is_integer() || given.is_floating()) {
        return Err(Error::config(format!(
            "columns.{column}: a number is no {}; say under `dates` what it counts, as {column} = \"epoch_seconds\", or in \
             its expression: epoch_seconds(…), epoch_millis(…) or epoch_micros(…)",
            kind.as_str()
        )));
    }
    if given.is_nested() {
        return Err(Error::config(format!(
            "columns.{column}: a nested value ({given}) cannot become {}",
            kind.as_str()
        )));
    }
    if !arrow::compute::can_cast_types(given, &super::data_type(kind)) {
        return Err(Error::config(format!("columns.{column}: {given} cannot become {}; map it", kind.as_str())));
    }
    Ok(())
}

/// Evaluates an expression over a batch. A row that fails doesn't take the others down: the batch is halved
/// until the row stands alone. Returns the values, NULL where evaluation failed, and those failures.
pub fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<(ArrayRef, Vec<(usize, String)>)> {
    let whole = expr.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    match whole {
        Ok(array) => Ok((array, vec![])),
        Err(e) if batch.num_rows() <= 1 => {
            let data_type = expr.data_type(&batch.schema())?;
            let null = arrow::array::new_null_array(&data_type, batch.num_rows());
            Ok((null, vec![(0, e.strip_backtrace())]))
        }
        Err(_) => {
            let half = batch.num_rows() / 2;
            let (first, mut failures) = evaluate(expr, &batch.slice(0, half))?;
            let (second, later) = evaluate(expr, &batch.slice(half, batch.num_rows() - half))?;
            failures.extend(later.into_iter().map(|(row, message)| (row + half, message)));
            Ok((arrow::compute::concat(&[&first, &second])?, failures))
        }
    }
}

/// Which rows a condition holds for; NULL counts as no.
pub fn holds(condition: &ArrayRef) -> BooleanArray {
    use arrow::array::AsArray;
    condition.as_boolean().iter().map(|v| Some(v == Some(true))).collect()
}

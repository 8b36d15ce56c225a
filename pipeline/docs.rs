//! `docs/marts.md`: every mart with its grain, columns, checks and lineage, as the models themselves say it.

use std::fmt::Write;

use crate::contract::SourceName;
use crate::error::Result;
use crate::extract::RULES;
use crate::model::{Catalog, Column, ColumnCheck, Layer, Model, Origin, Table, type_name};
use crate::project::Blueprint;
use crate::publish::reports::{REPORTS, Report};

const HEAD: &str = "\
# The marts

Written by `bazgasht docs` from the models, so it says what the code does. Every mart also has the column `as_of` (date), the business
date of its numbers, and carries these descriptions in its Parquet metadata. Money is in the project's currency; rates are fractions;
a month is the business's own, in its calendar and time zone.
";

const REJECTS_HEAD: &str = "\
# Rejected rows

Written from the rules themselves (`just docs`), so it says what the code does.

A row that breaks a rule is rejected: it is in no mart, it is counted in `data_quality`, and it is kept in the lake with its line, the first
rule that it broke and its first 4 KiB. Above a source's `max_rejected` (1 % of its rows by default) a run doesn't publish.

    bazgasht rejects                                   # counts by source and rule, what to do, and a few rows of each
    bazgasht rejects --source orders --rule unparseable_date --limit 100
    bazgasht rejects --json

It tells of the files as they lie there now, read as the config says today: also after a run that refused to publish, and right after
the config was changed. So the way to mend a cause is: look, change the mapping (or add a `skip` rule for rows that are expected), look
again, run. The next run reads again what is decoded in another way; no raw file needs to be touched, and none is.

With `pii = \"drop\"` or `\"pseudonymise\"` the raw text is withheld: the file and the line are told, and the raw file has the rest.

| rule | what breaks it | what to do |
| --- | --- | --- |
";

const REJECTS_TAIL: &str = "
A row counts under the first rule that it breaks: those of decoding, then those of the columns in the contract's order. `unreadable_file` stands for an
unknown number of rows: any at all keep a run from publishing, unless `max_rejected = 1.0`. The lines of `order_missing` are not lost: they join
their order as soon as it comes.
";

/// The marts of a project.
pub fn of_project(blueprint: &Blueprint) -> String {
    page(&blueprint.catalog)
}

/// The marts of the models that ship in the program, with every source configured.
///
/// # Errors
/// None but bugs: the shipped models parse.
pub fn embedded() -> Result<String> {
    let sources = SourceName::ALL.iter().map(ToString::to_string).collect();
    Ok(page(&Catalog::load(&Origin::Embedded, None, &sources)?))
}

/// `docs/rejects.md`: every rule that a row can be rejected under.
pub fn rejects() -> String {
    let rules =
        RULES.iter().map(|rule| format!("| `{}` | {} | {} |\n", rule.name, cell(rule.cause), cell(rule.remedy)));
    format!("{REJECTS_HEAD}{}{REJECTS_TAIL}", rules.collect::<String>())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page(catalog: &Catalog) -> String {
    let mut entries: Vec<(&str, String)> = catalog.marts().map(|m| (m.name.as_str(), mart(catalog, m))).collect();
    entries.extend(REPORTS.iter().map(|r| (r.name, report(r))));
    entries.sort_unstable();
    let names = entries.iter().map(|(name, _)| format!("[{name}](#{name})")).collect::<Vec<_>>().join(", ");
    let bodies: String = entries.iter().map(|(_, text)| text.as_str()).collect();
    format!("{HEAD}\n{names}\n{bodies}")
}

fn mart(catalog: &Catalog, model: &Model) -> String {
    let mut text = head(&model.name, &model.description, &model.grain.join(", "));
    let file = if model.monthly { "one for each business month" } else { "one" };
    let _ = writeln!(text, "- Files: {file}");
    if !model.features.is_empty() {
        let _ = writeln!(text, "- For: {} of [features.md](features.md)", model.features.join(", "));
    }
    let reads = model.reads.iter().map(|read| format!("`{}`", read.table)).collect::<Vec<_>>();
    if !reads.is_empty() {
        let _ = writeln!(text, "- Reads: {}", reads.join(", "));
    }
    let (sources, seeds) = lineage(catalog, model);
    if !sources.is_empty() {
        let _ = writeln!(text, "- Comes from the sources: {}", sources.join(", "));
    }
    if !seeds.is_empty() {
        let _ = writeln!(text, "- Tuned by: {}", seeds.join(", "));
    }
    let names =
        |checks: &[crate::model::Check]| checks.iter().map(|c| c.name.replace('_', " ")).collect::<Vec<_>>().join("; ");
    if !model.checks.is_empty() {
        let _ = writeln!(text, "- Checked before publishing: {}", names(&model.checks));
    }
    if !model.warnings.is_empty() {
        let _ = writeln!(text, "- Warns of: {}", names(&model.warnings));
    }
    text.push_str("\n| column | type | unit | what it is | checks |\n| --- | --- | --- | --- | --- |\n");
    text.extend(model.columns.iter().map(row));
    text
}

/// The sources that a model stands on, and the seeds that a business tunes it by.
fn lineage(catalog: &Catalog, model: &Model) -> (Vec<String>, Vec<String>) {
    let (mut sources, mut seeds) = (vec![], vec![]);
    for table in catalog.stands_on(model) {
        match table {
            Table::Source(name) => sources.push(name),
            Table::Model(name) if catalog.get(&name).is_some_and(|m| m.layer == Layer::Seed) => {
                seeds.push(format!("[{name}.csv](../sql/seeds/{name}.csv)"));
            }
            Table::Model(_) => {}
        }
    }
    (sources, seeds)
}

fn head(name: &str, description: &str, grain: &str) -> String {
    format!("\n## {name}\n\n{description}\n\n- Grain: {grain}\n")
}

fn row(column: &Column) -> String {
    let checks: Vec<String> = column.checks.iter().map(check).collect();
    format!(
        "| {} | {} | {} | {} | {} |\n",
        column.name,
        type_name(&column.data_type),
        column.unit.as_deref().unwrap_or_default(),
        column.doc.replace('|', "\\|"),
        checks.join(", ")
    )
}

fn check(check: &ColumnCheck) -> String {
    match check {
        ColumnCheck::OneOf(texts) => format!("one of {}", texts.join(", ")),
        other => other.name().replace('_', " "),
    }
}

/// A mart that tells of the pipeline itself.
fn report(report: &Report) -> String {
    let mut text = head(report.name, report.description, &report.grain.join(", "));
    text.push_str("- Files: one\n\n| column | what it is |\n| --- | --- |\n");
    text.extend(report.columns.iter().map(|(name, doc)| format!("| {name} | {doc} |\n")));
    text
}

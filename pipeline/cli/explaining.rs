//! `explain`: how a partition came to be, as text.

use std::fmt::Write;
use std::path::Path;

use super::ExplainArgs;
use super::commands::open;
use super::history::short;
use super::summary::{duration, size};
use super::text::{grouped, shortened};
use crate::account::{Action, PartitionResult};
use crate::error::Result;
use crate::explain::{self, Explanation, PastRun};

/// Of the model's other partitions, so many are listed.
const OTHERS: usize = 12;

pub(super) async fn explain(config: &Path, args: &ExplainArgs) -> Result<()> {
    let project = open(config)?;
    let run = explain::find(&project, &args.run).await?;
    let explanation = explain::explain(&project, &run, &args.model).await?;
    say!("{}", text(&run, &explanation).trim_end());
    Ok(())
}

fn text(run: &PastRun, explained: &Explanation) -> String {
    let mut out = String::new();
    heading(&mut out, run, explained);
    effort(&mut out, explained);
    others(&mut out, explained);
    key(&mut out, explained);
    sql(&mut out, explained);
    plan(&mut out, explained);
    out
}

/// Writing to a text cannot fail.
macro_rules! line {
    ($out:expr, $($arguments:tt)*) => {{
        let _ = writeln!($out, $($arguments)*);
    }};
}

fn heading(out: &mut String, run: &PastRun, explained: &Explanation) {
    let slot = &explained.slot;
    let eve = if slot.eve { ", as of the day before" } else { "" };
    let snapshot = run.snapshot.as_ref().map(|s| (format!("snapshot {}", s.number), s.as_of));
    let of_account = run.results.as_ref().map(|r| (format!("run …{}", short(&r.run_id)), r.as_of));
    let (name, as_of) = snapshot.or(of_account).unwrap_or_default();
    line!(out, "{} ({}{eve}) in {name}, as of {as_of}\n", slot.model, slot.partition);
}

fn effort(out: &mut String, explained: &Explanation) {
    let Some(result) = &explained.result else {
        line!(out, "reused: all that it is made from was as before; {} rows", grouped(explained.rows));
        return;
    };
    match result.action {
        Action::Built => line!(out, "built because: {}", reasons(result, explained).join("; ")),
        Action::Unchanged => {
            line!(out, "not built: it was open because of {}; all came out as before", result.why.join(", "))
        }
    }
    line!(
        out,
        "{} rows, {} in {}; memory {}, spilled {}; {} checks, {} failed, {} warned",
        grouped(result.rows),
        size(result.size_bytes),
        duration(result.took_seconds),
        size(result.peak_memory_bytes),
        size(result.spilled_bytes),
        result.checks,
        result.violations,
        result.warnings
    );
}

/// A bare table among the reasons is one that was still open when the run was planned.
fn reasons(result: &PartitionResult, explained: &Explanation) -> Vec<String> {
    let spelled_out = |why: &String| match explained.parts.inputs.contains_key(why) {
        true => format!("{why} came out changed"),
        false => why.clone(),
    };
    result.why.iter().map(spelled_out).collect()
}

fn others(out: &mut String, explained: &Explanation) {
    let is_other = |p: &&PartitionResult| Some(*p) != explained.result.as_ref();
    let others: Vec<&PartitionResult> = explained.settled.iter().filter(is_other).collect();
    if others.is_empty() {
        return;
    }
    line!(out, "\nits other partitions in this run:");
    for other in others.iter().rev().take(OTHERS) {
        let (rows, took) = (grouped(other.rows), duration(other.took_seconds));
        line!(out, "  {:<8}  {rows:>13}  {took:>7}  {}", other.partition, shortened(&other.why.join("; "), 44));
    }
    let rest = others.len().saturating_sub(OTHERS);
    if rest > 0 {
        line!(out, "  and {rest} more");
    }
}

fn key(out: &mut String, explained: &Explanation) {
    let parts = &explained.parts;
    line!(out, "\nkey {}, made from", explained.key);
    line!(out, "  SQL and types  {}", parts.sql);
    line!(out, "  engine         {}", parts.engine);
    for (table, digest) in &parts.inputs {
        line!(out, "  rows of        {table} {digest}");
    }
    for (name, value) in &parts.parameters {
        line!(out, "  parameter      ${name} = {value}");
    }
    for difference in &explained.differs {
        line!(out, "  but: {difference}");
    }
}

fn sql(out: &mut String, explained: &Explanation) {
    let Some(sql) = &explained.sql else { return };
    line!(
        out,
        "\n{}\n",
        if explained.is_sql_as_run { "SQL as it ran:" } else { "SQL as it is now; it isn't kept as it ran:" }
    );
    for (name, value) in &explained.parts.parameters {
        line!(out, "-- ${name} = {}", shortened(value, 60));
    }
    line!(out, "{sql}");
}

fn plan(out: &mut String, explained: &Explanation) {
    match &explained.plan {
        Ok(plan) if explained.differs.is_empty() => {
            line!(out, "\nplan, made anew over the same input files:\n\n{plan}");
        }
        Ok(plan) => line!(out, "\nplan, made anew, with the differences above:\n\n{plan}"),
        Err(e) if explained.sql.is_some() => line!(out, "\nno plan: {e}"),
        Err(_) => line!(out, "\nno SQL makes it: it comes from a seed or from the program"),
    }
}

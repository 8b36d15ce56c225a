//! The rules that a row must keep: the first one that it breaks rejects it, with its line.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, filter_record_batch, is_not_null, nullif, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDate};

use super::convert::{Converted, Fault, Written, convert};
use super::lookalikes::{IdOddity, id_oddity, without_placeholders};
use super::mapping::{Bound, evaluate, holds};
use super::output::Output;
use super::{Decoding, schema};
use crate::contract::{Column, ColumnType, Rule as ContractRule};
use crate::decode::{self, RawBatch};
use crate::error::Result;

/// A rule, what breaks it, and what to do.
pub struct Rule {
    pub name: &'static str,
    pub cause: &'static str,
    pub remedy: &'static str,
}

const fn rule(name: &'static str, cause: &'static str, remedy: &'static str) -> Rule {
    Rule { name, cause, remedy }
}

/// Every rule that a row can be rejected under.
pub const RULES: &[Rule] = &[
    rule(
        "unreadable_line",
        "Broken JSON, or quotes or brackets that do not match.",
        "Mend the export; the rest of the file was read.",
    ),
    rule(
        "wrong_column_count",
        "More or fewer fields than the header.",
        "Mend the export, or set `quote` or `delimiter`.",
    ),
    rule(
        "invalid_utf8",
        "Bytes that are no text in the source's encoding (unset: UTF-8).",
        "Set `encoding` to how it was written, or export as UTF-8.",
    ),
    rule("line_too_long", "A line, or an element of a JSON array, of more than 16 MiB.", "Is it one record per line?"),
    rule("unreadable_file", "The rest of the file, or all of it, cannot be decoded.", "Deliver the file again."),
    rule(
        "mapping_failed",
        "An expression of the mapping failed on this row.",
        "Use try_cast, or nullif for a division.",
    ),
    rule(
        "missing_required",
        "A required value is empty, or stands for nothing: NULL, \\N, N/A, -.",
        "Map it, or say under [skip] which rows are expected to lack it.",
    ),
    rule(
        "digits_lost",
        "An id such as 9.89121E+11: a spreadsheet took it for a number and rounded it.",
        "Export the ids as text; which ones these were can't be told any more.",
    ),
    rule(
        "nested_value",
        "A JSON object or list where an id is due.",
        "Map a path into it: customer_id = '\"customer.id\"'.",
    ),
    rule(
        "unparseable_number",
        "Not a number as the source writes them, or more than 14 digits before the point.",
        "Set `decimal` or `thousands`, or map it, for example with replace(x, ',', '.').",
    ),
    rule("not_finite", "NaN or infinite.", "Map it with nanvl or nullif."),
    rule(
        "unparseable_date",
        "Not a date or time in the column's formats (unset: ISO 8601), or a day that doesn't exist.",
        "Say under [sources.X.dates] how it is written, for example \"%d/%m/%Y %H:%M\" or \"jalali\".",
    ),
    rule("unparseable_boolean", "Not true or false.", "Map it with a comparison: x = 'yes'."),
    rule(
        "looks_jalali",
        "A year from 1300 to 1500.",
        "Say \"jalali\" for the column under [sources.X.dates], or map it through jalali_date(x).",
    ),
    rule(
        "date_out_of_range",
        "Before history_starts_on (unset: 2000-01-01) or from 2100 on.",
        "Set history_starts_on, or map the placeholder to NULL.",
    ),
    rule(
        "negative_value",
        "Below zero where the contract forbids it.",
        "Map a credit note to refunded_amount, or skip it.",
    ),
    rule("text_too_long", "More than 64 KiB of text in one value.", "Map it with left(x, 1000)."),
    rule("unknown_currency", "Another currency than the project's.", "Convert it before, or skip it."),
    rule("order_missing", "An order line whose order is nowhere.", "Nothing, if the order is still to come."),
];

/// The first rule broken by each row.
struct Verdicts(Vec<Option<&'static str>>);

impl Verdicts {
    fn reject(&mut self, row: usize, rule: &'static str) {
        self.0[row].get_or_insert(rule);
    }
}

/// Counts a batch's rows and rejects those that could not be decoded.
pub(super) fn count(raw: &RawBatch, output: &mut Output) -> Result<()> {
    output.read(raw.rows_read());
    for broken in &raw.unreadable {
        if broken.rule == decode::rules::UNREADABLE_FILE {
            output.note_break(&broken.detail);
        }
        output.reject(broken.line, broken.rule, &broken.raw)?;
    }
    Ok(())
}

/// Maps, converts and checks one batch's decoded rows; hands what is good, skipped and rejected to `output`.
pub(super) fn process(raw: &RawBatch, bound: &Bound, decoding: &Decoding, output: &mut Output) -> Result<()> {
    let rows = raw.columns.num_rows();
    let mut verdicts = Verdicts(vec![None; rows]);
    let skipped = skip(raw, bound, &mut verdicts, output)?;
    let kept: Vec<u32> = (0..rows as u32).filter(|&row| !skipped[row as usize]).collect();
    let batch = if kept.len() == rows {
        raw.columns.clone()
    } else {
        take_record_batch(&raw.columns, &UInt32Array::from(kept.clone()))?
    };
    let columns = map(&batch, &kept, bound, decoding, &mut verdicts, output)?;
    let good: BooleanArray = kept.iter().map(|&row| Some(verdicts.0[row as usize].is_none())).collect();
    for (row, verdict) in verdicts.0.iter().enumerate() {
        if let Some(rule) = verdict {
            output.reject(raw.lines[row], rule, &raw.raw_text(row))?;
        }
    }
    let lines: Int64Array = kept.iter().map(|&row| raw.lines[row as usize].cast_signed()).collect();
    accept(columns, lines, &good, decoding, output)
}

/// Which rows a skip rule takes out; the first that holds counts.
fn skip(raw: &RawBatch, bound: &Bound, verdicts: &mut Verdicts, output: &mut Output) -> Result<Vec<bool>> {
    let mut skipped = vec![false; raw.columns.num_rows()];
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (rule, condition) in &bound.skip {
        let (values, failures) = evaluate(condition, &raw.columns)?;
        for (row, _) in failures.into_iter().filter(|(row, _)| !skipped[*row]) {
            verdicts.reject(row, "mapping_failed");
        }
        for (row, holds) in holds(&values).values().iter().enumerate() {
            if holds && !skipped[row] && verdicts.0[row].is_none() {
                skipped[row] = true;
                *counts.entry(rule).or_default() += 1;
            }
        }
    }
    for (rule, count) in counts {
        output.skip(rule, count);
    }
    Ok(skipped)
}

/// The contract's columns, converted; rows that break a rule are noted in `verdicts` by their raw index.
fn map(
    batch: &RecordBatch,
    kept: &[u32],
    bound: &Bound,
    decoding: &Decoding,
    verdicts: &mut Verdicts,
    output: &mut Output,
) -> Result<Vec<ArrayRef>> {
    let mut columns = Vec::new();
    for (column, expr) in decoding.contract.columns.iter().zip(&bound.columns) {
        let (values, failures) = evaluate(expr, batch)?;
        let mut reject = |row: usize, rule| verdicts.reject(kept[row] as usize, rule);
        let values = match values.data_type() {
            DataType::Dictionary(_, plain) => cast(&values, plain)?,
            _ => values,
        };
        let values = match without_placeholders(&values, column.kind)? {
            Some((values, count)) => {
                output.warn(&format!("{} is a placeholder, such as NULL", column.name), count);
                values
            }
            None => values,
        };
        failures.iter().for_each(|(row, _)| reject(*row, "mapping_failed"));
        let Converted { values, faults } = if values.data_type().is_null() {
            Converted { values: new_null_array(&super::data_type(column.kind), values.len()), faults: vec![] }
        } else {
            let written = Written {
                zone: &decoding.source_zone,
                numbers: bound.numbers,
                dates: decoding.dates.get(column.name).map_or(&[], |dates| &dates.readers),
            };
            convert(&values, column.kind, &written)?
        };
        let birth = matches!(column.rule, Some(ContractRule::Range(range)) if !range.rejects());
        for (row, fault) in faults {
            if birth {
                output.warn(&format!("{} is no date", column.name), 1);
            } else {
                reject(row, fault_rule(fault));
            }
        }
        let values = check(column, values, decoding, &mut reject, output)?;
        columns.push(decoding.privacy.apply(column, values));
    }
    Ok(columns)
}

fn fault_rule(fault: Fault) -> &'static str {
    match fault {
        Fault::Number => "unparseable_number",
        Fault::NotFinite => "not_finite",
        Fault::Date => "unparseable_date",
        Fault::Boolean => "unparseable_boolean",
        Fault::TextTooLong => "text_too_long",
        Fault::Text => "invalid_utf8",
    }
}

/// Checks a converted column against its contract; returns it, with values that are only set to NULL set so.
fn check(
    column: &Column,
    values: ArrayRef,
    decoding: &Decoding,
    reject: &mut impl FnMut(usize, &'static str),
    output: &mut Output,
) -> Result<ArrayRef> {
    if column.required && values.null_count() > 0 {
        (0..values.len()).filter(|&row| values.is_null(row)).for_each(|row| reject(row, "missing_required"));
    }
    if column.kind == ColumnType::Id {
        check_ids(column, &values, reject, output);
    }
    if column.name == "currency" {
        let texts = values.as_string::<i32>();
        let foreign = |text: &str| !text.trim().is_empty() && !text.trim().eq_ignore_ascii_case(&decoding.currency);
        (0..texts.len())
            .filter(|&row| texts.is_valid(row) && foreign(texts.value(row)))
            .for_each(|row| reject(row, "unknown_currency"));
    }
    match column.rule {
        Some(ContractRule::NonNegative) => {
            let numbers = values.as_primitive::<Decimal128Type>();
            (0..numbers.len())
                .filter(|&row| numbers.is_valid(row) && numbers.value(row) < 0)
                .for_each(|row| reject(row, "negative_value"));
            Ok(values)
        }
        Some(ContractRule::Range(range)) => {
            let (first, end) = range.bounds(decoding.history_starts_on);
            let days = business_days(&values, decoding);
            let outside = |day: NaiveDate| day < first || day >= end;
            if range.rejects() {
                for (row, day) in
                    days.iter().enumerate().filter_map(|(row, day)| day.filter(|d| outside(*d)).map(|d| (row, d)))
                {
                    reject(row, if (1300..=1500).contains(&day.year()) { "looks_jalali" } else { "date_out_of_range" });
                }
                return Ok(values);
            }
            let strange: BooleanArray = days.iter().map(|day| Some(day.is_some_and(outside))).collect();
            if strange.true_count() > 0 {
                output.warn(&format!("{} is out of range", column.name), strange.true_count() as u64);
            }
            Ok(nullif(&values, &strange)?)
        }
        None => Ok(values),
    }
}

/// Rejects ids that no longer say whose they are, and tells of those that a program took for numbers.
fn check_ids(column: &Column, ids: &ArrayRef, reject: &mut impl FnMut(usize, &'static str), output: &mut Output) {
    let mut floats = 0;
    for (row, id) in ids.as_string::<i32>().iter().enumerate() {
        match id.and_then(id_oddity) {
            Some(IdOddity::Float) => floats += 1,
            Some(IdOddity::DigitsLost) => reject(row, "digits_lost"),
            Some(IdOddity::Nested) => reject(row, "nested_value"),
            None => {}
        }
    }
    output.warn(&format!("{} was a number, such as 17850.0", column.name), floats);
}

/// The days of a date or timestamp column; of a timestamp, the business day.
fn business_days(values: &ArrayRef, decoding: &Decoding) -> Vec<Option<NaiveDate>> {
    let of_days = |days: i32| Date32Type::to_naive_date_opt(days);
    match values.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(instants) => instants.iter().map(|t| t.and_then(|t| of_days(decoding.zone.day_and_hour(t).0))).collect(),
        None => values.as_primitive::<Date32Type>().iter().map(|d| d.and_then(of_days)).collect(),
    }
}

/// Adds day, hour, line and content hash to the good rows and hands them over.
fn accept(
    mut columns: Vec<ArrayRef>,
    lines: Int64Array,
    good: &BooleanArray,
    decoding: &Decoding,
    output: &mut Output,
) -> Result<()> {
    let contract = &decoding.contract;
    let contract_columns = columns.clone();
    if let Some(time) = contract.day_of() {
        let index = contract.columns.iter().position(|c| c.name == time).unwrap_or_default();
        let instants = columns[index].as_primitive::<TimestampMicrosecondType>();
        let both: Vec<Option<(i32, i32)>> = instants.iter().map(|t| t.map(|t| decoding.zone.day_and_hour(t))).collect();
        let days: Date32Array = both.iter().map(|b| b.map(|b| b.0)).collect();
        let hours: Int32Array = both.iter().map(|b| b.map(|b| b.1)).collect();
        columns.push(Arc::new(days));
        columns.push(Arc::new(hours));
    }
    for (time, _) in contract.other_days() {
        let instants = contract_columns[time].as_primitive::<TimestampMicrosecondType>().iter();
        let days: Date32Array = instants.map(|t| t.map(|t| decoding.zone.day_and_hour(t).0)).collect();
        columns.push(Arc::new(days));
    }
    columns.push(Arc::new(lines));
    let hashes = output.content_hashes(&contract_columns)?;
    columns.push(Arc::new(hashes));
    let batch = RecordBatch::try_new(schema(contract), columns)?;
    let good_rows = if good.true_count() == batch.num_rows() { batch } else { filter_record_batch(&batch, good)? };
    debug_assert_eq!(is_not_null(good_rows.column(0))?.true_count(), good_rows.num_rows());
    output.accept(&good_rows)
}

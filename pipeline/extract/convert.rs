//! Values to the contract's types, strictly: what doesn't fit is found, never bent.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use chrono::{NaiveDate, Utc};

use crate::calendar::BusinessZone;
use crate::contract::ColumnType;
use crate::error::Result;

/// Texts longer than this are rejected.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What kept a value out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Number,
    NotFinite,
    Date,
    Boolean,
    TextTooLong,
}

/// Typed values, NULL where a fault is reported.
pub(super) struct Converted {
    pub values: ArrayRef,
    pub faults: Vec<(usize, Fault)>,
}

/// Converts one column.
pub(super) fn convert(array: &ArrayRef, kind: ColumnType, zone: &BusinessZone) -> Result<Converted> {
    match kind {
        ColumnType::Text => texts(array, |text| Some(text.trim_start_matches('\u{feff}').into())),
        ColumnType::Id => texts(array, |text| {
            let folded = fold_digits(text.trim_start_matches('\u{feff}').trim());
            (!folded.is_empty()).then_some(folded)
        }),
        ColumnType::Money | ColumnType::Quantity => numbers(array, &super::data_type(kind)),
        ColumnType::Int => numbers(array, &DataType::Int64),
        ColumnType::Timestamp => timestamps(array, zone),
        ColumnType::Date => dates(array, zone),
        ColumnType::Bool => {
            let values = safely(&tidied(array)?, &DataType::Boolean)?;
            Ok(Converted { faults: lost(array, &values, Fault::Boolean), values })
        }
    }
}

fn texts(array: &ArrayRef, clean: impl Fn(&str) -> Option<std::borrow::Cow<'_, str>>) -> Result<Converted> {
    let given = cast(array, &DataType::Utf8)?;
    let given: &StringArray = given.as_string();
    let mut faults = Vec::new();
    let mut values = StringBuilder::with_capacity(given.len(), given.value_data().len());
    for (row, text) in given.iter().enumerate() {
        match text {
            Some(text) if text.len() > TEXT_BYTES_MAX => {
                faults.push((row, Fault::TextTooLong));
                values.append_null();
            }
            Some(text) => values.append_option(clean(text)),
            None => values.append_null(),
        }
    }
    Ok(Converted { values: Arc::new(values.finish()), faults })
}

/// Persian (۰–۹) and Arabic (٠–٩) digits as ASCII.
pub(super) fn fold_digits(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let digit = |c: char| match c {
        '\u{06f0}'..='\u{06f9}' => char::from(b'0' + (c as u32 - 0x06f0) as u8),
        '\u{0660}'..='\u{0669}' => char::from(b'0' + (c as u32 - 0x0660) as u8),
        '\u{066b}' => '.',
        other => other,
    };
    text.chars().map(digit).collect::<String>().into()
}

/// Text as numbers and dates take it: trimmed, digits folded, empty as NULL. Other types as they are.
fn tidied(array: &ArrayRef) -> Result<ArrayRef> {
    if !matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return Ok(Arc::clone(array));
    }
    let given = cast(array, &DataType::Utf8)?;
    let given: &StringArray = given.as_string();
    if given.iter().flatten().all(|text| text.is_ascii() && !text.is_empty() && text.trim().len() == text.len()) {
        return Ok(Arc::new(given.clone()));
    }
    let tidy: StringArray =
        given.iter().map(|text| text.map(|t| fold_digits(t.trim())).filter(|t| !t.is_empty())).collect();
    Ok(Arc::new(tidy))
}

fn safely(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

/// Rows that had a value and lost it.
fn lost(before: &ArrayRef, after: &ArrayRef, fault: Fault) -> Vec<(usize, Fault)> {
    if before.null_count() == after.null_count() {
        return vec![];
    }
    (0..before.len()).filter(|&row| before.is_valid(row) && after.is_null(row)).map(|row| (row, fault)).collect()
}

fn numbers(array: &ArrayRef, to: &DataType) -> Result<Converted> {
    let tidy = tidied(array)?;
    let values = safely(&tidy, to)?;
    let mut faults = lost(&tidy, &values, Fault::Number);
    if !faults.is_empty() {
        let floats = safely(&tidy, &DataType::Float64)?;
        let floats = floats.as_primitive::<arrow::datatypes::Float64Type>();
        for (row, fault) in &mut faults {
            if floats.is_valid(*row) && !floats.value(*row).is_finite() {
                *fault = Fault::NotFinite;
            }
        }
    }
    Ok(Converted { values, faults })
}

fn timestamps(array: &ArrayRef, zone: &BusinessZone) -> Result<Converted> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    match array.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            let values = safely(array, &utc)?;
            Ok(Converted { faults: lost(array, &values, Fault::Date), values })
        }
        DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
            let local = safely(array, &naive)?;
            let resolve = |micros: i64| {
                chrono::DateTime::from_timestamp_micros(micros).map(|t| zone.resolve_local(t.naive_utc()))
            };
            let instants: TimestampMicrosecondArray =
                local.as_primitive::<TimestampMicrosecondType>().iter().map(|t| t.and_then(resolve)).collect();
            let values: ArrayRef = Arc::new(instants.with_timezone("UTC"));
            Ok(Converted { faults: lost(array, &values, Fault::Date), values })
        }
        _ => {
            let tidy = cast(&tidied(array)?, &DataType::Utf8)?;
            let instants: TimestampMicrosecondArray =
                tidy.as_string::<i32>().iter().map(|t| t.and_then(|t| parse_instant(t, zone))).collect();
            let values: ArrayRef = Arc::new(instants.with_timezone("UTC"));
            Ok(Converted { faults: lost(&tidy, &values, Fault::Date), values })
        }
    }
}

/// Microseconds UTC of a time written with an offset, or without one in the zone.
fn parse_instant(text: &str, zone: &BusinessZone) -> Option<i64> {
    // A date that begins with its day or month is some format that only its owner knows: never a guess.
    if !text.as_bytes().get(..4)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let instant = string_to_datetime(&Utc, text).ok()?;
    if has_offset(text) { Some(instant.timestamp_micros()) } else { Some(zone.resolve_local(instant.naive_utc())) }
}

/// Whether a time ends in `Z`, `+03:30`, `+0330`, `-05` or a zone's name.
fn has_offset(text: &str) -> bool {
    let time = text.get(10..).unwrap_or("").trim_start_matches(['T', 't', ' ']);
    time.contains(['+', '-']) || time.ends_with(|c: char| c.is_ascii_alphabetic())
}

fn dates(array: &ArrayRef, zone: &BusinessZone) -> Result<Converted> {
    match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => {
            let values = safely(array, &DataType::Date32)?;
            Ok(Converted { faults: lost(array, &values, Fault::Date), values })
        }
        DataType::Timestamp(_, Some(_)) => {
            let utc = safely(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let days: Date32Array = utc
                .as_primitive::<TimestampMicrosecondType>()
                .iter()
                .map(|t| t.map(|micros| zone.day_and_hour(micros).0))
                .collect();
            Ok(Converted { values: Arc::new(days), faults: vec![] })
        }
        _ => {
            let tidy = cast(&tidied(array)?, &DataType::Utf8)?;
            let days: Date32Array = tidy.as_string::<i32>().iter().map(|t| t.and_then(parse_day)).collect();
            let values: ArrayRef = Arc::new(days);
            Ok(Converted { faults: lost(&tidy, &values, Fault::Date), values })
        }
    }
}

/// `2024-03-20`, also with a time behind it, which is left out.
fn parse_day(text: &str) -> Option<i32> {
    let day = text.get(..10)?;
    let rest = &text[10..];
    let separated = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
    let day = NaiveDate::parse_from_str(&day.replace('/', "-"), "%Y-%m-%d").ok()?;
    separated.then(|| Date32Type::from_naive_date(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tehran() -> BusinessZone {
        BusinessZone::new(chrono_tz::Asia::Tehran)
    }

    fn instant(text: &str) -> Option<String> {
        parse_instant(text, &tehran()).and_then(chrono::DateTime::from_timestamp_micros).map(|t| t.to_rfc3339())
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_sources_zone() {
        assert_eq!(instant("2024-03-20 03:30:00").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30:00Z").as_deref(), Some("2024-03-20T03:30:00+00:00"));
        assert_eq!(instant("2024-03-20T03:30:00+03:30").as_deref(), Some("2024-03-20T00:00:00+00:00"));
        assert_eq!(instant("2024-03-20").as_deref(), Some("2024-03-19T20:30:00+00:00"));
        assert_eq!(instant("20/03/2024"), None);
        assert_eq!(instant("1700000000"), None);
    }

    #[test]
    fn persian_digits_are_folded_in_numbers_and_ids() {
        let given: ArrayRef = Arc::new(StringArray::from(vec![Some("۱۲٫۵"), Some(" ٣ "), Some(""), None, Some("x")]));
        let money = convert(&given, ColumnType::Money, &tehran()).unwrap();
        let text = cast(&money.values, &DataType::Utf8).unwrap();
        let text: Vec<_> = text.as_string::<i32>().iter().collect();
        assert_eq!(text, [Some("12.5000"), Some("3.0000"), None, None, None]);
        assert_eq!(money.faults, [(4, Fault::Number)]);
        let id: ArrayRef = Arc::new(StringArray::from(vec!["  ۰۱۲ "]));
        let id = convert(&id, ColumnType::Id, &tehran()).unwrap();
        assert_eq!(id.values.as_string::<i32>().value(0), "012");
    }

    #[test]
    fn money_rounds_half_up_and_keeps_its_digits() {
        let given: ArrayRef =
            Arc::new(StringArray::from(vec!["0.00005", "99999999999999.9999", "1e400", "NaN", "inf"]));
        let money = convert(&given, ColumnType::Money, &tehran()).unwrap();
        let text = cast(&money.values, &DataType::Utf8).unwrap();
        assert_eq!(text.as_string::<i32>().value(0), "0.0001");
        assert_eq!(text.as_string::<i32>().value(1), "99999999999999.9999");
        assert_eq!(money.faults[1..], [(3, Fault::NotFinite), (4, Fault::NotFinite)]);
    }
}

//! Values to the contract's types, strictly: what doesn't fit is found, never bent.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use super::iso::{parse_day, parse_instant};
use super::numbers::{NumberStyle, fold_digits};
use crate::calendar::{BusinessZone, DateReader, Moment};
use crate::contract::{ColumnType, tidy_text};
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
    /// Bytes that are no text.
    Text,
}

/// How a column's values are written.
pub(super) struct Written<'a> {
    /// Of times without an offset.
    pub zone: &'a BusinessZone,
    /// Of numbers that come as text.
    pub numbers: NumberStyle,
    /// Of dates and times that come as text or numbers: the first that fits entirely. None: ISO 8601.
    pub dates: &'a [DateReader],
}

/// Typed values, NULL where a fault is reported.
pub(super) struct Converted {
    pub values: ArrayRef,
    pub faults: Vec<(usize, Fault)>,
}

/// Converts one column.
pub(super) fn convert(array: &ArrayRef, kind: ColumnType, written: &Written<'_>) -> Result<Converted> {
    match kind {
        ColumnType::Text => texts(array, |text| Some(tidy_text(text)).filter(|text| !text.is_empty())),
        ColumnType::Id => texts(array, |text| {
            let folded = fold_digits(text.trim());
            let id = folded.trim();
            (!id.is_empty()).then(|| if id.len() == folded.len() { folded.clone() } else { id.to_owned().into() })
        }),
        ColumnType::Money | ColumnType::Quantity => numbers(array, &super::data_type(kind), written.numbers),
        ColumnType::Int => numbers(array, &DataType::Int64, written.numbers),
        ColumnType::Timestamp => timestamps(array, written),
        ColumnType::Date => dates(array, written),
        ColumnType::Bool => {
            let values = safely(&tidied(array)?, &DataType::Boolean)?;
            Ok(Converted { faults: lost(array, &values, Fault::Boolean), values })
        }
    }
}

fn texts(array: &ArrayRef, clean: impl Fn(&str) -> Option<std::borrow::Cow<'_, str>>) -> Result<Converted> {
    let given = cast(array, &DataType::Utf8)?;
    let mut faults = lost(array, &given, Fault::Text);
    let given: &StringArray = given.as_string();
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

fn is_text(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Text as numbers and dates take it: trimmed, digits folded, empty as NULL. Other types as they are.
fn tidied(array: &ArrayRef) -> Result<ArrayRef> {
    if !is_text(array) {
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

/// Dates that were lost, on the way to text (a float that is no number) or from it. Empty text is no date.
fn lost_of_text(given: &ArrayRef, tidy: &ArrayRef, values: &ArrayRef) -> Vec<(usize, Fault)> {
    lost(if is_text(given) { tidy } else { given }, values, Fault::Date)
}

fn numbers(array: &ArrayRef, to: &DataType, style: NumberStyle) -> Result<Converted> {
    let tidy = tidied(array)?;
    let values = match style.is_default() || !is_text(array) {
        true => safely(&tidy, to)?,
        false => safely(&in_plain_style(array, style)?, to)?,
    };
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

/// Numbers as programs write them, NULL where they aren't written in the source's style.
fn in_plain_style(array: &ArrayRef, style: NumberStyle) -> Result<ArrayRef> {
    let given = cast(array, &DataType::Utf8)?;
    let given: &StringArray = given.as_string();
    let plain: StringArray = given.iter().map(|text| text.and_then(|text| style.plain(text.trim()))).collect();
    Ok(Arc::new(plain))
}

fn timestamps(array: &ArrayRef, written: &Written<'_>) -> Result<Converted> {
    let zone = written.zone;
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
            let tidy = as_text(array)?;
            let iso = |text: &str| parse_instant(text, zone);
            let read = |text: &str| first_fit(text, written.dates, iso, |moment| moment.instant(zone));
            let instants: TimestampMicrosecondArray =
                tidy.as_string::<i32>().iter().map(|text| text.and_then(read)).collect();
            let values: ArrayRef = Arc::new(instants.with_timezone("UTC"));
            Ok(Converted { faults: lost_of_text(array, &tidy, &values), values })
        }
    }
}

/// Text and numbers as the formats of dates take them.
fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    // A float's own text may have an exponent.
    let array = if array.data_type().is_floating() { &safely(array, &DataType::Decimal128(38, 6))? } else { array };
    Ok(cast(&tidied(array)?, &DataType::Utf8)?)
}

/// The first format's reading that fits; without formats, ISO 8601's.
fn first_fit<T>(
    text: &str,
    formats: &[DateReader],
    iso: impl Fn(&str) -> Option<T>,
    made_of: impl Fn(Moment) -> T,
) -> Option<T> {
    let read = |format: &DateReader| match format {
        DateReader::Iso => iso(text),
        other => other.read(text).map(&made_of),
    };
    if formats.is_empty() { iso(text) } else { formats.iter().find_map(read) }
}

fn dates(array: &ArrayRef, written: &Written<'_>) -> Result<Converted> {
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
                .map(|t| t.map(|micros| written.zone.day_and_hour(micros).0))
                .collect();
            Ok(Converted { values: Arc::new(days), faults: vec![] })
        }
        _ => {
            let tidy = as_text(array)?;
            let read = |text: &str| first_fit(text, written.dates, parse_day, |moment| moment.day(written.zone));
            let days: Date32Array = tidy.as_string::<i32>().iter().map(|text| text.and_then(read)).collect();
            let values: ArrayRef = Arc::new(days);
            Ok(Converted { faults: lost_of_text(array, &tidy, &values), values })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tehran() -> BusinessZone {
        BusinessZone::new(chrono_tz::Asia::Tehran)
    }

    fn converted(given: ArrayRef, kind: ColumnType, numbers: NumberStyle, dates: &[&str]) -> Converted {
        let dates: Vec<_> =
            dates.iter().map(|name| crate::calendar::DateFormat::named(name).unwrap().reader()).collect();
        convert(&given, kind, &Written { zone: &tehran(), numbers, dates: &dates }).unwrap()
    }

    fn texts_of(given: Vec<Option<&str>>, kind: ColumnType, numbers: NumberStyle) -> (Vec<Option<String>>, Converted) {
        let converted = converted(Arc::new(StringArray::from(given)), kind, numbers, &[]);
        (shown(&converted), converted)
    }

    fn shown(converted: &Converted) -> Vec<Option<String>> {
        let text = cast(&converted.values, &DataType::Utf8).unwrap();
        text.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn persian_digits_are_folded_in_numbers_and_ids() {
        let style = NumberStyle::default();
        let given = vec![Some("۱۲٫۵"), Some(" ٣ "), Some(""), None, Some("x")];
        let (text, money) = texts_of(given, ColumnType::Money, style);
        assert_eq!(text, [Some("12.5000".into()), Some("3.0000".into()), None, None, None]);
        assert_eq!(money.faults, [(4, Fault::Number)]);
        assert_eq!(texts_of(vec![Some("  ۰۱۲ ")], ColumnType::Id, style).0, [Some("012".into())]);
    }

    #[test]
    fn ids_are_the_text_that_was_written() {
        let given = vec![Some("17850.0"), Some("007"), Some("99999999999999999999"), Some("1e5"), Some("-0")];
        let expected: Vec<_> = given.iter().map(|id| id.map(str::to_owned)).collect();
        assert_eq!(texts_of(given, ColumnType::Id, NumberStyle { decimal: ',', thousands: Some('.') }).0, expected);
    }

    #[test]
    fn texts_are_kept_without_what_surrounds_them() {
        let given =
            vec![Some("\u{feff}\u{a0}علي كاظم\t\r"), Some("می\u{200c}روم "), Some(" \u{a0}"), Some("a b"), None];
        let expected = [Some("علی کاظم"), Some("می\u{200c}روم"), None, Some("a b"), None];
        assert_eq!(texts_of(given, ColumnType::Text, NumberStyle::default()).0, expected.map(|t| t.map(str::to_owned)));
    }

    #[test]
    fn bytes_that_are_no_text_are_a_fault() {
        let given = arrow::array::BinaryArray::from_opt_vec(vec![Some(b"a1"), Some(b"\xff\xff"), None]);
        let converted = converted(Arc::new(given), ColumnType::Id, NumberStyle::default(), &[]);
        assert_eq!((shown(&converted)[0].as_deref(), converted.faults), (Some("a1"), vec![(1, Fault::Text)]));
    }

    #[test]
    fn money_rounds_half_up_and_keeps_its_digits() {
        let given = ["0.00005", "99999999999999.9999", "-0", "1e400", "NaN", "inf", "1,5"].map(Some).to_vec();
        let (text, money) = texts_of(given, ColumnType::Money, NumberStyle::default());
        assert_eq!(text[0].as_deref(), Some("0.0001"));
        assert_eq!(text[1].as_deref(), Some("99999999999999.9999"));
        assert_eq!(text[2].as_deref(), Some("0.0000"));
        let not_finite = [3, 4, 5].map(|row| (row, Fault::NotFinite));
        assert_eq!(money.faults, [&not_finite[..], &[(6, Fault::Number)]].concat());
    }

    #[test]
    fn numbers_in_another_style() {
        let style = NumberStyle { decimal: ',', thousands: Some('.') };
        let given = ["1.234,5", " -۱٫۵ ", "", "1.5", "NaN", "1e400"].map(Some).to_vec();
        let (text, money) = texts_of(given, ColumnType::Money, style);
        assert_eq!(text[..3], [Some("1234.5000".into()), Some("-1.5000".into()), None]);
        assert_eq!(money.faults, [(3, Fault::Number), (4, Fault::NotFinite), (5, Fault::NotFinite)]);
        let typed = arrow::array::Float64Array::from(vec![1.5]);
        assert_eq!(shown(&converted(Arc::new(typed), ColumnType::Money, style, &[])), [Some("1.5000".into())]);
    }

    #[test]
    fn the_first_date_format_that_fits_entirely_wins() {
        let given: ArrayRef = Arc::new(StringArray::from(vec![
            "20/03/2024 03:30",
            " ۲۰/۰۳/۲۰۲۴ ",
            "2024-03-20T03:30:00+03:30",
            "1700000000",
            "20-03-2024",
            "",
        ]));
        let formats = ["%d/%m/%Y %H:%M", "%d/%m/%Y", "iso", "epoch_seconds"];
        let times = converted(Arc::clone(&given), ColumnType::Timestamp, NumberStyle::default(), &formats);
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(
            shown(&times),
            [
                at("2024-03-20T00:00:00Z"),
                at("2024-03-19T20:30:00Z"),
                at("2024-03-20T00:00:00Z"),
                at("2023-11-14T22:13:20Z"),
                None,
                None
            ]
        );
        assert_eq!(times.faults, [(4, Fault::Date)]);
        let days = converted(given, ColumnType::Date, NumberStyle::default(), &formats);
        assert_eq!(shown(&days), [at("2024-03-20"), at("2024-03-20"), at("2024-03-20"), at("2023-11-15"), None, None]);
    }

    #[test]
    fn numbers_are_dates_where_a_format_says_so() {
        let whole: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1_700_000_000, 20_240_320]));
        let formats = ["%Y%m%d", "epoch_seconds"];
        let times = converted(whole, ColumnType::Timestamp, NumberStyle::default(), &formats);
        assert_eq!(shown(&times), [Some("2023-11-14T22:13:20Z".into()), Some("2024-03-19T20:30:00Z".into())]);
        let float: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.7e9, 1_700_000_000.25, f64::NAN]));
        let times = converted(float, ColumnType::Timestamp, NumberStyle::default(), &["epoch_seconds"]);
        assert_eq!(shown(&times), [Some("2023-11-14T22:13:20Z".into()), Some("2023-11-14T22:13:20.250Z".into()), None]);
        assert_eq!(times.faults, [(2, Fault::Date)]);
    }

    #[test]
    fn days_that_do_not_exist_and_the_end_of_time() {
        let given: ArrayRef = Arc::new(StringArray::from(vec!["2023-02-29", "2024-02-29", "9999-12-31"]));
        for kind in [ColumnType::Date, ColumnType::Timestamp] {
            let days = converted(Arc::clone(&given), kind, NumberStyle::default(), &[]);
            assert_eq!(days.faults, [(0, Fault::Date)]);
            assert!(shown(&days)[2].as_deref().is_some_and(|day| day.starts_with("9999-12-3")));
        }
        let jalali: ArrayRef = Arc::new(StringArray::from(vec!["1403/12/30", "1404/12/30"]));
        let days = converted(jalali, ColumnType::Date, NumberStyle::default(), &["jalali"]);
        assert_eq!((shown(&days)[0].as_deref(), days.faults), (Some("2025-03-20"), vec![(1, Fault::Date)]));
    }
}

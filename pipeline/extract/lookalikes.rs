//! Values that only look like one: what programs write for "nothing", and ids that a program took for numbers or objects.
//!
//! An id is text, so nothing fails to convert: without these rules, `NULL` would be the best customer of many a shop.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::de::IgnoredAny;

use crate::contract::ColumnType;
use crate::error::Result;

/// How databases, spreadsheets and programs write that there is no value.
const PLACEHOLDERS: [&str; 7] = ["null", "\\n", "none", "n/a", "#n/a", "-", "undefined"];
/// Among ids a placeholder too; among numbers something that is rejected under its own name.
const NOT_A_NUMBER: &str = "nan";
const PLACEHOLDER_BYTES_MAX: usize = 9;

/// The values with placeholders made NULL, and how many those are; `None` if there are none. Texts are left alone:
/// a topic may be called None.
pub(super) fn without_placeholders(values: &ArrayRef, kind: ColumnType) -> Result<Option<(ArrayRef, u64)>> {
    let is_text = matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if kind == ColumnType::Text || !is_text {
        return Ok(None);
    }
    let texts = cast(values, &DataType::Utf8)?;
    let texts: &StringArray = texts.as_string();
    let count = texts.iter().flatten().filter(|text| is_placeholder(text, kind)).count() as u64;
    if count == 0 {
        return Ok(None);
    }
    let kept: StringArray = texts.iter().map(|text| text.filter(|text| !is_placeholder(text, kind))).collect();
    Ok(Some((Arc::new(kept), count)))
}

fn is_placeholder(text: &str, kind: ColumnType) -> bool {
    if text.len() > PLACEHOLDER_BYTES_MAX {
        return false;
    }
    let text = text.trim();
    PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder))
        || (kind == ColumnType::Id && text.eq_ignore_ascii_case(NOT_A_NUMBER))
}

/// What is odd about an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdOddity {
    /// `17850.0`: still tells ids apart, but joins with no `17850`.
    Float,
    /// `9.89121E+11`: many ids have become one.
    DigitsLost,
    /// A JSON object or list.
    Nested,
}

pub(super) fn id_oddity(id: &str) -> Option<IdOddity> {
    let bytes = id.as_bytes();
    match bytes.first()? {
        b'{' | b'[' => serde_json::from_str::<IgnoredAny>(id).is_ok().then_some(IdOddity::Nested),
        b'0'..=b'9' if id.ends_with(".0") => {
            bytes[..bytes.len() - 2].iter().all(u8::is_ascii_digit).then_some(IdOddity::Float)
        }
        b'0'..=b'9' => is_rounded(id).then_some(IdOddity::DigitsLost),
        _ => None,
    }
}

/// Whether this is how a spreadsheet writes a number of many digits.
fn is_rounded(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((mantissa, exponent)) = id.split_once("E+").or_else(|| id.split_once("e+")) else { return false };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    whole.len() == 1 && digits(whole) && digits(fraction) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_no_source_gave() {
        let odd = |id| id_oddity(id);
        assert_eq!(odd("17850.0"), Some(IdOddity::Float));
        assert_eq!(odd("9.89121E+11"), Some(IdOddity::DigitsLost));
        assert_eq!(odd("9,9e+11"), Some(IdOddity::DigitsLost));
        assert_eq!(odd(r#"{"id":1}"#), Some(IdOddity::Nested));
        for id in ["17850", "1.10", "v1.0", "1E10", "12E+3", "{3F2504E0-4F89-11D3}", "[guest]", "", "-"] {
            assert_eq!(odd(id), None, "{id}");
        }
    }

    #[test]
    fn placeholders_are_no_values_and_texts_are_left_alone() {
        let given: ArrayRef = Arc::new(StringArray::from(vec![Some(" NULL "), Some("NaN"), None, Some("nullable")]));
        let (ids, count) = without_placeholders(&given, ColumnType::Id).unwrap().unwrap();
        assert_eq!((ids.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), count), (vec!["nullable"], 2));
        let (_, count) = without_placeholders(&given, ColumnType::Money).unwrap().unwrap();
        assert_eq!(count, 1);
        assert!(without_placeholders(&given, ColumnType::Text).unwrap().is_none());
    }
}

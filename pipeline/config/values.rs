//! The leaves of the config file: types that check themselves while they are read, and know their JSON Schema.
//!
//! An error always says `expected …`; the reader of the file quotes that part and nothing of the value.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize, Serializer};

use crate::contract::tidy_text;

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// For defaults written in the code; a default out of range does not compile in a `const`.
    pub const fn new(value: i64) -> Self {
        assert!(MIN <= value && value <= MAX, "a default is out of its own range");
        Whole(value)
    }

    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = format!("a whole number from {MIN} to {MAX}");
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(value) if (MIN..=MAX).contains(&value) => Ok(Whole(value)),
            _ => Err(unexpected(&expected)),
        }
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

fn unexpected<E: Error>(expected: &str) -> E {
    E::invalid_value(Unexpected::Other("value"), &expected)
}

/// A decimal number with at most `SCALE` decimals, kept exactly; `MIN` and `MAX` are in units of the last decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed<const MIN: i64, const MAX: i64, const SCALE: u32>(i64);

impl<const MIN: i64, const MAX: i64, const SCALE: u32> Fixed<MIN, MAX, SCALE> {
    /// For defaults written in the code, in units of the last decimal.
    pub const fn new(units: i64) -> Self {
        assert!(MIN <= units && units <= MAX, "a default is out of its own range");
        Fixed(units)
    }

    /// The number in units of the last decimal.
    pub const fn units(self) -> i64 {
        self.0
    }

    pub fn as_f64(self) -> f64 {
        Self::number(self.0)
    }

    fn number(units: i64) -> f64 {
        units as f64 / 10_f64.powi(SCALE as i32)
    }
}

impl<const MIN: i64, const MAX: i64, const SCALE: u32> Serialize for Fixed<MIN, MAX, SCALE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de, const MIN: i64, const MAX: i64, const SCALE: u32> Deserialize<'de> for Fixed<MIN, MAX, SCALE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (min, max) = (Self::number(MIN), Self::number(MAX));
        let expected = format!("a number from {min} to {max} with at most {SCALE} decimals");
        let units = match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(value) => value.checked_mul(10_i64.pow(SCALE)),
            // The shortest text that reads back as the same float is what the user wrote.
            toml::Value::Float(value) => decimal_units(&value.to_string(), SCALE),
            _ => None,
        };
        units.filter(|units| (MIN..=MAX).contains(units)).map(Fixed).ok_or_else(|| unexpected(&expected))
    }
}

/// `text` in units of its `scale`-th decimal; `None` if it has more decimals, or is no plain number.
fn decimal_units(text: &str, scale: u32) -> Option<i64> {
    if !text.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let padding = (scale as usize).checked_sub(decimals.len())?;
    format!("{whole}{decimals}{}", "0".repeat(padding)).parse().ok()
}

impl<const MIN: i64, const MAX: i64, const SCALE: u32> JsonSchema for Fixed<MIN, MAX, SCALE> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Fixed{MIN}To{MAX}Scale{SCALE}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": Self::number(MIN), "maximum": Self::number(MAX) })
    }
}

/// Implements reading and the JSON Schema of a value that is written as a string and checked by `FromStr`.
macro_rules! written_as_string {
    ($type:ty, $name:literal, $expected:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match toml::Value::deserialize(deserializer)? {
                    toml::Value::String(text) => text.parse().map_err(|()| unexpected($expected)),
                    _ => Err(unexpected($expected)),
                }
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    };
}

/// An amount of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

written_as_string!(ByteSize, "ByteSize", "a size such as \"512MiB\" or \"2GiB\"");

impl ByteSize {
    pub const fn from_mebibytes(mebibytes: u64) -> Self {
        ByteSize(mebibytes << 20)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = split_unit(text);
        let unit_bytes: u64 = match unit.to_ascii_lowercase().as_str() {
            "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(()),
        };
        let units = decimal_units(number, 3).and_then(|thousandths| u64::try_from(thousandths).ok()).ok_or(())?;
        Ok(ByteSize(units.checked_mul(unit_bytes).ok_or(())? / 1000))
    }
}

/// In the largest binary unit that leaves no remainder.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")];
        let fitting = units.into_iter().find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        let (shift, unit) = fitting.unwrap_or((0, "B"));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

/// A length of time, such as `36h` or `1d 12h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

written_as_string!(Span, "Span", "a duration such as \"36h\", \"2d\" or \"1d 12h\"");

impl Span {
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut total_secs = 0_u64;
        for part in text.split_whitespace() {
            let (number, unit) = split_unit(part);
            let number: u64 = number.parse().map_err(|_| ())?;
            let unit_secs = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                "w" => 604_800,
                _ => return Err(()),
            };
            let secs = number.checked_mul(unit_secs).ok_or(())?;
            total_secs = total_secs.checked_add(secs).ok_or(())?;
        }
        if total_secs == 0 { Err(()) } else { Ok(Span(Duration::from_secs(total_secs))) }
    }
}

/// A length of time that may be nothing: `0s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Jitter(Duration);

written_as_string!(Jitter, "Jitter", "a duration such as \"10m\", or \"0s\"");

impl Jitter {
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Jitter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.trim() == "0s" { Ok(Self::default()) } else { text.parse().map(|span: Span| Jitter(span.duration())) }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    (text[..unit].trim_end(), &text[unit..])
}

/// A Gregorian date, written as a TOML date or as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(NaiveDate);

impl Day {
    pub const fn date(self) -> NaiveDate {
        self.0
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::Datetime(date) => date.to_string(),
            toml::Value::String(text) => text,
            _ => String::new(),
        };
        NaiveDate::parse_from_str(&text, "%Y-%m-%d")
            .ok()
            .filter(|date| (1900..2100).contains(&date.year()))
            .map(Day)
            .ok_or_else(|| unexpected("a Gregorian date from 1900 to 2099, such as 2024-03-20"))
    }
}

impl JsonSchema for Day {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

/// What stands between two fields of a CSV line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// One ASCII character.
    Char(u8),
    /// Any run of spaces and tabs; those at a line's start and end are dropped.
    Blanks,
}

written_as_string!(Delimiter, "Delimiter", "one ASCII character, \"tab\" or \"blanks\"");

impl FromStr for Delimiter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tab" => Ok(Delimiter::Char(b'\t')),
            "blanks" => Ok(Delimiter::Blanks),
            _ => one_ascii_char(text).map(Delimiter::Char),
        }
    }
}

/// The character around a CSV field that holds delimiters or line ends; `None`: there is no such character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote(pub Option<u8>);

written_as_string!(Quote, "Quote", "one ASCII character or \"none\"");

impl FromStr for Quote {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "none" { Ok(Quote(None)) } else { one_ascii_char(text).map(|quote| Quote(Some(quote))) }
    }
}

/// How text is encoded, by one of the labels that web browsers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

written_as_string!(Encoding, "Encoding", "an encoding such as \"utf-8\", \"utf-16le\" or \"windows-1256\"");

impl Encoding {
    pub fn get(self) -> &'static encoding_rs::Encoding {
        self.0
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Encoding(encoding_rs::UTF_8)
    }
}

impl FromStr for Encoding {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        encoding_rs::Encoding::for_label_no_replacement(text.as_bytes()).map(Encoding).ok_or(())
    }
}

/// What stands between the parts of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator(pub char);

written_as_string!(Separator, "Separator", "one character that is no digit, sign or letter, such as \",\" or \".\"");

impl FromStr for Separator {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_alphanumeric() && !c.is_control() && !matches!(c, '+' | '-') => Ok(Separator(c)),
            _ => Err(()),
        }
    }
}

fn one_ascii_char(text: &str) -> Result<u8, ()> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(()),
    }
}

/// A currency's three-letter code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(String);

written_as_string!(Currency, "Currency", "a three-letter code in capitals, such as \"IRR\" or \"GBP\"");

impl Currency {
    /// ISO 4217's code for no currency at all.
    pub(super) fn none() -> Self {
        Currency("XXX".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code { Ok(Currency(text.to_owned())) } else { Err(()) }
    }
}

/// Order statuses, tidied as those of orders are and lower-cased, as they are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Statuses(#[schemars(length(min = 1))] Vec<String>);

impl Statuses {
    /// Comma-separated, as models read them: `completed,paid`.
    pub fn joined(&self) -> String {
        self.0.join(",")
    }
}

impl<'a> FromIterator<&'a str> for Statuses {
    fn from_iter<I: IntoIterator<Item = &'a str>>(statuses: I) -> Self {
        let mut folded: Vec<String> = Vec::new();
        for status in statuses.into_iter().map(|status| tidy_text(status).to_lowercase()) {
            if !folded.contains(&status) {
                folded.push(status);
            }
        }
        Statuses(folded)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = match toml::Value::deserialize(deserializer)? {
            toml::Value::Array(list) => list,
            _ => Vec::new(),
        };
        let texts: Option<Vec<&str>> = list.iter().map(toml::Value::as_str).collect();
        let usable = |text: &&str| !text.trim().is_empty() && !text.contains(',');
        texts
            .filter(|texts| !texts.is_empty() && texts.iter().all(usable))
            .map(|texts| texts.into_iter().collect())
            .ok_or_else(|| unexpected("a list of statuses (text without commas), such as [\"paid\", \"shipped\"]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let bytes = |text: &str| text.parse().map(ByteSize::bytes);
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("1.5 gib"), Ok(3 << 29));
        assert_eq!(bytes("500 MB"), Ok(500_000_000));
        for wrong in ["2", "GiB", "2G i B", "-1GiB", "2 bananas", "99999999999TiB", ""] {
            assert_eq!(bytes(wrong), Err(()), "{wrong}");
        }
        assert_eq!(ByteSize::from_mebibytes(1536).to_string(), "1536MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
    }

    #[test]
    fn durations() {
        let secs = |text: &str| text.parse().map(|span: Span| span.duration().as_secs());
        assert_eq!(secs("36h"), Ok(36 * 3600));
        assert_eq!(secs("1d 12h"), Ok(36 * 3600));
        for wrong in ["36", "h", "0h", "1.5h", "-1h", "1 month", ""] {
            assert_eq!(secs(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal_units("0.8", 4), Some(8000));
        assert_eq!(decimal_units("2", 2), Some(200));
        assert_eq!(decimal_units("0.12345", 4), None);
        assert_eq!(decimal_units("1e5", 4), None);
        assert_eq!(decimal_units("inf", 4), None);
    }

    #[test]
    fn delimiters() {
        assert_eq!("tab".parse(), Ok(Delimiter::Char(b'\t')));
        assert_eq!(";".parse(), Ok(Delimiter::Char(b';')));
        assert_eq!("blanks".parse(), Ok(Delimiter::Blanks));
        assert_eq!("||".parse::<Delimiter>(), Err(()));
        assert_eq!("؛".parse::<Delimiter>(), Err(()));
    }

    #[test]
    fn encodings() {
        let name = |label: &str| label.parse().map(|encoding: Encoding| encoding.get().name());
        assert_eq!(name("utf-8"), Ok("UTF-8"));
        assert_eq!(name("UTF-16"), Ok("UTF-16LE"));
        assert_eq!(name("cp1256"), Ok("windows-1256"));
        for wrong in ["", "utf-9", "replacement", "iso-2022-kr"] {
            assert_eq!(name(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn separators() {
        for right in [".", ",", " ", "'", "٬", "_"] {
            assert_eq!(right.parse(), Ok(Separator(right.chars().next().unwrap())));
        }
        for wrong in ["", "..", "5", "۵", "-", "e", "\n"] {
            assert_eq!(wrong.parse::<Separator>(), Err(()), "{wrong}");
        }
    }
}

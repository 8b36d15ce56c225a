//! JSON with its own checksum as the last field: it stays plain JSON, and no flipped or missing byte goes unnoticed.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::Digest;
use crate::error::{Error, Result};

const BEFORE: &[u8] = b",\n  \"checksum\": \"";
const AFTER: &[u8] = b"\"\n}\n";
const HEX_BYTES: usize = 32;

/// The canonical bytes of a record: maps are ordered, so equal records are equal bytes.
pub fn to_json<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    record.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default())).map_err(Error::bug)?;
    if !bytes.ends_with(b"\n}") {
        return Err(Error::bug("only a record with fields can be sealed"));
    }
    bytes.truncate(bytes.len() - 2);
    let checksum = Digest::of(&bytes);
    for part in [BEFORE, checksum.hex().as_bytes(), AFTER] {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Levels of a record that are laid out in lines; what lies deeper stands in one. Of a snapshot that is a line for each
/// object that it knows, of which there may be a hundred thousand.
const LEVELS_IN_LINES: usize = 4;

#[derive(Default)]
struct Lines {
    in_lines: PrettyFormatter<'static>,
    level: usize,
}

macro_rules! either {
    ($($method:ident($($first:ident)?) $enter:literal $leave:literal)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, out: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.level += $enter;
            let written = if self.level <= LEVELS_IN_LINES {
                self.in_lines.$method(out $(, $first)?)
            } else {
                CompactFormatter.$method(out $(, $first)?)
            };
            self.level -= $leave;
            written
        })*
    };
}

impl Formatter for Lines {
    either! {
        begin_array() 1 0
        end_array() 0 1
        begin_array_value(first) 0 0
        end_array_value() 0 0
        begin_object() 1 0
        end_object() 0 1
        begin_object_key(first) 0 0
        begin_object_value() 0 0
        end_object_value() 0 0
    }
}

/// Reads what [`to_json`] wrote. A record without a checksum is one of an older version, and taken as it is.
///
/// # Errors
/// What is wrong with the bytes, in words.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if let Some((sealed, checksum)) = split(bytes)
        && Digest::of(sealed).hex().as_bytes() != checksum
    {
        return Err("its content isn't what its checksum says".to_owned());
    }
    serde_json::from_slice(bytes).map_err(|e| format!("it isn't the JSON that was written: {e}"))
}

/// What is sealed, and the checksum.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, checksum) = bytes.strip_suffix(AFTER)?.split_last_chunk::<HEX_BYTES>()?;
    Some((rest.strip_suffix(BEFORE)?, checksum))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_flipped_bit_or_a_missing_byte_is_noticed_or_changes_nothing() {
        let record = BTreeMap::from([("rows".to_owned(), "17".to_owned()), ("key".to_owned(), "ab".to_owned())]);
        let read = |bytes: &[u8]| from_json::<BTreeMap<String, String>>(bytes);
        let bytes = to_json(&record).expect("sealed");
        let known = |found: &BTreeMap<String, String>| record.iter().all(|(key, value)| found.get(key) == Some(value));
        assert!(read(&bytes).is_ok_and(|found| known(&found)));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(read(&flipped).is_err() || read(&flipped).is_ok_and(|found| known(&found)), "byte {at}");
            }
            assert!(read(&bytes[..at]).is_err() || at + 1 == bytes.len(), "{at} bytes");
        }
    }

    #[test]
    fn what_lies_deep_stands_in_one_line() {
        fn one<T>(key: &str, rest: T) -> BTreeMap<&str, T> {
            BTreeMap::from([(key, rest)])
        }
        let deep = one("a", one("b", one("c", one("d", [1, 2]))));
        let bytes = to_json(&deep).expect("sealed");
        let text = String::from_utf8(bytes.clone()).expect("text");
        let lines = "{\n  \"a\": {\n    \"b\": {\n      \"c\": {\n        \"d\": [1,2]\n      }\n    }\n  },";
        assert!(text.starts_with(lines), "{text}");
        assert!(from_json::<serde_json::Value>(&bytes).is_ok_and(|found| found["a"]["b"]["c"]["d"][1] == 2));
    }

    #[test]
    fn a_record_of_an_older_version_has_no_checksum() {
        assert_eq!(
            from_json::<BTreeMap<String, u8>>(b"{\n  \"rows\": 1\n}\n"),
            Ok(BTreeMap::from([("rows".to_owned(), 1)]))
        );
    }
}

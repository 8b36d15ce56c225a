//! JSON with its own checksum as the last field: it stays plain JSON, and no flipped or missing byte goes unnoticed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Digest;
use crate::error::{Error, Result};

const BEFORE: &[u8] = b",\n  \"checksum\": \"";
const AFTER: &[u8] = b"\"\n}\n";
const HEX_BYTES: usize = 32;

/// The canonical bytes of a record: maps are ordered, so equal records are equal bytes.
pub fn to_json<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record).map_err(Error::bug)?;
    if !bytes.ends_with(b"\n}") {
        return Err(Error::bug("only a record with fields can be sealed"));
    }
    bytes.truncate(bytes.len() - 2);
    let checksum = Digest::of(&bytes);
    for part in [BEFORE, checksum.as_str().as_bytes(), AFTER] {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Reads what [`to_json`] wrote. A record without a checksum is one of an older version, and taken as it is.
///
/// # Errors
/// What is wrong with the bytes, in words.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if let Some((sealed, checksum)) = split(bytes)
        && Digest::of(sealed).as_str().as_bytes() != checksum
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
    fn a_record_of_an_older_version_has_no_checksum() {
        assert_eq!(
            from_json::<BTreeMap<String, u8>>(b"{\n  \"rows\": 1\n}\n"),
            Ok(BTreeMap::from([("rows".to_owned(), 1)]))
        );
    }
}

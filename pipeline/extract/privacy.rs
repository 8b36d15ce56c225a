//! Personal data on its way into the lake: as it is, left out, or under a pseudonym.
//!
//! It happens to converted values, before anything is written or hashed: what lies in the lake, in the marts, in
//! samples of failed checks and in messages comes after it. Raw text may hold anything, so with it on, none is kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, new_null_array};
use arrow::datatypes::DataType;

use crate::contract::Column;
use crate::lake::{Digest, KeyHasher};

/// Every customer's id gets its pseudonym under this name, whatever its column and source: joins stay whole.
const CUSTOMER: &str = "customer";
/// Hexadecimal digits of a pseudonym: 128 bits.
const PSEUDONYM_DIGITS: usize = 32;

/// What becomes of personal data.
#[derive(Clone)]
pub enum Privacy {
    Keep,
    /// Personal columns are NULL; customers' ids stay.
    Drop,
    /// Personal texts and customers' ids become keyed hashes; personal dates are NULL.
    Pseudonymise(Key),
}

/// What pseudonyms are hashed with.
#[derive(Clone)]
pub struct Key([u8; blake3::KEY_LEN]);

impl Key {
    pub fn new(secret: &str) -> Self {
        Key(blake3::derive_key("bazgasht 2026 pseudonyms of personal data", secret.as_bytes()))
    }

    /// The same value of the same kind has the same pseudonym; the secret is needed to find out which value it was,
    /// even by trying all that are likely.
    fn pseudonym(&self, kind: &str, value: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [kind, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..PSEUDONYM_DIGITS].to_owned()
    }

    /// Tells two keys apart and nothing of either.
    fn fingerprint(&self) -> Digest {
        let mut hasher = KeyHasher::new("pii key");
        hasher.part("key", blake3::keyed_hash(&self.0, b"fingerprint").to_hex().as_str());
        hasher.finish()
    }
}

impl Privacy {
    /// Whether a row's raw text may be kept.
    pub fn keeps_raw_text(&self) -> bool {
        matches!(self, Privacy::Keep)
    }

    /// What it adds to the decoding's fingerprint: nothing where nothing changes.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Privacy::Keep => None,
            Privacy::Drop => Some("drop".to_owned()),
            Privacy::Pseudonymise(key) => Some(format!("pseudonymise {}", key.fingerprint())),
        }
    }

    /// A column's values as they may lie in the lake.
    pub fn apply(&self, column: &Column, values: ArrayRef) -> ArrayRef {
        let nothing = |values: &ArrayRef| new_null_array(values.data_type(), values.len());
        match self {
            Privacy::Drop if column.pii => nothing(&values),
            Privacy::Pseudonymise(key) if column.customer => pseudonyms(key, CUSTOMER, &values),
            Privacy::Pseudonymise(key) if column.pii => match values.data_type() {
                DataType::Utf8 => pseudonyms(key, column.name, &values),
                // A date under a pseudonym would be no date.
                _ => nothing(&values),
            },
            _ => values,
        }
    }
}

/// Blank text stays: it is nobody's, and staging takes it for NULL.
fn pseudonyms(key: &Key, kind: &str, values: &ArrayRef) -> ArrayRef {
    let texts = values.as_string::<i32>();
    let hashed = texts
        .iter()
        .map(|text| text.map(|text| if text.trim().is_empty() { String::new() } else { key.pseudonym(kind, text) }));
    Arc::new(hashed.collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, SourceName};

    fn applied(privacy: &Privacy, source: SourceName, column: &str, text: &str) -> Option<String> {
        let contract = Contract::of(source, true);
        let values: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let values = privacy.apply(contract.column(column).unwrap(), values);
        let texts = values.as_string::<i32>();
        texts.is_valid(0).then(|| texts.value(0).to_owned())
    }

    #[test]
    fn a_customer_is_one_in_every_source_and_column() {
        let privacy = Privacy::Pseudonymise(Key::new("a key of some length"));
        let of = |source, column| applied(&privacy, source, column, "c1");
        let one = of(SourceName::Orders, "customer_id");
        assert!(one.as_ref().is_some_and(|name| name.len() == 32 && !name.contains("c1")));
        for (source, column) in [
            (SourceName::Customers, "customer_id"),
            (SourceName::Interactions, "referred_customer_id"),
            (SourceName::Identities, "alias"),
            (SourceName::Subscriptions, "customer_id"),
        ] {
            assert_eq!(of(source, column), one, "{source}.{column}");
        }
        assert_ne!(of(SourceName::Customers, "phone"), one, "a phone number doesn't give a customer away");
        assert_eq!(of(SourceName::Orders, "order_id").as_deref(), Some("c1"));
        assert_eq!(applied(&privacy, SourceName::Customers, "name", " ").as_deref(), Some(""));
        let other = Privacy::Pseudonymise(Key::new("another key as long"));
        assert_ne!(applied(&other, SourceName::Orders, "customer_id", "c1"), one);
        assert_ne!(other.fingerprint(), privacy.fingerprint());
    }

    #[test]
    fn dropped_is_what_is_personal_but_for_the_join_key() {
        let of = |column| applied(&Privacy::Drop, SourceName::Customers, column, "x");
        assert_eq!((of("name"), of("phone"), of("email")), (None, None, None));
        assert_eq!((of("customer_id").as_deref(), of("region").as_deref()), (Some("x"), Some("x")));
    }
}

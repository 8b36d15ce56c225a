//! The fuzz targets' entry points over a bounded number of arbitrary inputs: `just fuzz` tries far more, guided by
//! coverage.

use proptest::prelude::*;

#[path = "fuzz/entries.rs"]
mod entries;

/// Pieces that lead deeper than random bytes would.
const PIECES: &[&str] = &[
    "[project]\n",
    "[sources.orders]\n",
    "[sources.orders.columns]\n",
    "timezone = ",
    "\"",
    "\"\"\"",
    "'",
    "${SET}",
    "${",
    "$${",
    "}",
    "=",
    "\n",
    ",",
    ";",
    "\r\n",
    "\u{feff}",
    "{\"a\":",
    "{\"b\":{\"c\":",
    "[",
    "]",
    "1e400",
    "null",
    "\\u0000",
    "\\",
    "/*---\n",
    "---*/",
    "description = ",
    "grain = [\"x\"]\n",
    "[columns]\n",
    "[checks]\n",
    "x = { type = \"text\", doc = \"X.\" }\n",
    "select ",
    "x ",
    "from ",
    "stg_orders ",
    "order by ",
    "(",
    ")",
    "* ",
    "with a as ",
    "union all ",
    "$as_of ",
    "case when ",
    "end ",
    "cast(",
    " as ",
    "interval ",
    "'/etc/passwd'",
    "\0",
    "\x1f\u{8b}\x08",
    "PAR1",
    "ü",
    "۱۲",
    "\u{202e}",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => "[ -~]{0,6}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_config_is_too_odd(data in text()) {
        entries::config(&data);
    }

    #[test]
    fn no_object_is_too_odd(choice in 0..6u8, data in text()) {
        entries::decode(&[&[choice][..], &data].concat());
    }

    #[test]
    fn no_model_is_too_odd(data in text()) {
        entries::model(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mapping_is_too_odd(data in text()) {
        entries::mapping(&data);
    }
}

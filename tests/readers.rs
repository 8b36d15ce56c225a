//! What is published can be read by others: pyarrow, polars and DuckDB open every mart (`tests/readers.py`).

use std::path::Path;
use std::process::Command;

use bazgasht::lake::Digest;
use bazgasht::publish::{CURRENT, Current};

use crate::made_up::{PROJECT, SOURCES, write_logs};
use crate::outside::python;
use crate::support::{Shop, tree};

/// A shop of the shipped models with its marts published.
fn published() -> Shop {
    let shop = Shop::new(PROJECT, SOURCES);
    let as_of = write_logs(&shop, 40, 70);
    shop.publish(&as_of);
    shop
}

/// `current.json` names files that are there, with the bytes that it says, at their own path and at the stable one.
fn assert_current(shop: &Shop) {
    let files = tree(&shop.path("marts"));
    let current: Current = serde_json::from_slice(&files[CURRENT]).expect("current.json is JSON");
    assert!(current.marts.values().all(|mart| !mart.files.is_empty()), "a mart without files");
    for file in current.marts.values().flat_map(|mart| &mart.files) {
        for path in [&file.path, &file.current] {
            let bytes = files.get(path).unwrap_or_else(|| panic!("{path} is not there"));
            assert_eq!((bytes.len() as u64, Digest::of(bytes)), (file.size_bytes, file.digest.clone()), "{path}");
        }
    }
}

#[test]
fn readers_open_every_mart() {
    let shop = published();
    assert_current(&shop);
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.py");
    let output = Command::new(python).arg(script).arg(shop.path("marts")).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

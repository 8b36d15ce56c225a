//! Memory is bounded by the config and not by the input.
//!
//! `just big` does it with 20 GiB, in a release build: BAZGASHT_BIG_MIB is the size of the text, BAZGASHT_BIG_ROW_BYTES
//! that of a row.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::staging;
use crate::support::{Shop, tree};

/// What a large input may take above a small one, however large: the buffers of decoding, of two years' months in the
/// making and of their keys, and what the allocator keeps.
const GROWTH_MIB_MAX: u64 = 256;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Orders of two years, every one another, until the text has so many bytes. Written as they are made.
fn write_orders(shop: &Shop, text_bytes: u64, row_bytes: u64) -> u64 {
    fs::create_dir_all(shop.path("raw")).expect("created");
    let file = BufWriter::new(File::create(shop.path("raw/orders.ndjson.gz")).expect("created"));
    let mut out = GzEncoder::new(file, Compression::fast());
    let note = "x".repeat(usize::try_from(row_bytes.saturating_sub(100)).expect("a length"));
    let (mut rows, mut written) = (0, 0);
    while written < text_bytes {
        let (month, day, customer) = (1 + rows % 12, 1 + rows % 28, rows * 7919 % 1_000_003);
        let row = format!(
            r#"{{"order_id":"{rows}","customer_id":"{customer}","ordered_at":"202{}-{month:02}-{day:02}","amount":{},"note":"{note}"}}"#,
            3 + rows / 12 % 2,
            rows % 977
        );
        out.write_all(row.as_bytes()).and_then(|()| out.write_all(b"\n")).expect("written");
        written += row.len() as u64 + 1;
        rows += 1;
    }
    out.finish().expect("written").flush().expect("written");
    rows
}

/// A shop of one file, and how many rows it has.
fn shop(text_bytes: u64, row_bytes: u64) -> (Shop, u64) {
    let shop = Shop::new(
        "timezone = \"UTC\"\ncurrency = \"GBP\"",
        "[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./raw\"\n",
    );
    shop.write("bazgasht.toml", &shop.toml);
    shop.write("sql/staging/stg_identities.sql", fs::read(staging("stg_identities")).expect("shipped staging"));
    let rows = write_orders(&shop, text_bytes, row_bytes);
    (shop, rows)
}

/// Extracts everything in a process of its own; its peak of resident memory.
fn peak_mib(shop: &Shop) -> u64 {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(shop.dir.path()).args(["plan", "--as-of", "2024-12-31"]).env_remove("BAZGASHT_CONFIG");
    let mut running = command.stdout(Stdio::null()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", running.id());
    let mut peak_kib = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak_kib = line.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak_kib);
        if let Some(ended) = running.try_wait().expect("it can be asked") {
            assert!(ended.success(), "{ended}");
            return peak_kib / 1024;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rows_read(shop: &Shop) -> u64 {
    let files = tree(&shop.path("lake/extracted"));
    let record = files.iter().find(|(path, _)| path.ends_with("extract.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_slice(record.1).expect("JSON");
    record["read"].as_u64().expect("a number")
}

#[test]
fn a_file_of_4_kib_and_one_of_many_mib_take_the_same_memory() {
    let (small, few) = shop(4 << 10, 100);
    let big_mib = setting("BAZGASHT_BIG_MIB", 256);
    let (big, many) = shop(big_mib << 20, setting("BAZGASHT_BIG_ROW_BYTES", 4096));
    let (small_mib, peak) = (peak_mib(&small), peak_mib(&big));
    println!("peak: {small_mib} MiB for {few} rows of 4 KiB, {peak} MiB for {many} rows of {big_mib} MiB");
    assert_eq!((rows_read(&small), rows_read(&big)), (few, many));
    assert!(peak < small_mib + GROWTH_MIB_MAX, "{big_mib} MiB of text took {peak} MiB, 4 KiB took {small_mib} MiB");
}

#[test]
fn rows_that_find_no_room_on_disk_are_told() {
    // So many rows of two years that they have to leave memory before the first month is complete.
    let (shop, _) = shop(40 << 20, 100);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
    command.arg(assert_cmd::cargo::cargo_bin!("bazgasht")).args(["plan", "--as-of", "2024-12-31"]);
    let output = command.current_dir(shop.dir.path()).env_remove("BAZGASHT_CONFIG").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("orders.ndjson.gz: local disk: File too large"), "{said}");
}

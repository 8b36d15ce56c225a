#![no_main]

#[path = "../entries.rs"]
#[expect(dead_code, reason = "each target takes one")]
mod entries;

libfuzzer_sys::fuzz_target!(
    // The Parquet reader panics on some broken files, and the decoder catches that: only what escapes is a finding.
    init: drop(std::panic::take_hook()),
    |data: &[u8]| entries::decode(data)
);

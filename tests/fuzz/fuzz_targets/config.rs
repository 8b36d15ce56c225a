#![no_main]

#[path = "../entries.rs"]
#[expect(dead_code, reason = "each target takes one")]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::config(data));

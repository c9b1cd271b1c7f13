//! A segment that was cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recorder::recover::fuzz::fuzz_scan(data));

//! A capture file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dissect::read::fuzz::fuzz_read(data));

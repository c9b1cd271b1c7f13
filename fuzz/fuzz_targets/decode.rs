//! Frames of any link.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dissect::decode::fuzz::fuzz_decode(data));

//! Segments of a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dissect::stream::fuzz::fuzz_stream(data));

//! A capture filter.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recorder::filter::fuzz::fuzz_filter(data));

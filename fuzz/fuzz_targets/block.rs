//! A block of the packet ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recorder::capture::fuzz::fuzz_block(data));

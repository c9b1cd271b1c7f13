//! The flow of a packet, however it is carried.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recorder::capture::fuzz::fuzz_flow(data));

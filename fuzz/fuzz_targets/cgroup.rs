//! Control groups of a process.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| recorder::targets::fuzz::fuzz_cgroup(data));

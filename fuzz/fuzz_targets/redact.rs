//! Redaction rules, and what they look through.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dissect::redact::fuzz::fuzz_redact(data));

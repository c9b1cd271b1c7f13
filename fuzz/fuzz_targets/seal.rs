//! A seal, and its signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    formats::seal::fuzz::fuzz_seal(data);
    formats::signature::fuzz::fuzz_signature(data);
});

//! A seal, its signature, and a file that is encrypted.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    formats::seal::fuzz::fuzz_seal(data);
    formats::age::fuzz::fuzz_age(data);
    formats::signature::fuzz::fuzz_signature(data);
});

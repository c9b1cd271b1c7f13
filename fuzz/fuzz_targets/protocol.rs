//! A connection or datagrams of a protocol: of the one that REMORA_FUZZ names, or of the one the first byte picks.
#![no_main]

use dissect::protocols::{REGISTRY, fuzz::fuzz_protocol};
use std::sync::LazyLock;

static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("REMORA_FUZZ").ok());

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    match &*NAMED {
        Some(name) => {
            let protocol = REGISTRY.iter().find(|protocol| protocol.name == name).expect("REMORA_FUZZ names a protocol");
            fuzz_protocol(protocol, data);
        }
        None => fuzz_protocol(&REGISTRY[usize::from(first) % REGISTRY.len()], rest),
    }
});

//! The living template of a dissector: copy this folder.
//!
//! Echo is a protocol of our own for tests: each message is a two-byte length and a text, and the server
//! sends every text back. It shows what every protocol has: a door with the registry entry (this file),
//! `wire.rs` from bytes to borrowed message, `over_tcp.rs` with the state machine, `rows.rs` with what is
//! handed on, `tests.rs`.

mod over_tcp;
mod rows;
#[cfg(test)]
mod tests;
mod wire;

use super::{Detection, Look, Protocol};

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "echo",
    cites: "this file",
    ports: &[7],
    over_tcp: true,
    over_udp: false,
    gives_way: false,
    unread_bytes_max: wire::MESSAGE_BYTES_MAX,
    tables: &[],
    detect,
    start: |_| Box::new(over_tcp::OverTcp::default()),
};

fn detect(look: &Look<'_>) -> Detection {
    match wire::message(look.bytes) {
        Ok(_) => Detection::Yes(None),
        Err(wire::NotWhole::Malformed) => Detection::No,
        Err(wire::NotWhole::Wanted(_)) => Detection::More,
    }
}

//! Redis: RESP2 and RESP3 (Redis serialization protocol specification), as Redis, Valkey and KeyDB speak it.
//!
//! Enters: one connection that began, or is joined at, a command or a value. Leaves: a row for each command with
//! its reply, or the half of it that was seen, and for each push. Refused: the cluster bus, which is another
//! protocol. There is no list of commands: `command.rs` says which argument is the key.
//!
//! `wire.rs` reads values a piece at a time into those of `node.rs`, `nesting.rs` puts together what is within each other;
//! `command.rs` understands commands: `words.rs` splits them, `effect.rs` says what they do to the connection, `secrets.rs`
//! hides what nobody is to know. `reading.rs` is one side and `over_tcp.rs` the connection, with its losses and its end;
//! `message.rs` is what they hand on, `rows.rs` pairs it, `session.rs` follows database, version and transactions,
//! `snapshot.rs` steps over what a master sends its replica; `seek.rs` knows what Redis looks like.

mod command;
mod effect;
mod exchange;
mod message;
mod nesting;
mod node;
mod over_tcp;
mod reading;
mod rows;
mod secrets;
mod seek;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;
mod wire;
mod words;

pub use exchange::Exchange;

use super::Protocol;

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "redis",
    cites: "Redis serialization protocol specification, RESP2 and RESP3",
    ports: seek::PORTS,
    over_tcp: true,
    over_udp: false,
    gives_way: false,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["redis"],
    detect: seek::detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

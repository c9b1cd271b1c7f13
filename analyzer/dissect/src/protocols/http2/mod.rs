//! HTTP/2 in clear text (RFC 9113), header compression undone for an observer (RFC 7541).
//!
//! Enters: one connection with prior knowledge, or upgraded from HTTP/1.1, or joined in the middle. Leaves: an exchange
//! for each stream, with what ended it. Refused: nothing on its frames; what is inside of TLS is not seen here.
//!
//! `wire.rs` reads frames, `hpack.rs` header blocks, `head.rs` what they mean for a message; `over_tcp.rs` reads a
//! connection, `blocks.rs` gathers its header blocks, `losses.rs` has its gaps, `seek.rs` finds the next frame where order
//! was lost; `stream.rs` is one stream and `rows.rs` all of them.

mod blocks;
mod head;
mod hpack;
mod losses;
mod over_tcp;
mod rows;
mod seek;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use super::{Detection, Look, Protocol, Side};
use seek::Verdict;
use wire::PREFACE;

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "http2",
    cites: "RFC 9113 §3 to §8, RFC 7541",
    ports: &[80, 8080, 50051],
    over_tcp: true,
    over_udp: false,
    gives_way: true,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["http", "grpc", "graphql"],
    detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// The preface up to its version, or frames of which enough is there to be sure.
fn detect(look: &Look<'_>) -> Detection {
    const CERTAIN_BYTES: usize = 16;
    if look.datagram {
        return Detection::No;
    }
    let seen = look.bytes.len().min(PREFACE.len());
    if look.bytes.get(..seen) == PREFACE.get(..seen) {
        return if seen >= CERTAIN_BYTES { Detection::Yes(Some(Side::Client)) } else { Detection::More };
    }
    match seek::frames(look.bytes, true) {
        Verdict::Yes(side) => Detection::Yes(side),
        Verdict::More => Detection::More,
        Verdict::No => Detection::No,
    }
}

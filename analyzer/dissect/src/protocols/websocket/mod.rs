//! WebSocket (RFC 6455).
//!
//! Enters: what follows an Upgrade on a connection, or a connection joined in the middle at a text nobody would take
//! for anything else. Leaves: rows of GraphQL where texts are of it, and no others; frames are counted as covered, and
//! what is odd about them, how it was closed among it, is an anomaly. Refused: nothing.

mod over_tcp;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use super::{Detection, Look, Protocol, Side};

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "websocket",
    cites: "RFC 6455 §5, RFC 7692 §7",
    ports: &[],
    over_tcp: true,
    over_udp: false,
    gives_way: false,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["anomalies", "graphql"],
    detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// An Upgrade names it without bytes ([`Dissector::agreed`](super::Dissector::agreed)).
fn detect(look: &Look<'_>) -> Detection {
    match wire::evidence(look.bytes) {
        Some(masked) if !look.datagram => Detection::Yes(Some(if masked { Side::Client } else { Side::Server })),
        _ => Detection::No,
    }
}

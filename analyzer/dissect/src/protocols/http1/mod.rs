//! HTTP/1.0 and 1.1 (RFC 9110, RFC 9112), and the one before them (RFC 1945 §4.1).
//!
//! Enters: one connection that began, or is joined at, a message of either side. Leaves: an exchange for each
//! request with its response, or the half of it that was seen. Refused: HTTP
//! over datagrams (SSDP), which has no connections to pair in, and answers of HTTP/0.9 alone, which have no heads to
//! know them by.
//!
//! `wire.rs` reads lines, `head.rs` what they mean for a message, `steps.rs` messages and `bodies.rs` their bodies,
//! `over_tcp.rs` a connection with its losses and its end, `open.rs` is a request with its response, `rows.rs` pairs;
//! `seek.rs` finds the next message where order was lost, `odd.rs` names what is odd.

mod bodies;
mod head;
mod odd;
mod open;
mod over_tcp;
mod rows;
mod seek;
mod steps;
#[cfg(test)]
mod tests;
mod wire;

use super::{Detection, Look, Protocol, Side};
use crate::limits;
use wire::{Kind, NotWhole};

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    cites: "RFC 9112 §2 to §7, §9",
    ports: &[80, 8080, 8000, 3128],
    over_tcp: true,
    over_udp: false,
    gives_way: true,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["http", "grpc", "graphql"],
    detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// A first line up to its version, or a status line up to its code: snap lengths cut there. SIP, RTSP, NATS and HTTP/2's preface look alike
/// only until the version at the end of their first line, but none has one so long; ICY is believed only as an answer.
fn detect(look: &Look<'_>) -> Detection {
    let bytes = look.bytes.get(wire::empty_lines(look.bytes)..).unwrap_or_default();
    if look.datagram {
        return Detection::No;
    }
    if wire::status_begin(bytes).is_ok() {
        return Detection::Yes(Some(Side::Server));
    }
    if wire::simple_request(look.bytes).is_some() {
        return Detection::Yes(Some(Side::Client));
    }
    match wire::start_line(bytes) {
        Ok((line, ..)) if line.kind() == Kind::Request => Detection::Yes(Some(Side::Client)),
        Ok(_) | Err(NotWhole::Malformed) => Detection::No,
        Err(NotWhole::Wanted) if wire::begins_version(bytes) => Detection::Yes(Some(Side::Client)),
        // No more will be kept to see the end of its line.
        Err(NotWhole::Wanted) if look.bytes.len() >= limits::DETECT_BYTES_MAX && seek::begins_request(bytes) => {
            Detection::Yes(Some(Side::Client))
        }
        Err(NotWhole::Wanted) => Detection::More,
    }
}

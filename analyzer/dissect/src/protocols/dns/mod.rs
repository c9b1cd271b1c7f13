//! DNS over UDP and TCP, mDNS and LLMNR (RFC 1035, 6762, 4795).

mod names;
mod over_tcp;
mod over_udp;
mod rdata;
pub mod registry;
mod rows;
#[cfg(test)]
mod tests;
mod wire;

use super::{Detection, Dissector, Look, Protocol, Side, Start};
pub use names::Malformed;
pub use wire::{Header, Message, Question, Record};

/// A query, its answer, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// 'udp', 'tcp', 'mdns' or 'llmnr'.
    pub transport: &'static str,
    /// The query, and its length.
    pub query: Option<(Message, u64)>,
    /// The answer, and its length.
    pub answer: Option<(Message, u64)>,
    /// How often the query was sent again before its answer.
    pub repeats: u32,
}

const DNS: u16 = 53;
const MDNS: u16 = 5353;
const LLMNR: u16 = 5355;

/// NetBIOS names look like DNS and are none (RFC 1002 §4.2).
const NETBIOS: u16 = 137;

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "dns",
    cites: "RFC 1035 §4",
    ports: &[DNS, MDNS, LLMNR],
    over_tcp: true,
    over_udp: true,
    gives_way: false,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["dns"],
    detect,
    start,
};

fn start(start: &Start) -> Box<dyn Dissector> {
    let transport = match (start.datagram, start.server_port) {
        (false, _) => "tcp",
        (true, MDNS) => "mdns",
        (true, LLMNR) => "llmnr",
        (true, _) => "udp",
    };
    let rows = rows::Rows::new(transport);
    if start.datagram {
        Box::new(over_udp::OverUdp::new(rows))
    } else {
        Box::new(over_tcp::OverTcp::new(rows, start.from_start))
    }
}

fn detect(look: &Look<'_>) -> Detection {
    let ports = [look.from_port, look.to_port];
    let strict = !ports.iter().any(|port| PROTOCOL.ports.contains(port));
    if ports.contains(&NETBIOS) {
        return Detection::No;
    }
    let seen = if look.datagram {
        let seen = wire::looks_like_message(look.bytes, strict);
        if strict { seen } else { seen.or_else(|| wire::looks_cut(look.bytes)) }
    } else {
        match over_tcp::front(look.bytes) {
            over_tcp::Front::Whole(message) => wire::looks_like_message(message, strict),
            over_tcp::Front::Part(part) if !strict && part.len() > wire::HEADER_BYTES => {
                let seen = wire::looks_like_message(part, false);
                // Its question may go on in the next segment.
                if seen.is_none() && wire::may_begin(part, usize::MAX) == Err(names::SHORT) {
                    return Detection::More;
                }
                seen
            }
            // On another port a message is waited for as long as all that is there of it may be one.
            over_tcp::Front::Part(part) if strict && part.len() >= wire::HEADER_BYTES => {
                return match wire::may_begin(part, over_tcp::claimed(look.bytes)) {
                    Ok(true) | Err(names::SHORT) => Detection::More,
                    Ok(false) | Err(_) => Detection::No,
                };
            }
            over_tcp::Front::Part(_) => return Detection::More,
            over_tcp::Front::TooShort => return Detection::No,
        }
    };
    match seen {
        Some(true) => Detection::Yes(Some(Side::Server)),
        Some(false) => Detection::Yes(Some(Side::Client)),
        None => Detection::No,
    }
}

#[doc(hidden)]
pub mod fuzz {
    /// Reads a hostile message.
    pub fn fuzz_dns(data: &[u8]) {
        let _ = super::wire::looks_like_message(data, false);
        let _ = super::wire::looks_like_message(data, true);
        if let Ok(message) = super::wire::message(data) {
            let _ = message.rcode();
        }
    }
}

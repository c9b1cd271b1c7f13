//! DNS over UDP and TCP, mDNS and LLMNR (RFC 1035, 6762, 4795).

use super::{Detection, Protocol};

/// A query, its answer, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {}

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "dns",
    cites: "RFC 1035 §4",
    ports: &[53, 5353, 5355],
    over_tcp: true,
    over_udp: true,
    unread_bytes_max: 2 + u16::MAX as usize,
    tables: &["dns"],
    detect: |_| Detection::No,
    start: |_| unreachable!(),
};

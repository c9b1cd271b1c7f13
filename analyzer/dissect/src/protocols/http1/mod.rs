//! HTTP/1.0 and 1.1 (RFC 9110, RFC 9112).

use super::{Detection, Protocol};

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    cites: "RFC 9112",
    ports: &[80, 8080, 8000, 3128],
    over_tcp: true,
    over_udp: false,
    unread_bytes_max: 64 << 10,
    tables: &["http"],
    detect: |_| Detection::No,
    start: |_| unreachable!(),
};

//! TLS 1.0 to 1.3 with the drafts of 1.3, SSL 3.0 and the hello of SSL 2.0 (RFC 8446, RFC 5246): what is said in clear.
//!
//! Enters: one connection that begins, or is joined, at a record of either side. Leaves: a handshake, or the part of it
//! that was seen; a connection joined behind its handshake has none. Refused: DTLS and QUIC, which are no streams; what
//! is encrypted is stepped over.
//!
//! `wire.rs` reads records and messages, `messages.rs` puts messages together, `over_tcp.rs` is a connection with its losses
//! and its end, `rows.rs` pairs both sides' hellos; `detect.rs` tells TLS from anything else, `fingerprint.rs` makes
//! JA3 and JA4, `certificate.rs` reads certificates, `registry.rs` and `ciphers.rs` have the names of codes.

mod certificate;
mod ciphers;
mod detect;
mod fingerprint;
mod messages;
mod over_tcp;
pub mod registry;
mod rows;
#[cfg(test)]
mod tests;
mod wire;

pub use certificate::{Certificate, Said};

use super::Protocol;

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "tls",
    cites: "RFC 8446 §4 to §6, RFC 5246 §6 to §7",
    ports: &[443, 8443, 6443, 853, 465, 636, 993, 995, 5671],
    over_tcp: true,
    over_udp: false,
    gives_way: true,
    unread_bytes_max: over_tcp::UNREAD_BYTES_MAX,
    tables: &["tls"],
    detect: detect::detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// What both sides of a handshake said in clear; `None` where it was not seen, or not said.
#[derive(Debug, Default)]
pub struct Handshake {
    /// Version the server chose.
    pub version: Option<u16>,
    /// Name of the server the client asks for; of the outer hello where there are two.
    pub sni: Option<Vec<u8>>,
    /// Application protocol the server chose.
    pub alpn: Option<Vec<u8>>,
    /// Cipher suite the server chose.
    pub cipher: Option<u16>,
    /// Versions the client offers.
    pub client_versions: Option<Vec<u16>>,
    /// Application protocols the client offers.
    pub client_alpns: Option<Vec<Vec<u8>>>,
    /// Whether an earlier session was taken up again.
    pub resumed: Option<bool>,
    /// JA3 of the client.
    pub ja3: Option<String>,
    /// JA3S of the server.
    pub ja3s: Option<String>,
    /// JA4 of the client.
    pub ja4: Option<String>,
    /// The server's own certificate.
    pub certificate: Option<Certificate>,
    /// The alert that ended it, or a warning.
    pub alert: Option<u8>,
    /// Whether the hello carries an encrypted one, or what looks like it.
    pub ech: Option<bool>,
}

impl Handshake {
    /// Memory it holds besides its own struct.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.ja3, &self.ja3s, &self.ja4].into_iter().flatten().map(String::len).sum::<usize>();
        let names = [&self.sni, &self.alpn].into_iter().flatten().map(Vec::len).sum::<usize>();
        let offered = self.client_alpns.iter().flatten().map(|name| size_of_val(name) + name.len()).sum::<usize>();
        let versions = self.client_versions.as_ref().map_or(0, |versions| size_of_val(versions.as_slice()));
        texts + names + offered + versions + self.certificate.as_ref().map_or(0, Certificate::held_bytes)
    }
}

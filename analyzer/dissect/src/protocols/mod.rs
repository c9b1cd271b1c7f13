//! Bytes in stream order become rows: the contract of a dissector, the registry, one folder per protocol.
//!
//! Enters: unread bytes of one side of a connection, or a datagram, or a gap of known size. Leaves: [`Row`]s
//! with the [`Stamp`]s of the bytes they came from, and anomalies. Refused: nothing. A dissector never gives
//! up a connection because of one message: it says so and goes on.

pub mod amqp;
mod connection;
pub mod dns;
#[cfg(test)]
mod echo;
#[doc(hidden)]
pub mod fuzz;
pub mod graphql;
pub mod grpc;
pub mod http;
pub mod http1;
pub mod http2;
pub mod json;
pub mod kafka;
mod proxy;
pub mod redis;
mod row;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
mod unasked;
mod unread;
pub mod value;
pub mod websocket;

pub use connection::{Connection, Context, Output};
pub use row::{Anomaly, Call, Pair, PerSide, Row, Side, Stamp};

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

/// One connection, both sides, in stream order; or one conversation of datagrams.
///
/// A datagram is unread bytes that nothing follows: `bytes` is called once with the whole of it, and what is
/// then left unconsumed is counted as not understood. `gap` is called instead with what there is of one that was cut.
pub trait Dissector: Send {
    /// Reads the whole messages at the front of `unread`.
    ///
    /// Bytes that a stamp, a row or an anomaly names are covered; bytes consumed without are counted as
    /// skipped. Called again with what was not consumed in front, once `wanted` bytes are unread.
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress;

    /// `lost_bytes` follow `unread`, and will never come. Unread bytes that reached the protocol's bound are
    /// given up the same way, with `lost_bytes` 0: loss has one path. All of `unread` is consumed.
    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink);

    /// Nothing more comes from this side. What is open becomes rows once both sides ended. All of `unread`
    /// is consumed.
    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink);

    /// At a switch: the request that what follows answers (RFC 7540 §3.2), for the next dissector.
    fn carried(&mut self) -> Option<Box<http::Exchange>> {
        None
    }

    /// Takes over the request that asked to change to its protocol.
    fn take_over(&mut self, _request: Box<http::Exchange>) {}

    /// Bytes it holds besides its own struct: open requests and their bodies. Under pressure the connection
    /// that was quiet longest is ended.
    fn held_bytes(&self) -> usize;

    /// The protocol that both sides agreed on for what follows [`Progress::Switch`], where it says so: one that
    /// bytes alone would not tell from others.
    fn agreed(&self) -> Option<&'static Protocol> {
        None
    }
}

/// How a side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By FIN.
    Closed,
    /// The input ended, or the conversation was idle for long, or it was evicted.
    Cut,
    /// By RST of either side.
    Reset,
}

/// What a dissector made of the unread bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `consumed` bytes are done with; call again when `wanted` bytes are unread (at least one more than now).
    Continue {
        /// Bytes done with.
        consumed: usize,
        /// Unread bytes from which on another call is of use.
        wanted: usize,
    },
    /// Nothing further on this side is of use; its bytes are not kept any more.
    Stop,
    /// `consumed` bytes are done with, and what follows them, on both sides, is another protocol
    /// (Upgrade, CONNECT, STARTTLS): it is recognised anew, and this dissector is ended with [`End::Closed`].
    Switch {
        /// Bytes done with.
        consumed: usize,
    },
}

/// Where a dissector's findings go.
pub trait Sink {
    /// Where and when the bytes of `span` were seen: positions in the `unread` of the current call.
    /// They count as covered. O(log n) in the packets that hold the unread bytes.
    fn stamp(&mut self, span: Range<usize>) -> Stamp;

    /// A call is known as well as it will ever be.
    fn row(&mut self, call: &Call, row: Row<'_>);

    /// Odd traffic at `span` of `unread`. Counts these bytes as covered.
    fn anomaly(&mut self, span: Range<usize>, anomaly: Anomaly);

    /// Who asks, as the messages say: if it is not who was the client so far, rows have the ends exchanged from now on, and the
    /// flow has too where only a port told. Stamps stay of the side they are.
    fn asked_by(&mut self, _asker: Side) {}

    /// The name behind the id of a topic of Kafka: rows of any connection may have the id alone.
    fn topic(&mut self, _id: [u8; 16], _name: &str) {}
}

/// What detection may look at: the front of one side's unread bytes, or a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether they are a datagram.
    pub datagram: bool,
    /// Port of the side that sent them.
    pub from_port: u16,
    /// Port of the other side.
    pub to_port: u16,
}

/// What detection says. Bytes decide; a port is a hint for order, in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// Could be, if more bytes say so; never for a datagram.
    More,
    /// Cannot be this protocol.
    No,
    /// It is, and this side sent them, where one can tell.
    Yes(Option<Side>),
}

/// What was asked of the analyzer, as far as it concerns dissectors.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most bytes of a body that a row keeps; 0 keeps none.
    pub body_bytes_max: usize,
}

/// What a dissector is told when it starts.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// What was asked for.
    pub options: Options,
    /// Whether the connection was seen from its first byte on each side; a datagram's always is.
    pub from_start: bool,
    /// Whether it works on datagrams.
    pub datagram: bool,
    /// Port of the server, as far as known.
    pub server_port: u16,
    /// Whether the far end is a group: answers come from others (mDNS, LLMNR).
    pub multicast: bool,
}

/// One entry of the registry.
#[derive(Clone, Copy)]
pub struct Protocol {
    /// Name in `flows.protocol`.
    pub name: &'static str,
    /// The standard it follows, with section.
    pub cites: &'static str,
    /// Ports to try it first on.
    pub ports: &'static [u16],
    /// Whether it is spoken over streams.
    pub over_tcp: bool,
    /// Whether it is spoken in datagrams.
    pub over_udp: bool,
    /// Whether its dissector may give way to another protocol ([`Progress::Switch`]).
    pub gives_way: bool,
    /// The most unread bytes it ever asks to see at once.
    pub unread_bytes_max: usize,
    /// The tables it has rows for.
    pub tables: &'static [&'static str],
    /// Whether these bytes are of this protocol.
    pub detect: fn(&Look<'_>) -> Detection,
    /// A dissector for one connection.
    pub start: fn(&Start) -> Box<dyn Dissector>,
}

/// Every protocol there is, the most certain to recognise first.
pub static REGISTRY: &[Protocol] = &[
    tls::PROTOCOL,
    http2::PROTOCOL,
    http1::PROTOCOL,
    amqp::PROTOCOL,
    kafka::PROTOCOL,
    redis::PROTOCOL,
    dns::PROTOCOL,
    websocket::PROTOCOL,
];

/// The same, recognised alone: what they say nobody asks for.
static UNASKED: LazyLock<Vec<Protocol>> = LazyLock::new(|| {
    REGISTRY.iter().map(|protocol| Protocol { start: |_| Box::new(unasked::Unasked), ..*protocol }).collect()
});

/// The protocols to look for where these tables are made: all, so that rows do not depend on which tables are asked for.
/// Those that no table needs have dissectors of their own only where one that is needed may stand behind them; what is
/// spoken in datagrams too never does.
pub fn wanted(tables: &BTreeSet<&'static str>) -> Vec<&'static Protocol> {
    // Flows say what was spoken, so they need every protocol.
    let all = ["flows", "anomalies", "coverage"].iter().any(|table| tables.contains(table));
    let needed = |protocol: &Protocol| all || protocol.tables.iter().any(|table| tables.contains(table));
    let behind_others = REGISTRY.iter().any(|protocol| needed(protocol) && !protocol.over_udp);
    let whole = |protocol: &Protocol| needed(protocol) || protocol.gives_way && behind_others;
    REGISTRY.iter().zip(UNASKED.iter()).map(|(asked, unasked)| if whole(asked) { asked } else { unasked }).collect()
}

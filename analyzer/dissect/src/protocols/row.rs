//! What the protocols room hands forward.

use super::{amqp, dns, graphql, grpc, http, kafka, redis, tls};
use std::ops::{Index, IndexMut};

/// Who sent it, as the protocol understands the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that asks.
    Client,
    /// The side that answers.
    Server,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// One value for each side.
#[derive(Debug, Clone, Copy, Default)]
pub struct PerSide<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> PerSide<T> {
    /// What was one's becomes the other's.
    pub fn swap(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
    }
}

impl<T> Index<Side> for PerSide<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl<T> IndexMut<Side> for PerSide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// Where and when some bytes of one side were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Who sent them.
    pub side: Side,
    /// Names the first byte on the wire, in every run alike: TCP sequence number, or time of a datagram [ns].
    pub place: u64,
    /// Time of the packet with the first byte, ns since the Unix epoch: of its first frame, where it came in fragments.
    pub first_ns: i64,
    /// Time of the packet with the last byte, ns since the Unix epoch.
    pub last_ns: i64,
    /// Number of the packet with the first byte.
    pub first_packet: u64,
    /// Number of the packet with the last byte.
    pub last_packet: u64,
    /// Bytes, gaps not counted.
    pub bytes: u64,
    /// Whether bytes among them are missing.
    pub damaged: bool,
    /// Whether bytes before the first one are missing: it did not begin at `first_ns`.
    pub begin_unseen: bool,
    /// Whether bytes behind the last one are missing: it did not end at `last_ns`.
    pub end_unseen: bool,
}

impl Stamp {
    /// Of so many bytes, all of which are in packet 1, at time 0.
    pub fn whole(side: Side, place: u64, bytes: u64) -> Self {
        Self {
            side,
            place,
            first_ns: 0,
            last_ns: 0,
            first_packet: 1,
            last_packet: 1,
            bytes,
            damaged: false,
            begin_unseen: false,
            end_unseen: false,
        }
    }

    /// Takes in bytes that follow on the same side.
    pub fn extend(&mut self, later: Stamp) {
        self.last_ns = later.last_ns;
        self.last_packet = later.last_packet;
        self.bytes += later.bytes;
        self.damaged |= later.damaged;
        self.end_unseen = later.end_unseen;
    }

    /// Takes note of a loss behind its last byte.
    pub fn lose(&mut self) {
        self.damaged = true;
        self.end_unseen = true;
    }
}

/// Which halves of a call were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Both.
    Complete,
    /// The input began or ended inside it, or a gap took a part of it.
    Cut,
    /// The request alone, though the response would have been seen.
    RequestOnly,
    /// The response alone.
    ResponseOnly,
}

impl Pair {
    /// The name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Pair::Complete => "complete",
            Pair::Cut => "cut",
            Pair::RequestOnly => "request_only",
            Pair::ResponseOnly => "response_only",
        }
    }
}

/// When and where a request and its response were.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The request's bytes.
    pub request: Option<Stamp>,
    /// The response's bytes.
    pub response: Option<Stamp>,
    /// Which halves were seen.
    pub pair: Pair,
}

impl Call {
    /// A call of which both halves may have been seen, each to its end.
    pub fn new(request: Option<Stamp>, response: Option<Stamp>) -> Self {
        let pair = match (&request, &response) {
            (Some(_), Some(_)) => Pair::Complete,
            (Some(_), None) => Pair::RequestOnly,
            (None, Some(_)) => Pair::ResponseOnly,
            (None, None) => Pair::Cut,
        };
        Self { request, response, pair }
    }

    /// From the last byte of the request to the first of the response [ns], where both were seen.
    pub fn latency_ns(&self) -> Option<i64> {
        let (request, response) = (self.request.as_ref()?, self.response.as_ref()?);
        (!request.end_unseen && !response.begin_unseen).then_some(response.first_ns - request.last_ns)
    }

    /// From the first byte of the request to the first of the response [ns], where both were seen.
    pub fn first_byte_ns(&self) -> Option<i64> {
        let (request, response) = (self.request.as_ref()?, self.response.as_ref()?);
        (!request.begin_unseen && !response.begin_unseen).then_some(response.first_ns - request.first_ns)
    }

    /// The same call, cut by the begin or end of the input.
    pub fn cut(mut self) -> Self {
        self.pair = Pair::Cut;
        self
    }
}

/// A row of a protocol's table, borrowed for the moment it is handed over.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Row<'a> {
    /// For `amqp`.
    Amqp(&'a amqp::Message),
    /// For `dns`.
    Dns(&'a dns::Exchange),
    /// For `graphql`.
    Graphql(&'a graphql::Operation),
    /// For `grpc`.
    Grpc(&'a grpc::Call<'a>),
    /// For `http`.
    Http(&'a http::Exchange),
    /// For `kafka`.
    Kafka(&'a kafka::Exchange),
    /// For `kafka_records`.
    KafkaRecord(&'a kafka::Record<'a>),
    /// For `redis`.
    Redis(&'a redis::Exchange),
    /// For `tls`.
    Tls(&'a tls::Handshake),
    /// For tests of the contract.
    #[cfg(test)]
    Echo(&'a str),
}

/// Something odd, for `anomalies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What it is: lower case with underscores, the protocol's name in front.
    pub kind: &'static str,
    /// What exactly was seen; empty where the kind says it all.
    pub detail: String,
}

impl Anomaly {
    /// An anomaly whose kind says it all.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, detail: String::new() }
    }

    /// An anomaly with what exactly was seen.
    pub fn with(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

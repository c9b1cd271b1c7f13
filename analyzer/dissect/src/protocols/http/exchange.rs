//! One request, its response, or both.

use super::body::{Beyond, Ended};
use super::fields::Fields;
use crate::protocols::{Call, Row, Sink, graphql, grpc};
use std::borrow::Cow;

/// Version of the protocol (RFC 9110 §2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/0.9: a line that asks, and a body that answers (RFC 1945 §4.1).
    V09,
    /// HTTP/1.0.
    V10,
    /// HTTP/1.1.
    #[default]
    V11,
    /// HTTP/2.
    V2,
}

impl Version {
    /// As the `http` table has it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V09 => "0.9",
            Version::V10 => "1.0",
            Version::V11 => "1.1",
            Version::V2 => "2",
        }
    }
}

/// What ended an exchange, where not its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The connection was closed before.
    Closed,
    /// An HTTP/2 error code (RFC 9113 §7).
    ErrorCode(u32),
    /// A gap took its end.
    Gap,
    /// Its head, trailer section or a line between chunks is longer than we read.
    HeadTooLarge,
    /// The input ended before.
    InputEnd,
    /// The connection was reset before.
    Reset,
    /// The connection changed its protocol after it.
    Upgraded,
}

impl EndReason {
    /// Whether its end was only not seen.
    pub fn is_cut(self) -> bool {
        matches!(self, EndReason::Gap | EndReason::HeadTooLarge | EndReason::InputEnd)
    }
}

/// One side's message, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Header fields.
    pub headers: Fields,
    /// Trailer fields.
    pub trailers: Fields,
    /// The body with its codings undone, up to the limit.
    pub body: Vec<u8>,
    /// Length of the body as sent: transfer coding undone, content coding not.
    pub body_bytes: u64,
    /// Whether bytes of the body were lost, or may have been.
    pub damaged: bool,
    /// Whether nobody knows how many, so that the length is not known either.
    pub doubtful: bool,
    /// The body, where it is needed beyond the limit.
    pub beyond: Option<Beyond>,
    /// The messages of a gRPC body.
    pub grpc: Option<Box<grpc::Counted>>,
}

impl Message {
    /// Takes in how its body ended, and what followed it. Returns why the body is not the whole or not decoded.
    pub fn fill(&mut self, body: Ended, trailers: Fields) -> Option<String> {
        self.body = body.body;
        self.body_bytes = body.bytes;
        self.damaged = body.damaged;
        self.doubtful = body.doubtful;
        self.beyond = body.beyond;
        self.grpc = body.grpc;
        self.trailers = trailers;
        body.note
    }

    /// The body with its codings undone, beyond the limit where more is kept; empty where it is damaged, for what is
    /// left could say something else.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match &self.beyond {
            _ if self.damaged => Cow::default(),
            Some(beyond) => beyond.decoded().into(),
            None => self.body.as_slice().into(),
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.headers.held_bytes()
            + self.trailers.held_bytes()
            + self.body.len()
            + self.beyond.as_ref().map_or(0, Beyond::held_bytes)
            + self.grpc.as_ref().map_or(0, |counted| counted.trailers.held_bytes())
    }
}

/// One exchange; texts as they were sent, empty where they were not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Version of the request, or of the response where the request does not say.
    pub version: Option<Version>,
    /// Stream of HTTP/2.
    pub stream_id: Option<u32>,
    /// Method; empty where the request was not seen.
    pub method: Vec<u8>,
    /// Scheme, where the request says it.
    pub scheme: Option<Vec<u8>>,
    /// Authority, where the request says it.
    pub host: Option<Vec<u8>>,
    /// Path.
    pub path: Option<Vec<u8>>,
    /// Query without its question mark.
    pub query: Option<Vec<u8>>,
    /// Final status.
    pub status: Option<u16>,
    /// Reason phrase.
    pub reason: Option<Vec<u8>>,
    /// The request, where it was seen.
    pub request: Option<Message>,
    /// The final response, where it was seen.
    pub response: Option<Message>,
    /// Informational statuses before the final one.
    pub interim_statuses: Vec<u16>,
    /// Why a stored body is not the whole or not decoded.
    pub body_note: Option<String>,
    /// What ended it, where not its own end.
    pub end_reason: Option<EndReason>,
}

impl Exchange {
    /// Hands on the row of this exchange, and those of what it carried.
    pub fn hand_on(&self, call: &Call, out: &mut dyn Sink) {
        out.row(call, Row::Http(self));
        if let Some(carried) = grpc::Call::of(self) {
            carried.oddities(&mut |anomaly| out.anomaly(0..0, anomaly));
            out.row(call, Row::Grpc(&carried));
        } else {
            graphql::hand_on(self, call, out);
        }
    }

    /// Bytes of what its row shows.
    pub fn shown_bytes(&self) -> usize {
        let messages = [&self.request, &self.response].into_iter().flatten();
        let beyond = messages.filter_map(|message| message.beyond.as_ref()).map(Beyond::held_bytes);
        self.held_bytes() - beyond.sum::<usize>()
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.scheme, &self.host, &self.path, &self.query, &self.reason];
        let messages = [&self.request, &self.response];
        self.method.len()
            + texts.into_iter().flatten().map(Vec::len).sum::<usize>()
            + messages.into_iter().flatten().map(Message::held_bytes).sum::<usize>()
            + size_of_val(self.interim_statuses.as_slice())
            + self.body_note.as_ref().map_or(0, String::len)
    }
}

//! gRPC over HTTP/2 and gRPC-Web over either version (PROTOCOL-HTTP2.md and PROTOCOL-WEB.md of grpc/grpc).
//!
//! Enters: an HTTP exchange with a content type of gRPC. Leaves: its call. Refused: other exchanges. There is no
//! connection of gRPC's own: messages are counted while a body passes (`framing.rs`), and the call is read off the
//! exchange at its end. `message.rs` and `protobuf.rs` make JSON of messages, `protos.rs` knows their names.

mod framing;
mod message;
mod protobuf;
mod protos;
#[cfg(test)]
mod tests;

pub use framing::{Counted, Counter, Framing, Odd, content_type};
pub use message::{Look, by_number};
pub use protos::{Protos, ProtosError};

use super::http::{EndReason, Exchange, Message, unescape};
use super::value::Value;
use super::{Anomaly, Side};
use message::Known;
use prost_reflect::MethodDescriptor;

/// One side of a call.
#[derive(Debug)]
struct Half<'a> {
    message: &'a Message,
    /// Format of its messages; none where its content type is not of gRPC, as of proxies that answer themselves.
    format: Option<String>,
    /// Whether what it counted holds: a gap took no end of it.
    sound: bool,
    /// Whether no more of it was sent, as far as known.
    over: bool,
}

/// One call, read off its exchange.
#[derive(Debug)]
pub struct Call<'a> {
    exchange: &'a Exchange,
    request: Option<Half<'a>>,
    response: Option<Half<'a>>,
}

impl<'a> Half<'a> {
    fn of(message: &'a Message, reason: Option<EndReason>) -> Self {
        let format = message.headers.get("content-type").and_then(content_type).map(|(_, format)| format);
        let whole = message.grpc.as_ref().is_some_and(|counted| counted.whole);
        let sound = whole || !matches!(reason, Some(EndReason::Gap | EndReason::HeadTooLarge));
        let over = whole || !reason.is_some_and(EndReason::is_cut);
        Self { message, format, sound, over }
    }

    fn counted(&self) -> Option<&'a Counted> {
        self.message.grpc.as_deref().filter(|_| self.sound)
    }

    fn json(&self, known: &Known, look: &mut dyn FnMut(&mut Value<'_>) -> bool) -> Option<String> {
        message::json(self.message, self.message.grpc.as_deref()?, self.format.as_deref()?, known, look)
    }
}

impl<'a> Call<'a> {
    /// The call that an exchange is, by the content type of either side: HTTP/2 joined in the middle may not show both.
    pub fn of(exchange: &'a Exchange) -> Option<Self> {
        let request = exchange.request.as_ref().map(|message| Half::of(message, exchange.end_reason));
        let response = exchange.response.as_ref().map(|message| Half::of(message, exchange.end_reason));
        let named = [&request, &response].into_iter().flatten().any(|half| half.format.is_some());
        named.then_some(Self { exchange, request, response })
    }

    /// The exchange that carried it.
    pub fn exchange(&self) -> &'a Exchange {
        self.exchange
    }

    /// Whether the fields of its messages have their names in [`Self::json`]: of the request, then of the response.
    pub fn has_names(&self, protos: Option<&Protos>) -> [bool; 2] {
        let declared = self.method(protos).is_some();
        [&self.request, &self.response]
            .map(|half| declared || half.as_ref().is_some_and(|half| half.format.as_deref() == Some("json")))
    }

    /// Full name of the service, and its method (HTTP2 "Path").
    pub fn service_and_method(&self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let Some(path) = self.exchange.path.as_deref() else { return (None, None) };
        let path = path.strip_prefix(b"/").unwrap_or(path);
        match memchr::memrchr(b'/', path).and_then(|at| path.split_at_checked(at)) {
            Some((service, method)) => (Some(service), method.get(1..)),
            None => (None, None),
        }
    }

    /// Authority, where the request says it.
    pub fn authority(&self) -> Option<&'a [u8]> {
        self.exchange.host.as_deref()
    }

    /// The status: of the trailers, the headers where there are no others, or a trailers frame of gRPC-Web.
    pub fn status(&self) -> Option<i32> {
        let text = self.trailer("grpc-status")?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    /// The status message, its escapes undone (HTTP2 "Status-Message").
    pub fn status_message(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&unescape(self.trailer("grpc-message")?)).into_owned())
    }

    /// Time the client allows [ms] (HTTP2 "Timeout").
    pub fn deadline_ms(&self) -> Option<f64> {
        let (unit, digits) = self.header("grpc-timeout")?.split_last()?;
        let unit_ms = match unit {
            b'H' => 3_600_000.0,
            b'M' => 60_000.0,
            b'S' => 1000.0,
            b'm' => 1.0,
            b'u' => 1e-3,
            b'n' => 1e-6,
            _ => return None,
        };
        let whole = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        let number: f64 = std::str::from_utf8(digits).ok().filter(|_| whole)?.parse().ok()?;
        // One rounding, for 100u is 0.1 and not 0.09999.
        Some(if unit_ms < 1.0 { number / (1.0 / unit_ms) } else { number * unit_ms })
    }

    /// How messages are compressed, of the request and the response where they differ. Nothing where one of them may name it
    /// in a field that was not seen.
    pub fn encoding(&self) -> Option<String> {
        let to_come = self.response.is_none() && self.exchange.end_reason.is_some_and(EndReason::is_cut);
        if self.request.is_none() || to_come {
            return None;
        }
        let mut names = Vec::new();
        for half in [&self.request, &self.response].into_iter().flatten() {
            let fields = &half.message.headers;
            match fields.get("grpc-encoding") {
                Some(name) => names.push(String::from_utf8_lossy(name).into_owned()),
                None if fields.is_empty() || fields.known().any(|(name, _)| name.is_none()) => return None,
                None => {}
            }
        }
        names.dedup();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// How many messages were sent to their end, and their bytes as sent: of the request, then of the response.
    pub fn counts(&self) -> [(Option<u64>, Option<u64>); 2] {
        let of = |half: &Option<Half<'_>>| {
            let counted = half.as_ref().and_then(Half::counted);
            (counted.and_then(|counted| counted.messages), counted.and_then(|counted| counted.bytes))
        };
        [of(&self.request), of(&self.response)]
    }

    /// Messages as JSON, each after `look` saw it: of the request, then of the response.
    pub fn json(&self, protos: Option<&Protos>, look: &mut Look<'_>) -> [Option<String>; 2] {
        let method = self.method(protos);
        let (mut asked, mut answered) = (Known::default(), Known::default());
        if let Some(method) = method {
            asked = Known { kind: Some(method.input()), streams: method.is_client_streaming() };
            answered = Known { kind: Some(method.output()), streams: method.is_server_streaming() };
        }
        let mut json = |half: &Option<Half<'_>>, mut known: Known, side: Side| {
            let half = half.as_ref()?;
            known.streams |= !half.over;
            half.json(&known, &mut |message| look(side, message))
        };
        [json(&self.request, asked, Side::Client), json(&self.response, answered, Side::Server)]
    }

    /// Says what is odd about it.
    pub fn oddities(&self, say: &mut dyn FnMut(Anomaly)) {
        for (side, half) in [("request", &self.request), ("response", &self.response)] {
            let Some(half) = half else { continue };
            let kind = match half.message.grpc.as_deref().and_then(|counted| counted.odd) {
                Some(Odd::BadPrefix) => "grpc_bad_prefix",
                Some(Odd::Coded) => "grpc_messages_in_a_coding",
                Some(Odd::Cut) => "grpc_message_unfinished",
                Some(Odd::Lost) => "grpc_messages_lost",
                None => "",
            };
            if !kind.is_empty() {
                say(Anomaly::with(kind, side));
            }
            if message::compression(half.message).is_unknown() {
                let name = half.message.headers.list("grpc-encoding");
                say(Anomaly::with("grpc_unknown_encoding", format!("{side}: {name}")));
            }
        }
        if self.trailer("grpc-status").is_some() && self.status().is_none() {
            say(Anomaly::new("grpc_bad_status"));
        }
        if self.header("grpc-timeout").is_some() && self.deadline_ms().is_none() {
            say(Anomaly::new("grpc_bad_timeout"));
        }
    }

    fn method(&self, protos: Option<&Protos>) -> Option<MethodDescriptor> {
        let (service, method) = self.service_and_method();
        protos?.method(std::str::from_utf8(service?).ok()?, std::str::from_utf8(method?).ok()?)
    }

    fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.exchange.request.as_ref()?.headers.get(name)
    }

    fn trailer(&self, name: &str) -> Option<&'a [u8]> {
        let message = self.exchange.response.as_ref()?;
        let in_frame = || message.grpc.as_ref()?.trailers.get(name);
        message.trailers.get(name).or_else(|| message.headers.get(name)).or_else(in_frame)
    }
}

/// The entry for fuzzing.
#[doc(hidden)]
pub mod fuzz {
    use super::{Counter, Framing, protobuf};

    /// Reads `data` in every framing, with losses between pieces, and as a message.
    pub fn fuzz_grpc(data: &[u8]) {
        for framing in [Framing::Plain, Framing::Web, Framing::WebText] {
            let mut counter = Counter::new(framing);
            for piece in data.chunks(7) {
                match piece.first() {
                    Some(7) => counter.lose(9),
                    Some(8) => counter.doubt(),
                    _ => counter.write(piece),
                }
            }
            counter.end(true);
        }
        super::by_number(data);
        if let Some(value) = protobuf::message(data, None) {
            value.json();
        }
    }
}

//! Streams become exchanges: frames of one stream are gathered until both halves have ended (RFC 9113 §5.1, §8.1).
//!
//! A stream whose begin we did not see is told from one that is over by what is known of the connection: seen from its
//! start and without loss, a number that is not above the highest is over; otherwise the last that ended are remembered.

use super::head::Block;
use super::stream::{At, Phase, Stream};
use crate::protocols::http::{Body, EndReason, Exchange, Message, Version};
use crate::protocols::{Anomaly, PerSide, Side, Sink};
use std::collections::{BTreeMap, VecDeque};

/// Streams that may be open on one connection. Peers allow 100 to 250 (RFC 9113 §6.5.2 advises 100), load generators
/// open as many. Past it the oldest is handed on as it is.
pub const STREAMS_MAX: usize = 1024;

/// Bytes that the streams of one connection hold; past it the oldest is handed on as it is. Half of what a shard may hold.
pub const HELD_BYTES_MAX: usize = 4 << 20;

/// Bytes held from which on no more is kept of bodies, so that many large ones at a time leave room for what is opened.
const BODIES_HELD_BYTES_MAX: usize = 3 << 20;

/// Streams remembered as over: frames for them may still be under way.
const OVER_MAX: usize = 128;

/// Streams that were reset and are kept for what the other side had sent by then.
const RESET_MAX: usize = 16;

/// How long they are, while the connection goes on [ns]: longer than bytes are under way.
const RESET_NS: i64 = 1_000_000_000;

/// Answered streams that wait for their requests.
const ANSWERED_MAX: usize = 64;

/// All that is open on one connection.
pub struct Rows {
    body_bytes_max: usize,
    streams: BTreeMap<u32, Box<Stream>>,
    held_bytes: usize,
    /// Who asks. Where we joined in the middle, the first head says it.
    asker: Option<Side>,
    /// Whether all of both sides was seen so far.
    exact: bool,
    /// The highest stream each side opened, once a head told it.
    highest: PerSide<Option<u32>>,
    over: VecDeque<u32>,
    /// Streams that were answered, but their requests not seen.
    answered: VecDeque<u32>,
    /// Streams that were reset, and when, oldest first.
    reset: VecDeque<(u32, i64)>,
    /// The error code the connection was ended with.
    error_code: Option<u32>,
    /// Whether it was said that streams were given up.
    given_up: bool,
}

impl Rows {
    /// For a connection that was seen from its first byte, or not.
    pub fn new(from_start: bool, body_bytes_max: usize) -> Self {
        let highest = from_start.then_some(0);
        Self {
            body_bytes_max,
            streams: BTreeMap::new(),
            held_bytes: 0,
            asker: from_start.then_some(Side::Client),
            exact: from_start,
            highest: PerSide { client: highest, server: highest },
            over: VecDeque::new(),
            answered: VecDeque::new(),
            reset: VecDeque::new(),
            error_code: None,
            given_up: false,
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether all of both sides was seen so far.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// No stream was opened before.
    pub fn begins(&mut self) {
        self.asker = Some(Side::Client);
        self.highest.client = Some(0);
    }

    /// The request that changed the protocol is answered on the first stream (RFC 7540 §3.2).
    pub fn upgraded(&mut self, exchange: Exchange) {
        let mut stream = Stream { exchange, upgraded: true, ..Stream::default() };
        stream.request.phase = Phase::Done;
        stream.exchange.version = Some(Version::V2);
        stream.exchange.stream_id = Some(1);
        self.highest.client = Some(1);
        self.held_bytes += stream.held_bytes();
        self.streams.insert(1, Box::new(stream));
    }

    /// A header block: the head of a message, an informational one, or trailer fields.
    pub fn block(&mut self, mut at: At, block: Block, out: &mut dyn Sink) {
        if self.asker.is_none() && block.is_head() {
            self.asked_by(if block.status.is_none() { at.from } else { at.from.other() }, out);
        }
        at.from = self.role(at.from);
        let opens = at.from == Side::Client
            && at.stream % 2 == 1
            && self.highest.client.is_some_and(|highest| at.stream > highest);
        if at.from == Side::Client && (opens || block.is_head()) {
            self.highest.client = self.highest.client.max(Some(at.stream));
        }
        let body_bytes_max = self.body_bytes_max;
        self.with(at, opens, out, |stream| {
            // An answer to what we saw asked begins with its head.
            let answers = at.from == Side::Server
                && stream.request.phase != Phase::Awaited
                && !stream.request.headless
                && !stream.response.damaged;
            let not_trailers = opens || answers || block.unknown > 0 && !at.ends;
            let awaited = stream.half(at.from).phase == Phase::Awaited;
            if awaited && (block.is_head() || not_trailers) {
                stream.head(&at, block, body_bytes_max);
            } else {
                stream.trailers(&at, block);
            }
        });
    }

    /// A request that the server makes in the client's place (RFC 9113 §8.4).
    pub fn promise(&mut self, mut at: At, mut block: Block, out: &mut dyn Sink) {
        if self.asker.is_none() {
            self.asked_by(at.from.other(), out);
        }
        at.from = self.role(at.from);
        let opens = self.highest.server.is_some_and(|highest| at.stream > highest);
        self.highest.server = self.highest.server.max(Some(at.stream));
        self.with(at, opens, out, |stream| {
            if stream.request.phase == Phase::Awaited {
                stream.request.cover(&at);
                stream.request.phase = Phase::Done;
                block.ask(&mut stream.exchange);
                stream.exchange.request = Some(Message { headers: block.rest(), ..Message::default() });
            }
        });
    }

    /// Bytes of a body, in the order they were sent.
    pub fn data(&mut self, at: At, bytes: &[u8], out: &mut dyn Sink) {
        self.body(at, out, |body| body.write(bytes));
    }

    /// Bytes of a body that were lost.
    pub fn lose(&mut self, at: At, lost_bytes: u64, out: &mut dyn Sink) {
        self.body(at, out, |body| if lost_bytes > 0 { body.lose(lost_bytes) } else { body.doubt() });
    }

    fn body(&mut self, mut at: At, out: &mut dyn Sink, take: impl FnOnce(&mut Body)) {
        at.from = self.role(at.from);
        let full = self.held_bytes > BODIES_HELD_BYTES_MAX;
        let body_bytes_max = self.body_bytes_max;
        self.with(at, false, out, |stream| {
            let half = stream.half(at.from);
            if half.phase == Phase::Awaited {
                half.headless = true;
                half.phase = Phase::Open;
                half.body = Body::new(body_bytes_max, Default::default());
            }
            if half.phase == Phase::Open {
                half.cover(&at);
                if full {
                    half.body.keep_no_more();
                }
                take(&mut half.body);
                if at.ends {
                    half.phase = Phase::Done;
                }
            }
        });
    }

    /// Has something done to a stream, and hands it on if that was its end.
    fn with(&mut self, at: At, opens: bool, out: &mut dyn Sink, act: impl FnOnce(&mut Stream)) {
        self.finish_reset(at.stamp.last_ns, out);
        if !self.streams.contains_key(&at.stream) {
            if !opens && self.is_over(at.stream) {
                return;
            }
            self.make_room(out);
        }
        let held = &mut self.held_bytes;
        let stream = self.streams.entry(at.stream).or_insert_with(|| {
            let exchange = Exchange { version: Some(Version::V2), stream_id: Some(at.stream), ..Exchange::default() };
            let stream = Stream { exchange, ..Stream::default() };
            *held += stream.held_bytes();
            Box::new(stream)
        });
        let before = stream.held_bytes();
        act(stream);
        *held = *held + stream.held_bytes() - before;
        if stream.is_over() {
            self.finish(at.stream, None, out);
        } else if (stream.request.phase, stream.response.phase) == (Phase::Awaited, Phase::Done) {
            self.answer(at.stream, out);
        }
    }

    /// What was asked may still come: captures disorder packets, and where order was lost more of them are needed.
    fn answer(&mut self, stream: u32, out: &mut dyn Sink) {
        self.answered.push_back(stream);
        if self.answered.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered.pop_front()
            && self.streams.get(&oldest).is_some_and(|stream| stream.request.phase == Phase::Awaited)
        {
            self.finish(oldest, None, out);
        }
    }

    /// RST_STREAM (RFC 9113 §6.4). What the other side sent before it knew is still to come (§5.1).
    pub fn reset(&mut self, from: Side, stream: u32, code: u32, now_ns: i64, out: &mut dyn Sink) {
        let from = self.role(from);
        let Some(open) = self.streams.get_mut(&stream) else { return self.ended(stream) };
        let again = open.reset.is_some();
        open.reset.get_or_insert((from, code));
        if again || open.is_over() {
            return self.finish(stream, None, out);
        }
        self.reset.push_back((stream, now_ns));
        self.finish_reset(now_ns, out);
    }

    /// Hands on streams that were reset long ago, or are too many.
    fn finish_reset(&mut self, now_ns: i64, out: &mut dyn Sink) {
        while let Some(&(oldest, at_ns)) = self.reset.front()
            && (self.reset.len() > RESET_MAX || now_ns.saturating_sub(at_ns) > RESET_NS)
        {
            self.reset.pop_front();
            self.finish(oldest, None, out);
        }
    }

    /// GOAWAY: streams of the other side past the last one will not be processed (RFC 9113 §6.8).
    pub fn goaway(&mut self, from: Side, last: u32, code: u32, out: &mut dyn Sink) {
        let parity = if self.role(from) == Side::Server { 1 } else { 0 };
        let refused = |stream: &&u32| **stream > last && **stream % 2 == parity;
        let refused: Vec<u32> = self.streams.keys().filter(refused).copied().collect();
        refused.into_iter().for_each(|stream| self.finish(stream, Some(EndReason::ErrorCode(code)), out));
        if code != 0 {
            self.error_code = Some(code);
        }
    }

    /// Says that frames of that side are missing, and of which streams is not known.
    pub fn missing(&mut self, from: Side) {
        let from = self.role(from);
        self.exact = false;
        self.highest[from] = None;
        for stream in self.streams.values_mut() {
            let half = stream.half(from);
            if half.phase != Phase::Done {
                half.damaged = true;
                half.unsure = true;
                half.body.doubt();
            }
        }
    }

    /// Says that a frame of that stream is missing.
    pub fn doubt(&mut self, from: Side, stream: u32) {
        let from = self.role(from);
        if let Some(stream) = self.streams.get_mut(&stream) {
            let half = stream.half(from);
            half.damaged |= half.phase != Phase::Done;
        }
    }

    /// Nothing more comes: what is open becomes rows.
    ///
    /// A stream that was answered in full is not open for want of a request we did not see.
    pub fn end(&mut self, reason: EndReason, out: &mut dyn Sink) {
        let cut = reason.is_cut();
        let reason = self.error_code.map_or(reason, EndReason::ErrorCode);
        while let Some((&stream, _)) = self.streams.first_key_value() {
            let answered = |open: &Stream| open.request.phase == Phase::Awaited && open.response.phase == Phase::Done;
            let whole = self.streams.get(&stream).is_some_and(|open| answered(open));
            self.hand_on(stream, (!whole).then_some(reason), cut && !whole, out);
        }
        self.answered.clear();
    }

    fn role(&self, from: Side) -> Side {
        if self.asker == Some(Side::Server) { from.other() } else { from }
    }

    /// Until now the client was taken for who asks.
    fn asked_by(&mut self, asker: Side, out: &mut dyn Sink) {
        self.asker = Some(asker);
        out.asked_by(asker);
        if asker == Side::Server {
            for stream in self.streams.values_mut() {
                std::mem::swap(&mut stream.request, &mut stream.response);
            }
        }
    }

    fn is_over(&self, stream: u32) -> bool {
        let side = if stream % 2 == 1 { Side::Client } else { Side::Server };
        let seen = self.exact && self.highest[side].is_some_and(|highest| stream <= highest);
        seen || self.over.contains(&stream)
    }

    fn make_room(&mut self, out: &mut dyn Sink) {
        while (self.streams.len() >= STREAMS_MAX || self.held_bytes > HELD_BYTES_MAX)
            && let Some((&oldest, _)) = self.streams.first_key_value()
        {
            if !std::mem::replace(&mut self.given_up, true) {
                out.anomaly(0..0, Anomaly::new("http2_too_many_streams"));
            }
            self.finish(oldest, None, out);
        }
    }

    fn ended(&mut self, stream: u32) {
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(stream);
    }

    fn finish(&mut self, stream: u32, reason: Option<EndReason>, out: &mut dyn Sink) {
        self.hand_on(stream, reason, false, out);
    }

    /// `cut` says that the input ended before the connection did.
    fn hand_on(&mut self, stream: u32, reason: Option<EndReason>, cut: bool, out: &mut dyn Sink) {
        let Some(open) = self.streams.remove(&stream) else { return };
        self.held_bytes -= open.held_bytes();
        self.ended(stream);
        let reason = open.reset.map(|(_, code)| EndReason::ErrorCode(code)).or(reason);
        open.hand_on(reason, cut, out);
    }
}

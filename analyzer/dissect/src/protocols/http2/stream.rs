//! One stream: a request, its response, and what is known of either (RFC 9113 §8.1).

use super::head::Block;
use crate::protocols::http::{Body, EndReason, Exchange, Fields, Message, is_text};
use crate::protocols::{Call, Pair, Side, Sink, Stamp};

/// Informational statuses kept for one response (RFC 9110 §15.2).
const INTERIM_MAX: usize = 32;

/// Where something of a stream was seen.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Who sent it.
    pub from: Side,
    /// Its stream.
    pub stream: u32,
    /// Its bytes.
    pub stamp: Stamp,
    /// Whether the sender ends the stream with it.
    pub ends: bool,
    /// Whether a gap took a part of it, or of what is needed to understand it.
    pub damaged: bool,
}

/// How far a message came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it was seen.
    #[default]
    Awaited,
    /// It began.
    Open,
    /// It ended.
    Done,
}

/// One side's message.
#[derive(Default)]
pub struct Half {
    /// How far it came.
    pub phase: Phase,
    /// All of its bytes.
    pub stamp: Option<Stamp>,
    /// Its body.
    pub body: Body,
    trailers: Fields,
    /// Whether a gap touched it, or may have.
    pub damaged: bool,
    /// Whether frames are missing of which it may have been.
    pub unsure: bool,
    /// Whether its codings may be among fields that are not known.
    codings_unknown: bool,
    /// Whether it was joined in the middle.
    pub headless: bool,
}

impl Half {
    /// Adds what was seen of it.
    pub fn cover(&mut self, at: &At) {
        self.damaged |= at.damaged;
        match &mut self.stamp {
            Some(stamp) => stamp.extend(at.stamp),
            None => self.stamp = Some(at.stamp),
        }
    }

    /// Whether it ended, or its end may be among frames that are missing.
    fn may_be_over(&self) -> bool {
        self.phase == Phase::Done || self.phase == Phase::Open && self.unsure
    }

    fn held_bytes(&self) -> usize {
        self.body.held_bytes() + self.trailers.held_bytes()
    }
}

/// A stream that is open.
#[derive(Default)]
pub struct Stream {
    /// The row it becomes.
    pub exchange: Exchange,
    /// The request.
    pub request: Half,
    /// The response.
    pub response: Half,
    /// Whether its request was one of HTTP/1.1, which has a row of its own.
    pub upgraded: bool,
    /// Who reset it, and the error code.
    pub reset: Option<(Side, u32)>,
}

impl Stream {
    /// The half that side sends.
    pub fn half(&mut self, from: Side) -> &mut Half {
        if from == Side::Client { &mut self.request } else { &mut self.response }
    }

    /// Whether nothing more of it is awaited.
    pub fn is_over(&self) -> bool {
        match self.reset {
            Some((Side::Client, _)) => self.response.phase == Phase::Done,
            Some((Side::Server, _)) => self.request.phase == Phase::Done,
            None => self.response.phase == Phase::Done && self.request.may_be_over(),
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.exchange.held_bytes() + self.request.held_bytes() + self.response.held_bytes()
    }

    /// The head of a message, or of an informational response.
    pub fn head(&mut self, at: &At, mut block: Block, body_bytes_max: usize) {
        let interim = block.status.filter(|status| (100..200).contains(status) && !at.ends);
        if let Some(status) = interim.filter(|_| at.from == Side::Server) {
            if self.exchange.interim_statuses.len() < INTERIM_MAX {
                self.exchange.interim_statuses.push(status);
            }
            return;
        }
        let half = self.half(at.from);
        half.cover(at);
        half.phase = if at.ends { Phase::Done } else { Phase::Open };
        half.body = Body::of(&block.fields, body_bytes_max, block.codings);
        half.codings_unknown = block.codings.is_empty() && (block.unknown > 0 || block.short);
        if at.from == Side::Client {
            block.ask(&mut self.exchange);
        } else {
            self.exchange.status = block.status.take();
        }
        let message = Some(Message { headers: block.rest(), ..Message::default() });
        *(if at.from == Side::Client { &mut self.exchange.request } else { &mut self.exchange.response }) = message;
    }

    /// Trailer fields, which end a message.
    pub fn trailers(&mut self, at: &At, block: Block) {
        let half = self.half(at.from);
        if half.phase == Phase::Done {
            return;
        }
        half.headless |= half.phase == Phase::Awaited;
        half.cover(at);
        half.trailers = block.rest();
        half.phase = if at.ends { Phase::Done } else { Phase::Open };
    }

    /// Becomes a row; `reason` says what ended it, where not its own end; `cut`, that the input did.
    pub fn hand_on(mut self: Box<Self>, reason: Option<EndReason>, cut: bool, out: &mut dyn Sink) {
        let open_after_gap =
            [&self.request, &self.response].iter().any(|half| half.damaged && half.phase != Phase::Done);
        let exchange = &mut self.exchange;
        exchange.end_reason = match reason {
            Some(EndReason::ErrorCode(_)) | None => reason,
            Some(_) if open_after_gap => Some(EndReason::Gap),
            Some(_) => reason,
        };
        let halves = [
            ("request", &mut self.request, &mut exchange.request),
            ("response", &mut self.response, &mut exchange.response),
        ];
        for (name, half, message) in halves {
            if half.stamp.is_none() {
                continue;
            }
            let message = message.get_or_insert_default();
            if half.headless && message.headers.is_empty() {
                message.headers.push_unknown(None);
            }
            let whole = half.phase == Phase::Done && !half.damaged;
            let note = message.fill(std::mem::take(&mut half.body).end(whole), std::mem::take(&mut half.trailers));
            let has_body = message.body_bytes > 0;
            // How much came before is not known.
            message.doubtful |= half.headless;
            // gRPC codes its messages, not the body; and what is text is not coded.
            let unknown = half.headless || half.codings_unknown && message.grpc.is_none();
            let coded = unknown && !is_text(&message.body);
            if coded {
                message.body.clear();
            }
            let ours = [
                (half.headless && has_body).then_some("its begin was not seen"),
                coded.then_some("not kept, for its codings are not known"),
                half.unsure.then_some("a gap may have taken more of it"),
            ];
            for note in note.into_iter().chain(ours.into_iter().flatten().map(str::to_owned)) {
                let before = exchange.body_note.take().map_or_else(String::new, |before| before + "; ");
                exchange.body_note = Some(format!("{before}{name} body: {note}"));
            }
            if let Some(stamp) = &mut half.stamp {
                stamp.damaged |= half.damaged;
            }
        }
        let mut call = Call::new(self.request.stamp, self.response.stamp);
        if self.upgraded && self.response.stamp.is_some() {
            call.pair = Pair::Complete;
        }
        // What a side sent before it knew of a reset is not known to its end.
        let began = self.request.phase == Phase::Open || self.response.phase == Phase::Open;
        let cut = cut && began || exchange.end_reason.is_some_and(EndReason::is_cut);
        let refused = self.reset.is_some_and(|(by, _)| by == Side::Server);
        for (half, stamp) in [(&self.request, &mut call.request), (&self.response, &mut call.response)] {
            if let Some(stamp) = stamp {
                stamp.begin_unseen |= half.headless;
                stamp.end_unseen |= half.phase != Phase::Done && (half.unsure || cut || refused);
            }
        }
        if cut || self.request.headless || self.response.headless {
            call = call.cut();
        }
        exchange.hand_on(&call, out);
    }
}

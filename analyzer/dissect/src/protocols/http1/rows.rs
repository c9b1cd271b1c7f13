//! Requests wait here for their responses.
//!
//! HTTP/1 pairs by order alone (RFC 9112 §9.3.2). While both sides were seen from their first byte and nothing
//! was lost, the n-th final response answers the n-th request, whatever the times say. Otherwise an unknown
//! number of messages is missing somewhere, and order needs help:
//!
//! * A response never begins before its request did.
//! * Requests from before a loss are answered first, in order, as long as no response was lost.
//! * Where messages may be missing between the two, the response goes to the newest request sent before it, for
//!   clients that wait for each response have no older one open; the pair is marked damaged if the loss was a
//!   gap. But once the connection was seen to pipeline, nothing is paired from there on: both halves become rows
//!   of their own. So does a response where both a request behind the newest one and a response may be missing.
//!
//! So a wrong pair needs a client that pipelines and was never seen to, and it says that it is damaged.

use super::head::Asked;
use super::open::{Answer, Answered, Done, Missing, Open};
use super::wire::Kind;
use crate::protocols::http::{EndReason, Exchange, Message, Version};
use crate::protocols::{Anomaly, Sink, Stamp};
use std::collections::VecDeque;

/// Requests that may wait on one connection, and responses for their requests. The deepest pipelines of load
/// generators have some dozens; the oldest is handed on alone past that, and its response too.
pub const WAITING_MAX: usize = 128;

/// Responses to come for requests that were handed on, a byte each. Past that order is lost: only one side is seen.
pub const OWED_MAX: usize = 4 << 10;

/// Informational statuses kept for one response: a server may send as many as it likes (RFC 9110 §15.2).
pub const INTERIM_MAX: usize = 32;

/// All that is open on one connection.
pub struct Rows {
    /// Requests in order. Only the last may be unfinished, only the first may be being answered.
    waiting: VecDeque<Box<Open>>,
    /// The response that is being read, if its request is not known.
    lone: Option<Box<Open>>,
    /// Whole responses whose requests are still to come: captures disorder packets.
    early: VecDeque<Box<Open>>,
    /// Memory of all of these.
    open_bytes: usize,
    /// What was asked in requests that were handed on before those that wait, and have no response yet.
    owed: VecDeque<Asked>,
    /// Whether it was said that requests are handed on so.
    overfull: bool,
    interim: Vec<u16>,
    /// Whether order alone pairs.
    exact: bool,
    /// Whether requests before the next one, or responses before the next one, may be missing.
    requests_missing: Option<Missing>,
    responses_missing: Option<Missing>,
    /// Whether a request was sent before the response to the one before had ended, or with the one before.
    pipelines: bool,
    /// Whether it was said that nothing can be paired any more.
    order_lost: bool,
    /// The request that asked for HTTP/2, if it was granted: it is answered there (RFC 7540 §3.2). Of WebSocket, the
    /// heads of both sides, which say what it is for.
    pub carried: Option<Box<Exchange>>,
}

impl Rows {
    /// For a connection that was seen from its first byte, or not.
    pub fn new(from_start: bool) -> Self {
        let missing = (!from_start).then_some(Missing::Unseen);
        Self {
            waiting: VecDeque::new(),
            lone: None,
            early: VecDeque::new(),
            open_bytes: 0,
            owed: VecDeque::new(),
            overfull: false,
            interim: Vec::new(),
            exact: from_start,
            requests_missing: missing,
            responses_missing: missing,
            pipelines: false,
            order_lost: false,
            carried: None,
        }
    }

    /// The head of a request. Says whether its response was there before it.
    pub fn request(&mut self, stamp: Stamp, exchange: Exchange, asked: Asked, out: &mut dyn Sink) -> bool {
        if self.waiting.len() >= WAITING_MAX {
            self.give_up_oldest(out);
        }
        // Nobody has an answer before the packet is over that brought the question.
        self.pipelines |= self.waiting.back().is_some_and(|before| before.ends_at_or_behind(stamp.first_ns));
        let mut open = Box::new(Open { exchange, asked, request: Some(stamp), ..Open::default() });
        open.after = self.requests_missing.take();
        let early = self.early.pop_front();
        let answered = early.is_some();
        if let Some(early) = early {
            self.open_bytes -= early.counted_bytes;
            let answer = early.exchange;
            open.exchange.status = answer.status;
            open.exchange.reason = answer.reason;
            open.exchange.response = answer.response;
            open.exchange.interim_statuses = answer.interim_statuses;
            open.exchange.body_note = answer.body_note;
            open.exchange.end_reason = answer.end_reason;
            (open.response, open.cut, open.answer) = (early.response, early.cut, Answer::Done);
        }
        open.count(&mut self.open_bytes);
        self.waiting.push_back(open);
        answered
    }

    /// The end of the request that began last.
    pub fn request_done(&mut self, done: Done, out: &mut dyn Sink) {
        let Some(open) = self.waiting.back_mut() else { return };
        open.request = Some(done.stamp);
        open.request_done = true;
        let message = open.exchange.request.get_or_insert_default();
        let note = message.fill(done.body, done.trailers);
        let grew = !message.body.is_empty()
            || !message.trailers.is_empty()
            || message.beyond.is_some()
            || message.grpc.is_some();
        open.end(done.reason, note, "request");
        if open.answer == Answer::Done {
            let done = self.waiting.pop_back();
            self.hand_on(done, out);
        } else if grew {
            open.count(&mut self.open_bytes);
        }
    }

    /// An informational response (RFC 9110 §15.2).
    pub fn interim(&mut self, status: u16) {
        if self.interim.len() < INTERIM_MAX {
            self.interim.push(status);
        }
    }

    /// The head of a final response. Says what was asked.
    pub fn response(&mut self, stamp: Stamp, answer: Answered<'_>, out: &mut dyn Sink) -> Asked {
        let interim = std::mem::take(&mut self.interim);
        let owed = self.owed.pop_front();
        let found = if owed.is_some() { None } else { self.find(stamp.first_ns, out) };
        let open = match found.and_then(|at| self.waiting.get_mut(at)) {
            Some(open) => open,
            None => {
                let lone = Open { asked: owed.unwrap_or_default(), request_done: true, ..Open::default() };
                self.lone.insert(Box::new(lone))
            }
        };
        open.answer = Answer::Begun;
        open.response = Some(stamp);
        let exchange = &mut open.exchange;
        exchange.status = Some(answer.status);
        exchange.reason = (!answer.reason.is_empty()).then(|| answer.reason.to_vec());
        exchange.response = Some(Message { headers: answer.fields, ..Message::default() });
        exchange.interim_statuses = interim;
        open.count(&mut self.open_bytes);
        open.asked
    }

    /// Whether the request that began last had its final response, or may have had it, and was not told to send on.
    pub fn may_be_refused(&self) -> bool {
        self.waiting.back().is_some_and(|open| match open.answer {
            Answer::Awaited => open.response_lost,
            Answer::Begun | Answer::Done => !open.exchange.interim_statuses.contains(&100),
        })
    }

    /// Whether the next response answers a request of HTTP/0.9.
    pub fn awaits_simple(&self) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|open| open.answer == Answer::Awaited && open.exchange.version == Some(Version::V09))
    }

    /// The begin of a response that has no head.
    pub fn simple_response(&mut self, stamp: Stamp) {
        if let Some(open) = self.waiting.front_mut() {
            open.answer = Answer::Begun;
            open.response = Some(stamp);
            open.exchange.response = Some(Message::default());
        }
    }

    /// The end of the response that began last.
    pub fn response_done(&mut self, done: Done, out: &mut dyn Sink) {
        let stamp = done.stamp;
        if let Some(mut lone) = self.lone.take() {
            lone.answered(done);
            // Its request was handed on.
            if lone.asked != Asked::Unknown {
                return self.hand_on(Some(lone), out);
            }
            if self.exact {
                lone.count(&mut self.open_bytes);
            }
            self.early.push_back(lone);
            if !self.exact || self.early.len() > WAITING_MAX {
                let first = self.early.pop_front();
                self.hand_on(first, out);
            }
            return;
        }
        let Some(open) = self.waiting.front_mut() else { return };
        if done.reason == Some(EndReason::Upgraded) {
            self.carried = open.carried();
        }
        open.answered(done);
        if open.request_done {
            let done = self.waiting.pop_front();
            self.hand_on(done, out);
        } else {
            open.count(&mut self.open_bytes);
        }
        let next = self.waiting.iter().find(|open| open.answer == Answer::Awaited);
        self.pipelines |= next.is_some_and(|open| open.sent_before(stamp.last_ns));
    }

    /// Says that messages may be missing before the next one of that kind.
    pub fn missing(&mut self, kind: Kind, why: Missing, out: &mut dyn Sink) {
        self.exact = false;
        match kind {
            Kind::Request => self.requests_missing = self.requests_missing.max(Some(why)),
            Kind::Response => {
                self.responses_missing = self.responses_missing.max(Some(why));
                self.waiting.iter_mut().for_each(|open| open.response_lost |= why == Missing::Lost);
                self.interim.clear();
                self.give_up_owed();
            }
        }
        self.hand_on_early(out);
    }

    /// Nothing more comes: what is open becomes rows.
    pub fn end(&mut self, reason: EndReason, out: &mut dyn Sink) {
        self.hand_on_early(out);
        while let Some(mut open) = self.waiting.pop_front() {
            open.exchange.interim_statuses.append(&mut self.interim);
            let awaited = open.answer == Answer::Awaited;
            match () {
                () if awaited && open.response_lost => open.unanswered(Some(Missing::Lost)),
                // Its response may be one of those that were handed on.
                () if awaited && self.order_lost => open.unanswered(None),
                () => open.end(Some(reason), None, ""),
            }
            self.hand_on(Some(open), out);
        }
        self.interim.clear();
        (self.waiting, self.early, self.owed) = Default::default();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let places = (self.waiting.capacity() + self.early.capacity()) * size_of::<Box<Open>>();
        self.open_bytes + places + self.owed.capacity() + size_of_val(self.interim.as_slice())
    }

    /// Has what is done, or will never be, become a row.
    fn hand_on(&mut self, open: Option<Box<Open>>, out: &mut dyn Sink) {
        if let Some(open) = open {
            self.open_bytes -= open.counted_bytes;
            open.hand_on(out);
        }
    }

    fn hand_on_early(&mut self, out: &mut dyn Sink) {
        while let Some(open) = self.early.pop_front() {
            self.hand_on(Some(open), out);
        }
    }

    /// Place of the request that a response which began at `first_ns` answers.
    fn find(&mut self, first_ns: i64, out: &mut dyn Sink) -> Option<usize> {
        let first = self.waiting.iter().position(|open| open.answer == Answer::Awaited)?;
        if self.exact {
            return Some(first);
        }
        let awaited = self.waiting.iter().skip(first);
        let due = awaited.take_while(|open| open.sent_before(first_ns)).count();
        let before = self.waiting.get(first)?.after;
        let unsure = before.max(self.responses_missing.filter(|_| due > 1));
        // With all responses seen, two requests without one are a pipeline.
        self.pipelines |= due > 1 && self.responses_missing.is_none();
        // A request that was lost may be what it answers, and its own response the one that was lost.
        let both_missing = self.requests_missing.is_some() && self.responses_missing.is_some();
        if due == 0 || both_missing {
            return None;
        }
        if unsure.is_some() && self.pipelines {
            if !std::mem::replace(&mut self.order_lost, true) {
                out.anomaly(0..0, Anomaly::new("http1_order_lost"));
            }
            return None;
        }
        self.responses_missing = None;
        if let Some(why) = unsure {
            for _ in 1..due {
                let mut older = self.waiting.remove(first)?;
                older.unanswered(Some(why));
                self.hand_on(Some(older), out);
            }
            self.waiting.get_mut(first)?.doubtful = why == Missing::Lost;
        }
        Some(first)
    }

    /// Makes room: what was asked first and is not being answered is handed on.
    fn give_up_oldest(&mut self, out: &mut dyn Sink) {
        if !std::mem::replace(&mut self.overfull, true) {
            out.anomaly(0..0, Anomaly::new("http1_too_many_waiting"));
        }
        let first = self.waiting.iter().position(|open| open.answer == Answer::Awaited);
        let Some(open) = first.and_then(|first| self.waiting.remove(first)) else { return };
        self.pipelines = true;
        self.owed.push_back(open.asked);
        // Where a response may be missing before its own, or a request before it, order does not tell its own.
        if open.after.is_some() || self.responses_missing.is_some() || self.owed.len() > OWED_MAX {
            self.give_up_owed();
        }
        self.hand_on(Some(open), out);
    }

    /// Which responses are to requests that were handed on is not known any more, nor which is the next one's.
    fn give_up_owed(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        self.owed.clear();
        self.exact = false;
        if let Some(open) = self.waiting.iter_mut().find(|open| open.answer == Answer::Awaited) {
            open.after = open.after.max(Some(Missing::Unseen));
        }
    }
}

//! Requests wait here for their responses: matched by correlation id.

use super::body::{Body, TopicNames, add_topic};
use super::{Exchange, schema};
use crate::protocols::{Call, Row, Sink, Stamp};
use std::collections::VecDeque;

/// Requests that may wait on one connection; the oldest is handed on unanswered past that. Clients have at most
/// a handful under way.
const WAITING_MAX: usize = 1024;

/// Bytes of texts the waiting requests may hold: of a connection that is never answered.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Requests there stays room for once none waits.
const WAITING_KEPT: usize = 8;

/// A request, as far as its header says.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it is; it grows while the request passes.
    pub stamp: Stamp,
    /// What was asked so far.
    pub exchange: Exchange,
    /// Whether a part of it, or the response, may have been lost.
    pub lost: bool,
    /// Whether its body was read to its end.
    pub whole: bool,
}

impl Asked {
    /// Key and version.
    pub fn api(&self) -> (i16, i16) {
        self.exchange.api.unwrap_or_default()
    }

    /// Memory it holds.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.exchange.held_bytes()
    }
}

/// The calls of one connection.
#[derive(Default)]
pub struct Rows {
    waiting: VecDeque<Asked>,
    waiting_bytes: usize,
    /// Names of the topics seen so far.
    pub names: TopicNames,
    /// Whether requests may have been lost.
    pub requests_lost: bool,
    /// Whether the connection authenticates with bare tokens: after a handshake of version 0 (KIP-43).
    pub bare_tokens: bool,
}

impl Rows {
    /// A request is over.
    pub fn request(&mut self, mut asked: Asked, (body, whole): (Body, bool), bytes: u64, out: &mut dyn Sink) {
        let exchange = &mut asked.exchange;
        asked.whole = whole;
        exchange.request_bytes = Some(bytes);
        exchange.records = body.records.filter(|_| whole);
        let unanswered = exchange.api.is_some_and(|(key, _)| key == schema::PRODUCE) && body.acks == Some(0);
        take_over(exchange, body, whole, false);
        // A request names those it is about, but where it asks for all, and in a session of Fetch (KIP-227).
        let named = !exchange.topics.is_empty() && exchange.api.is_some_and(|(key, _)| key != schema::FETCH);
        exchange.topics_known = whole && named;
        if unanswered {
            let call = Call::new(Some(asked.stamp), None);
            out.row(&if asked.lost { call.cut() } else { call }, Row::Kafka(&asked.exchange));
            return;
        }
        self.waiting_bytes += asked.held_bytes();
        self.waiting.push_back(asked);
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.give_up_oldest(false, out);
        }
    }

    /// The request of that correlation id, which waits no more.
    pub fn take(&mut self, correlation_id: i32) -> Option<Asked> {
        let at = self.waiting.iter().position(|asked| asked.exchange.correlation_id == correlation_id)?;
        let asked = self.waiting.remove(at)?;
        self.waiting_bytes -= asked.held_bytes();
        if self.waiting.is_empty() {
            // What many requests took is not kept for those that wait for each response.
            self.waiting.shrink_to(WAITING_KEPT);
        }
        Some(asked)
    }

    /// What was asked with that correlation id.
    pub fn asked(&self, correlation_id: i32) -> Option<(i16, i16)> {
        self.waiting.iter().find(|asked| asked.exchange.correlation_id == correlation_id).map(Asked::api)
    }

    /// A response is over.
    pub fn response(
        &mut self,
        (asked, correlation_id): (Option<Asked>, i32),
        mut call: Call,
        (body, whole): (Body, bool),
        bytes: u64,
        out: &mut dyn Sink,
    ) {
        // The request may be what was lost.
        if let (None, Some(stamp)) = (&asked, &mut call.response) {
            stamp.damaged |= self.requests_lost;
        }
        let asked_whole = asked.as_ref().is_some_and(|asked| asked.whole);
        let unknown = Exchange { correlation_id, ..Exchange::default() };
        let mut exchange = asked.map_or(unknown, |asked| asked.exchange);
        exchange.response_bytes = Some(bytes);
        // Of what was not read to its end, neither the number of records is known nor that there was no error.
        exchange.records = exchange.records.or(body.records.filter(|_| whole));
        exchange.error_code = body.error_code.filter(|&code| whole || code != 0);
        if exchange.api == Some((schema::SASL_HANDSHAKE, 0)) && body.error_code == Some(0) {
            self.bare_tokens = true;
        }
        exchange.topics_known |= asked_whole && whole;
        take_over(&mut exchange, body, whole, true);
        out.row(&call, Row::Kafka(&exchange));
    }

    /// Responses were lost: to requests that wait now there may have been one.
    pub fn responses_lost(&mut self) {
        self.waiting.iter_mut().for_each(|asked| asked.lost = true);
    }

    /// Nothing more comes; `cut` says that the input ended before the connection did.
    pub fn end(&mut self, cut: bool, out: &mut dyn Sink) {
        while !self.waiting.is_empty() {
            self.give_up_oldest(cut, out);
        }
        self.waiting = VecDeque::new();
        self.names.clear();
    }

    /// Memory of what waits and is remembered.
    pub fn held_bytes(&self) -> usize {
        let places = self.waiting.capacity() - self.waiting.len();
        self.waiting_bytes + places * size_of::<Asked>() + self.names.held_bytes()
    }

    fn give_up_oldest(&mut self, cut: bool, out: &mut dyn Sink) {
        let Some(asked) = self.waiting.pop_front() else { return };
        self.waiting_bytes -= asked.held_bytes();
        let call = Call::new(Some(asked.stamp), None);
        out.row(&if cut || asked.lost { call.cut() } else { call }, Row::Kafka(&asked.exchange));
    }
}

/// Moves what was gathered of a body into the row.
fn take_over(exchange: &mut Exchange, mut body: Body, whole: bool, response: bool) {
    let mut topic_bytes = exchange.topics.iter().map(String::len).sum();
    body.topics.drain(..).for_each(|topic| add_topic(&mut exchange.topics, &mut topic_bytes, &topic));
    exchange.group_id = exchange.group_id.take().or(body.group_id.take());
    let json = body.json(whole);
    if response { exchange.response = json } else { exchange.request = json }
}

//! Queries wait here for their answers: matched by id and question (RFC 5452 §9.1). The zone that a transfer asks for
//! comes in many messages, of which the first one alone need say what was asked (RFC 5936 §2.2, RFC 1995 §4).

use super::wire::{self, Message, Question};
use super::{Exchange, registry};
use crate::protocols::{Anomaly, Call, Row, Side, Sink, Stamp};
use std::collections::VecDeque;
use std::ops::Range;

/// Queries that may wait in one conversation; the oldest is handed on unanswered past that.
const WAITING_MAX: usize = 1024;

/// Bytes their messages may hold, besides one: queries are small, but zone updates and crafted ones.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Questions of a message that are named in an anomaly; it says how many more there are.
const QUESTIONS_TOLD_MAX: usize = 8;

/// Transfers whose questions are remembered; a server sends one or two of a connection at a time.
const TRANSFERS_MAX: usize = 16;

struct Waiting {
    stamp: Stamp,
    message: Message,
    bytes: u64,
    repeats: u32,
}

/// The calls of one conversation.
pub struct Rows {
    transport: &'static str,
    waiting: VecDeque<Waiting>,
    /// What their messages hold.
    waiting_bytes: usize,
    /// Ids of transfers, and what they asked for; the latest stands last.
    transfers: VecDeque<(u16, Question)>,
    ended: [bool; 2],
}

impl Rows {
    /// Nothing asked yet.
    pub fn new(transport: &'static str) -> Self {
        Self { transport, waiting: VecDeque::new(), waiting_bytes: 0, transfers: VecDeque::new(), ended: [false; 2] }
    }

    /// Takes a message in, of which `cut_bytes` are missing behind `bytes`; false where it is none.
    pub fn message(&mut self, _: Side, span: Range<usize>, bytes: &[u8], cut_bytes: u64, out: &mut dyn Sink) -> bool {
        let cut = cut_bytes > 0;
        let message = match wire::message(bytes) {
            Ok(message)
                if cut
                    || message.malformed.is_none()
                    || !message.questions.is_empty()
                    || !message.sections[0].is_empty() =>
            {
                message
            }
            Ok(Message { malformed: Some(why), .. }) | Err(why) => {
                out.anomaly(span, Anomaly::with("dns_malformed", why.0));
                return false;
            }
            Ok(message) => message,
        };
        let stamp = out.stamp(span.clone());
        if cut {
            out.anomaly(span.clone(), Anomaly::with("dns_cut", format!("{cut_bytes} bytes were not captured")));
        } else if let Some(why) = message.malformed {
            out.anomaly(span.clone(), Anomaly::with("dns_malformed", why.0));
        }
        let length = bytes.len() as u64 + cut_bytes;
        if message.trailing_bytes > 0 {
            out.anomaly(
                span.clone(),
                Anomaly::with("dns_trailing_bytes", format!("{} bytes behind the last record", message.trailing_bytes)),
            );
        }
        if message.questions.len() > 1 {
            let told = message.questions.iter().take(QUESTIONS_TOLD_MAX);
            let mut asked: Vec<_> =
                told.map(|question| format!("{} {}", question.name, registry::record_type(question.kind))).collect();
            let more = message.questions.len() - asked.len();
            asked.extend((more > 0).then(|| format!("{more} more")));
            out.anomaly(span, Anomaly::with("dns_several_questions", asked.join(", ")));
        }
        if message.header.is_response() {
            self.answer(stamp, message, length, out);
        } else {
            self.query(stamp, message, length, out);
        }
        true
    }

    fn query(&mut self, stamp: Stamp, message: Message, bytes: u64, out: &mut dyn Sink) {
        if self.transport == "mdns" {
            // Answers come from others, and to all (RFC 6762 §6).
            self.hand_on(Some((stamp, message, bytes)), None, 0, out);
            return;
        }
        if let Some(same) = self.waiting.iter_mut().find(|waiting| same_question(&waiting.message, &message)) {
            same.repeats += 1;
            // Captures disorder packets: the first by its time is what was asked.
            if stamp.first_ns < same.stamp.first_ns {
                self.waiting_bytes = self.waiting_bytes - same.message.held_bytes() + message.held_bytes();
                (same.stamp, same.message, same.bytes) = (stamp, message, bytes);
            }
            return;
        }
        self.waiting_bytes += message.held_bytes();
        self.waiting.push_back(Waiting { stamp, message, bytes, repeats: 0 });
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX && self.waiting.len() > 1 {
            self.give_up_oldest(out);
        }
    }

    fn answer(&mut self, stamp: Stamp, mut message: Message, bytes: u64, out: &mut dyn Sink) {
        let asked = self.waiting.iter().position(|waiting| same_question(&waiting.message, &message));
        let query = asked.and_then(|at| self.take(at));
        let question = query.as_ref().map_or(&message, |query| &query.message).questions.first();
        match question {
            Some(question) if registry::is_transfer(question.kind) => {
                self.remember(message.header.id, question.clone())
            }
            Some(_) => {}
            None => message.questions.extend(self.transfer(message.header.id).cloned()),
        }
        let repeats = query.as_ref().map_or(0, |query| query.repeats);
        let query = query.map(|query| (query.stamp, query.message, query.bytes));
        self.hand_on(query, Some((stamp, message, bytes)), repeats, out);
    }

    fn transfer(&self, id: u16) -> Option<&Question> {
        self.transfers.iter().find(|(known, _)| *known == id).map(|(_, question)| question)
    }

    fn remember(&mut self, id: u16, question: Question) {
        self.transfers.retain(|(known, _)| *known != id);
        self.transfers.push_back((id, question));
        if self.transfers.len() > TRANSFERS_MAX {
            self.transfers.pop_front();
        }
    }

    /// One of the sides ended; over TCP answers may still come from the other.
    pub fn end_side(&mut self, side: Side, out: &mut dyn Sink) {
        self.ended[usize::from(side == Side::Server)] = true;
        if self.ended == [true; 2] {
            self.end(out);
        }
    }

    /// Nothing more comes.
    pub fn end(&mut self, out: &mut dyn Sink) {
        while !self.waiting.is_empty() {
            self.give_up_oldest(out);
        }
        self.transfers.clear();
    }

    /// Memory of the queries that wait, and of transfers.
    pub fn held_bytes(&self) -> usize {
        let transfers =
            self.transfers.iter().map(|(_, question)| size_of_val(question) + question.name.len()).sum::<usize>();
        self.waiting.capacity() * size_of::<Waiting>() + self.waiting_bytes + transfers
    }

    /// A query that does not wait any more.
    fn take(&mut self, at: usize) -> Option<Waiting> {
        let query = self.waiting.remove(at)?;
        self.waiting_bytes -= query.message.held_bytes();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(query)
    }

    fn give_up_oldest(&mut self, out: &mut dyn Sink) {
        if let Some(Waiting { stamp, message, bytes, repeats }) = self.take(0) {
            self.hand_on(Some((stamp, message, bytes)), None, repeats, out);
        }
    }

    fn hand_on(
        &self,
        query: Option<(Stamp, Message, u64)>,
        answer: Option<(Stamp, Message, u64)>,
        repeats: u32,
        out: &mut dyn Sink,
    ) {
        let call = Call::new(query.as_ref().map(|(stamp, ..)| *stamp), answer.as_ref().map(|(stamp, ..)| *stamp));
        // Both ends of a conversation may ask: servers each other, and of a group whoever speaks.
        let asker = call.request.map(|query| query.side).or(call.response.map(|answer| answer.side.other()));
        asker.into_iter().for_each(|asker| out.asked_by(asker));
        let rest = |(_, message, bytes)| (message, bytes);
        let exchange =
            Exchange { transport: self.transport, query: query.map(rest), answer: answer.map(rest), repeats };
        out.row(&call, Row::Dns(&exchange));
    }
}

/// Names compare without case (RFC 4343); an answer to a broken query may leave the question out.
fn same_question(query: &Message, other: &Message) -> bool {
    let same = |(a, b): (&wire::Question, &wire::Question)| {
        a.kind == b.kind && a.class == b.class && a.name.eq_ignore_ascii_case(&b.name)
    };
    query.header.id == other.header.id && query.questions.iter().zip(&other.questions).all(same)
}

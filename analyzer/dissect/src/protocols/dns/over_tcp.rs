//! DNS over TCP: a two-byte length before each message (RFC 1035 §4.2.2, RFC 7766 §8).
//!
//!     Seeking ──a message──▶ Boundary ──gap inside a message──▶ Skipping ──its end──▶ Boundary
//!        ▲──gap past a message's end, or a malformed message──┘

use super::rows::Rows;
use super::wire;
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink};
use formats::bytes::Reader;

/// A message and the length before it: the most we ever ask to see at once.
pub const UNREAD_BYTES_MAX: usize = 2 + u16::MAX as usize;

/// What stands at the front of a stream.
pub enum Front<'a> {
    /// The begin of a message.
    Part(&'a [u8]),
    /// A length no message has.
    TooShort,
    /// A message.
    Whole(&'a [u8]),
}

/// The message at the front.
pub fn front(bytes: &[u8]) -> Front<'_> {
    let mut reader = Reader::new(bytes);
    match reader.u16_be() {
        Ok(length) if usize::from(length) < wire::HEADER_BYTES => Front::TooShort,
        Ok(length) => reader.take(length.into()).map_or(Front::Part(reader.rest()), Front::Whole),
        Err(_) => Front::Part(&[]),
    }
}

/// The length at the front, as far as it is there.
pub fn claimed(bytes: &[u8]) -> usize {
    Reader::new(bytes).u16_be().map_or(usize::MAX, usize::from)
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Boundary,
    Seeking,
    Skipping {
        left: u64,
    },
}

/// One connection.
pub struct OverTcp {
    state: PerSide<State>,
    rows: Rows,
}

impl OverTcp {
    /// Hands on through `rows`; a connection joined in the middle is searched for the first message.
    pub fn new(rows: Rows, from_start: bool) -> Self {
        let state = if from_start { State::Boundary } else { State::Seeking };
        Self { state: PerSide { client: state, server: state }, rows }
    }
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut at = 0;
        loop {
            let rest = unread.get(at..).unwrap_or_default();
            match self.state[from] {
                State::Skipping { left } => {
                    let step = left.min(rest.len() as u64);
                    at += step as usize;
                    if step < left {
                        self.state[from] = State::Skipping { left: left - step };
                        return Progress::Continue { consumed: at, wanted: 1 };
                    }
                    self.state[from] = State::Boundary;
                }
                // Each position is judged by its own bytes alone, so that it does not matter how they come.
                State::Seeking => match front(rest) {
                    Front::Whole(message) if wire::begins_message(message) => self.state[from] = State::Boundary,
                    Front::Part(part) if !matches!(wire::may_begin(part, claimed(rest)), Ok(false)) => {
                        return Progress::Continue { consumed: at, wanted: rest.len() + 1 };
                    }
                    _ => at += 1,
                },
                State::Boundary => match front(rest) {
                    Front::Whole(message) => {
                        let end = at + 2 + message.len();
                        if !self.rows.message(from, at..end, message, 0, out) {
                            self.state[from] = State::Seeking;
                        }
                        at = end;
                    }
                    Front::TooShort => {
                        out.anomaly(at..at + 2, Anomaly::new("dns_length_too_short"));
                        self.state[from] = State::Seeking;
                        at += 2;
                    }
                    Front::Part(_) => {
                        let wanted = if rest.len() < 2 { 2 } else { 2 + claimed(rest) };
                        return Progress::Continue { consumed: at, wanted };
                    }
                },
            }
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        if !unread.is_empty() {
            out.anomaly(0..unread.len(), Anomaly::with("dns_gap", format!("{lost_bytes} bytes lost inside a message")));
        }
        let owed = match self.state[from] {
            State::Skipping { left } => Some(left),
            State::Boundary => Reader::new(unread)
                .u16_be()
                .ok()
                .map(|length| (2 + u64::from(length)).saturating_sub(unread.len() as u64)),
            State::Seeking => None,
        };
        self.state[from] = match owed.and_then(|owed| owed.checked_sub(lost_bytes)) {
            Some(left) => State::Skipping { left }, // The loss ends inside a known message.
            None => State::Seeking,
        };
    }

    fn end(&mut self, from: Side, unread: &[u8], _: End, out: &mut dyn Sink) {
        if !unread.is_empty() && matches!(self.state[from], State::Boundary) {
            out.anomaly(0..unread.len(), Anomaly::new("dns_unfinished"));
        }
        self.rows.end_side(from, out);
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }
}

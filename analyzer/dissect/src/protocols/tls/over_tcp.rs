//! TLS over TCP: records of both sides (RFC 8446 §5, RFC 5246 §6.2).
//!
//!     Record ──header──▶ Inside ──its end──▶ Record
//!        └──no header──▶ Seeking ──a header, and another behind its record──▶ Record
//!        └──a server's first bytes are something else──▶ Switch
//!
//! What is encrypted is stepped over by the length of its record. A gap inside a record is stepped over too; any other
//! leads to Seeking.

use super::messages::{Event, Messages};
use super::rows::Rows;
use super::wire::{self, Content, NotWhole, RECORD_BYTES_MAX, RECORD_HEADER_BYTES};
use super::{detect, wire::Record};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Stamp, Start};

/// A record between two headers: the most that is looked at to find order again.
pub const UNREAD_BYTES_MAX: usize = RECORD_HEADER_BYTES + RECORD_BYTES_MAX + RECORD_HEADER_BYTES;

/// Bytes of a handshake record that tell whether it is in clear: a message's header and the version in a hello.
const FRONT_BYTES: usize = 6;

#[derive(Debug, Clone, Copy)]
enum State {
    Inside { left: usize, clear: bool },
    Record,
    Seeking,
}

/// One side.
struct Reading {
    state: State,
    messages: Messages,
    /// Of the message that is being gathered.
    stamp: Option<Stamp>,
    /// Whether it said that it encrypts from here on.
    sealed: bool,
    /// Whether nothing was read yet.
    first: bool,
}

/// One connection.
pub struct OverTcp {
    sides: PerSide<Reading>,
    rows: Rows,
    /// Whether something was said before what is read.
    joined: bool,
}

/// What to do after a step.
enum Next {
    Again,
    /// What is next is another protocol.
    Leave,
    /// Wait for so many unread bytes behind what is done with.
    Wait(usize),
}

impl OverTcp {
    /// For a connection about to be read.
    pub fn new(start: &Start) -> Self {
        let reading = || Reading {
            state: State::Record,
            messages: Messages::new(start.from_start),
            stamp: None,
            sealed: false,
            first: true,
        };
        Self {
            sides: PerSide { client: reading(), server: reading() },
            rows: Rows::default(),
            joined: !start.from_start,
        }
    }

    /// Reads what is whole behind `at`. Says from how many bytes behind it on there is more to read, or nothing where another
    /// protocol begins.
    fn read(&mut self, from: Side, unread: &[u8], at: &mut usize, out: &mut dyn Sink) -> Option<usize> {
        loop {
            let rest = unread.get(*at..).unwrap_or_default();
            let next = match self.sides[from].state {
                State::Inside { left, clear } => {
                    let piece = rest.get(..left.min(rest.len())).unwrap_or_default();
                    if clear {
                        self.clear(from, *at, piece, out);
                    } else if !piece.is_empty() {
                        out.stamp(*at..*at + piece.len());
                    }
                    *at += piece.len();
                    let left = left - piece.len();
                    self.sides[from].state = if left == 0 { State::Record } else { State::Inside { left, clear } };
                    if left == 0 { Next::Again } else { Next::Wait(1) }
                }
                State::Record => self.record(from, rest, at, out),
                State::Seeking => self.seek(from, rest, at),
            };
            match next {
                Next::Again => {}
                Next::Leave => return None,
                Next::Wait(wanted) => return Some(wanted),
            }
        }
    }

    /// The header of a record, and what it says about the bytes behind it.
    fn record(&mut self, from: Side, rest: &[u8], at: &mut usize, out: &mut dyn Sink) -> Next {
        let record = match wire::record(rest) {
            Ok(record) => record,
            Err(NotWhole::Wanted(wanted)) => return Next::Wait(wanted),
            Err(NotWhole::Malformed) => return self.no_record(from, rest, at, out),
        };
        let (header, body) = rest.split_at(RECORD_HEADER_BYTES);
        let front = match record.content {
            Content::Alert if record.bytes == 2 => 2,
            Content::Handshake => FRONT_BYTES.min(record.bytes),
            _ => 0,
        };
        let Some(front) = body.get(..front) else { return Next::Wait(header.len() + front) };
        let stamp = out.stamp(*at..*at + header.len() + if record.content == Content::Alert { front.len() } else { 0 });
        *at += header.len();
        let side = &mut self.sides[from];
        side.first = false;
        let clear = match (record.content, front) {
            (Content::Handshake, front) => side.begin_handshake(front, record),
            (Content::Alert, &[level @ 1..=2, code]) => {
                self.rows.alert(from, level, code, stamp, out);
                false
            }
            (Content::ApplicationData, _) => {
                self.rows.application_data(from, out);
                false
            }
            (Content::ChangeCipherSpec, _) => {
                side.sealed |= self.rows.change_cipher_spec(from, out);
                false
            }
            _ => false,
        };
        self.sides[from].state = State::Inside { left: record.bytes, clear };
        Next::Again
    }

    /// An SSL 2.0 hello at the begin, or what is no TLS.
    fn no_record(&mut self, from: Side, rest: &[u8], at: &mut usize, out: &mut dyn Sink) -> Next {
        let side = &mut self.sides[from];
        if side.first && from == Side::Client {
            match wire::v2_hello(rest) {
                Ok(hello) => {
                    side.first = false;
                    side.messages.begin_anew();
                    let stamp = out.stamp(*at..*at + hello.bytes);
                    *at += hello.bytes;
                    self.rows.v2_hello(&hello, stamp, out);
                    return Next::Again;
                }
                Err(NotWhole::Wanted(wanted)) => return Next::Wait(wanted),
                Err(NotWhole::Malformed) => {}
            }
        }
        if side.first && self.joined {
            // The connection was joined in the middle of a record, or in what was said before TLS.
            side.state = State::Seeking;
            return Next::Again;
        }
        out.anomaly(*at..*at + 1, Anomaly::new("tls_not_a_record"));
        if side.first && from == Side::Server {
            // A client that says hello to a port in clear is answered in what is spoken there.
            return Next::Leave;
        }
        self.lose_order(from, out);
        Next::Again
    }

    /// A piece of a handshake record in clear.
    fn clear(&mut self, from: Side, at: usize, piece: &[u8], out: &mut dyn Sink) {
        let Self { sides, rows, .. } = self;
        let Reading { messages, stamp, .. } = &mut sides[from];
        let mut read = 0;
        while read < piece.len() {
            let (step, event) = messages.read(piece.get(read..).unwrap_or_default());
            let seen = out.stamp(at + read..at + read + step);
            let mut whole = stamp.take().unwrap_or(Stamp { bytes: 0, ..seen });
            whole.extend(seen);
            match event {
                Some(Event::Found(found)) => rows.message(from, &found, whole, out),
                Some(Event::Odd(why)) => out.anomaly(at + read..at + read + step, Anomaly::new(why)),
                None => *stamp = (messages.held_bytes() > 0).then_some(whole),
            }
            read += step;
        }
    }

    /// Looks for a header with another behind its record. Each position is judged by its own bytes alone, so that it
    /// does not matter how they come.
    fn seek(&mut self, from: Side, rest: &[u8], at: &mut usize) -> Next {
        for position in 0..rest.len() {
            let here = rest.get(position..).unwrap_or_default();
            match detect::two_records(here) {
                Ok(()) => {
                    *at += position;
                    self.sides[from].state = State::Record;
                    return Next::Again;
                }
                Err(NotWhole::Wanted(wanted)) => {
                    *at += position;
                    return Next::Wait(wanted);
                }
                Err(NotWhole::Malformed) => {}
            }
        }
        *at += rest.len();
        Next::Wait(1)
    }

    /// `lost` bytes behind what was read will not be seen: what is open of a message is all there is of it.
    fn lose(&mut self, from: Side, lost: u64, out: &mut dyn Sink) {
        let Reading { messages, stamp, .. } = &mut self.sides[from];
        if let Some(part) = messages.lose(lost)
            && let Some(mut stamp) = stamp.take()
        {
            stamp.damaged |= lost > 0;
            stamp.end_unseen = true;
            self.rows.message(from, &part, stamp, out);
        }
        self.sides[from].stamp = None;
        if lost > 0 {
            self.rows.lost(from);
        }
    }

    fn lose_order(&mut self, from: Side, out: &mut dyn Sink) {
        self.lose(from, u64::MAX, out);
        self.sides[from].state = State::Seeking;
    }
}

impl Reading {
    /// A handshake record begins. Says whether it is in clear.
    fn begin_handshake(&mut self, front: &[u8], record: Record) -> bool {
        if detect::begins_hello(front, record.bytes) && self.sealed {
            // A client that says hello again after it was asked to, or another connection on the same ports.
            self.sealed = false;
            self.messages.begin_anew();
        }
        if !self.sealed {
            self.messages.begin_record(front, record.bytes);
        }
        !self.sealed
    }
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut at = 0;
        match self.read(from, unread, &mut at, out) {
            Some(wanted) => Progress::Continue { consumed: at, wanted: wanted.max(unread.len() - at + 1) },
            None => Progress::Switch { consumed: at },
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        let at = self.unfinished(from, unread, out);
        out.anomaly(at..unread.len(), Anomaly::with("tls_gap", format!("{lost_bytes} bytes")));
        match self.sides[from].state {
            State::Inside { left, clear } if lost_bytes <= left as u64 => {
                if clear {
                    self.rows.gap();
                    self.lose(from, lost_bytes, out);
                }
                let left = left - lost_bytes as usize;
                self.sides[from].state = if left == 0 { State::Record } else { State::Inside { left, clear } };
            }
            _ => {
                self.rows.gap();
                self.lose_order(from, out);
            }
        }
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        let at = self.unfinished(from, unread, out);
        let clear = matches!(self.sides[from].state, State::Inside { clear: true, .. });
        let sought = matches!(self.sides[from].state, State::Seeking);
        if clear || (at < unread.len() && !sought) {
            out.anomaly(at..unread.len(), Anomaly::new("tls_unfinished"));
        }
        self.lose(from, 0, out);
        self.rows.end(from, how, out);
        self.sides[from].messages = Messages::new(false);
    }

    fn held_bytes(&self) -> usize {
        let messages = |side: &Reading| side.messages.held_bytes();
        self.rows.held_bytes() + messages(&self.sides.client) + messages(&self.sides.server)
    }
}

impl OverTcp {
    /// Reads what is there, and of the last record the header and the few bytes that are. Says how many bytes were read
    /// before it.
    fn unfinished(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> usize {
        let mut at = 0;
        // They may not have been enough to be handed on.
        self.read(from, unread, &mut at, out);
        let rest = unread.get(at..).unwrap_or_default();
        if let (State::Record, Ok(record)) = (self.sides[from].state, wire::record(rest)) {
            let body = rest.get(RECORD_HEADER_BYTES..).unwrap_or_default();
            let clear = record.content == Content::Handshake && self.sides[from].begin_handshake(body, record);
            if clear {
                self.clear(from, at + RECORD_HEADER_BYTES, body, out);
            }
            self.sides[from].state = State::Inside { left: record.bytes.saturating_sub(body.len()), clear };
        }
        at
    }
}

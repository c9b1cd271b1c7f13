//! AMQP over TCP: frames of both sides (AMQP 0-9-1 §4.2).
//!
//!     Frame ──front of a body──▶ Body ──its end──▶ Frame        Frame ──another version──▶ Foreign
//!     Frame ──gap inside a frame──▶ Skipping ──its end──▶ Frame
//!     Frame, Body ──gap past the end, or no frame──▶ Seeking ──a frame by its own bytes──▶ Frame

use super::rows::Rows;
use super::wire::{self, FRAME_BYTES_MAX, FRAME_END, Front, GREETING_BYTES, Greeting, HEADER_BYTES, Kind, Wrong};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Start};

#[derive(Debug, Clone, Copy)]
enum State {
    /// In a body frame of which so many bytes are left, its end not counted.
    Body {
        channel: u16,
        left: u64,
    },
    /// What follows is another version of AMQP.
    Foreign,
    Frame,
    /// Joined in the middle, or order was lost.
    Seeking,
    /// In a frame that is not read: it is too long, cut by a gap, or a body whose header we do not have. So many bytes
    /// are left, its end counted.
    Skipping {
        left: u64,
    },
}

/// One connection.
pub struct OverTcp {
    state: PerSide<State>,
    rows: Rows,
    /// Whether the sides are the other way round, and whether that is known: some methods only one side sends.
    swapped: bool,
    sides_known: bool,
}

/// Unread bytes, and how many are done with.
struct Input<'a> {
    unread: &'a [u8],
    at: usize,
    /// Nothing follows them.
    last: bool,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a [u8] {
        self.unread.get(self.at..).unwrap_or_default()
    }
}

/// What to do after a step.
enum Next {
    Again,
    /// Wait for so many unread bytes.
    Wait(usize),
    Stop,
}

impl OverTcp {
    /// A connection joined in the middle is searched for the first frame.
    pub fn new(start: &Start) -> Self {
        let state = if start.from_start { State::Frame } else { State::Seeking };
        Self {
            state: PerSide { client: state, server: state },
            rows: Rows::new(start.options.body_bytes_max, start.from_start),
            swapped: false,
            sides_known: start.from_start,
        }
    }

    /// Who it is that sends on this side.
    fn sender(&self, side: Side) -> Side {
        if self.swapped { side.other() } else { side }
    }

    fn read(&mut self, side: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        loop {
            let next = match self.state[side] {
                State::Body { channel, left } => self.body(side, channel, left, input, out),
                State::Foreign => Next::Stop,
                State::Frame => self.frame(side, input, out),
                State::Seeking => self.seek(side, input),
                State::Skipping { left } => {
                    let step = left.min(input.rest().len() as u64);
                    input.at += step as usize;
                    self.state[side] = if step < left { State::Skipping { left: left - step } } else { State::Frame };
                    if step < left { Next::Wait(1) } else { Next::Again }
                }
            };
            if !matches!(next, Next::Again) {
                return next;
            }
        }
    }

    /// Each position is judged by its own bytes alone, so that it does not matter how they come.
    fn seek(&mut self, side: Side, input: &mut Input<'_>) -> Next {
        loop {
            let rest = input.rest();
            match wire::looks_like_frame(rest) {
                Ok(_) if rest.starts_with(b"A") && !wire::greeting(rest).is_ok_and(Greeting::is_known) => input.at += 1,
                Ok(_) => {
                    self.state[side] = State::Frame;
                    return Next::Again;
                }
                Err(_) if rest.is_empty() => return Next::Wait(1),
                Err(Wrong::Short) if !input.last => return Next::Wait(rest.len() + 1),
                Err(_) => input.at += 1,
            }
        }
    }

    fn frame(&mut self, side: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let (at, rest) = (input.at, input.rest());
        if let [b'A', ..] = rest {
            return match wire::greeting(rest) {
                Ok(greeting) => self.greeting(side, greeting, input, out),
                Err(Wrong::Short) => Next::Wait(GREETING_BYTES),
                Err(Wrong::Malformed(why)) => self.give_up(side, input, why, out),
            };
        }
        let front = match wire::front(rest) {
            Ok(front) => front,
            Err(Wrong::Short) => return Next::Wait(HEADER_BYTES.max(rest.len() + 1)),
            Err(Wrong::Malformed(why)) => return self.give_up(side, input, why, out),
        };
        if front.kind == Kind::Body {
            let sender = self.sender(side);
            if !self.rows.expects_body(sender, front.channel, at..at + HEADER_BYTES, out) {
                self.state[side] = State::Skipping { left: front.frame_bytes() };
                return Next::Again;
            }
            let stamp = out.stamp(at..at + HEADER_BYTES);
            self.rows.body(sender, front.channel, stamp, &[], out);
            input.at += HEADER_BYTES;
            self.state[side] = State::Body { channel: front.channel, left: front.size.into() };
            return Next::Again;
        }
        if front.frame_bytes() > FRAME_BYTES_MAX as u64 {
            out.anomaly(
                at..at + HEADER_BYTES,
                Anomaly::with("amqp_frame_too_long", format!("{:?} of {} bytes", front.kind, front.size)),
            );
            self.lose_frame(side, front, out);
            self.state[side] = State::Skipping { left: front.frame_bytes() };
            return Next::Again;
        }
        let end = front.frame_bytes() as usize;
        let Some(frame) = rest.get(..end) else { return Next::Wait(end) };
        if frame.last() != Some(&FRAME_END) {
            return self.give_up(side, input, "a frame without its end", out);
        }
        let payload = frame.get(HEADER_BYTES..end - 1).unwrap_or_default();
        input.at += end;
        self.payload(side, front, at..input.at, payload, out);
        Next::Again
    }

    fn payload(&mut self, side: Side, front: Front, span: std::ops::Range<usize>, payload: &[u8], out: &mut dyn Sink) {
        let stamp = out.stamp(span.clone());
        match front.kind {
            Kind::Method => {
                self.learn_sides(side, payload, span.clone(), out);
                self.rows.method(self.sender(side), front.channel, stamp, span, payload, out);
            }
            Kind::Header => self.rows.header(self.sender(side), front.channel, stamp, span, payload, out),
            Kind::Body | Kind::Heartbeat => self.rows.heartbeat(self.sender(side), stamp, out),
        }
    }

    /// Joined in the middle, the first method that only one side sends tells the sides apart.
    fn learn_sides(&mut self, side: Side, payload: &[u8], span: std::ops::Range<usize>, out: &mut dyn Sink) {
        let Some(sender) = wire::sender(payload) else { return };
        if self.sender(side) == sender {
            self.sides_known = true;
        } else if self.sides_known {
            out.anomaly(span, Anomaly::new("amqp_wrong_sender"));
        } else {
            self.sides_known = true;
            self.swapped = true;
            self.rows.swap_sides();
        }
    }

    fn greeting(&mut self, side: Side, greeting: Greeting, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let stamp = out.stamp(input.at..input.at + GREETING_BYTES);
        input.at += GREETING_BYTES;
        self.rows.greeting(self.sender(side), stamp, greeting, out);
        if !greeting.is_ours() {
            self.state[side] = State::Foreign;
        }
        if matches!(self.state[side.other()], State::Foreign) {
            self.state[side] = State::Foreign;
        }
        if input.rest().is_empty() { Next::Wait(1) } else { Next::Again }
    }

    fn body(&mut self, side: Side, channel: u16, left: u64, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let (at, rest) = (input.at, input.rest());
        let sender = self.sender(side);
        let piece = rest.get(..left.min(rest.len() as u64) as usize).unwrap_or(rest);
        if !piece.is_empty() {
            let stamp = out.stamp(at..at + piece.len());
            self.rows.body(sender, channel, stamp, piece, out);
            input.at += piece.len();
        }
        let left = left - piece.len() as u64;
        self.state[side] = State::Body { channel, left };
        match (left, rest.get(piece.len())) {
            (0, Some(&FRAME_END)) => {
                let stamp = out.stamp(input.at..input.at + 1);
                self.rows.body(sender, channel, stamp, &[], out);
                self.rows.body_end(sender, channel, out);
                input.at += 1;
                self.state[side] = State::Frame;
                Next::Again
            }
            (0, Some(_)) => self.give_up(side, input, "a frame without its end", out),
            _ => Next::Wait(1),
        }
    }

    /// What follows is no frame.
    fn give_up(&mut self, side: Side, input: &mut Input<'_>, why: &str, out: &mut dyn Sink) -> Next {
        out.anomaly(input.at..input.at + 1, Anomaly::with("amqp_no_frame", why));
        input.at += 1;
        self.rows.lose(self.sender(side), None, out);
        self.state[side] = State::Seeking;
        Next::Again
    }

    /// One frame is lost, and it is known which.
    fn lose_frame(&mut self, side: Side, front: Front, out: &mut dyn Sink) {
        match front.kind {
            Kind::Header | Kind::Body => self.rows.lose_content(self.sender(side), front.channel, out),
            Kind::Method => self.rows.lose(self.sender(side), Some(front.channel), out),
            Kind::Heartbeat => {}
        }
    }
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut input = Input { unread, at: 0, last: false };
        match self.read(from, &mut input, out) {
            Next::Wait(wanted) => Progress::Continue { consumed: input.at, wanted },
            Next::Again | Next::Stop => Progress::Stop,
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        let mut input = Input { unread, at: 0, last: true };
        let _ = self.read(from, &mut input, out);
        let rest = input.rest();
        if !matches!(self.state[from], State::Foreign | State::Seeking) {
            out.anomaly(
                input.at..unread.len(),
                Anomaly::with("amqp_gap", format!("{lost_bytes} bytes lost inside the stream")),
            );
        }
        let left = match self.state[from] {
            State::Body { left, .. } => Some(left + 1),
            State::Frame => wire::front(rest).ok().map(|front| front.frame_bytes() - rest.len() as u64),
            State::Skipping { left } => Some(left),
            State::Foreign | State::Seeking => None,
        };
        let left = left.and_then(|left| left.checked_sub(lost_bytes));
        self.state[from] = match (self.state[from], left) {
            (State::Foreign, _) => State::Foreign,
            (State::Seeking, _) => {
                self.rows.lose(self.sender(from), None, out);
                State::Seeking
            }
            (State::Body { channel, left: before }, Some(left)) => {
                self.rows.lose_body(self.sender(from), channel, lost_bytes.min(before));
                if left > 0 {
                    State::Body { channel, left: left - 1 }
                } else {
                    self.rows.body_end(self.sender(from), channel, out);
                    State::Frame
                }
            }
            (State::Frame, Some(left)) => {
                if let Ok(front) = wire::front(rest) {
                    self.lose_frame(from, front, out);
                }
                if left > 0 { State::Skipping { left } } else { State::Frame }
            }
            (State::Skipping { .. }, Some(0)) => State::Frame,
            (State::Skipping { .. }, Some(left)) => State::Skipping { left },
            (State::Body { .. } | State::Frame | State::Skipping { .. }, None) => {
                self.rows.lose(self.sender(from), None, out);
                State::Seeking
            }
        };
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        let mut input = Input { unread, at: 0, last: true };
        let _ = self.read(from, &mut input, out);
        if !input.rest().is_empty() && matches!(self.state[from], State::Frame) {
            out.anomaly(input.at..unread.len(), Anomaly::new("amqp_unfinished"));
        }
        self.rows.end(self.sender(from), how, out);
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }
}

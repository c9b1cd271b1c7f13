//! HTTP/1 over TCP: messages of both sides, one after the other (RFC 9112 §2).
//!
//!     Head ──▶ Body, Chunks ──▶ Head            Head ──no message──▶ Seeking ──a head──▶ Head
//!     Head ──response to an unknown request──▶ Peek ──▶ Body, Chunks, or a Head (it answered HEAD)
//!     Head ──request for a tunnel or another protocol──▶ Held ──refused──▶ Head
//!     Head ──request that asks if its body is wanted──▶ Expecting ──▶ Body, Chunks, or a Head (it is not)
//!
//! A gap inside a body or chunk of known length is stepped over; any other leads to Seeking.

use super::head::{Extent, Head};
use super::odd::Odds;
use super::open::Missing;
use super::rows::Rows;
use super::seek::Edge;
use super::wire::{self, Kind};
use crate::protocols::http::{Body, EndReason, Exchange, Fields};
use crate::protocols::{Anomaly, Dissector, End, Options, PerSide, Progress, Protocol, Side, Sink, Stamp, Start};

/// The longest head, trailer section or chunk line that is read. Servers refuse more than 8 to 32 KiB. It is
/// also the bound of fields in a message: a field has three bytes, so there are at most 21 845.
pub const UNREAD_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// In a body of which so many bytes are left, or that goes on until the connection is closed.
    Body {
        left: Option<u64>,
    },
    Chunk(Chunk),
    /// Behind a request whose body is sent if the other side wants it.
    Expecting {
        extent: Extent,
    },
    /// Before a message: so many unread bytes do not hold its end. It is damaged if a search found it.
    Head {
        scanned: usize,
        damaged: bool,
    },
    /// What follows is a message if the other side refuses to change the protocol.
    Held,
    /// Behind a response that has a body, unless it was asked for with HEAD.
    Peek {
        extent: Extent,
    },
    Seeking {
        edge: Edge,
        lost: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Chunk {
    Data { left: u64 },
    End,
    Size,
    Trailers { scanned: usize },
}

pub(super) const HEAD: State = State::Head { scanned: 0, damaged: false };

/// One side, and the message of it that is being read.
pub(super) struct Reading {
    pub state: State,
    pub stamp: Option<Stamp>,
    pub body: Body,
    pub trailers: Fields,
    /// What was said to be odd about it.
    pub odds: Odds,
    /// Whether the connection changes its protocol, or may, behind this message.
    pub switch: bool,
    /// Whether there was a message before.
    pub joined: bool,
}

/// One connection.
pub struct OverTcp {
    pub(super) options: Options,
    pub(super) sides: PerSide<Reading>,
    /// Who sends requests: messages say it themselves, the first one decides.
    pub(super) asker: Option<Side>,
    pub(super) rows: Rows,
    ended: PerSide<Option<End>>,
    pub(super) switched: bool,
    /// What the server changed the protocol to: WebSocket (RFC 6455 §4.2.2) or HTTP/2 (RFC 7540 §3.2).
    pub(super) agreed: Option<&'static Protocol>,
}

/// Unread bytes, and how many of them are done with.
pub(super) struct Input<'a> {
    pub unread: &'a [u8],
    pub at: usize,
}

impl<'a> Input<'a> {
    pub fn rest(&self) -> &'a [u8] {
        self.unread.get(self.at..).unwrap_or_default()
    }
}

/// What to do after a step.
pub(super) enum Next {
    Again,
    /// Wait for so many unread bytes.
    Wait(usize),
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut input = Input { unread, at: 0 };
        match self.read(from, &mut input, out) {
            Some(wanted) => Progress::Continue { consumed: input.at, wanted },
            None => Progress::Switch { consumed: input.at },
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        let mut input = Input { unread, at: 0 };
        // They may have waited for the other side.
        self.read(from, &mut input, out);
        let span = input.at..unread.len();
        if lost_bytes > 0 {
            out.anomaly(span, Anomaly::with("http1_gap", format!("{lost_bytes} bytes")));
        } else {
            out.anomaly(span, Anomaly::new("http1_head_too_large"));
        }
        match self.sides[from].state {
            // What was lost is of the body, if it was asked for, or the next response: nobody knows.
            State::Peek { .. } => {
                let reading = &mut self.sides[from];
                reading.body.doubt();
                if let Some(stamp) = &mut reading.stamp
                    && lost_bytes > 0
                {
                    stamp.lose();
                }
                self.done(from, Some(lost_to(lost_bytes)), None, out);
                return self.seek_after_loss(from, lost_bytes > 0, out);
            }
            // What was lost is of the body, or the next request: nobody knows.
            State::Expecting { .. } if self.rows.may_be_refused() => {
                self.sides[from].body.doubt();
                self.done(from, Some(lost_to(lost_bytes)), None, out);
                return self.seek_after_loss(from, lost_bytes > 0, out);
            }
            State::Expecting { extent } => self.begin(from, extent, out),
            _ => {}
        }
        self.lose(from, &input, lost_bytes, out);
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        let reason = end_reason(how);
        let mut input = Input { unread, at: 0 };
        if !self.switched {
            self.read(from, &mut input, out);
        }
        if let State::Expecting { extent } | State::Peek { extent } = self.sides[from].state {
            self.begin(from, extent, out);
            self.read(from, &mut input, out);
        }
        match self.sides[from].state {
            State::Body { left: None } if how == End::Closed => self.done(from, None, None, out),
            State::Body { .. } | State::Chunk(_) => self.done(from, Some(reason), None, out),
            State::Head { .. } if !self.switched && !input.rest().is_empty() => {
                out.anomaly(input.at..unread.len(), Anomaly::new("http1_unfinished"));
                self.part(from, &input, reason, false, out);
            }
            _ => {}
        }
        self.ended[from] = Some(how);
        if let Some(other) = self.ended[from.other()] {
            // What was asked stays unanswered because of how the answering side ended.
            let answering = if self.kind(from) == Kind::Response { how } else { other };
            let reset = how == End::Reset || other == End::Reset;
            self.rows.end(end_reason(if reset { End::Reset } else { answering }), out);
        }
    }

    fn carried(&mut self) -> Option<Box<Exchange>> {
        self.rows.carried.take()
    }

    fn held_bytes(&self) -> usize {
        let side = |side: &Reading| side.body.held_bytes() + side.trailers.held_bytes();
        self.rows.held_bytes() + side(&self.sides.client) + side(&self.sides.server)
    }

    fn agreed(&self) -> Option<&'static Protocol> {
        self.agreed
    }
}

impl OverTcp {
    /// For a connection about to be read.
    pub fn new(start: &Start) -> Self {
        let reading = || Reading {
            state: HEAD,
            stamp: None,
            body: Body::default(),
            trailers: Fields::default(),
            odds: Odds::default(),
            switch: false,
            joined: start.from_start,
        };
        Self {
            options: start.options,
            sides: PerSide { client: reading(), server: reading() },
            asker: None,
            rows: Rows::new(start.from_start),
            ended: PerSide::default(),
            switched: false,
            agreed: None,
        }
    }

    /// What a side sends, as far as known.
    pub(super) fn kind(&self, from: Side) -> Kind {
        if from == self.asker.unwrap_or(Side::Client) { Kind::Request } else { Kind::Response }
    }

    /// Takes note that `lost` bytes are missing behind `input`, the begin of something unfinished.
    fn lose(&mut self, from: Side, input: &Input<'_>, lost: u64, out: &mut dyn Sink) {
        let reading = &mut self.sides[from];
        let spared = match &mut reading.state {
            State::Body { left: None } => Some(lost),
            State::Body { left: Some(left) } | State::Chunk(Chunk::Data { left }) => {
                let spared = lost.min(*left);
                *left -= spared;
                Some(spared)
            }
            _ => None,
        };
        if let Some(spared) = spared {
            reading.body.lose(spared);
        }
        if let Some(stamp) = &mut reading.stamp
            && lost > 0
        {
            stamp.lose();
        }
        let inside = spared == Some(lost);
        match reading.state {
            State::Body { left: Some(0) } => self.done(from, None, None, out),
            State::Chunk(Chunk::Data { left: 0 }) if inside => reading.state = State::Chunk(Chunk::End),
            State::Body { .. } | State::Chunk(Chunk::Data { .. }) if inside => {}
            State::Body { .. } | State::Chunk(_) => {
                // Behind the last chunk no body is missing.
                if !matches!(reading.state, State::Chunk(Chunk::Trailers { .. })) {
                    reading.body.doubt();
                }
                self.done(from, Some(lost_to(lost)), None, out);
            }
            State::Head { .. } => self.part(from, input, lost_to(lost), lost > 0, out),
            State::Expecting { .. } | State::Held | State::Peek { .. } | State::Seeking { .. } => {}
        }
        if !inside {
            self.seek_after_loss(from, lost > 0, out);
        }
    }

    fn seek_after_loss(&mut self, from: Side, lost: bool, out: &mut dyn Sink) {
        let (why, edge) = if lost { (Missing::Lost, Edge::Gap) } else { (Missing::Unseen, Edge::Inside) };
        let kind = self.kind(from);
        self.rows.missing(kind, why, out);
        let reading = &mut self.sides[from];
        if !matches!(reading.state, State::Held) {
            reading.state = State::Seeking { edge, lost };
        }
        // Whether the other side may change the protocol will not be known.
        let other = &mut self.sides[from.other()];
        if kind == Kind::Response && matches!(other.state, State::Held) {
            other.state = State::Seeking { edge: Edge::Start, lost };
        }
    }

    /// Reads the whole lines of a head that will not be seen to its end, for it is `lost` or something else.
    fn part(&mut self, from: Side, input: &Input<'_>, reason: EndReason, lost: bool, out: &mut dyn Sink) {
        let rest = input.rest();
        let lines = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
        let cut = || wire::cut_start_line(rest).map(|line| (line, rest.len(), Odds::default()));
        let (lines, started) = match rest.get(..lines) {
            Some(lines @ [_, ..]) => (lines, wire::start_line(lines).ok()),
            _ => (rest, cut()),
        };
        if let Some(started) = started.filter(|started| self.is_of(from, started.0)) {
            let (head, fields) = Head::read(started, lines);
            let mut stamp = out.stamp(input.at..input.at + lines.len());
            if lost {
                stamp.lose();
            }
            self.message(from, stamp, &head, fields, Some(reason), out);
        }
    }
}

/// What took the rest of a message: bytes that are missing, or too many of them.
fn lost_to(lost_bytes: u64) -> EndReason {
    if lost_bytes > 0 { EndReason::Gap } else { EndReason::HeadTooLarge }
}

fn end_reason(how: End) -> EndReason {
    match how {
        End::Closed => EndReason::Closed,
        End::Cut => EndReason::InputEnd,
        End::Reset => EndReason::Reset,
    }
}

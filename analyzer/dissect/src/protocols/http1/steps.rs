//! One message after the other: each step takes what is whole at the front of the unread bytes. `bodies.rs` has those of
//! bodies.

use super::head::{self, Asked, Extent, Head};
use super::open::{Answered, Done};
use super::over_tcp::{HEAD, Input, Next, OverTcp, State};
use super::seek::{self, Edge};
use super::wire::{self, Kind, NotWhole, StartLine};
use crate::protocols::http::{Body, Codings, EndReason, Exchange, Fields};
use crate::protocols::{Anomaly, Side, Sink, Stamp, http2, websocket};

impl OverTcp {
    /// Takes what is whole. Says how many unread bytes are wanted, or nothing where another protocol begins.
    pub(super) fn read(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Option<usize> {
        loop {
            let next = match self.sides[from].state {
                State::Body { left } => self.body(from, left, input, out),
                State::Chunk(_) => self.chunks(from, input, out),
                State::Expecting { extent } => self.expecting(from, extent, input, out),
                State::Head { scanned, damaged } => self.head(from, scanned, damaged, input, out),
                State::Held => Next::Wait(input.rest().len() + 1),
                State::Peek { extent } => self.peek(from, extent, input, out),
                State::Seeking { edge, lost } => self.seek(from, edge, lost, input),
            };
            if self.switched {
                return None;
            }
            if let Next::Wait(wanted) = next {
                return Some(wanted);
            }
        }
    }

    /// Whether a side may send what begins so.
    pub(super) fn is_of(&self, from: Side, line: StartLine<'_>) -> bool {
        self.asker.is_none() || self.kind(from) == line.kind()
    }

    fn head(&mut self, from: Side, scanned: usize, damaged: bool, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        if let Some(next) = self.simple(from, input, out) {
            return next;
        }
        input.at += wire::empty_lines(input.rest());
        let rest = input.rest();
        let wait = Next::Wait(rest.len() + 1);
        if matches!(rest, [] | [b'\r']) {
            return wait;
        }
        let started = match wire::start_line(rest) {
            Ok(started) if self.is_of(from, started.0) => started,
            Err(NotWhole::Wanted) => return wait,
            Ok(_) | Err(NotWhole::Malformed) => {
                let reading = &mut self.sides[from];
                if reading.joined {
                    out.anomaly(input.at..input.unread.len(), Anomaly::new("http1_not_a_message"));
                }
                reading.state = State::Seeking { edge: Edge::Inside, lost: false };
                return Next::Again;
            }
        };
        let end = match wire::section_end(rest, scanned) {
            Ok(end) => end,
            Err(scanned) => {
                self.sides[from].state = State::Head { scanned, damaged };
                return wait;
            }
        };
        let (head, fields) = Head::read(started, rest.get(..end).unwrap_or_default());
        let mut stamp = out.stamp(input.at..input.at + end);
        stamp.damaged |= damaged;
        for (kind, detail) in head.oddities(&fields) {
            out.anomaly(input.at..input.at + end, Anomaly::with(kind, detail));
        }
        input.at += end;
        self.message(from, stamp, &head, fields, None, out);
        Next::Again
    }

    /// Takes a request of HTTP/0.9, which nothing stands before, or begins the response to it. Some servers answer
    /// with a head all the same.
    fn simple(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Option<Next> {
        const HEAD_BEGINS: &[u8] = b"HTTP/";
        let rest = input.rest();
        if self.asker.is_none()
            && let Some(started) = wire::simple_request(rest)
        {
            let (_, end, _) = started;
            let (head, fields) = Head::read(started, rest.get(..end).unwrap_or_default());
            let stamp = out.stamp(input.at..input.at + end);
            input.at += end;
            self.message(from, stamp, &head, fields, None, out);
            return Some(Next::Again);
        }
        let front = rest.get(..HEAD_BEGINS.len()).unwrap_or(rest);
        if self.kind(from) == Kind::Request || !self.rows.awaits_simple() || front == HEAD_BEGINS {
            return None;
        }
        if HEAD_BEGINS.starts_with(front) {
            return Some(Next::Wait(rest.len() + 1));
        }
        let stamp = out.stamp(input.at..input.at);
        self.rows.simple_response(stamp);
        let reading = &mut self.sides[from];
        reading.stamp = Some(stamp);
        reading.joined = true;
        reading.body = Body::new(self.options.body_bytes_max, Codings::default());
        reading.state = State::Body { left: None };
        Some(Next::Again)
    }

    /// Takes in the head of a message, or, with a reason, all that will be seen of it.
    pub(super) fn message(
        &mut self,
        from: Side,
        stamp: Stamp,
        head: &Head<'_>,
        fields: Fields,
        part: Option<EndReason>,
        out: &mut dyn Sink,
    ) {
        let asker = if head.line.kind() == Kind::Request { from } else { from.other() };
        self.asker.get_or_insert(asker);
        let reading = &mut self.sides[from];
        reading.stamp = Some(stamp);
        reading.odds = head.odds;
        reading.joined = true;
        reading.body = Body::of(&fields, self.options.body_bytes_max, head.codings);
        if matches!(part, Some(EndReason::Gap | EndReason::HeadTooLarge)) {
            // What was not read of the head may have told of a body.
            reading.body.doubt();
        }
        let extent = match head.line {
            StartLine::Request { method, target, version } => {
                let exchange = head::request(method, target, Exchange { version, ..Exchange::default() }, fields);
                let answered = self.rows.request(stamp, exchange, head.asks(), out);
                let asks_switch = matches!(head.asks(), Asked::Connect | Asked::Usual { upgrade: true });
                self.sides[from].switch = asks_switch && !answered;
                match head.request_extent() {
                    // What CONNECT carries has no meaning (RFC 9110 §9.3.6).
                    _ if head.asks() == Asked::Connect => Some(Extent::Bytes(0)),
                    extent @ (Extent::Bytes(1..) | Extent::Chunked) if head.expects && part.is_none() => {
                        self.sides[from].state = State::Expecting { extent };
                        None
                    }
                    extent => Some(extent),
                }
            }
            StartLine::Status { status, .. } if (100..200).contains(&status) && status != 101 => {
                self.rows.interim(status);
                self.sides[from].stamp = None;
                self.sides[from].state = HEAD;
                return;
            }
            StartLine::Status { status, reason, .. } => {
                let upgrade = fields.get("upgrade").filter(|_| status == 101);
                self.agreed = upgrade.and_then(|named| match named {
                    _ if named.eq_ignore_ascii_case(b"h2c") => Some(&http2::PROTOCOL),
                    _ if named.eq_ignore_ascii_case(b"websocket") => Some(&websocket::PROTOCOL),
                    _ => None,
                });
                let typed = fields.get("content-type").is_some();
                let asked = self.rows.response(stamp, Answered { status, reason, fields }, out);
                match self.response_extent(from, head, status, asked, out) {
                    extent if asked != Asked::Unknown || part.is_some() => Some(extent),
                    Extent::UntilClose if (200..300).contains(&status) && !typed => {
                        self.perhaps_tunnel(from, out);
                        None
                    }
                    extent @ (Extent::Bytes(1..) | Extent::Chunked | Extent::UntilClose) => {
                        self.sides[from].state = State::Peek { extent };
                        None
                    }
                    extent => Some(extent),
                }
            }
        };
        match extent {
            _ if part.is_some() => self.done(from, part, None, out),
            Some(extent) => self.begin(from, extent, out),
            None => {}
        }
    }

    /// What follows the head of a final response, as far as its request is known.
    fn response_extent(
        &mut self,
        from: Side,
        head: &Head<'_>,
        status: u16,
        asked: Asked,
        out: &mut dyn Sink,
    ) -> Extent {
        let tunnel = asked == Asked::Connect && (200..300).contains(&status);
        let switch = status == 101 || tunnel;
        if status == 101 && matches!(asked, Asked::Head | Asked::Usual { upgrade: false }) {
            out.anomaly(0..0, Anomaly::new("http1_unasked_switch"));
        }
        self.sides[from].switch = switch;
        if switch {
            return Extent::Bytes(0);
        }
        let other = &mut self.sides[from.other()];
        if matches!(other.state, State::Held) && !matches!(asked, Asked::Head | Asked::Usual { upgrade: false }) {
            other.state = HEAD;
            other.switch = false;
        }
        head.response_extent(status, asked)
    }

    /// Ends a response that may grant a tunnel, for what grants one has neither length nor type (RFC 9110 §9.3.6): what
    /// follows is looked at anew, and is never a body that it may not be.
    fn perhaps_tunnel(&mut self, from: Side, out: &mut dyn Sink) {
        self.sides[from].body.doubt();
        self.done(from, None, Some("it is not known whether a tunnel was asked for"), out);
        self.switched = true;
    }

    /// Hands over the message that is being read, with what ended it where not its own end.
    pub(super) fn done(&mut self, from: Side, reason: Option<EndReason>, note: Option<&str>, out: &mut dyn Sink) {
        let kind = self.kind(from);
        let reading = &mut self.sides[from];
        let switch = std::mem::take(&mut reading.switch) && reason.is_none();
        reading.state = if switch { State::Held } else { HEAD };
        let Some(mut stamp) = reading.stamp.take() else { return };
        stamp.end_unseen |= reason.is_some_and(EndReason::is_cut);
        let mut body = std::mem::take(&mut reading.body).end(reason.is_none() && note.is_none());
        if let Some(note) = note {
            body.note = Some(body.note.map_or_else(|| note.to_owned(), |before| format!("{before}; {note}")));
        }
        let trailers = std::mem::take(&mut reading.trailers);
        match kind {
            Kind::Request => self.rows.request_done(Done { stamp, body, trailers, reason }, out),
            Kind::Response => {
                self.switched |= switch;
                let reason = if switch { Some(EndReason::Upgraded) } else { reason };
                self.rows.response_done(Done { stamp, body, trailers, reason }, out);
            }
        }
    }

    /// A client that was refused before it sent its body may go on with the next request (RFC 9110 §10.1.1).
    fn expecting(&mut self, from: Side, extent: Extent, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let rest = input.rest();
        if rest.is_empty() {
            return Next::Wait(1);
        }
        match seek::common_request(rest) {
            Ok(()) if self.rows.may_be_refused() => self.done(from, None, Some("refused, and never sent"), out),
            Err(NotWhole::Wanted) if self.rows.may_be_refused() => return Next::Wait(rest.len() + 1),
            _ => self.begin(from, extent, out),
        }
        Next::Again
    }

    /// A response whose request we do not know may answer HEAD: then no body follows, but the next head.
    fn peek(&mut self, from: Side, extent: Extent, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        match wire::status_begin(input.rest()) {
            Ok(()) => self.done(from, None, Some("it is not known whether one was asked for"), out),
            Err(NotWhole::Wanted) => return Next::Wait(input.rest().len() + 1),
            Err(NotWhole::Malformed) => self.begin(from, extent, out),
        }
        Next::Again
    }

    fn seek(&mut self, from: Side, edge: Edge, lost: bool, input: &mut Input<'_>) -> Next {
        let rest = input.rest();
        let (skipped, found) = match seek::next(rest, edge, self.kind(from)) {
            Ok(found) => (found, true),
            Err(undecided) => (undecided, false),
        };
        input.at += skipped;
        let edge = match rest.get(..skipped).and_then(<[u8]>::last) {
            None => edge,
            Some(b'\n') => Edge::Start,
            Some(_) => Edge::Inside,
        };
        let state = &mut self.sides[from].state;
        if found {
            *state = State::Head { scanned: 0, damaged: lost };
            return Next::Again;
        }
        *state = State::Seeking { edge, lost };
        Next::Wait(input.rest().len() + 1)
    }
}

//! Kafka over TCP: messages of both sides, each with its length in front.
//!
//!     Joining ──no response──▶ Seeking ──a message──▶ Boundary ──its header──▶ Inside ──its end──▶ Boundary
//!        └──a response──▶ Boundary  ▲──no message, or a gap past a message's end──┘
//!
//! A message passes by its fields and batches and is never held as a whole; a gap inside of one is stepped over.

use super::frame::{Frame, Input, Kind};
use super::rows::{Asked, Rows};
use super::walk::Stuck;
use super::wire::{self, LENGTH_BYTES, Probe, RequestHeader};
use super::{Exchange, schema};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Start};
use formats::bytes::Reader;

#[derive(Default)]
enum State {
    #[default]
    Boundary,
    Inside(Box<Frame>),
    /// At a response to a request that was not seen, perhaps.
    Joining,
    Seeking,
}

/// One connection.
pub struct OverTcp {
    body_bytes_max: usize,
    sides: PerSide<State>,
    rows: Rows,
    ended: PerSide<Option<End>>,
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut input = Input { unread, at: 0 };
        let wanted = self.read(from, &mut input, out);
        Progress::Continue { consumed: input.at, wanted: wanted.max(unread.len() - input.at + 1) }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        out.anomaly(0..unread.len(), Anomaly::with("kafka_gap", format!("{lost_bytes} bytes")));
        match from {
            Side::Client => self.rows.requests_lost = true,
            Side::Server => self.rows.responses_lost(),
        }
        let gone = unread.len() as u64 + lost_bytes;
        self.sides[from] = match std::mem::take(&mut self.sides[from]) {
            State::Inside(mut frame) => {
                let left = frame.left();
                let inside = frame.lose(&Input { unread, at: 0 }, lost_bytes, &self.rows, out);
                if inside && gone < left {
                    State::Inside(frame)
                } else {
                    frame.end(!inside, &mut self.rows, out);
                    if inside { State::Boundary } else { State::Seeking }
                }
            }
            State::Boundary => self.lose_header(from, unread, lost_bytes, out),
            State::Joining | State::Seeking => State::Seeking,
        };
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        let seeking = matches!(self.sides[from], State::Joining | State::Seeking);
        if !unread.is_empty() && !seeking {
            out.anomaly(0..unread.len(), Anomaly::new("kafka_unfinished"));
        }
        if let State::Inside(mut frame) = std::mem::take(&mut self.sides[from]) {
            frame.lose(&Input { unread, at: 0 }, 0, &self.rows, out);
            frame.end(true, &mut self.rows, out);
        }
        self.ended[from] = Some(how);
        if let Some(other) = self.ended[from.other()] {
            self.rows.end(how == End::Cut || other == End::Cut, out);
        }
    }

    fn held_bytes(&self) -> usize {
        let side = |side: &State| if let State::Inside(frame) = side { frame.held_bytes() } else { 0 };
        self.rows.held_bytes() + side(&self.sides.client) + side(&self.sides.server)
    }
}

impl OverTcp {
    /// For a connection about to be read. One that began before is joined at a message of either side.
    pub fn new(start: &Start) -> Self {
        let (client, server) = match start.from_start {
            true => (State::Boundary, State::Boundary),
            false => (State::Seeking, State::Joining),
        };
        Self {
            body_bytes_max: start.options.body_bytes_max,
            sides: PerSide { client, server },
            rows: Rows::default(),
            ended: PerSide::default(),
        }
    }

    /// Takes what is there; says how many unread bytes are wanted.
    fn read(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> usize {
        loop {
            match &mut self.sides[from] {
                State::Inside(frame) => {
                    if let Some(wanted) = frame.read(input, &mut self.rows, out) {
                        return wanted;
                    }
                    if let State::Inside(frame) = std::mem::take(&mut self.sides[from]) {
                        frame.end(false, &mut self.rows, out);
                    }
                }
                State::Boundary => match self.begin(from, input, out) {
                    Ok(frame) => self.sides[from] = State::Inside(Box::new(frame)),
                    Err(Stuck::Wanted(missing)) => return input.rest().len() + missing,
                    Err(Stuck::Malformed) => {
                        out.anomaly(input.at..input.at, Anomaly::new("kafka_not_a_message"));
                        self.sides[from] = State::Seeking;
                    }
                },
                State::Joining => match wire::probe_any_response(input.rest()) {
                    Probe::Is => self.sides[from] = State::Boundary,
                    Probe::IsNot => self.sides[from] = State::Seeking,
                    Probe::Perhaps => return input.rest().len() + 1,
                },
                State::Seeking => {
                    let probe = match from {
                        Side::Client => wire::probe_request(input.rest()),
                        Side::Server => wire::probe_response(input.rest(), |id| self.rows.asked(id)),
                    };
                    match probe {
                        Probe::Is => self.sides[from] = State::Boundary,
                        Probe::IsNot => input.at += 1,
                        Probe::Perhaps => return input.rest().len() + 1,
                    }
                }
            }
        }
    }

    /// Takes the header of a message.
    fn begin(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Result<Frame, Stuck> {
        let mut reader = Reader::new(input.rest());
        let front = reader.array().map_err(|short| Stuck::Wanted(short.missing_bytes))?;
        let tokens = self.rows.bare_tokens;
        let Some(length) = wire::length(front, from == Side::Client) else {
            // Tokens may be as short as they like.
            let length = u32::from_be_bytes(front);
            if !tokens || length >= 8 {
                return Err(Stuck::Malformed);
            }
            return Ok(self.token(length.into(), input, out));
        };
        let whole = LENGTH_BYTES as u64 + u64::from(length);
        let here = input.rest().get(..input.rest().len().min(whole as usize)).unwrap_or_default();
        let mut reader = Reader::new(here);
        let _ = reader.skip(LENGTH_BYTES);
        let frame = match from {
            Side::Client => self.begin_request(length.into(), &mut reader, input, out),
            Side::Server => self.begin_response(length.into(), &mut reader, input, out),
        };
        match frame {
            Err(Stuck::Malformed) if tokens => Ok(self.token(length.into(), input, out)),
            frame => frame,
        }
    }

    fn begin_request(
        &mut self,
        length: u64,
        reader: &mut Reader<'_>,
        input: &mut Input<'_>,
        out: &mut dyn Sink,
    ) -> Result<Frame, Stuck> {
        let header = RequestHeader::read(reader, length)?;
        if self.rows.bare_tokens && !header.known {
            return Err(Stuck::Malformed);
        }
        self.rows.bare_tokens = false;
        let stamp = out.stamp(input.at..input.at + reader.at());
        let left = length + LENGTH_BYTES as u64 - reader.at() as u64;
        input.at += reader.at();
        let exchange = Exchange {
            api: Some((header.key, header.version)),
            api_name: schema::api(header.key).map(|api| api.name),
            correlation_id: header.correlation_id,
            client_id: header.client_id.map(|id| String::from_utf8_lossy(id).into_owned()),
            ..Exchange::default()
        };
        let asked = Asked { stamp, exchange, lost: false, whole: false };
        let frame = Frame::new(Kind::Request(asked), (length, left), stamp, self.body_bytes_max);
        Ok(frame.with_body(header.body().map(|message| (message, header.version))))
    }

    fn begin_response(
        &mut self,
        length: u64,
        reader: &mut Reader<'_>,
        input: &mut Input<'_>,
        out: &mut dyn Sink,
    ) -> Result<Frame, Stuck> {
        let correlation_id = reader.u32_be().map_err(|short| Stuck::Wanted(short.missing_bytes))? as i32;
        let asked = self.rows.take(correlation_id);
        if asked.is_none() && self.rows.bare_tokens {
            return Err(Stuck::Malformed);
        }
        let stamp = out.stamp(input.at..input.at + reader.at());
        input.at += reader.at();
        let kind = Kind::Response { asked, correlation_id };
        Ok(Frame::new(kind, (length, length - 4), stamp, self.body_bytes_max))
    }

    fn token(&mut self, length: u64, input: &mut Input<'_>, out: &mut dyn Sink) -> Frame {
        let stamp = out.stamp(input.at..input.at + LENGTH_BYTES);
        input.at += LENGTH_BYTES;
        Frame::new(Kind::Unread, (length, length), stamp, 0).with_body(None)
    }

    /// Where one is after a gap that took a part of a header: its message is stepped over if its length was seen.
    fn lose_header(&mut self, from: Side, unread: &[u8], lost: u64, out: &mut dyn Sink) -> State {
        let front = unread.first_chunk().and_then(|front| wire::length(*front, from == Side::Client));
        let Some(length) = front else { return State::Seeking };
        let left = (LENGTH_BYTES as u64 + u64::from(length)).saturating_sub(unread.len() as u64);
        match left.checked_sub(lost) {
            Some(left) => {
                let stamp = out.stamp(0..unread.len());
                State::Inside(Box::new(Frame::new(Kind::Unread, (length.into(), left), stamp, 0).with_body(None)))
            }
            None => State::Seeking,
        }
    }
}

//! What follows a head: a body of known length, in chunks, or up to the end of the connection (RFC 9112 §6, §7.1).
//!
//! Enters: the [`Extent`] that a head tells. Leaves: a message that is whole, once its body is. Refused: chunks that are none,
//! behind which nobody can say how it goes on.

use super::head::Extent;
use super::odd::Odd;
use super::open::Missing;
use super::over_tcp::{Chunk, Input, Next, OverTcp, State};
use super::seek::Edge;
use super::wire::{self, NotWhole};
use crate::protocols::{Anomaly, Side, Sink};
use std::ops::Range;

impl OverTcp {
    /// Begins the body of the message whose head was read.
    pub(super) fn begin(&mut self, from: Side, extent: Extent, out: &mut dyn Sink) {
        let state = &mut self.sides[from].state;
        match extent {
            Extent::Bytes(0) => self.done(from, None, None, out),
            Extent::Bytes(left) => *state = State::Body { left: Some(left) },
            Extent::Chunked => *state = State::Chunk(Chunk::Size),
            Extent::UntilClose => *state = State::Body { left: None },
            Extent::Unknown => self.unreadable(from, "its length is not known", out),
        }
    }

    /// Ends the message at a point where nobody can say how it goes on.
    fn unreadable(&mut self, from: Side, note: &str, out: &mut dyn Sink) {
        self.sides[from].body.doubt();
        self.done(from, None, Some(note), out);
        self.rows.missing(self.kind(from), Missing::Unseen, out);
        // What stands here may be of the body: a line that it ends in front of the next request.
        self.sides[from].state = State::Seeking { edge: Edge::Gap, lost: false };
    }

    /// Takes what is there of a body that has no chunks.
    pub(super) fn body(&mut self, from: Side, left: Option<u64>, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let rest = input.rest();
        let size = left.map_or(rest.len(), |left| left.min(rest.len() as u64) as usize);
        let reading = &mut self.sides[from];
        reading.body.write(rest.get(..size).unwrap_or_default());
        let left = left.map(|left| left - size as u64);
        reading.state = State::Body { left };
        self.cover(from, input.at..input.at + size, out);
        input.at += size;
        if left == Some(0) {
            self.done(from, None, None, out);
            return Next::Again;
        }
        Next::Wait(1)
    }

    /// Takes chunks (RFC 9112 §7.1).
    pub(super) fn chunks(&mut self, from: Side, input: &mut Input<'_>, out: &mut dyn Sink) -> Next {
        let begin = input.at;
        let odds = self.sides[from].odds;
        let end = self.chunks_until(from, input);
        self.cover(from, begin..input.at, out);
        let now = self.sides[from].odds;
        for (odd, kind) in [(Odd::BareLf, "http1_bare_lf"), (Odd::BadHeader, "http1_bad_header")] {
            if now.has(odd) && !odds.has(odd) {
                out.anomaly(begin..input.at, Anomaly::with(kind, "in chunks"));
            }
        }
        match end {
            Ok(()) => self.done(from, None, None, out),
            Err(NotWhole::Wanted) => return Next::Wait(input.rest().len() + 1),
            Err(NotWhole::Malformed) => {
                out.anomaly(input.at..input.unread.len(), Anomaly::new("http1_bad_chunk"));
                self.unreadable(from, "a chunk is malformed", out);
            }
        }
        Next::Again
    }

    fn chunks_until(&mut self, from: Side, input: &mut Input<'_>) -> Result<(), NotWhole> {
        let reading = &mut self.sides[from];
        loop {
            let State::Chunk(chunk) = reading.state else { return Ok(()) };
            let rest = input.rest();
            let next = match chunk {
                Chunk::Size => {
                    let (size, taken, bare) = wire::chunk_size(rest)?;
                    reading.odds.add_if(bare, Odd::BareLf);
                    input.at += taken;
                    if size == 0 { Chunk::Trailers { scanned: 0 } } else { Chunk::Data { left: size } }
                }
                Chunk::Data { left } => {
                    let size = left.min(rest.len() as u64) as usize;
                    reading.body.write(rest.get(..size).unwrap_or_default());
                    input.at += size;
                    let left = left - size as u64;
                    if left > 0 {
                        reading.state = State::Chunk(Chunk::Data { left });
                        return Err(NotWhole::Wanted);
                    }
                    Chunk::End
                }
                Chunk::End => {
                    let (taken, bare) = wire::chunk_end(rest)?;
                    reading.odds.add_if(bare, Odd::BareLf);
                    input.at += taken;
                    Chunk::Size
                }
                Chunk::Trailers { scanned } => match wire::section_end(rest, scanned) {
                    Ok(end) => {
                        let section = rest.get(..end).unwrap_or_default();
                        wire::fields(section, &mut reading.trailers, &mut reading.odds);
                        input.at += end;
                        return Ok(());
                    }
                    Err(scanned) => {
                        reading.state = State::Chunk(Chunk::Trailers { scanned });
                        return Err(NotWhole::Wanted);
                    }
                },
            };
            reading.state = State::Chunk(next);
        }
    }

    /// Adds bytes to the message that is being read.
    fn cover(&mut self, from: Side, span: Range<usize>, out: &mut dyn Sink) {
        if let Some(stamp) = &mut self.sides[from].stamp
            && !span.is_empty()
        {
            stamp.extend(out.stamp(span));
        }
    }
}

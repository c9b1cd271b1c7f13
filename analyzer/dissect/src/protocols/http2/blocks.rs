//! Header blocks, gathered over the frames they are split into (RFC 9113 §4.3, §6.10).

use super::head::Block;
use super::over_tcp::OverTcp;
use super::stream::At;
use super::wire::{self, Frame, flag, kind};
use crate::protocols::{Anomaly, Side, Sink, Stamp};
use std::ops::Range;

/// Most bytes of one block: CONTINUATION frames can go on for ever, and servers take no more than 64 KiB.
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// A header block of which more is to come.
#[derive(Debug)]
pub struct Part {
    /// Stream of its frames.
    pub stream: u32,
    /// The stream that it promises.
    promised: Option<u32>,
    ends: bool,
    stamp: Stamp,
    bytes: Vec<u8>,
    /// Whether bytes are missing from here on.
    short: bool,
    /// Whether a gap took them.
    damaged: bool,
}

impl Part {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes of one more frame.
    fn add(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > BLOCK_BYTES_MAX {
            self.short = true;
        }
        if !self.short {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl OverTcp {
    /// A whole frame of a block.
    pub(super) fn block_part(
        &mut self,
        from: Side,
        frame: &Frame,
        payload: &[u8],
        span: Range<usize>,
        out: &mut dyn Sink,
    ) {
        let stamp = out.stamp(span.clone());
        let Some((promised, bytes)) = fragment(frame, payload) else {
            out.anomaly(span, Anomaly::with("http2_bad_frame", "padding longer than its frame"));
            return self.lose_block(from, false);
        };
        if frame.kind == kind::CONTINUATION {
            let Some(part) = &mut self.sides[from].part else {
                out.anomaly(span, Anomaly::with("http2_bad_frame", "continues nothing"));
                return self.lose_block(from, false);
            };
            part.stamp.extend(stamp);
            let fitted = !part.short;
            part.add(bytes);
            if part.short && fitted {
                out.anomaly(span.clone(), Anomaly::new("http2_header_block_too_large"));
            }
            if frame.has(flag::END_HEADERS) {
                self.finish_block(from, false, span, out);
            }
            return;
        }
        let ends = frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
        let mut part =
            Part { stream: frame.stream, promised, ends, stamp, bytes: Vec::new(), short: false, damaged: false };
        if frame.has(flag::END_HEADERS) {
            // The usual case: nothing is copied.
            self.read_block(from, part, Some(bytes), span, out);
        } else {
            part.add(bytes);
            self.sides[from].part = Some(part);
        }
    }

    /// What was seen of a frame of a block that will not be seen to its end.
    pub(super) fn block_front(
        &mut self,
        from: Side,
        frame: &Frame,
        payload: &[u8],
        lost: bool,
        span: Range<usize>,
        out: &mut dyn Sink,
    ) {
        let stamp = out.stamp(span.clone());
        if frame.kind == kind::CONTINUATION {
            match &mut self.sides[from].part {
                Some(part) => {
                    part.stamp.extend(stamp);
                    part.add(payload);
                }
                None => return self.lose_block(from, lost),
            }
        } else {
            // What is padding of a part shows at the end of the frame: without it nothing is certain.
            let padded = frame.has(flag::PADDED);
            let seen = fragment(&Frame { flags: frame.flags & !flag::PADDED, ..*frame }, payload).filter(|_| !padded);
            let (promised, bytes) = seen.unwrap_or_default();
            if frame.kind == kind::PUSH_PROMISE && promised.is_none() {
                return self.lose_block(from, lost);
            }
            let ends = lost && frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
            let bytes = bytes.to_vec();
            let part = Part { stream: frame.stream, promised, ends, stamp, bytes, short: true, damaged: lost };
            self.sides[from].part = Some(part);
        }
        if let Some(part) = &mut self.sides[from].part {
            part.short = true;
            if lost {
                part.damaged = true;
                part.stamp.lose();
            }
        }
        if frame.has(flag::END_HEADERS) || !lost {
            self.finish_block(from, true, span, out);
        }
    }

    /// Reads the block that was gathered; `short` says that its end is missing.
    pub(super) fn finish_block(&mut self, from: Side, short: bool, span: Range<usize>, out: &mut dyn Sink) {
        if let Some(mut part) = self.sides[from].part.take() {
            part.short |= short;
            self.read_block(from, part, None, span, out);
        }
    }

    fn read_block(&mut self, from: Side, part: Part, bytes: Option<&[u8]>, span: Range<usize>, out: &mut dyn Sink) {
        let table_bytes_max = self.sides[from.other()].table_bytes_max;
        let reading = &mut self.sides[from];
        let mut block = Block::read(&mut reading.decoder, bytes.unwrap_or(&part.bytes));
        let damaged = part.damaged || reading.damaged && block.unknown > 0;
        if part.short {
            self.lose_block(from, part.damaged);
            block.short = true;
        } else if let Some(malformed) = block.outcome.malformed {
            out.anomaly(span.clone(), Anomaly::with("http2_bad_header_block", malformed.name()));
        }
        if let Some(size) = block.outcome.resized.filter(|&size| size > table_bytes_max && self.rows.is_exact()) {
            out.anomaly(span.clone(), Anomaly::with("http2_bad_table_size", format!("{size} of {table_bytes_max}")));
        }
        if let Some((kind, detail)) = block.odd.take() {
            out.anomaly(span, Anomaly::with(kind, detail));
        }
        let at = At { from, stream: part.promised.unwrap_or(part.stream), stamp: part.stamp, ends: part.ends, damaged };
        match part.promised {
            Some(_) => self.rows.promise(at, block, out),
            None => self.rows.block(at, block, out),
        }
    }

    /// A block cannot be read, so what it did to the table is not known.
    fn lose_block(&mut self, from: Side, lost: bool) {
        let reading = &mut self.sides[from];
        reading.part = None;
        reading.decoder.forget();
        reading.damaged |= lost;
    }
}

/// The stream a frame promises, where it does, and its part of a block.
fn fragment<'a>(frame: &Frame, payload: &'a [u8]) -> Option<(Option<u32>, &'a [u8])> {
    match frame.kind {
        kind::HEADERS => Some((None, wire::headers(frame, payload)?)),
        kind::PUSH_PROMISE => wire::promise(frame, payload).map(|(stream, bytes)| (Some(stream), bytes)),
        _ => Some((None, payload)),
    }
}

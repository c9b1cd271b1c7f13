//! Header blocks of one side, gathered over the frames they are split into (RFC 9113 §4.3, §6.10).
//!
//! Enters: frames of blocks, whole or as far as they were seen. Leaves: a [`Whole`] for each block, with its fields. Refused:
//! what continues nothing, and padding longer than its frame; what a lost block did to the table is not known.

use super::head::Block;
use super::hpack::Decoder;
use super::stream::At;
use super::wire::{self, Frame, flag, kind};
use crate::protocols::{Anomaly, Side, Sink, Stamp};
use std::ops::Range;

/// Most bytes of one block: CONTINUATION frames can go on for ever, and servers take no more than 64 KiB.
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// The header blocks of one side, and the table they share.
pub struct Blocks {
    from: Side,
    decoder: Decoder,
    /// The one that is being gathered.
    part: Option<Part>,
    /// Whether a gap took some.
    damaged: bool,
}

/// A block that no more is to come of.
pub struct Whole {
    /// Where it was seen, and of which stream it is: one that it promises, where it does.
    pub at: At,
    /// What it says.
    pub block: Block,
    /// Whether it promises its stream.
    pub is_promise: bool,
}

/// A header block of which more is to come.
#[derive(Debug)]
struct Part {
    /// Stream of its frames.
    stream: u32,
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

impl Blocks {
    /// Those of `from`, read from its first byte or joined in the middle.
    pub fn new(from: Side, from_start: bool) -> Self {
        Self { from, decoder: Decoder::new(from_start), part: None, damaged: false }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.decoder.held_bytes() + self.part.as_ref().map_or(0, |part| part.bytes.len())
    }

    /// Whether `frame` is not the one that a block goes on with.
    pub fn interrupts(&self, frame: &Frame) -> bool {
        self.part.as_ref().is_some_and(|part| (frame.kind, frame.stream) != (kind::CONTINUATION, part.stream))
    }

    /// A whole frame of a block. A table that becomes larger than `table_bytes_max` is odd; none where it is not known how
    /// large it may be.
    pub fn frame(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        span: Range<usize>,
        table_bytes_max: Option<u32>,
        out: &mut dyn Sink,
    ) -> Option<Whole> {
        let stamp = out.stamp(span.clone());
        let Some((promised, bytes)) = fragment(frame, payload) else {
            out.anomaly(span, Anomaly::with("http2_bad_frame", "padding longer than its frame"));
            self.forget(false);
            return None;
        };
        if frame.kind == kind::CONTINUATION {
            let Some(part) = &mut self.part else {
                out.anomaly(span, Anomaly::with("http2_bad_frame", "continues nothing"));
                self.forget(false);
                return None;
            };
            part.stamp.extend(stamp);
            let fitted = !part.short;
            part.add(bytes);
            if part.short && fitted {
                out.anomaly(span.clone(), Anomaly::new("http2_header_block_too_large"));
            }
            if frame.has(flag::END_HEADERS) {
                return self.finish(false, span, table_bytes_max, out);
            }
            return None;
        }
        let ends = frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
        let mut part =
            Part { stream: frame.stream, promised, ends, stamp, bytes: Vec::new(), short: false, damaged: false };
        if frame.has(flag::END_HEADERS) {
            // The usual case: nothing is copied.
            return Some(self.read(part, Some(bytes), span, table_bytes_max, out));
        }
        part.add(bytes);
        self.part = Some(part);
        None
    }

    /// What was seen of a frame of a block that will not be seen to its end.
    pub fn front(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        lost: bool,
        span: Range<usize>,
        table_bytes_max: Option<u32>,
        out: &mut dyn Sink,
    ) -> Option<Whole> {
        let stamp = out.stamp(span.clone());
        if frame.kind == kind::CONTINUATION {
            match &mut self.part {
                Some(part) => {
                    part.stamp.extend(stamp);
                    part.add(payload);
                }
                None => {
                    self.forget(lost);
                    return None;
                }
            }
        } else {
            // What is padding of a part shows at the end of the frame: without it nothing is certain.
            let padded = frame.has(flag::PADDED);
            let seen = fragment(&Frame { flags: frame.flags & !flag::PADDED, ..*frame }, payload).filter(|_| !padded);
            let (promised, bytes) = seen.unwrap_or_default();
            if frame.kind == kind::PUSH_PROMISE && promised.is_none() {
                self.forget(lost);
                return None;
            }
            let ends = lost && frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
            let bytes = bytes.to_vec();
            let part = Part { stream: frame.stream, promised, ends, stamp, bytes, short: true, damaged: lost };
            self.part = Some(part);
        }
        if let Some(part) = &mut self.part {
            part.short = true;
            if lost {
                part.damaged = true;
                part.stamp.lose();
            }
        }
        if frame.has(flag::END_HEADERS) || !lost { self.finish(true, span, table_bytes_max, out) } else { None }
    }

    /// Reads the block that was gathered, if there is one; `short` says that its end is missing.
    pub fn finish(
        &mut self,
        short: bool,
        span: Range<usize>,
        table_bytes_max: Option<u32>,
        out: &mut dyn Sink,
    ) -> Option<Whole> {
        let mut part = self.part.take()?;
        part.short |= short;
        Some(self.read(part, None, span, table_bytes_max, out))
    }

    fn read(
        &mut self,
        part: Part,
        bytes: Option<&[u8]>,
        span: Range<usize>,
        table_bytes_max: Option<u32>,
        out: &mut dyn Sink,
    ) -> Whole {
        let mut block = Block::read(&mut self.decoder, bytes.unwrap_or(&part.bytes));
        let damaged = part.damaged || self.damaged && block.unknown > 0;
        if part.short {
            self.forget(part.damaged);
            block.short = true;
        } else if let Some(malformed) = block.outcome.malformed {
            out.anomaly(span.clone(), Anomaly::with("http2_bad_header_block", malformed.name()));
        }
        if let (Some(size), Some(most)) = (block.outcome.resized, table_bytes_max)
            && size > most
        {
            out.anomaly(span.clone(), Anomaly::with("http2_bad_table_size", format!("{size} of {most}")));
        }
        if let Some((kind, detail)) = block.odd.take() {
            out.anomaly(span, Anomaly::with(kind, detail));
        }
        let (stream, ends) = (part.promised.unwrap_or(part.stream), part.ends);
        let at = At { from: self.from, stream, stamp: part.stamp, ends, damaged };
        Whole { at, block, is_promise: part.promised.is_some() }
    }

    /// A block cannot be read, so what it did to the table is not known; `lost` says that a gap took it.
    pub fn forget(&mut self, lost: bool) {
        self.part = None;
        self.decoder.forget();
        self.damaged |= lost;
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

//! One direction of a connection: a place in the stream, and what waits beyond it.

use super::jump::Jump;
use crate::limits;
use std::collections::BTreeMap;

/// Where a stream begins: not at 0, so that bytes before the first one seen have a place too.
const START: u64 = 1 << 32;

/// The furthest a segment may plausibly be behind the place expected: a scaled window (RFC 7323 §2.3).
const WINDOW_MAX: i64 = 1 << 30;

/// The furthest it may be before it: what is sent again was under way, 200 ms at 10 Gbit/s. The rest of the numbers are of
/// what comes behind a hole.
const SENT_AGAIN_MAX: i64 = 256 << 20;

/// What a segment that waits costs besides its bytes: its place in the tree, whose nodes may be half empty, and the least
/// that bytes of their own take.
const SEGMENT_BYTES: usize = 2 * (size_of::<u64>() + size_of::<Held>()) + 16;

/// A segment that waits.
#[derive(Debug)]
pub struct Held {
    /// Its bytes; those that were captured.
    pub bytes: Vec<u8>,
    /// Bytes that follow it and were cut by the snap length.
    pub cut_bytes: u64,
    /// Place of the other side it acknowledges, 0 where it acknowledges nothing.
    pub needs: u64,
    /// Time of its packet [ns].
    pub ts_ns: i64,
    /// The same of the first frame of it [ns].
    pub began_ns: i64,
    /// Number of its packet in the capture.
    pub packet: u64,
    /// Number of its packet in the flow.
    pub arrived: u64,
}

/// A gap that was given up: what comes for it later is late, not a repeat.
#[derive(Debug, Clone, Copy)]
struct Given {
    from: u64,
    to: u64,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Half {
    /// Place of the next byte to hand on; 0 before the first segment.
    pub next: u64,
    /// Sequence number of that byte.
    next_seq: u32,
    /// Place of the first byte there is.
    begin: u64,
    /// While it is not certain that the first segment seen is the first there is: number and time [ns] of that
    /// packet. Nothing is handed on until then.
    pub settling: Option<(u64, i64)>,
    /// The furthest place the other side acknowledged; 0 where it acknowledged nothing yet.
    pub acked: u64,
    /// Place behind the last byte, once a FIN said so.
    pub fin: Option<u64>,
    /// Whether its end was handed on.
    pub ended: bool,
    /// Segments beyond `next`, by place; they do not overlap.
    pub held: BTreeMap<u64, Held>,
    /// Bytes in `held`.
    held_bytes: usize,
    /// The latest gap.
    given: Option<Given>,
    /// What was seen out of its window.
    pub jump: Jump,
}

impl Half {
    /// Whether anything was seen of it.
    pub fn started(&self) -> bool {
        self.next != 0
    }

    /// The first byte will have this sequence number.
    pub fn start(&mut self, seq: u32) {
        (self.next, self.next_seq, self.begin) = (START, seq, START);
    }

    /// The first byte stands further in front than it seemed.
    pub fn start_earlier(&mut self, place: u64) {
        self.next_seq = self.seq(place);
        (self.next, self.begin) = (place, place);
    }

    /// The place of a sequence number: the one nearest to what comes next, so numbers may wrap.
    pub fn place(&self, seq: u32) -> Option<u64> {
        let distance = i64::from(seq.wrapping_sub(self.next_seq) as i32);
        let place = self.next.checked_add_signed(distance)?;
        (-SENT_AGAIN_MAX..=WINDOW_MAX).contains(&distance).then_some(place)
    }

    /// The fewest bytes that lie before a sequence number, out of any window.
    pub fn bytes_until(&self, seq: u32) -> u64 {
        seq.wrapping_sub(self.next_seq).into()
    }

    /// The sequence number of a place.
    pub fn seq(&self, place: u64) -> u32 {
        self.next_seq.wrapping_add(place.wrapping_sub(self.next) as u32)
    }

    /// Steps over `bytes` that were handed on or lost.
    pub fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        self.next_seq = self.next_seq.wrapping_add(bytes as u32);
    }

    /// Steps over a gap and remembers it.
    pub fn give_up(&mut self, bytes: u64) {
        self.given = Some(Given { from: self.next, to: self.next + bytes });
        self.advance(bytes);
    }

    /// Whether bytes at `place` belong to the latest gap.
    pub fn was_given_up(&self, place: u64) -> bool {
        self.given.is_some_and(|given| (given.from..given.to).contains(&place))
    }

    /// Whether bytes at `place` were handed on, or wait.
    pub fn has(&self, place: u64, bytes: &[u8]) -> bool {
        let end = place + bytes.len() as u64;
        if end <= self.next {
            return !self.is_before_start(place) && !self.was_given_up(place) && !self.was_given_up(end - 1);
        }
        let before = self.held.range(..=place).next_back();
        before.is_some_and(|(&at, held)| slice(&held.bytes, place - at, end - at) == bytes)
    }

    /// Whether nothing was seen before `place`.
    pub fn is_before_start(&self, place: u64) -> bool {
        place < self.begin
    }

    /// Puts a segment among those that wait, without what is there already: the first copy wins.
    /// Returns the bytes that were new, and whether a repeat differed from what was there.
    pub fn hold(&mut self, place: u64, segment: Held) -> (usize, bool) {
        let end = place + segment.bytes.len() as u64;
        let mut differs = false;
        let mut new_bytes = 0;
        let mut at = place;
        let before = self.held.range(..=place).next_back().map(|(&at, held)| (at, held.bytes.len() as u64));
        let overlapping: Vec<(u64, u64)> = before
            .into_iter()
            .chain(self.held.range(place + 1..end.max(place + 1)).map(|(&at, held)| (at, held.bytes.len() as u64)))
            .map(|(at, length)| (at, at + length))
            .filter(|&(from, to)| to > place && from < end)
            .collect();
        for &(from, to) in overlapping.iter().chain(&[(end, end)]) {
            if from > at {
                let piece = slice(&segment.bytes, at - place, from.min(end) - place);
                new_bytes += piece.len();
                let last = from.min(end) == end;
                let held =
                    Held { bytes: piece.to_vec(), cut_bytes: if last { segment.cut_bytes } else { 0 }, ..segment };
                self.held.insert(at, held);
            }
            if let Some(there) = self.held.get(&from).filter(|_| to > from) {
                let (begin, stop) = (from.max(place), to.min(end));
                differs |= slice(&there.bytes, begin - from, stop - from)
                    != slice(&segment.bytes, begin - place, stop - place);
            }
            at = at.max(to);
        }
        // Nothing but a cut: where bytes are there already it would hide them from those that come later.
        let covered = before.is_some_and(|(at, length)| at + length > place);
        if segment.bytes.is_empty() && segment.cut_bytes > 0 && !covered {
            self.held.entry(place).or_insert(segment);
        }
        self.held_bytes += new_bytes;
        (new_bytes, differs)
    }

    /// Takes the first segment that waits, without what was handed on meanwhile.
    pub fn take_first(&mut self) -> Option<(u64, Held)> {
        let (place, mut held) = self.held.pop_first()?;
        self.held_bytes -= held.bytes.len();
        // What the snap length cut off may have come again whole.
        if let Some((&behind, _)) = self.held.first_key_value() {
            held.cut_bytes = held.cut_bytes.min(behind.saturating_sub(place + held.bytes.len() as u64));
        }
        if place < self.next {
            let stale = (self.next - place).min(held.bytes.len() as u64);
            held.bytes.drain(..stale as usize);
            return Some((place + stale, held));
        }
        Some((place, held))
    }

    /// Memory of the segments that wait.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes + self.held.len() * SEGMENT_BYTES
    }

    /// Whether so much waits that the hole in front is given up.
    pub fn is_full(&self) -> bool {
        self.held_bytes > limits::OUT_OF_ORDER_BYTES_MAX || self.held.len() > limits::OUT_OF_ORDER_SEGMENTS_MAX
    }
}

/// `bytes[from..to]`, empty where that is not there.
fn slice(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    bytes.get(from as usize..to as usize).unwrap_or_default()
}

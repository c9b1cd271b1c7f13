//! The bytes of one side that a dissector has not consumed, and where they came from.

use super::{End, Side, Stamp};
use std::collections::VecDeque;
use std::ops::Range;

/// Where some bytes came from: from `at` on to the next mark.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    /// Position of the first of them, counted over everything this side handed on.
    pub at: u64,
    /// Sequence number of that byte; for a datagram, its time.
    pub place: u64,
    /// Whether `place` counts bytes, modulo 2³².
    pub in_stream: bool,
    /// Time of their packet [ns].
    pub ts_ns: i64,
    /// The same of the first frame of it, where it came in fragments.
    pub began_ns: i64,
    /// Number of their packet.
    pub packet: u64,
    /// Whether more of it was on the wire than was captured: of a datagram, for a stream has a gap there.
    pub cut: bool,
}

/// Memory for bytes that stays while there are none: that of a segment or two.
const KEPT_IDLE_BYTES: usize = 4 << 10;

/// Marks there stays room for while there is one.
const MARKS_IDLE: usize = 16;

/// Unread bytes of one side.
#[derive(Debug, Default)]
pub struct Unread {
    /// Bytes kept for the next call.
    pub kept: Vec<u8>,
    /// Position of the first unread byte.
    pub at: u64,
    /// Unread bytes from which on the dissector is called.
    pub wanted: usize,
    /// Bytes before this position were named by a stamp or an anomaly.
    covered_to: u64,
    marks: VecDeque<Mark>,
    /// Whether the dissector wants nothing more of it.
    pub stopped: bool,
    /// How it ended, once its end was handed on.
    pub ended: Option<End>,
}

impl Unread {
    /// Notes where the bytes that follow `kept` come from.
    pub fn mark(&mut self, mut mark: Mark) {
        mark.at = self.at + self.kept.len() as u64;
        self.marks.push_back(mark);
    }

    /// Names bytes by their positions from the first unread one. While nothing was seen of this side its time is
    /// `now_ns`: that of the packet which shows that there should be something.
    pub fn stamp(&mut self, span: Range<usize>, side: Side, now_ns: i64) -> Stamp {
        let (begin, end) = (self.at + span.start as u64, self.at + span.end as u64);
        self.covered_to = self.covered_to.max(end);
        let first = self.mark_of(begin).unwrap_or(Mark { ts_ns: now_ns, began_ns: now_ns, ..Mark::default() });
        let last = if span.len() > 1 { self.mark_of(end - 1).unwrap_or(first) } else { first };
        let ahead = if first.in_stream { begin.saturating_sub(first.at) } else { 0 };
        let place = if first.in_stream { u64::from((first.place + ahead) as u32) } else { first.place };
        Stamp {
            first_ns: first.began_ns,
            last_ns: last.ts_ns,
            first_packet: first.packet,
            last_packet: last.packet,
            damaged: first.cut || last.cut,
            ..Stamp::whole(side, place, span.len() as u64)
        }
    }

    /// Where the newest segment begins, counted from the first unread byte; 0 if it is there or before.
    pub fn newest(&self) -> usize {
        self.marks.back().map_or(0, |mark| mark.at.saturating_sub(self.at) as usize)
    }

    /// Where the segment behind the first unread byte's begins, counted from that byte; `bytes` if that is the last one.
    pub fn next_segment(&self, bytes: usize) -> usize {
        let next = self.marks.iter().find(|mark| mark.at > self.at);
        next.map_or(bytes, |mark| bytes.min((mark.at - self.at) as usize))
    }

    fn mark_of(&self, position: u64) -> Option<Mark> {
        let behind = self.marks.partition_point(|mark| mark.at <= position);
        self.marks.get(behind.saturating_sub(1)).copied()
    }

    /// Steps over bytes; says how many of them were named.
    pub fn consume(&mut self, bytes: usize) -> u64 {
        let end = self.at + bytes as u64;
        let covered = self.covered_to.min(end).saturating_sub(self.at);
        self.at = end;
        self.covered_to = self.covered_to.max(end);
        while self.marks.get(1).is_some_and(|next| next.at <= end) {
            self.marks.pop_front();
            if self.marks.len() == 1 && self.marks.capacity() > MARKS_IDLE {
                self.marks.shrink_to(1);
            }
        }
        covered
    }

    /// Lets the memory of long messages go, once nothing of them is left.
    pub fn slim(&mut self) {
        if self.kept.is_empty() && self.kept.capacity() > KEPT_IDLE_BYTES {
            self.kept = Vec::new();
        }
    }

    /// Memory it holds.
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity() + self.marks.capacity() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_of_which_nothing_was_seen_has_the_time_of_now() {
        let mut unread = Unread::default();
        assert_eq!(unread.stamp(0..0, Side::Server, 7).first_ns, 7);
        unread.mark(Mark { ts_ns: 5, began_ns: 4, ..Mark::default() });
        unread.kept.extend_from_slice(b"ab");
        let stamp = unread.stamp(0..2, Side::Server, 7);
        assert_eq!((stamp.first_ns, stamp.last_ns), (4, 5));
    }
}

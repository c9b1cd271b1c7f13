//! Both directions of a connection, handed on in an order they agree with.

use super::half::{Half, Held};
use super::reason;
use super::recent::Recent;
use super::segment::{Chunk, Outcome, Segment};
use crate::flow::{PerWay, Way};
use crate::limits;

/// Both directions of a connection.
#[derive(Debug, Default)]
pub struct StreamPair {
    halves: PerWay<Half>,
    /// Acknowledgements of a side that was not seen yet: the first and the latest.
    unseen: PerWay<Option<(u32, u32)>>,
    recent: PerWay<Recent>,
    /// The furthest place seen of each side.
    furthest: PerWay<u64>,
    arrived: u64,
}

impl StreamPair {
    /// The first byte of a side will have this sequence number: its SYN was seen before.
    pub fn begin(&mut self, way: Way, first_seq: u32) {
        self.start(way, first_seq);
        self.halves[way].settling = None;
    }

    /// So much of a side was acknowledged though nothing of it was seen.
    pub fn acknowledged(&mut self, way: Way, ack: u32) {
        self.unseen[way] = Some((ack, ack));
    }

    /// Whether both sides were handed on to their FIN.
    pub fn is_over(&self) -> bool {
        Way::BOTH.iter().all(|&way| self.halves[way].ended)
    }

    /// Whether these bytes of a side were seen, as far as that is known.
    pub fn has(&self, way: Way, seq: u32, bytes: &[u8]) -> bool {
        let half = &self.halves[way];
        let place = half.place(seq).filter(|_| half.started());
        place.is_some_and(|place| half.has(place, bytes) && !self.recent[way].differs(place, bytes))
    }

    /// Takes a segment in and hands on what can be.
    ///
    /// # Bounds
    /// Holds at most [`limits::OUT_OF_ORDER_BYTES_MAX`] in [`limits::OUT_OF_ORDER_SEGMENTS_MAX`] for each direction.
    pub fn segment(&mut self, segment: &Segment<'_>, out: &mut impl FnMut(Way, Chunk<'_>)) -> Outcome {
        self.arrived += 1;
        let mut outcome = Outcome::default();
        let needs = self.acknowledge(segment);
        let first_seq = segment.seq.wrapping_add(segment.syn.into());
        if self.start(segment.way, first_seq) && !segment.syn {
            self.halves[segment.way].settling = Some((self.arrived, segment.ts_ns));
        }
        self.settle(segment.ts_ns);
        if self.halves[segment.way].place(first_seq).is_none() {
            self.jump(segment, first_seq, out);
        }
        let Some(place) = self.halves[segment.way].place(first_seq) else {
            outcome.refuse(reason::IMPLAUSIBLE, segment.bytes.len() as u64);
            return outcome;
        };
        self.halves[segment.way].jump.refute();
        self.payload(segment, place, needs, &mut outcome, out);
        if segment.fin {
            let end = place + segment.bytes.len() as u64 + u64::from(segment.cut_bytes);
            let half = &mut self.halves[segment.way];
            // One that stands before what its side sent already is no end of it.
            if half.fin.is_none() && end >= half.next.max(self.furthest[segment.way]) {
                half.fin = Some(end);
            }
        }
        self.drain(out);
        self.give_up_overdue(segment.ts_ns, out);
        outcome
    }

    /// Memory of what waits.
    pub fn held_bytes(&self) -> usize {
        Way::BOTH.iter().map(|&way| self.halves[way].held_bytes()).sum()
    }

    /// Nothing more comes: hands on what waits, with the gaps between. Gaps that only acknowledgements tell of
    /// are handed on too. No [`Chunk::End`] follows.
    pub fn finish(&mut self, out: &mut impl FnMut(Way, Chunk<'_>)) {
        Way::BOTH.into_iter().for_each(|way| self.halves[way].settling = None);
        loop {
            self.drain(out);
            let first = |way: Way| self.halves[way].held.first_key_value().map(|(_, held)| (held.packet, way as u8));
            let Some((_, way)) =
                Way::BOTH.into_iter().filter_map(|way| first(way).map(|at| (at, way))).min_by_key(|(at, _)| *at)
            else {
                break;
            };
            self.unblock(way, out);
        }
        for way in Way::BOTH {
            let lost_bytes = self.lost_at_end(way);
            if lost_bytes > 0 {
                self.halves[way].give_up(lost_bytes);
                out(way, Chunk::Gap { lost_bytes });
            }
        }
        self.drain(out);
    }

    /// Bytes that were acknowledged and never seen, behind all that was.
    fn lost_at_end(&self, way: Way) -> u64 {
        let half = &self.halves[way];
        let lost = if half.started() {
            // What acknowledges a FIN may have been captured before it.
            let acked = half.fin.map_or(half.acked, |fin| half.acked.min(fin));
            acked.saturating_sub(half.next)
        } else {
            self.unseen[way].map_or(0, |(first, last)| last.wrapping_sub(first).into())
        };
        // A FIN takes one number; where it was lost too, the last number acknowledged may be its own.
        let other_closed = self.halves[way.back()].fin.is_some();
        if half.fin.is_none() && (lost == 1 || other_closed) { lost.saturating_sub(1) } else { lost }
    }

    /// Takes in what the segment acknowledges; returns the place of the other side it needs first.
    fn acknowledge(&mut self, segment: &Segment<'_>) -> u64 {
        let Some(ack) = segment.ack else { return 0 };
        let back = segment.way.back();
        let other = &mut self.halves[back];
        if !other.started() {
            let first = self.unseen[back].map_or(ack, |(first, _)| first);
            let onward = self.unseen[back].is_none_or(|(_, last)| (ack.wrapping_sub(last) as i32) >= 0);
            if onward {
                self.unseen[back] = Some((first, ack));
            }
            return 0;
        }
        let place = other.place(ack);
        other.jump.acknowledged(place.is_none().then_some(ack));
        let Some(place) = place else { return 0 };
        let place = other.fin.map_or(place, |fin| place.min(fin));
        other.acked = other.acked.max(place);
        place
    }

    /// Where a side goes on out of any window, what was before it is handed on with the gap.
    fn jump(&mut self, segment: &Segment<'_>, first_seq: u32, out: &mut impl FnMut(Way, Chunk<'_>)) {
        let way = segment.way;
        let other_is_seen = self.halves[way.back()].started();
        let half = &mut self.halves[way];
        let bytes = segment.bytes.len() as u32 + segment.cut_bytes;
        if half.fin.is_some() || !half.jump.segment(first_seq, bytes, other_is_seen) {
            return;
        }
        half.settling = None;
        while !self.halves[way].held.is_empty() {
            self.unblock(way, out);
            self.drain(out);
        }
        let half = &mut self.halves[way];
        let lost_bytes = half.bytes_until(first_seq);
        half.give_up(lost_bytes);
        self.furthest[way] = half.next;
        out(way, Chunk::Gap { lost_bytes });
    }

    /// Says whether the side begins here, and by no better evidence than this segment.
    fn start(&mut self, way: Way, first_seq: u32) -> bool {
        if self.halves[way].started() {
            return false;
        }
        let acked = self.unseen[way].filter(|(first, _)| (first_seq.wrapping_sub(*first) as i32) >= 0);
        let half = &mut self.halves[way];
        half.start(acked.map_or(first_seq, |(first, _)| first));
        if let Some(place) = acked.and_then(|(_, last)| half.place(last)) {
            half.acked = half.acked.max(place);
        }
        self.furthest[way] = half.next;
        acked.is_none()
    }

    /// Lets sides begin that waited long enough for segments sent before the first one seen.
    fn settle(&mut self, now_ns: i64) {
        for way in Way::BOTH {
            let half = &mut self.halves[way];
            if let Some((arrived, ts_ns)) = half.settling
                && (self.arrived - arrived >= limits::SETTLE_PACKETS
                    || now_ns.saturating_sub(ts_ns) >= limits::SETTLE_NS)
            {
                half.settling = None;
            }
        }
    }

    fn payload(
        &mut self,
        segment: &Segment<'_>,
        place: u64,
        needs: u64,
        outcome: &mut Outcome,
        out: &mut impl FnMut(Way, Chunk<'_>),
    ) {
        let (half, other) = self.halves.both_mut(segment.way);
        let (mut place, mut bytes, mut cut_bytes) = (place, segment.bytes, u64::from(segment.cut_bytes));
        if place < half.next && half.settling.is_some() && half.next - place <= limits::SETTLE_BYTES {
            half.start_earlier(place);
        }
        if place < half.next {
            let stale = (half.next - place).min(bytes.len() as u64);
            let keep_alive = bytes.len() == 1 && place + 1 == half.next;
            let why = match () {
                () if half.is_before_start(place) => reason::BEFORE_START,
                () if half.was_given_up(place) => reason::LATE,
                () if keep_alive => reason::KEEP_ALIVE,
                () => reason::RETRANSMITTED,
            };
            outcome.refuse(why, stale);
            if why != reason::KEEP_ALIVE {
                outcome.differs = self.recent[segment.way].differs(place, bytes);
            }
            if outcome.differs {
                out(segment.way, Chunk::Doubt { seq: half.seq(place), bytes: stale as u32, ts_ns: segment.ts_ns });
            }
            bytes = bytes.get(stale as usize..).unwrap_or_default();
            place += stale;
            if place < half.next {
                cut_bytes = cut_bytes.saturating_sub(half.next - place);
                place = half.next;
            }
        }
        if let Some(fin) = half.fin {
            let room = fin.saturating_sub(place).min(bytes.len() as u64) as usize;
            outcome.refuse(reason::AFTER_END, (bytes.len() - room) as u64);
            bytes = bytes.get(..room).unwrap_or_default();
            cut_bytes = cut_bytes.min(fin.saturating_sub(place + room as u64));
        }
        if bytes.is_empty() && cut_bytes == 0 {
            return;
        }
        outcome.filled_hole = place < self.furthest[segment.way];
        self.furthest[segment.way] = self.furthest[segment.way].max(place + bytes.len() as u64 + cut_bytes);
        let ready = half.settling.is_none()
            && place == half.next
            && half.held.is_empty()
            && (needs <= other.next || !other.started());
        if ready {
            outcome.new_bytes = bytes.len() as u64;
            self.recent[segment.way].remember(place, bytes);
            let came = (segment.ts_ns, segment.began_ns, segment.packet);
            hand_on(half, segment.way, bytes, cut_bytes, came, out);
            return;
        }
        let held = Held {
            bytes: bytes.to_vec(),
            cut_bytes,
            needs,
            ts_ns: segment.ts_ns,
            began_ns: segment.began_ns,
            packet: segment.packet,
            arrived: self.arrived,
        };
        let (new_bytes, repeat_differs) = half.hold(place, held);
        outcome.new_bytes = new_bytes as u64;
        outcome.differs |= repeat_differs;
        if repeat_differs {
            let bytes = bytes.len() as u32;
            out(segment.way, Chunk::Doubt { seq: half.seq(place), bytes, ts_ns: segment.ts_ns });
        }
        outcome.refuse(reason::RETRANSMITTED, (bytes.len() - new_bytes) as u64);
    }

    /// Hands on everything that can be.
    fn drain(&mut self, out: &mut impl FnMut(Way, Chunk<'_>)) {
        let mut idle = false;
        while !idle {
            idle = true;
            for way in Way::BOTH {
                let (half, other) = self.halves.both_mut(way);
                if half.settling.is_some() {
                    continue;
                }
                while let Some((&place, held)) = half.held.first_key_value() {
                    if place > half.next || (held.needs > other.next && other.started()) {
                        break;
                    }
                    if let Some((place, held)) = half.take_first()
                        && place == half.next
                    {
                        self.recent[way].remember(place, &held.bytes);
                        let came = (held.ts_ns, held.began_ns, held.packet);
                        hand_on(half, way, &held.bytes, held.cut_bytes, came, out);
                    }
                    idle = false;
                }
                if half.fin.is_some_and(|fin| half.next >= fin) && !half.ended {
                    half.ended = true;
                    out(way, Chunk::End);
                    idle = false;
                }
            }
        }
    }

    /// Gives up holes that will not be filled.
    fn give_up_overdue(&mut self, now_ns: i64, out: &mut impl FnMut(Way, Chunk<'_>)) {
        while let Some(way) = Way::BOTH.into_iter().find(|&way| self.is_overdue(way, now_ns)) {
            self.unblock(way, out);
            self.drain(out);
        }
    }

    fn is_overdue(&self, way: Way, now_ns: i64) -> bool {
        let (half, other) = (&self.halves[way], &self.halves[way.back()]);
        let Some((&place, held)) = half.held.first_key_value() else { return false };
        if half.settling.is_some() || other.settling.is_some() {
            return false;
        }
        if half.is_full() {
            return true;
        }
        let waited_ns = now_ns.saturating_sub(held.ts_ns);
        // A segment blocked by what it acknowledges waits for bytes that were received: an acknowledged hole.
        let acked = place <= half.next || half.acked >= place;
        if acked {
            self.arrived - held.arrived >= limits::ACKED_HOLE_PACKETS || waited_ns >= limits::ACKED_HOLE_NS
        } else {
            !other.started() && waited_ns >= limits::UNACKED_HOLE_NS
        }
    }

    /// Gives up what the first waiting segment of a side waits for.
    fn unblock(&mut self, way: Way, out: &mut impl FnMut(Way, Chunk<'_>)) {
        let (half, other) = self.halves.both_mut(way);
        let Some((&place, held)) = half.held.first_key_value() else { return };
        if place > half.next {
            let lost_bytes = place - half.next;
            half.give_up(lost_bytes);
            out(way, Chunk::Gap { lost_bytes });
            return;
        }
        // The other side's bytes come first: up to what waits there, or up to what was acknowledged.
        let there = other.held.first_key_value().map_or(u64::MAX, |(&place, _)| place);
        let lost_bytes = held.needs.min(there).saturating_sub(other.next);
        if lost_bytes > 0 && !other.ended {
            other.give_up(lost_bytes);
            out(way.back(), Chunk::Gap { lost_bytes });
        } else if let Some(mut first) = half.held.first_entry() {
            // Both sides acknowledge what the other has not sent yet: nobody honest does.
            first.get_mut().needs = 0;
        }
    }
}

fn hand_on(
    half: &mut Half,
    way: Way,
    bytes: &[u8],
    cut_bytes: u64,
    (ts_ns, began_ns, packet): (i64, i64, u64),
    out: &mut impl FnMut(Way, Chunk<'_>),
) {
    if !bytes.is_empty() {
        let seq = half.seq(half.next);
        half.advance(bytes.len() as u64);
        out(way, Chunk::Bytes { bytes, seq, ts_ns, began_ns, packet });
    }
    if cut_bytes > 0 {
        half.give_up(cut_bytes);
        out(way, Chunk::Gap { lost_bytes: cut_bytes });
    }
}

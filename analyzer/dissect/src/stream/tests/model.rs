//! Random segments beside a naive model: byte `n` of a side is f(n), and a set says which were captured.

use super::super::*;
use super::{byte, bytes};
use crate::flow::{PerWay, Way};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A packet of the play: who, the first byte's number, how many, and how much of the other side it acknowledges.
#[derive(Debug, Clone, Copy)]
struct Sent {
    way: Way,
    from: u32,
    length: u32,
    ack: Option<u32>,
}

/// What was handed on for one side.
#[derive(Debug, Default, Clone)]
struct Side {
    /// Number of the next byte; the first chunk says where it begins.
    at: Option<u32>,
    bytes: BTreeSet<u32>,
    lost: u64,
    wrong: Vec<u32>,
    new: u64,
    refused: u64,
}

struct Model {
    pair: StreamPair,
    sides: PerWay<Side>,
    base: u32,
    packet: u64,
}

impl Model {
    /// Of a connection whose sequence numbers begin at `base`; `opened` where both SYNs were seen.
    fn new(base: u32, opened: bool) -> Self {
        let mut pair = StreamPair::default();
        let mut sides = PerWay::<Side>::default();
        if opened {
            for way in Way::BOTH {
                pair.begin(way, base);
                sides[way].at = Some(0);
            }
        }
        Self { pair, sides, base, packet: 0 }
    }

    fn send(&mut self, sent: Sent) -> Outcome {
        self.packet += 1;
        let payload = bytes(sent.way, sent.from, sent.length);
        let segment = Segment {
            way: sent.way,
            seq: self.base.wrapping_add(sent.from),
            ack: sent.ack.map(|ack| self.base.wrapping_add(ack)),
            syn: false,
            fin: false,
            bytes: &payload,
            cut_bytes: 0,
            ts_ns: self.packet as i64 * 1000,
            began_ns: 0,
            packet: self.packet,
        };
        let (sides, base) = (&mut self.sides, self.base);
        let outcome = self.pair.segment(&segment, &mut |way, chunk| sides[way].take(way, chunk, base));
        let side = &mut self.sides[sent.way];
        side.new += outcome.new_bytes;
        side.refused += outcome.refused.iter().flatten().map(|(_, bytes)| bytes).sum::<u64>();
        outcome
    }

    fn finish(mut self) -> PerWay<Side> {
        let (sides, base) = (&mut self.sides, self.base);
        self.pair.finish(&mut |way, chunk| sides[way].take(way, chunk, base));
        assert_eq!(self.pair.held_bytes(), 0);
        self.sides
    }
}

impl Side {
    fn take(&mut self, way: Way, chunk: Chunk<'_>, base: u32) {
        match chunk {
            Chunk::Bytes { bytes: got, seq, .. } => {
                let from = seq.wrapping_sub(base);
                if *self.at.get_or_insert(from) != from {
                    self.wrong.push(from);
                }
                for (n, &got) in (from..).zip(got) {
                    if got != byte(way, n) || !self.bytes.insert(n) {
                        self.wrong.push(n);
                    }
                }
                self.at = Some(from + got.len() as u32);
            }
            Chunk::Gap { lost_bytes } => {
                self.at = self.at.map(|at| at + lost_bytes as u32);
                self.lost += lost_bytes;
            }
            Chunk::Doubt { .. } | Chunk::End => {}
        }
    }
}

/// Segments that may repeat, overlap, get lost and come in any order.
fn any_order() -> impl Strategy<Value = Vec<Sent>> {
    let sent = (any::<bool>(), 0u32..300, 1u32..40).prop_map(|(low, from, length)| Sent {
        way: Way::of(low),
        from,
        length,
        ack: None,
    });
    prop::collection::vec(sent, 1..80)
}

/// A conversation as its ends have it: in order, each acknowledging what the other sent before; with repeats that
/// may be cut elsewhere.
fn conversation() -> impl Strategy<Value = Vec<Sent>> {
    prop::collection::vec((any::<bool>(), 1u32..40, 0u32..60), 1..40).prop_map(|steps| {
        let mut sent_to: PerWay<u32> = PerWay::default();
        steps
            .into_iter()
            .map(|(low, length, back)| {
                let way = Way::of(low);
                let from = if back < 40 { sent_to[way] } else { sent_to[way].saturating_sub(back - 40) };
                sent_to[way] = sent_to[way].max(from + length);
                Sent { way, from, length, ack: Some(sent_to[way.back()]) }
            })
            .collect()
    })
}

/// Swaps neighbours, as captures of several queues do.
fn mixed_up(mut packets: Vec<Sent>, seed: u64, reach: usize) -> Vec<Sent> {
    for at in 0..packets.len() {
        let other = (at + seed.rotate_left(at as u32 * 7) as usize % (reach + 1)).min(packets.len() - 1);
        packets.swap(at, other);
    }
    packets
}

fn captured(packets: &[Sent], way: Way) -> BTreeSet<u32> {
    packets.iter().filter(|sent| sent.way == way).flat_map(|sent| sent.from..sent.from + sent.length).collect()
}

proptest! {
    #[test]
    fn every_byte_is_handed_on_once_at_its_place_or_is_in_a_gap(base: u32, packets in any_order()) {
        let mut model = Model::new(base, false);
        for sent in &packets {
            let outcome = model.send(*sent);
            prop_assert!(!outcome.differs);
        }
        let sides = model.finish();
        for way in Way::BOTH {
            let side = &sides[way];
            prop_assert!(side.wrong.is_empty(), "at {:?}", side.wrong);
            // Where the stream begins is decided by what was captured first; from there on nothing is left out.
            let begin = side.bytes.first().copied().unwrap_or_default();
            let want: BTreeSet<u32> = captured(&packets, way).into_iter().filter(|n| *n >= begin).collect();
            prop_assert_eq!(&side.bytes, &want);
            prop_assert_eq!(side.new, want.len() as u64);
            let sent: u64 = packets.iter().filter(|sent| sent.way == way).map(|sent| u64::from(sent.length)).sum();
            prop_assert_eq!(side.new + side.refused, sent);
            let extent = want.last().map_or(0, |last| u64::from(last + 1 - begin));
            prop_assert_eq!(side.lost, extent - want.len() as u64);
        }
    }

    #[test]
    fn a_capture_that_mixes_up_neighbours_changes_nothing(base: u32, packets in conversation(), seed: u64) {
        let mut model = Model::new(base, true);
        let mixed = mixed_up(packets.clone(), seed, 6);
        mixed.iter().for_each(|sent| { model.send(*sent); });
        let sides = model.finish();
        for way in Way::BOTH {
            prop_assert!(sides[way].wrong.is_empty());
            prop_assert_eq!(&sides[way].bytes, &captured(&packets, way));
            prop_assert_eq!(sides[way].lost, 0);
        }
    }

    #[test]
    fn dropping_a_packet_loses_only_what_it_carried(base: u32, packets in conversation(), seed: u64, drop: prop::sample::Index) {
        let dropped = drop.index(packets.len());
        let mut rest = packets.clone();
        let gone = rest.remove(dropped);
        let mut model = Model::new(base, true);
        mixed_up(rest.clone(), seed, 3).iter().for_each(|sent| { model.send(*sent); });
        let sides = model.finish();
        for way in Way::BOTH {
            prop_assert!(sides[way].wrong.is_empty());
            prop_assert_eq!(&sides[way].bytes, &captured(&rest, way));
            let lost: BTreeSet<u32> = captured(&packets, way).difference(&captured(&rest, way)).copied().collect();
            prop_assert!(lost.is_empty() || way == gone.way);
            // A loss at the very end is known only where it was acknowledged.
            let acked = rest.iter().filter(|sent| sent.way != way).filter_map(|sent| sent.ack).max().unwrap_or(0);
            let end = sides[way].bytes.last().map_or(0, |last| last + 1);
            let known = lost.iter().filter(|n| **n < end.max(acked)).count() as u64;
            // An acknowledgement that is one behind all that was seen may be that of a FIN, unless data waited for it.
            let may_be_fin = u64::from(acked == end + 1);
            prop_assert!((known - may_be_fin..=known).contains(&sides[way].lost), "{} of {known}", sides[way].lost);
        }
    }
}

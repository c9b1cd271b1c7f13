//! Hostile segments, for fuzzing.

use super::{Chunk, Segment, StreamPair};
use crate::flow::{PerWay, Way};

/// Bytes of the input that describe a segment.
const SEGMENT_BYTES: usize = 8;

/// Reads `data` as segments: flags, places, lengths, all as they come.
///
/// # Panics
/// Where other bytes are handed on than were said to be new, or any after the end of their side.
pub fn fuzz_stream(data: &[u8]) {
    let mut pair = StreamPair::default();
    let (mut new, mut ended): (PerWay<u64>, PerWay<bool>) = (PerWay::default(), PerWay::default());
    let mut handed: PerWay<u64> = PerWay::default();
    let mut take = |way: Way, chunk: Chunk<'_>| {
        assert!(!ended[way] || matches!(chunk, Chunk::Doubt { .. }), "nothing follows an end");
        match chunk {
            Chunk::Bytes { bytes, .. } => handed[way] += bytes.len() as u64,
            Chunk::Doubt { bytes, .. } => assert!(bytes > 0, "a doubt has a size"),
            Chunk::Gap { lost_bytes } => assert!(lost_bytes > 0, "a gap has a size"),
            Chunk::End => ended[way] = true,
        }
    };
    let (segments, _) = data.as_chunks::<SEGMENT_BYTES>();
    for (number, &[flags, high, seq, ack_high, ack, length, cut, pause]) in segments.iter().enumerate() {
        let way = Way::of(flags & 1 == 0);
        // Places lie close together, but for a jump now and then.
        let place = |high: u8, low: u8| u32::from(low) | u32::from(high & 3) << 8 | u32::from(high & 0x80) << 24;
        let bytes = data.get(..length.into()).unwrap_or(data);
        let segment = Segment {
            way,
            seq: place(high, seq),
            ack: (flags & 2 != 0).then(|| place(ack_high, ack)),
            syn: flags & 0x1c == 0x1c,
            fin: flags & 0xe0 == 0xe0,
            bytes,
            cut_bytes: if cut & 0xf0 == 0xf0 { cut.into() } else { 0 },
            ts_ns: number as i64 * (1 << (pause & 31)),
            began_ns: 0,
            packet: number as u64,
        };
        new[way] += pair.segment(&segment, &mut take).new_bytes;
    }
    pair.finish(&mut take);
    assert!(Way::BOTH.iter().all(|&way| handed[way] == new[way]), "what is new is handed on once");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_is_handed_on_once(data in prop::collection::vec(any::<u8>(), 0..4000)) {
            super::fuzz_stream(&data);
        }
    }
}

//! How a capture is cut.

use std::io::{Cursor, Read};
use std::path::Path;

/// One packet of so many comes twice.
const TWICE_ONE_OF: u64 = 50;
/// So many packets in a row are taken away together.
const BURST: u64 = 10;

/// How a capture is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// So many packets are all that is left of its beginning.
    EndsAt(u64),
    /// So many packets of its beginning are missing.
    StartsAt(u64),
    /// One packet of so many is missing, here and there.
    Holes { seed: u64, one_of: u64 },
    /// Packets in a row are missing from here on.
    Burst(u64),
    /// One packet is missing.
    Without(u64),
    /// Packets stand behind the one that follows them, here and there.
    Swapped { seed: u64 },
    /// Packets stand there twice, here and there.
    Twice { seed: u64 },
}

impl Cut {
    fn keeps(self, packet: u64) -> bool {
        match self {
            Cut::EndsAt(end) => packet < end,
            Cut::StartsAt(start) => packet >= start,
            Cut::Burst(start) => !(start..start + BURST).contains(&packet),
            Cut::Without(missing) => packet != missing,
            Cut::Holes { seed, one_of } => !mix(seed ^ mix(packet)).is_multiple_of(one_of),
            Cut::Swapped { .. } | Cut::Twice { .. } => true,
        }
    }

    /// What it is called in what is printed.
    pub fn kind(self) -> &'static str {
        match self {
            Cut::EndsAt(_) => "ends early",
            Cut::StartsAt(_) => "starts late",
            Cut::Holes { one_of, .. } if one_of > 50 => "holes",
            Cut::Holes { .. } => "many holes",
            Cut::Burst(_) => "burst",
            Cut::Without(_) => "one hole",
            Cut::Swapped { .. } => "swapped",
            Cut::Twice { .. } => "twice",
        }
    }
}

/// SplitMix64: the same places on every machine.
pub fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The bytes of a capture, inflated.
pub fn plain(input: &Path) -> Vec<u8> {
    let bytes = std::fs::read(input).unwrap();
    let mut inflated = Vec::new();
    match bytes.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(Cursor::new(bytes)).unwrap(),
        [0x1f, 0x8b, ..] => {
            // What was cut is there up to the cut.
            let _ = flate2::read::MultiGzDecoder::new(Cursor::new(bytes)).read_to_end(&mut inflated);
            inflated
        }
        _ => bytes,
    }
}

/// A capture of these blocks, cut.
pub fn cut(blocks: &[(bool, &[u8])], cut: Cut) -> Vec<u8> {
    let (mut packet, mut kept, mut held) = (0, Vec::new(), None);
    for (is_packet, block) in blocks {
        let drawn = |seed, one_of| *is_packet && mix(seed ^ mix(packet)).is_multiple_of(one_of);
        match cut {
            Cut::Swapped { seed } if held.is_none() && drawn(seed, TWICE_ONE_OF) => held = Some(*block),
            _ if !is_packet || cut.keeps(packet) => kept.extend_from_slice(block),
            _ => {}
        }
        if matches!(cut, Cut::Twice { seed } if drawn(seed, TWICE_ONE_OF)) {
            kept.extend_from_slice(block);
        }
        if *is_packet && held.is_some_and(|held| !std::ptr::eq(held, *block)) {
            kept.extend_from_slice(held.take().unwrap_or_default());
        }
        packet += u64::from(*is_packet);
    }
    kept.extend_from_slice(held.unwrap_or_default());
    kept
}

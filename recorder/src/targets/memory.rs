//! How the memory for rings is divided among targets, and that of a target among its rings.

use crate::limits;

/// Memory of all rings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// All there is.
    pub bytes: usize,
    /// What no target has.
    pub left_bytes: usize,
    /// What each of the targets gets that are there from the start; none once they have it.
    pub share_bytes: Option<usize>,
}

/// What one that comes later gets of what is left: so that there is something left for the next, and the next.
const PART_OF_LEFT: usize = 16;

impl Memory {
    /// So much, within its bounds.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(limits::RING_BYTES_MIN, limits::RING_BYTES_MAX);
        Self { bytes, left_bytes: bytes, share_bytes: None }
    }

    /// Divides it among `targets` targets that are there; where others may come they get half of it, and each at most a
    /// quarter.
    pub fn divide(&mut self, targets: usize, others_may_come: bool) -> usize {
        let parts = if others_may_come { (2 * targets).max(4) } else { targets.max(1) };
        *self.share_bytes.insert(size(self.bytes / parts))
    }

    /// Takes the memory of a target; none when too little is left.
    pub fn take(&mut self) -> Option<usize> {
        let share_bytes = self.share_bytes.filter(|share_bytes| *share_bytes <= self.left_bytes);
        let bytes = share_bytes.unwrap_or_else(|| size(self.left_bytes / PART_OF_LEFT));
        self.left_bytes = self.left_bytes.checked_sub(bytes)?;
        Some(bytes)
    }

    /// A target has no rings any more.
    pub fn give_back(&mut self, bytes: usize) {
        self.left_bytes += bytes;
    }
}

/// The largest size of a ring up to that: whole blocks.
fn size(bytes: usize) -> usize {
    let bytes = bytes.max(limits::TARGET_RING_BYTES_MIN);
    bytes - bytes % limits::block_bytes(bytes)
}

/// How many rings a target has, of `rings` that were asked for, and the size of each: fewer, rather than smaller than rings are.
pub(super) fn split(share_bytes: usize, rings: usize) -> (usize, usize) {
    let rings = rings.clamp(1, (share_bytes / limits::TARGET_RING_BYTES_MIN).max(1));
    (rings, size(share_bytes / rings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn memory_is_divided_and_never_more_than_there_is() {
        let mut lone = Memory::new(32 * MIB);
        lone.divide(1, false);
        assert_eq!((lone.take(), lone.left_bytes), (Some(32 * MIB), 0));

        let mut many = Memory::new(32 * MIB);
        many.divide(3, true);
        let taken: Vec<_> = std::iter::from_fn(|| many.take()).collect();
        assert_eq!(taken[..6], [5 * MIB + MIB / 4; 6], "six parts, in whole blocks");
        assert!(taken.iter().sum::<usize>() <= 32 * MIB && many.left_bytes < limits::TARGET_RING_BYTES_MIN);

        // Nobody is there at first, and then many come.
        let mut later = Memory::new(32 * MIB);
        later.divide(0, true);
        later.share_bytes = None;
        let taken: Vec<_> = std::iter::from_fn(|| later.take()).collect();
        assert_eq!((taken[0], taken.len()), (2 * MIB, 38));
        assert!(taken.is_sorted_by(|a, b| a >= b) && taken.iter().sum::<usize>() <= 32 * MIB);
        assert!(taken.iter().all(|bytes| *bytes >= limits::TARGET_RING_BYTES_MIN));
        later.give_back(taken[0]);
        assert!(later.take().is_some());

        let mut crowd = Memory::new(32 * MIB);
        crowd.divide(500, true);
        assert_eq!(std::iter::from_fn(|| crowd.take()).count(), 64);
    }

    #[test]
    fn rings_of_a_target_share_its_memory() {
        assert_eq!(split(32 * MIB, 1), (1, 32 * MIB));
        assert_eq!(split(32 * MIB, 4), (4, 8 * MIB));
        assert_eq!(split(limits::RING_BYTES_MIN, limits::RINGS_MAX), (limits::RINGS_MAX, MIB / 2));
        assert_eq!(split(limits::TARGET_RING_BYTES_MIN, 4), (1, MIB / 2), "one rather than none");
        for (share_bytes, rings) in (1..=64).flat_map(|share| (1..=16).map(move |rings| (share * MIB / 2, rings))) {
            let (made, bytes) = split(share_bytes, rings);
            assert!((1..=rings).contains(&made) && made * bytes <= share_bytes, "{made} of {rings} in {share_bytes}");
            assert!(bytes >= limits::TARGET_RING_BYTES_MIN && bytes.is_multiple_of(limits::block_bytes(bytes)));
        }
    }
}

//! Where packets and bytes went: every room adds to a tally, `coverage` is their sum.

/// Packets and captured bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: i64,
    /// Captured bytes.
    pub bytes: i64,
}

/// The room that decided what became of a packet or byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Gave no frame: damage, and blocks nobody knows.
    Read,
    /// Stayed outside of any flow.
    Decode,
    /// Headers and packets without payload of a flow.
    Flow,
    /// Payload that was not handed on: repeats, evictions.
    Stream,
    /// Payload that a dissector saw.
    Protocol,
}

impl Stage {
    /// The name in the `coverage` table.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decode => "decode",
            Stage::Flow => "flow",
            Stage::Stream => "stream",
            Stage::Protocol => "protocol",
        }
    }
}

/// Counts by stage and reason.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// In the order they came up. There are few, and a packet needs several: passing them by costs less than a tree.
    counts: Vec<(Stage, &'static str, Count)>,
}

impl Tally {
    /// Counts `packets` and `bytes` under a reason: a short phrase in lower case.
    pub fn add(&mut self, stage: Stage, reason: &'static str, packets: u64, bytes: u64) {
        if packets == 0 && bytes == 0 {
            return;
        }
        let count = self.count(stage, reason);
        count.packets += packets as i64;
        count.bytes += bytes as i64;
    }

    /// Moves bytes between the tallies of two captures: one counts them, the other takes them back.
    pub fn shift(&mut self, stage: Stage, reason: &'static str, bytes: i64) {
        if bytes != 0 {
            self.count(stage, reason).bytes += bytes;
        }
    }

    /// Adds everything another tally counted.
    pub fn absorb(&mut self, other: &Tally) {
        for &(stage, reason, count) in &other.counts {
            let sum = self.count(stage, reason);
            sum.packets += count.packets;
            sum.bytes += count.bytes;
        }
    }

    /// All counts, ordered by stage and reason.
    pub fn ordered(&self) -> Vec<(Stage, &'static str, Count)> {
        let mut counts = self.counts.clone();
        counts.sort_unstable_by_key(|&(stage, reason, _)| (stage, reason));
        counts
    }

    /// The sum over all reasons.
    pub fn total(&self) -> Count {
        self.counts.iter().fold(Count::default(), |sum, (.., count)| Count {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    }

    fn count(&mut self, stage: Stage, reason: &'static str) -> &mut Count {
        // The same phrase is nearly always the same bytes in memory too.
        let same = |&(at, why, _): &(Stage, &str, Count)| at == stage && std::ptr::eq(why, reason);
        let there = self.counts.iter().position(same);
        let alike = || self.counts.iter().position(|&(at, why, _)| at == stage && why == reason);
        let at = there.or_else(alike).unwrap_or_else(|| {
            self.counts.push((stage, reason, Count::default()));
            self.counts.len() - 1
        });
        &mut self.counts[at].2
    }
}

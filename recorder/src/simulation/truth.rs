//! What is true, whatever a ledger says.

use super::front::Seen;
use formats::seal::{Counts, EndReason};
use formats::store::RecordingId;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// What is true of a recording.
#[derive(Debug, Default)]
pub struct Truth {
    /// Whether it had begun: then it must be stored, if only to say that there was nothing.
    pub begun: bool,
    /// What the wire did while it was recorded.
    pub seen: Seen,
    /// What the writer was given.
    pub given: Counts,
    /// Packets given to the writer, by number, and whether it took them.
    pub packets: Vec<(u64, bool)>,
    /// Packets in each segment that was sealed while it was recorded.
    pub sealed: BTreeMap<u32, Vec<u64>>,
    /// How it was to end, once all that came before its close was done.
    pub closing: Option<EndReason>,
    /// Whether it did.
    pub closed: bool,
    /// Whether the power was cut before that.
    pub power_cut: bool,
    /// How far the time of day was from the steady clock, when the writer first and last looked.
    pub offsets: Option<(SignedDuration, SignedDuration)>,
    /// Whether it could not go on, in the life that goes on.
    pub failed: bool,
    /// Whether it was recovered in the life in which that was, which knows what was lost.
    pub told: bool,
    /// Whether what is kept ready began with nothing from before, not even something to tell.
    pub begun_with_nothing: bool,
    /// What was kept when it was triggered, of recordings that were.
    pub promise: Option<Promise>,
}

/// What whoever triggered a recording may rely on.
#[derive(Debug, Default)]
pub struct Promise {
    /// Packets that were kept ready then.
    pub kept: BTreeSet<u64>,
    /// Packets in segments that were finished since.
    pub since: BTreeSet<u64>,
    /// Whether all segments that were kept were finished in the life that was triggered, so that it is known what was in
    /// them.
    pub is_all: bool,
    /// Whether it ended as it should.
    pub is_ended: bool,
    /// Whose packets are all in it, but those that had expired.
    pub is_all_of: Option<RecordingId>,
}

/// What happened, so that it can be seen that it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deeds {
    pub seeds: u64,
    pub lives: u64,
    pub fronts: u64,
    pub deaths: u64,
    pub power_cuts: u64,
    pub failures: u64,
    pub clock_steps: u64,
    pub recordings: u64,
    pub triggered: u64,
    pub expired: u64,
    pub pinned: u64,
    pub segments: u64,
    pub recovered: u64,
    pub forgotten: u64,
    pub packets: u64,
    pub lost_by_kernel: u64,
    pub lost_in_rings: u64,
    pub lost_on_disk: u64,
    pub damaged: u64,
}

impl std::ops::AddAssign for Deeds {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.lives += other.lives;
        self.fronts += other.fronts;
        self.deaths += other.deaths;
        self.power_cuts += other.power_cuts;
        self.failures += other.failures;
        self.clock_steps += other.clock_steps;
        self.recordings += other.recordings;
        self.triggered += other.triggered;
        self.expired += other.expired;
        self.pinned += other.pinned;
        self.segments += other.segments;
        self.recovered += other.recovered;
        self.forgotten += other.forgotten;
        self.packets += other.packets;
        self.lost_by_kernel += other.lost_by_kernel;
        self.lost_in_rings += other.lost_in_rings;
        self.lost_on_disk += other.lost_on_disk;
        self.damaged += other.damaged;
    }
}

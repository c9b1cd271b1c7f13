//! Which target lost what.

use super::counts::Dropped;
use crate::pcapng::Target;
use serde::{Deserialize, Serialize};

/// Targets that are told apart in one seal: as many as interfaces are described in one segment. What is beyond that is in the
/// sums alone.
pub const TARGETS_MAX: usize = 1024;

/// What one target lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetDrops {
    /// What it is called, as in the names of its interfaces.
    pub target: String,
    /// Its network namespace.
    pub netns: u64,
    /// Packets lost, by place; none of the spool, which loses segments.
    pub dropped: Dropped,
}

/// What each target lost that lost something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DropsByTarget(pub Vec<TargetDrops>);

impl DropsByTarget {
    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what a target lost.
    pub fn add(&mut self, target: &Target, dropped: Dropped) {
        if dropped != Dropped::default() {
            self.add_drops(TargetDrops { target: target.label(), netns: target.netns, dropped });
        }
    }

    /// All targets together.
    pub fn sum(&self) -> Dropped {
        self.0.iter().fold(Dropped::default(), |mut sum, drops| {
            sum += drops.dropped;
            sum
        })
    }

    fn add_drops(&mut self, more: TargetDrops) {
        let is_same = |known: &&mut TargetDrops| (known.netns, &known.target) == (more.netns, &more.target);
        if let Some(known) = self.0.iter_mut().find(is_same) {
            known.dropped += more.dropped;
        } else if self.0.len() < TARGETS_MAX {
            self.0.push(more);
        }
    }
}

impl std::ops::AddAssign for DropsByTarget {
    fn add_assign(&mut self, other: Self) {
        other.0.into_iter().for_each(|drops| self.add_drops(drops));
    }
}

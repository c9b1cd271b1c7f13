//! What happened that no segment tells yet.
//!
//! Enters: batches that the disk did not take, and how the clock was set. Leaves: counts for the next batch that it takes, or
//! for the recording's recovery.

use super::batch::Batch;
use crate::clock;
use formats::pcapng::kind;
use formats::pcapng::read::{Block, EnhancedPacket, Order};
use formats::seal::{ClockStep, Counts, Dropped, DropsByTarget, Volume};

/// What happened that no segment tells: while none could be begun, or the disk did not take it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Untold {
    /// What became of packets.
    pub counts: Counts,
    /// What of that was lost, and by which target.
    pub targets: DropsByTarget,
    /// How the clock was set.
    pub steps: Vec<ClockStep>,
}

impl Untold {
    /// Adds a batch that the disk did not take; what became of its packets then.
    pub fn add_lost(&mut self, batch: &Batch) -> Counts {
        let lost = lost(&batch.counts);
        self.counts += lost;
        self.targets += batch.targets.clone();
        self.targets += lost_by_target(batch);
        lost
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.counts == Counts::default() && self.steps.is_empty()
    }
}

impl std::ops::AddAssign for Untold {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.targets += other.targets;
        other.steps.into_iter().for_each(|step| clock::note(&mut self.steps, step));
    }
}

/// What was to be written, as lost on the disk.
fn lost(counts: &Counts) -> Counts {
    let mut lost = *counts;
    lost.dropped.disk += Volume { packets: counts.written.packets, bytes: counts.written.bytes + counts.snapped_bytes };
    lost.written = Volume::default();
    lost.snapped_bytes = 0;
    lost
}

/// The same by target: the packets are still there, and tell their interfaces.
fn lost_by_target(batch: &Batch) -> DropsByTarget {
    let mut volumes = vec![Volume::default(); batch.interfaces.len()];
    let mut rest = &batch.blocks[..];
    while let Ok(block) = Block::read(rest, Order::Little) {
        if block.kind == kind::ENHANCED_PACKET
            && let Ok(packet) = EnhancedPacket::read(block.body)
            && let Some(volume) = volumes.get_mut(packet.interface as usize)
        {
            *volume += Volume { packets: 1, bytes: packet.wire_bytes.into() };
        }
        rest = rest.get(block.bytes.len()..).unwrap_or_default();
    }
    let mut lost = DropsByTarget::default();
    for (interface, disk) in batch.interfaces.iter().zip(volumes) {
        lost.add(&interface.point.target, Dropped { disk, ..Dropped::default() });
    }
    lost
}

//! A ring at the pump: what it is called, and what is known of it beside its packets.

use super::batch::Filling;
use crate::capture::{CaptureError, Interfaces, Numbers, Ring, Tally, Wait};
use formats::pcapng::Target;
use std::sync::Arc;
use std::time::Duration;

/// What a ring did since it was last told.
#[derive(Debug, Clone)]
pub struct RingNews {
    /// Whose ring it is.
    pub target: Arc<Target>,
    /// What the kernel did with packets.
    pub tally: Tally,
    /// The greatest part of it that was filled.
    pub fill: f64,
}

/// A ring that is read.
#[derive(Debug)]
pub(super) struct Station {
    /// What it is called where it is waited for; news of its interfaces have the next number.
    pub token: u64,
    pub ring: Ring,
    pub numbers: Numbers,
    /// Blocks that have waited long enough.
    pub due_blocks: usize,
    /// Packets that the kernel dropped, told with the next packet.
    pub dropped: u64,
    tally: Tally,
    untold: Tally,
    /// The greatest part of the ring that was filled since that was last told.
    pub fill: f64,
    /// Set when its target is gone: by then all that is owed was handed over.
    pub ends: Option<Duration>,
}

impl Station {
    /// Of a ring of `target`, for which `waits` waits under the name `token` from now on.
    pub fn new(
        token: u64,
        ring: Ring,
        target: &Arc<Target>,
        waits: &dyn Wait,
        interfaces: &mut Interfaces,
    ) -> Result<Self, CaptureError> {
        ring.wait_in(waits, token)?;
        Ok(Self {
            token,
            numbers: ring.numbers(target.clone(), interfaces)?,
            ring,
            due_blocks: 0,
            dropped: 0,
            tally: Tally::default(),
            untold: Tally::default(),
            fill: 0.0,
            ends: None,
        })
    }

    /// The namespace it is in.
    pub fn netns(&self) -> u64 {
        self.numbers.target().netns
    }

    /// When its next packet was seen, if that may be written now.
    pub fn head_ns(&self, horizon_ns: u64) -> Option<u64> {
        self.ring.next_ns().filter(|next_ns| self.due_blocks > 0 || *next_ns <= horizon_ns)
    }

    /// Tells `filling` what the kernel did since it was last asked.
    pub fn account(&mut self, filling: &mut Filling) -> Result<(), CaptureError> {
        let tally = self.ring.tally()?;
        filling.account(tally, self.numbers.target());
        self.tally += tally;
        self.untold += tally;
        Ok(())
    }

    /// What it did since this was last asked.
    pub fn news(&mut self) -> RingNews {
        let (tally, fill) = (std::mem::take(&mut self.untold), std::mem::take(&mut self.fill));
        RingNews { target: self.numbers.target().clone(), tally, fill }
    }

    /// Whether nothing more is to come of a target that is gone.
    pub fn is_over(&mut self, now: Duration) -> Result<bool, CaptureError> {
        let Some(ends) = self.ends else { return Ok(false) };
        // Whoever waited for the writer since it last noticed may have waited for longer than a block does.
        self.ring.notice(now);
        Ok(self.ring.filled_blocks() == 0 && (now >= ends || self.ring.left_packets()? == 0))
    }

    /// Tells of all that the ring did.
    pub fn say_what_was(&self) {
        let Tally { passed_packets, dropped_packets, refused_packets } = self.tally;
        let target = self.numbers.target().label();
        tracing::info!(target, passed_packets, dropped_packets, refused_packets, "ring closed");
    }
}

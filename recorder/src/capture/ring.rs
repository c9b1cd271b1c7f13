//! A ring of blocks, read one after the other, and the account of every packet that was put into it or was not.

use super::CaptureError;
use super::block::{Packets, Place, last_ns};
use super::interfaces::{Interfaces, Numbers};
use super::kernel::{Kernel, Linux, RingOptions};
use super::sys::{Ready, Wait};
use formats::pcapng::Target;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What the kernel did with packets since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed the filter; those dropped are among them.
    pub passed_packets: u64,
    /// Passed the filter, and found the ring full.
    pub dropped_packets: u64,
    /// Refused by the filter.
    pub refused_packets: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed_packets += other.passed_packets;
        self.dropped_packets += other.dropped_packets;
        self.refused_packets += other.refused_packets;
    }
}

/// Packets the kernel dropped, and how many filled blocks stand before the place where they are missing.
#[derive(Debug, Clone, Copy, Default)]
struct Drops {
    packets: u64,
    behind_blocks: usize,
}

/// A block the kernel has filled.
#[derive(Debug, Clone, Copy)]
struct Filled {
    /// When we noticed, on the steady clock.
    noticed: Duration,
    /// When its last packet was seen [ns since the Unix epoch].
    last_ns: u64,
    /// Packets in it.
    packets: u32,
}

/// An open ring.
#[derive(Debug)]
pub struct Ring {
    kernel: Box<dyn Kernel>,
    next: usize,
    /// Blocks that are filled, from the next on, as far as we noticed.
    filled: VecDeque<Filled>,
    /// When the last packet of the block that was noticed last was seen [ns since the Unix epoch].
    noticed_ns: u64,
    /// How far the next block was read; none if it was not begun.
    place: Option<Place>,
    tally: Tally,
    drops: Drops,
    /// Packets of blocks that were begun since the ring was opened.
    taken_packets: u64,
    /// Packets the kernel put into the ring since it was opened, as far as it was asked.
    kept_packets: u64,
}

impl Ring {
    /// Opens rings in the network namespace of the calling thread; from here on packets are kept. The rings stay
    /// in that namespace, whichever thread reads them.
    ///
    /// # Errors
    /// [`CaptureError::NotAllowed`] without the capability, [`CaptureError::NoInterface`] when none of the
    /// named is there and one must be (some is enough: others are waited for).
    pub fn open(options: RingOptions) -> Result<Vec<Self>, CaptureError> {
        Ok(Linux::open(options)?.into_iter().map(|kernel| Self::over(Box::new(kernel))).collect())
    }

    /// A ring that `kernel` fills.
    pub(crate) fn over(kernel: Box<dyn Kernel>) -> Self {
        Self {
            filled: VecDeque::with_capacity(kernel.blocks()),
            kernel,
            next: 0,
            noticed_ns: 0,
            place: None,
            tally: Tally::default(),
            drops: Drops::default(),
            taken_packets: 0,
            kept_packets: 0,
        }
    }

    /// The numbers of its interfaces, which are those of `target`.
    pub fn numbers(&self, target: Arc<Target>, all: &mut Interfaces) -> Result<Numbers, CaptureError> {
        Ok(Numbers::new(target, self.kernel.there()?, self.kernel.selection(), all))
    }

    /// Has `wait` wait for packets under the name `token`, and for news of interfaces under the next.
    pub fn wait_in(&self, wait: &dyn Wait, token: u64) -> Result<(), CaptureError> {
        self.kernel.wait_in(wait, token)
    }

    /// Looks which further blocks the kernel has filled.
    pub fn notice(&mut self, now: Duration) {
        let blocks = self.kernel.blocks();
        while self.filled.len() < blocks
            && let Some((header, _)) = self.kernel.block((self.next + self.filled.len()) % blocks)
        {
            let (last_ns, packets) = (last_ns(header), Place::first(header).left());
            self.filled.push_back(Filled { noticed: now, last_ns, packets });
            self.noticed_ns = last_ns;
        }
    }

    /// Until when all packets of the ring were noticed [ns since the Unix epoch]; 0 where none was.
    pub fn noticed_ns(&self) -> u64 {
        self.noticed_ns
    }

    /// What part of it is filled with blocks that were noticed and not read to their end.
    pub fn fill(&self) -> f64 {
        self.filled.len() as f64 / self.kernel.blocks() as f64
    }

    /// Blocks noticed and not read to their end.
    pub fn filled_blocks(&self) -> usize {
        self.filled.len()
    }

    /// How many of those were noticed at `until` or before, or stand where half the ring is filled behind them, and when
    /// the last packet of these was seen: they have waited long enough.
    pub fn due_blocks(&self, until: Duration) -> (usize, u64) {
        let pressing = self.filled.len().saturating_sub(self.kernel.blocks() / 2);
        let waited = self.filled.iter().take_while(|block| block.noticed <= until).count();
        let due = pressing.max(waited);
        (due, self.filled.iter().take(due).map(|block| block.last_ns).max().unwrap_or(0))
    }

    /// When the first of the noticed blocks was noticed.
    pub fn waits_since(&self) -> Option<Duration> {
        self.filled.front().map(|block| block.noticed)
    }

    /// Whether the next block is still untouched.
    pub fn is_at_block(&self) -> bool {
        self.place.is_none()
    }

    /// When the next packet of the noticed blocks was seen [ns since the Unix epoch]; 0 where it cannot be read.
    pub fn next_ns(&self) -> Option<u64> {
        self.filled.front()?;
        Some(self.packets().and_then(|packets| packets.next_ns()).unwrap_or(0))
    }

    /// Whether packets were dropped before the first of the next block, since the kernel was last asked.
    pub fn next_follows_drops(&self) -> bool {
        self.kernel.flags(self.next) & libc::TP_STATUS_LOSING != 0
    }

    /// Begins the next block; how many packets the kernel dropped between the block before and this one.
    pub fn begin_block(&mut self) -> u64 {
        let here = self.next_follows_drops() || self.drops.behind_blocks == 0;
        let Some((header, _)) = self.kernel.block(self.next) else { return 0 };
        let place = Place::first(header);
        self.place = Some(place);
        self.taken_packets += u64::from(place.left());
        self.drops.behind_blocks = self.drops.behind_blocks.saturating_sub(1);
        if here { std::mem::take(&mut self.drops.packets) } else { 0 }
    }

    /// What is left of the next block; none if the kernel has not filled it.
    pub fn packets(&self) -> Option<Packets<'_>> {
        let (header, content) = self.kernel.block(self.next)?;
        Some(match self.place {
            Some(place) => Packets::from(place, content),
            None => Packets::new(header, content),
        })
    }

    /// Goes on behind the packets that were read.
    pub fn go_on(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Gives the block back to the kernel.
    pub fn end_block(&mut self) {
        self.place = None;
        self.filled.pop_front();
        self.kernel.release(self.next);
        self.next = (self.next + 1) % self.kernel.blocks();
    }

    /// Hears what is the matter with the ring's own socket.
    ///
    /// # Errors
    /// Only those that waiting again would not cure.
    pub fn hear(&self, ready: Ready) -> Result<(), CaptureError> {
        self.kernel.hear(ready)
    }

    /// Hears the news of interfaces, listens on those that are chosen and there now, and has `numbers` know them.
    pub fn hear_news(&mut self, numbers: &mut Numbers) -> Result<(), CaptureError> {
        numbers.look_again(self.kernel.hear_news()?);
        Ok(())
    }

    /// What the kernel did with packets since this was last asked.
    pub fn tally(&mut self) -> Result<Tally, CaptureError> {
        self.ask()?;
        Ok(std::mem::take(&mut self.tally))
    }

    /// Lets no further packet in. What is in the ring can still be read: until [`Ring::left_packets`] are none.
    pub fn shut(&mut self) -> Result<(), CaptureError> {
        self.kernel.shut()
    }

    /// Packets that the kernel put into the ring and that were not read yet.
    pub fn left_packets(&mut self) -> Result<u64, CaptureError> {
        let begun = self.place.map_or(0, Place::left);
        Ok(self.untouched_packets()? + u64::from(begun))
    }

    /// The same without the block that was begun.
    fn untouched_packets(&mut self) -> Result<u64, CaptureError> {
        self.ask()?;
        Ok(self.kept_packets.saturating_sub(self.taken_packets))
    }

    /// Whether all packets that the kernel put into the ring and that were not taken lie in blocks that were noticed.
    pub fn is_settled(&mut self) -> Result<bool, CaptureError> {
        let begun = usize::from(self.place.is_some());
        let noticed: u64 = self.filled.iter().skip(begun).map(|block| u64::from(block.packets)).sum();
        Ok(self.untouched_packets()? <= noticed)
    }

    /// Asks the kernel for its counts, which it forgets in telling, and adds them to ours.
    ///
    /// What it dropped is missing before the first block it closed afterwards. Such a block says so, unless we
    /// asked while it was being filled: then it is the first that is not filled yet.
    fn ask(&mut self) -> Result<(), CaptureError> {
        // The one that is being read counts no more: it was begun before.
        let filled_blocks = self.count_filled() - usize::from(self.place.is_some());
        let (passed, dropped) = self.kernel.passed_and_dropped()?;
        self.tally.passed_packets += u64::from(passed);
        self.tally.dropped_packets += u64::from(dropped);
        self.kept_packets += u64::from(passed - dropped.min(passed));
        if dropped > 0 {
            self.drops = Drops { packets: self.drops.packets + u64::from(dropped), behind_blocks: filled_blocks };
        }
        self.tally.refused_packets += u64::from(self.kernel.refused()?);
        Ok(())
    }

    fn count_filled(&self) -> usize {
        let blocks = self.kernel.blocks();
        let filled = |ahead: &usize| self.kernel.flags((self.next + ahead) % blocks) & libc::TP_STATUS_USER != 0;
        (0..blocks).take_while(filled).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::clock::SimClock;
    use crate::simulation::ring::SimRing;

    #[test]
    fn what_is_left_is_also_the_rest_of_a_block_that_was_begun() {
        let wire = SimRing::new(SimClock::new(), 4);
        let mut ring = Ring::over(wire.kernel());
        for _ in 0..10 {
            assert_eq!(wire.arrive(vec![0; 60]), Some(true));
        }
        ring.notice(Duration::ZERO);
        assert_eq!((ring.left_packets().unwrap(), ring.filled_blocks()), (10, 2));
        ring.begin_block();
        let mut packets = ring.packets().unwrap();
        assert_eq!(packets.by_ref().take(2).count(), 2);
        let place = packets.place();
        ring.go_on(place);
        assert_eq!(ring.left_packets().unwrap(), 8);
        assert!(ring.is_settled().unwrap());
        ring.end_block();
        assert_eq!(ring.left_packets().unwrap(), 5);
    }
}

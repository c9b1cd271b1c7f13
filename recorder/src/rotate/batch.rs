//! Packets on their way from the ring to the disk: about a megabyte of pcapng blocks, and what is known of them.

use super::blocks::{self, Remarks};
use super::sieve::{LeftOut, Sieve};
use crate::capture::{Interface, Interfaces, Numbers, Packet, Packets, Tally};
use crate::limits;
use formats::pcapng::Target;
use formats::seal::{Counts, Dropped, DropsByTarget, Volume};
use jiff::Timestamp;
use std::sync::Arc;

/// Whole blocks, in order, for one segment.
#[derive(Debug)]
pub struct Batch {
    /// Packets as pcapng blocks.
    pub blocks: Vec<u8>,
    /// What became of the packets since the batch before.
    pub counts: Counts,
    /// What of that was lost, and by which target.
    pub targets: DropsByTarget,
    /// Earliest and latest packet [ns since the Unix epoch].
    pub times_ns: Option<(u64, u64)>,
    /// The interfaces that the packets' numbers refer to; a later batch of the same list only adds to them.
    pub interfaces: Arc<Vec<Interface>>,
    /// Which list of interfaces that is.
    pub list: u32,
    /// When it was handed over, or the rings were shut before: until then nothing else was seen.
    pub until: Timestamp,
}

/// The batch that is being filled.
#[derive(Debug)]
pub struct Filling {
    blocks: Vec<u8>,
    counts: Counts,
    targets: DropsByTarget,
    times_ns: Option<(u64, u64)>,
}

/// Why no more packets were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// There are no more.
    All,
    /// The batch is full, and there may be more.
    Full,
    /// The next one is later than was asked for.
    Until,
}

impl Filling {
    /// An empty batch in a buffer that was used before, or a new one.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.reserve(limits::BATCH_BYTES + PACKET_BYTES_MAX);
        Self { blocks: buffer, counts: Counts::default(), targets: DropsByTarget::default(), times_ns: None }
    }

    /// Takes packets seen at `until_ns` or before, until the batch is full. The first of them tells that packets were
    /// `dropped` right before it.
    pub fn take(
        &mut self,
        packets: &mut Packets<'_>,
        until_ns: u64,
        (numbers, interfaces, sieve): (&mut Numbers, &mut Interfaces, &mut Sieve),
        dropped: &mut u64,
    ) -> Took {
        let (is_here, netns) = (numbers.target().host, numbers.target().netns);
        while self.blocks.len() < limits::BATCH_BYTES {
            if packets.next_ns().is_some_and(|next_ns| next_ns > until_ns) {
                return Took::Until;
            }
            let claimed = packets.place().left();
            let Some(packet) = packets.next() else {
                // A block of which a part cannot be read: the kernel says how many packets that were.
                self.account_lost(claimed.into(), numbers.target());
                return Took::All;
            };
            if let Some(why) = sieve.look(&packet, is_here) {
                self.leave_out(&packet, why);
                continue;
            }
            let number = numbers.number_of(&packet.link, interfaces);
            let before = self.blocks.len();
            let remarks = Remarks { dropped: std::mem::take(dropped), id: sieve.id(&packet, netns, number) };
            let bytes = blocks::enhanced_packet(&mut self.blocks, number, &packet, remarks);
            if !sieve.affords(bytes.kept) {
                self.blocks.truncate(before);
                self.leave_out(&packet, LeftOut::Sampled);
                continue;
            }
            let counts = &mut self.counts;
            counts.seen += Volume { packets: 1, bytes: bytes.wire.into() };
            counts.written += Volume { packets: 1, bytes: bytes.kept.into() };
            counts.snapped_bytes += u64::from(bytes.wire.saturating_sub(bytes.kept));
            let (first, last) = self.times_ns.unwrap_or((packet.time_ns, packet.time_ns));
            self.times_ns = Some((first.min(packet.time_ns), last.max(packet.time_ns)));
        }
        Took::Full
    }

    fn leave_out(&mut self, packet: &Packet<'_>, why: LeftOut) {
        let volume = Volume { packets: 1, bytes: packet.wire_bytes.into() };
        self.counts.seen += volume;
        match why {
            LeftOut::Own => self.counts.filtered += volume,
            LeftOut::Sampled => self.counts.sampled += volume,
        }
    }

    /// Adds what the kernel did with packets of a target that never came here.
    pub fn account(&mut self, tally: Tally, target: &Target) {
        self.targets.add(target, Dropped { kernel_packets: tally.dropped_packets, ..Dropped::default() });
        self.counts.dropped.kernel_packets += tally.dropped_packets;
        self.counts.filtered.packets += tally.refused_packets;
        self.counts.seen.packets += tally.dropped_packets + tally.refused_packets;
    }

    /// Adds packets that were in the ring of a target and did not come out of it.
    pub fn account_lost(&mut self, packets: u64, target: &Target) {
        self.targets.add(target, Dropped { ring: Volume { packets, bytes: 0 }, ..Dropped::default() });
        self.counts.dropped.ring.packets += packets;
        self.counts.seen.packets += packets;
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Ends the batch, `until` then, and begins the next one in `buffer`.
    pub fn hand_over(&mut self, interfaces: &Interfaces, until: Timestamp, buffer: Vec<u8>) -> Batch {
        let full = std::mem::replace(self, Self::new(buffer));
        Batch {
            blocks: full.blocks,
            counts: full.counts,
            targets: full.targets,
            times_ns: full.times_ns,
            interfaces: interfaces.described().clone(),
            list: interfaces.list(),
            until,
        }
    }
}

/// Most bytes that one packet adds: what is kept of it, and the block around it.
const PACKET_BYTES_MAX: usize = limits::SNAP_BYTES_MAX as usize + 128;

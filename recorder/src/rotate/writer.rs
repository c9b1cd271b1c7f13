//! The writer thread's half of the room: from batches into segments.

use super::batch::Batch;
use super::segment::{OpenSegment, SegmentOptions};
use super::untold::Untold;
use crate::clock::{self, Clock, Moment, Watch};
use crate::disk::Disk;
use crate::limits;
use formats::seal::Counts;
use std::sync::Arc;
use std::time::Duration;

/// Writes batches into segments, one after the other.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    options: SegmentOptions,
    clock: Arc<dyn Clock>,
    watch: Watch,
    sequence: u32,
    open: Option<OpenSegment>,
    /// What the next batch tells that the disk takes.
    untold: Untold,
    /// What became of the last batch.
    counts: Counts,
    /// Since when no segment can be begun.
    fails_since: Option<Duration>,
    has_given_up: bool,
}

impl Writer {
    /// Writes to `disk` as `options` say.
    pub fn new(disk: Arc<dyn Disk>, options: SegmentOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            sequence: options.last_sequence,
            disk,
            options,
            clock,
            watch: Watch::default(),
            open: None,
            untold: Untold::default(),
            counts: Counts::default(),
            fails_since: None,
            has_given_up: false,
        }
    }

    /// Writes a batch; the segment that it does not belong into any more, to be sealed.
    pub fn write(&mut self, batch: &mut Batch) -> Option<OpenSegment> {
        let now = self.clock.now();
        let over = self.open.take_if(|segment| segment.is_over(batch, now, &self.options));
        if let Some(step) = self.watch.look(now) {
            tracing::warn!(by_ns = step.by_ns, "the clock was set");
            clock::note(&mut self.untold.steps, step);
        }
        if self.open.is_none() {
            match OpenSegment::begin(self.disk.as_ref(), self.sequence + 1, batch.list, now, &self.options) {
                Ok(segment) => {
                    self.sequence += 1;
                    self.open = Some(segment);
                    if self.fails_since.take().is_some() {
                        tracing::warn!(lost_packets = self.lost_packets(), "segments can be begun again");
                    }
                }
                Err(error) => {
                    self.counts = self.untold.add_lost(batch);
                    self.fails(&error, now.steady);
                }
            }
        }
        if let Some(segment) = &mut self.open {
            self.counts = segment.write(batch, &mut self.untold, &self.options);
        }
        over
    }

    /// No segment can be begun: said once, and once more when that lasts.
    fn fails(&mut self, error: &std::io::Error, now: Duration) {
        let folder = self.options.folder.display();
        let Some(since) = self.fails_since else {
            self.fails_since = Some(now);
            return tracing::error!(%folder, %error, "packets lost: no segment could be begun");
        };
        if !self.has_given_up && now.saturating_sub(since) >= limits::BEGIN_PATIENCE {
            self.has_given_up = true;
            tracing::error!(%folder, %error, lost_packets = self.lost_packets(), "no segment can be begun: given up");
        }
    }

    fn lost_packets(&self) -> u64 {
        self.untold.counts.dropped.disk.packets
    }

    /// Whether no segment could be begun for so long that the recording is to end: its folder may be gone, and the next
    /// one has another.
    pub fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    /// What became of the packets of the last batch.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When the segment that is open was begun.
    pub fn opened(&self) -> Option<Moment> {
        self.open.as_ref().map(OpenSegment::opened)
    }

    /// What is open when there are no more batches; and what no segment tells.
    pub fn take_rest(&mut self) -> (Option<OpenSegment>, Untold) {
        (self.open.take(), std::mem::take(&mut self.untold))
    }

    /// Packets in the segment that is open.
    #[cfg(test)]
    pub fn in_segment(&self) -> u64 {
        self.open.as_ref().map_or(0, OpenSegment::packets)
    }
}

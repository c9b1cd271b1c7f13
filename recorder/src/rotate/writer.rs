//! The writer thread's half of the room: from batches into segments.

use super::batch::Batch;
use super::segment::{OpenSegment, SegmentOptions, lost};
use crate::clock::{Clock, Moment, Watch};
use formats::seal::{ClockStep, Counts};
use std::sync::Arc;

/// Writes batches into segments, one after the other.
#[derive(Debug)]
pub struct Writer {
    options: SegmentOptions,
    clock: Arc<dyn Clock>,
    watch: Watch,
    sequence: u32,
    open: Option<OpenSegment>,
    /// What became of packets while no segment could be begun: the next one tells.
    untold: Counts,
    untold_steps: Vec<ClockStep>,
    /// What became of the last batch.
    counts: Counts,
}

impl Writer {
    /// Writes what `options` say.
    pub fn new(options: SegmentOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            clock,
            watch: Watch::default(),
            sequence: 0,
            open: None,
            untold: Counts::default(),
            untold_steps: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Writes a batch; the segment that it does not belong into any more, to be sealed.
    pub fn write(&mut self, batch: &mut Batch) -> Option<OpenSegment> {
        let now = self.clock.now();
        let over = self.open.take_if(|segment| segment.is_over(batch, now, &self.options));
        if let Some(step) = self.watch.look(now) {
            tracing::warn!(by_ns = step.by_ns, "the clock was set");
            self.untold_steps.push(step);
        }
        if self.open.is_none() {
            match OpenSegment::begin(self.sequence + 1, batch.list, now, &self.options) {
                Ok(segment) => {
                    self.sequence += 1;
                    self.open.insert(segment).add(std::mem::take(&mut self.untold));
                }
                Err(error) => {
                    tracing::error!(folder = %self.options.folder.display(), %error, "packets lost: no segment could be begun");
                    self.counts = lost(&batch.counts);
                    self.untold += self.counts;
                }
            }
        }
        if let Some(segment) = &mut self.open {
            std::mem::take(&mut self.untold_steps).into_iter().for_each(|step| segment.step(step));
            self.counts = segment.write(batch, &self.options);
        }
        over
    }

    /// What became of the packets of the last batch.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When the segment that is open was begun.
    pub fn opened(&self) -> Option<Moment> {
        self.open.as_ref().map(OpenSegment::opened)
    }

    /// What is open when there are no more batches; and what no segment tells, if none could be begun.
    pub fn finish(self) -> (Option<OpenSegment>, Counts) {
        (self.open, self.untold)
    }
}

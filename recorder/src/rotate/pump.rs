//! The capture thread's half of the room: from the ring into batches.

use super::batch::{Batch, Filling};
use crate::capture::{CaptureError, Interfaces, Ring};
use crate::limits;
use formats::seal::Volume;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

/// Moves packets from a ring into batches.
#[derive(Debug)]
pub struct Pump {
    interfaces: Interfaces,
    filling: Filling,
    handed_over: Volume,
    batches: SyncSender<Batch>,
    buffers: Receiver<Vec<u8>>,
    /// When a batch was last handed over; none before the first, which is empty: it begins the first segment.
    flushed: Option<Instant>,
}

impl Pump {
    /// Sends what comes from `ring` to `batches`, in buffers from `buffers`.
    pub fn new(ring: &Ring, batches: SyncSender<Batch>, buffers: Receiver<Vec<u8>>) -> Self {
        let filling = Filling::new(buffers.try_recv().unwrap_or_default());
        Self { interfaces: ring.interfaces(), filling, handed_over: Volume::default(), batches, buffers, flushed: None }
    }

    /// Waits a moment for packets and takes those that came, at most once around the ring; false when the
    /// other side is gone.
    pub fn turn(&mut self, ring: &mut Ring) -> Result<bool, CaptureError> {
        let is_due = self.flushed.is_none_or(|flushed| flushed.elapsed() >= limits::FLUSH);
        if is_due && !self.hand_over(ring)? {
            return Ok(false);
        }
        if ring.wait(limits::WAIT)? {
            self.interfaces.look_again();
        }
        for _ in 0..ring.blocks() {
            match self.take_block(ring)? {
                Taken::Block => {}
                Taken::Nothing => break,
                Taken::NobodyWaits => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Packets taken so far, with the bytes kept of them.
    pub fn written(&self) -> Volume {
        let mut written = self.handed_over;
        written += self.filling.counts().written;
        written
    }

    /// Lets no more packets in, takes what is in the ring, and hands it over.
    pub fn finish(mut self, ring: &mut Ring) -> Result<(), CaptureError> {
        let drained = self.drain(ring);
        let handed_over = self.hand_over(ring);
        drained.and(handed_over.map(drop))
    }

    fn drain(&mut self, ring: &mut Ring) -> Result<(), CaptureError> {
        ring.shut()?;
        // A block that is not full is handed over when its time is up; after three of those nothing is owed.
        let until = Instant::now() + 3 * limits::BLOCK_RETIRE;
        while ring.left_packets()? > 0 && Instant::now() < until {
            ring.wait(limits::BLOCK_RETIRE)?;
            while matches!(self.take_block(ring)?, Taken::Block) {}
        }
        self.filling.account_lost(ring.left_packets()?);
        Ok(())
    }

    fn take_block(&mut self, ring: &mut Ring) -> Result<Taken, CaptureError> {
        if ring.next_follows_drops() {
            self.filling.account(ring.tally()?);
        }
        let Some(block) = ring.next_block() else { return Ok(Taken::Nothing) };
        self.filling.follow_drops(block.dropped_before());
        let mut packets = block.packets();
        while self.filling.take(&mut packets, &mut self.interfaces) {
            if !self.send() {
                return Ok(Taken::NobodyWaits);
            }
        }
        Ok(Taken::Block)
    }

    fn hand_over(&mut self, ring: &mut Ring) -> Result<bool, CaptureError> {
        let tally = ring.tally().map(|tally| self.filling.account(tally));
        // What is in the batch goes its way, whatever the kernel says.
        let sent = self.send();
        tally.map(|()| sent)
    }

    /// Sends the batch away, and waits for a buffer for the next.
    fn send(&mut self) -> bool {
        let Ok(buffer) = self.buffers.recv() else { return false };
        self.handed_over += self.filling.counts().written;
        let batch = self.filling.hand_over(&self.interfaces, buffer);
        if self.interfaces.is_full() {
            self.interfaces.begin_list();
        }
        self.flushed = Some(Instant::now());
        self.batches.send(batch).is_ok()
    }
}

/// What came of asking for a block.
enum Taken {
    Block,
    NobodyWaits,
    Nothing,
}

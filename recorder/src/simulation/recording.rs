//! A recording from its begin to its close, or to where it cannot go on: steps of `pipeline::record`.

use super::disk::Faults;
use super::front::Front;
use super::life::{Life, Running, Sealer};
use super::truth::Truth;
use super::world::World;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::orders::Orders;
use crate::pipeline;
use crate::ready;
use crate::rotate::{Compression, OpenSegment, SegmentOptions, Untold, Writer};
use crate::seal::Chain;
use crate::spool::Spool;
use crate::upload::{Bound, Room};
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{FileName, RecordingId};
use jiff::SignedDuration;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What says which segments were given up, and close files, also take room.
const MARKS_BYTES: u64 = 2_000;

impl World {
    /// As `pipeline::record` begins.
    pub(super) fn begin(&mut self, life: &mut Life) {
        self.close_failed(&life.spool);
        if !matches!(life.bound.enforce(), Ok(Room::Left)) || self.disk.is_dead() {
            return;
        }
        let id = self.id(&format!("w{:03}", self.truth.len()));
        self.truth.insert(id.clone(), Truth::default());
        let folder = life.spool.folder(&id);
        let begun = self.disk.create_folders(&folder).and_then(|()| self.disk.lock(&folder)).and_then(|lock| {
            life.spool.begin(&id, &self.window.store)?;
            Ok(lock.expect("nobody else records it"))
        });
        let Ok(_lock) = begun else { return };
        self.truth.entry(id.clone()).or_default().begun = true;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let chain = Box::new(Chain::new(life.spool.clone(), id.clone(), Hash256::of(b""), clock));
        let running = self.running(life, id, (folder, 0), Sealer::Chain { chain, _lock });
        life.running.push(running);
    }

    /// A place in the store, begun now.
    pub(super) fn id(&self, window: &str) -> RecordingId {
        let name = |name: &str| name.parse().expect("a name");
        let start = self.clock.now().wall.into();
        RecordingId { cluster: name("prod"), window: name(window), start, node: name("node-1") }
    }

    pub(super) fn running(
        &mut self,
        life: &Life,
        id: RecordingId,
        (folder, last_sequence): (PathBuf, u32),
        sealer: Sealer,
    ) -> Running {
        let compression = if self.random.chance(2, 3) { Compression::Zstd } else { Compression::None };
        let (bytes_max, age_max) = (1000 + self.random.below(4000), Duration::from_secs(2));
        let snap_bytes = 262_144;
        self.deeds.fronts += 1;
        let options = SegmentOptions {
            folder: folder.clone(),
            last_sequence,
            bytes_max,
            age_max,
            compression,
            snap_bytes,
            filter: None,
        };
        Running {
            id,
            front: Front::open(&self.clock, self.deeds.fronts, self.random.split()),
            writer: Writer::new(life.spool.disk().clone(), options, Arc::new(self.clock.clone())),
            in_segment: Vec::new(),
            to_seal: VecDeque::new(),
            orders: Orders::default(),
            sealer,
            folder,
            untold: Untold::default(),
        }
    }

    /// The writer thread.
    pub(super) fn write(&mut self, running: &mut Running) {
        if !running.to_seal.is_empty() {
            return; // It waits for the sealer.
        }
        let Some((mut batch, numbers)) = running.front.next() else { return };
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.given += batch.counts;
        assert_eq!(batch.counts.written.packets, numbers.len() as u64, "packets in a batch");
        let now = self.clock.now();
        let steady = SignedDuration::try_from(now.steady).expect("it is small");
        let offset = now.wall.as_duration() - steady;
        truth.offsets = Some((truth.offsets.map_or(offset, |offsets| offsets.0), offset));
        let before = running.writer.in_segment();
        let over = running.writer.write(&mut batch);
        running.front.give_back(batch.blocks);
        if running.writer.has_given_up() {
            running.orders.end(EndReason::Failure);
        }
        let before = if over.is_some() { 0 } else { before };
        let is_taken = running.writer.in_segment() - before == numbers.len() as u64;
        if let Some(over) = over {
            running.to_seal.push_back((over, std::mem::take(&mut running.in_segment)));
        }
        if is_taken {
            running.in_segment.extend(&numbers);
        } else {
            self.deeds.lost_on_disk += numbers.len() as u64;
        }
        truth.packets.extend(numbers.into_iter().map(|number| (number, is_taken)));
    }

    /// The sealer thread.
    pub(super) fn seal(&mut self, life: &mut Life, at: usize) {
        let running = &mut life.running[at];
        let next = running.to_seal.pop_front();
        if self.seal_one(running, &life.bound, next).is_err() {
            self.fail(life, at);
        } else if let Some(reason) = life.running[at].orders.to_end().cloned() {
            self.end(life, at, reason);
        }
    }

    /// The spool keeps to its bound, or a recording is told to end; but where nobody could look how full it is.
    pub(super) fn keeps_bound(&self, bound: &Bound, orders: &Orders) {
        let excess_bytes = bound.excess_bytes().unwrap_or(0);
        let Faults { look_fails_one_of, read_fails_one_of, .. } = self.disk.faults();
        let could_look = look_fails_one_of.or(read_fails_one_of).is_none() && !self.disk.is_dead();
        let is_kept = excess_bytes <= MARKS_BYTES || orders.to_end().is_some();
        assert!(is_kept || !could_look, "{excess_bytes} bytes beyond the bound of the spool");
    }

    fn seal_one(
        &mut self,
        running: &mut Running,
        bound: &Bound,
        segment: Option<(OpenSegment, Vec<u64>)>,
    ) -> Result<(), ()> {
        let Sealer::Chain { chain, .. } = &mut running.sealer else { return self.keep(running, bound, segment) };
        let Some((segment, numbers)) = segment else { return Ok(()) };
        let seal = pipeline::seal_one(chain, bound, &self.window, &running.orders, segment).map_err(drop)?;
        self.keeps_bound(bound, &running.orders);
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.sealed.insert(seal.sequence, numbers);
        Ok(())
    }

    /// A recording ends as it should: what waits is written and sealed.
    pub(super) fn end(&mut self, life: &mut Life, at: usize, reason: EndReason) {
        let mut running = life.running.remove(at);
        if self.finish(&mut running, life, reason).is_err() {
            life.running.push(running);
            self.fail(life, life.running.len() - 1);
        }
    }

    fn finish(&mut self, running: &mut Running, life: &mut Life, reason: EndReason) -> Result<(), ()> {
        let mut is_over = false;
        loop {
            while let Some(next) = running.to_seal.pop_front() {
                self.seal_one(running, &life.bound, Some(next))?;
            }
            match running.front.has_next() {
                true => self.write(running),
                false if is_over => break,
                false => is_over = running.front.finish(),
            }
        }
        let (last, untold) = running.writer.take_rest();
        running.untold = untold;
        if let Some(last) = last {
            let numbers = std::mem::take(&mut running.in_segment);
            self.seal_one(running, &life.bound, Some((last, numbers)))?;
        }
        let untold = std::mem::take(&mut running.untold);
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.seen.clone_from(&running.front.seen);
        truth.closing = Some(reason.clone());
        let Sealer::Chain { chain, .. } = &mut running.sealer else {
            return self.end_ready(running, life, untold, reason);
        };
        pipeline::close(chain, untold, reason, self.clock.now().wall).map_err(drop)?;
        truth.closed = true;
        Ok(())
    }

    /// A recording cannot go on: what it left is recovered at once, as `remora-recorder run` does.
    fn fail(&mut self, life: &mut Life, at: usize) {
        let mut running = life.running.remove(at);
        self.deeds.failures += 1;
        let mut is_over = false;
        loop {
            running.to_seal.clear(); // Nobody seals any more.
            match running.front.has_next() {
                true => self.write(&mut running),
                false if is_over => break,
                false => is_over = running.front.finish(),
            }
        }
        let (_, untold) = running.writer.take_rest();
        running.untold += untold;
        life.has_untold |= !running.untold.is_empty();
        life.spool.keep_untold(&running.folder, std::mem::take(&mut running.untold), Vec::new());
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        (truth.seen, truth.failed) = (std::mem::take(&mut running.front.seen), true);
        // Whoever recovers it gives the same reason.
        truth.closing.take_if(|reason| *reason == EndReason::Failure);
        drop(running);
        self.close_failed(&life.spool);
    }

    pub(super) fn close_failed(&mut self, spool: &Spool) {
        ready::recover_all(spool, &EndReason::Failure, self.clock.now().wall).ok();
        for (id, truth) in self.truth.iter_mut().filter(|(_, truth)| truth.failed) {
            truth.told |= self.disk.exists(&spool.path(id, &FileName::Close));
        }
    }
}

//! The past that is kept ready, and recordings that are made of it: steps of `ready::keep_ready`.

use super::life::{Life, Running, Sealer};
use super::truth::{Promise, Truth};
use super::world::World;
use crate::clock::Clock;
use crate::orders::{Orders, Trigger};
use crate::ready::{self, Backlog};
use crate::rotate::{OpenSegment, Untold};
use crate::schedule::Recording;
use crate::upload::Bound;
use formats::hash::Hash256;
use formats::seal::{EndReason, Volume};
use formats::store::RecordingId;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// As `ready::keep_ready` begins.
    pub(super) fn begin_ready(&mut self, life: &mut Life) {
        self.close_failed(&life.spool);
        let recording = Recording {
            id: self.id("ready"),
            ends: Timestamp::MAX,
            window: self.ready_window.clone(),
            configuration_sha256: Hash256::of(b""),
            spent: Volume::default(),
        };
        let Ok(backlog) = Backlog::open(&life.spool, &recording, Arc::new(self.clock.clone())) else { return };
        // What its writer did has a place of its own, which is never one of the store.
        let id = self.id(&format!("ready-{:03}", self.truth.len()));
        let begun_with_nothing = backlog.last_sequence() == 0 && !life.has_untold;
        let truth = Truth { begun_with_nothing, ..Truth::default() };
        self.truth.insert(id.clone(), truth);
        let folder = (backlog.folder().to_owned(), backlog.last_sequence());
        let sealer = Sealer::Ready { backlog: Box::new(backlog), finished: BTreeMap::new() };
        let running = self.running(life, id, folder, sealer);
        life.add(running);
    }

    /// Somebody triggers what is kept ready.
    pub(super) fn trigger(&mut self, running: &mut Running) {
        let Sealer::Ready { .. } = running.sealer else { return };
        let at = self.clock.now().wall;
        let ends = at + SignedDuration::from_secs(600);
        running.orders.trigger(Trigger { at, by: "chance".to_owned(), ends, told: Box::new(|_| {}) });
    }

    /// A turn of the sealer thread.
    pub(super) fn keep(
        &mut self,
        running: &mut Running,
        bound: &Bound,
        segment: Option<(OpenSegment, Vec<u64>)>,
    ) -> Result<(), ()> {
        let Sealer::Ready { backlog, finished } = &mut running.sealer else { return Ok(()) };
        let kept = self.expire(backlog, bound, &running.orders)?;
        let before = recording(backlog);
        let between = ready::between(backlog, &running.orders);
        if let Some(id) = recording(backlog).filter(|_| before.is_none()) {
            // On a disk that was full some of it made room.
            let kept: Vec<u32> = kept.into_iter().filter(|sequence| *sequence > backlog.expired_through()).collect();
            self.promise(&id, &kept, finished);
        }
        between.map_err(drop)?;
        if let Some((segment, numbers)) = segment {
            let sequence = segment.sequence();
            ready::take(backlog, segment, bound, &running.orders).map_err(drop)?;
            self.keeps_bound(bound, &running.orders);
            if let Some(id) = recording(backlog) {
                let truth = self.truth.get_mut(&id).expect("it was promised");
                truth.promise.get_or_insert_default().since.extend(&numbers);
            }
            finished.insert(sequence, numbers);
        }
        self.expire(backlog, bound, &running.orders).map(drop)
    }

    /// What is kept once what is too old is removed.
    fn expire(&mut self, backlog: &mut Backlog, bound: &Bound, orders: &Orders) -> Result<Vec<u32>, ()> {
        let before = if recording(backlog).is_none() { backlog.kept().len() } else { 0 };
        ready::expire(backlog, bound, orders).map_err(drop)?;
        let kept = backlog.kept();
        self.deeds.expired += before.saturating_sub(kept.len()) as u64;
        Ok(kept)
    }

    /// Whoever triggered is told so: what is kept then is kept for good.
    fn promise(&mut self, id: &RecordingId, kept: &[u32], finished: &BTreeMap<u32, Vec<u64>>) {
        self.deeds.triggered += 1;
        let is_all = kept.iter().all(|sequence| finished.contains_key(sequence));
        let kept = kept.iter().filter_map(|sequence| finished.get(sequence)).flatten().copied().collect();
        let promise = Promise { kept, is_all, ..Promise::default() };
        self.truth.insert(id.clone(), Truth { begun: true, promise: Some(promise), ..Truth::default() });
    }

    /// There are no more segments.
    pub(super) fn end_ready(
        &mut self,
        running: &mut Running,
        life: &mut Life,
        untold: Untold,
        reason: EndReason,
    ) -> Result<(), ()> {
        let sealer = std::mem::replace(&mut running.sealer, Sealer::Over);
        let Sealer::Ready { mut backlog, finished } = sealer else { return Ok(()) };
        life.has_untold |= !untold.is_empty();
        life.spool.keep_untold(&running.folder, untold, Vec::new());
        let kept = self.expire(&mut backlog, &life.bound, &running.orders)?;
        let before = recording(&backlog);
        let Some(promoted) = ready::end(*backlog, &running.orders).map_err(drop)? else { return Ok(()) };
        let id = promoted.chain.id().clone();
        if before.is_none() {
            self.promise(&id, &kept, &finished);
            if self.disk.faults().capacity.is_some() {
                // It is not known any more what made room for that.
                let truth = self.truth.get_mut(&id).expect("it was promised");
                truth.promise = Some(Promise::default());
            }
        }
        let now = self.clock.now().wall;
        ready::close(promoted, &life.spool, &running.folder, reason, now).map_err(drop)?;
        let is_all_of = self.truth[&running.id].begun_with_nothing.then(|| running.id.clone());
        let promise = self.truth.get_mut(&id).and_then(|truth| truth.promise.as_mut()).expect("it was promised");
        (promise.is_ended, promise.is_all_of) = (true, is_all_of);
        Ok(())
    }
}

/// What it was triggered to.
fn recording(backlog: &Backlog) -> Option<RecordingId> {
    backlog.past().triggered.map(|(id, _)| id)
}

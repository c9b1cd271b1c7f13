//! Lives of one recorder after another, until the last one ends in peace.

use super::check;
use super::clock::SimClock;
use super::disk::{Faults, SimDisk};
use super::front::Front;
use super::random::Random;
use super::store::{SimStore, pause};
use super::truth::{Deeds, Truth};
use crate::clock::Clock;
use crate::disk::{Disk, Lock};
use crate::orders::Orders;
use crate::pipeline;
use crate::ready::{self, Backlog};
use crate::rotate::{Compression, OpenSegment, SegmentOptions, Untold, Writer};
use crate::schedule::{Config, SpoolFull, Window};
use crate::seal::Chain;
use crate::spool::Spool;
use crate::upload::{Bound, Room, Sender, Store};
use formats::age::Identity;
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::signature::SecretKey;
use formats::store::{FileName, RecordingId};
use jiff::SignedDuration;
use object_store::path::Path as StorePath;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// Recordings of a world: a seed takes milliseconds.
const RECORDINGS_MAX: usize = 20;

pub struct World {
    pub(super) random: Random,
    pub disk: SimDisk,
    pub store: Arc<SimStore>,
    pub(super) clock: SimClock,
    pub truth: BTreeMap<RecordingId, Truth>,
    full: SpoolFull,
    pub is_encrypted: bool,
    window: Arc<Window>,
    pub(super) ready_window: Arc<Window>,
    spool_bytes_max: u64,
    /// One of so many syncs fails, or lies; none where the disk is a good one.
    sync_fails_one_of: Option<u64>,
    sync_lies_one_of: Option<u64>,
    /// One of so many looks fails.
    look_fails_one_of: Option<u64>,
    pub deeds: Deeds,
}

/// A recording at work, as `pipeline` and `ready` wire it.
pub(super) struct Running {
    pub id: RecordingId,
    pub front: Front,
    pub writer: Writer,
    pub in_segment: Vec<u64>,
    pub to_seal: VecDeque<(OpenSegment, Vec<u64>)>,
    pub orders: Orders,
    pub sealer: Sealer,
    /// Where its segments are written.
    folder: PathBuf,
    untold: Untold,
}

/// What becomes of segments.
pub(super) enum Sealer {
    Chain {
        chain: Box<Chain>,
        _lock: Lock,
    },
    /// Kept for a trigger, with the packets in those that this life finished.
    Ready {
        backlog: Box<Backlog>,
        finished: BTreeMap<u32, Vec<u64>>,
    },
    Over,
}

/// One process.
pub(super) struct Life {
    pub spool: Spool,
    pub bound: Bound,
    upload: Pin<Box<dyn Future<Output = ()>>>,
    running: Vec<Running>,
}

impl Life {
    pub fn add(&mut self, running: Running) {
        self.running.push(running);
    }

    /// The sender goes on until it waits for the store; it never ends.
    fn upload(&mut self) {
        let _ = self.upload.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// Everything a seed gives.
pub fn run(seed: u64) -> Deeds {
    let mut world = World::new(seed);
    for _ in 0..1 + world.random.below(4) {
        world.live();
    }
    world.end_in_peace();
    check::world(&mut world);
    world.deeds
}

pub fn key() -> SecretKey {
    SecretKey::generate([1; 8], &[1; 32]).0
}

pub fn prefix() -> StorePath {
    StorePath::from("captures")
}

/// What decrypts recordings of a world that has them encrypted.
pub fn identity() -> Identity {
    Identity::from_bytes([9; 32])
}

fn windows(is_encrypted: bool) -> [Arc<Window>; 2] {
    let to = if is_encrypted { identity().recipient().to_string() } else { String::new() };
    let config = "{cluster: c, store: 's3://in/memory', encrypt_to: [KEYS], windows: [
        {name: w, always: true, interfaces: [any]},
        {name: ready, on_demand: true, duration: 10m, pre_trigger: 3s, interfaces: [any]}]}";
    let config = Config::from_yaml(&config.replace("KEYS", &to)).expect("a configuration");
    config.windows.try_into().expect("two windows")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let write_only = random.chance(1, 4);
        let is_encrypted = seed.is_multiple_of(3);
        let mut both = windows(is_encrypted);
        both.iter_mut().for_each(|window| Arc::make_mut(window).store.write_only = write_only);
        let [window, ready_window] = both;
        Self {
            disk: SimDisk::new(random.split()),
            store: Arc::new(SimStore::new(random.split(), write_only)),
            clock: SimClock::new(),
            truth: BTreeMap::new(),
            full: if random.chance(1, 2) { SpoolFull::DropOldest } else { SpoolFull::Stop },
            is_encrypted,
            window,
            ready_window,
            spool_bytes_max: 8_000 + random.below(40_000),
            sync_fails_one_of: random.chance(1, 4).then_some(40),
            sync_lies_one_of: random.chance(1, 8).then_some(4),
            look_fails_one_of: random.chance(1, 4).then_some(20),
            deeds: Deeds { seeds: 1, ..Deeds::default() },
            random,
        }
    }

    /// A process starts, as `remora-recorder` does.
    fn start(&mut self) -> Option<Life> {
        let spool = Spool::open_on(Arc::new(self.disk.clone()), Path::new("/spool")).ok()?.signed_by(Some(key()));
        ready::recover_all(&spool, &EndReason::Crash, self.clock.now().wall).ok();
        let store = Store::over(self.store.clone(), prefix());
        let store = if self.store.write_only { store.write_only() } else { store };
        let mut sender = Sender::new(spool.clone()).with_store(self.window.store.clone(), store);
        let bound = sender.bound(self.spool_bytes_max, self.full);
        let upload = Box::pin(async move {
            loop {
                sender.sweep().await.ok();
                pause().await;
            }
        });
        Some(Life { spool, bound, upload, running: Vec::new() })
    }

    fn live(&mut self) {
        self.deeds.lives += 1;
        let dies_in = self.random.chance(3, 4).then(|| 1 + self.random.below(300));
        let (sync_fails_one_of, sync_lies_one_of) = (self.sync_fails_one_of, self.sync_lies_one_of);
        let look_fails_one_of = self.look_fails_one_of;
        let faults = Faults { dies_in, sync_fails_one_of, sync_lies_one_of, look_fails_one_of, ..Faults::default() };
        self.disk.set(faults);
        let fails_one_of = self.random.chance(2, 3).then(|| 2 + self.random.below(20));
        self.store.set(fails_one_of, self.random.chance(1, 4));
        if let Some(mut life) = self.start() {
            for _ in 0..self.random.below(400) {
                if self.disk.is_dead() {
                    break;
                }
                self.step(&mut life, fails_one_of);
            }
            if self.random.chance(1, 2) {
                while !life.running.is_empty() && !self.disk.is_dead() {
                    self.end(&mut life, 0, EndReason::Stopped);
                }
            }
        }
        self.deeds.deaths += u64::from(self.disk.is_dead());
        // What was only remembered is gone.
        self.truth.values_mut().for_each(|truth| truth.failed = false);
        if self.random.chance(1, 2) {
            self.deeds.power_cuts += 1;
            self.disk.cut_power();
            self.truth.values_mut().filter(|truth| !truth.closed).for_each(|truth| truth.power_cut = true);
        }
        self.disk.restart();
    }

    /// Somebody goes on.
    fn step(&mut self, life: &mut Life, fails_one_of: Option<u64>) {
        let at = (!life.running.is_empty()).then(|| self.random.below(life.running.len() as u64) as usize);
        match (self.random.below(120), at) {
            (0..20, Some(at)) => life.running[at].front.happen(),
            (20..40, Some(at)) => life.running[at].front.turn(),
            (40..45, Some(at)) => life.running[at].front.look(),
            (45..60, Some(at)) => self.write(&mut life.running[at]),
            (60..75, Some(at)) => self.seal(life, at),
            (75..100, _) => life.upload(),
            (100..106, _) => self.clock.pass(self.random.below(400)),
            (106, _) => {
                let by = SignedDuration::from_millis(self.random.below(7_200_000) as i64 - 3_600_000);
                self.clock.set_by(by);
                self.deeds.clock_steps += 1;
            }
            (107, _) => {
                let faults = self.disk.faults();
                let room = self.random.below(4000);
                let capacity = if faults.capacity.is_some() { None } else { Some(self.disk.used_bytes() + room) };
                self.disk.set(Faults { capacity, ..faults });
            }
            (108, _) => {
                let faults = self.disk.faults();
                self.disk.set(Faults { read_only: !faults.read_only && self.random.chance(1, 3), ..faults });
            }
            (109, _) => self.store.set(fails_one_of, self.random.chance(1, 2)),
            (110, Some(at)) => self.end(life, at, EndReason::Duration),
            (111..114, Some(at)) => self.trigger(&mut life.running[at]),
            (114, _) => self.close_failed(&life.spool),
            _ if life.running.len() < 2 && self.truth.len() < RECORDINGS_MAX => match self.random.chance(1, 3) {
                true => self.begin_ready(life),
                false => self.begin(life),
            },
            _ => {}
        }
    }

    /// As `pipeline::record` begins.
    fn begin(&mut self, life: &mut Life) {
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
    fn write(&mut self, running: &mut Running) {
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
    fn seal(&mut self, life: &mut Life, at: usize) {
        let running = &mut life.running[at];
        let next = running.to_seal.pop_front();
        if self.seal_one(running, &life.bound, next).is_err() {
            self.fail(life, at);
        } else if let Some(reason) = life.running[at].orders.to_end().cloned() {
            self.end(life, at, reason);
        }
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
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.sealed.insert(seal.sequence, numbers);
        Ok(())
    }

    /// A recording ends as it should: what waits is written and sealed.
    fn end(&mut self, life: &mut Life, at: usize, reason: EndReason) {
        let mut running = life.running.remove(at);
        if self.finish(&mut running, life, reason).is_err() {
            life.running.push(running);
            self.fail(life, life.running.len() - 1);
        }
    }

    fn finish(&mut self, running: &mut Running, life: &Life, reason: EndReason) -> Result<(), ()> {
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
        let Sealer::Chain { chain, .. } = &mut running.sealer else {
            return self.end_ready(running, &life.bound, untold, reason);
        };
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.seen = running.front.seen;
        truth.closing = Some(reason.clone());
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
        life.spool.keep_untold(&running.folder, std::mem::take(&mut running.untold));
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        (truth.seen, truth.failed) = (running.front.seen, true);
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

    /// The last life: nothing fails any more, and everything is stored.
    fn end_in_peace(&mut self) {
        self.store.set(None, false);
        self.disk.set(Faults::default());
        let mut life = self.start().expect("nothing fails");
        ready::remove_others(&life.spool, &[]).expect("nothing fails");
        // A sweep takes a few polls for each file.
        for _ in 0..5_000 {
            if life.spool.recordings().expect("nothing fails").is_empty() {
                self.disk.remove_folder(&life.spool.ready_root()).ok(); // Where there was any.
                return;
            }
            life.upload();
        }
        panic!("the spool is not empty: {:?}", self.disk.files());
    }
}

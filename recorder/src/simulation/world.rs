//! Lives of one recorder after another, until the last one ends in peace.

use super::check;
use super::clock::SimClock;
use super::disk::{Faults, SimDisk};
use super::random::Random;
use super::store::{SimStore, pause};
use crate::capture::{Interfaces, Tally};
use crate::clock::Clock;
use crate::disk::{Disk, Lock};
use crate::orders::Orders;
use crate::pipeline;
use crate::recover::recover;
use crate::rotate::tests::batch;
use crate::rotate::{Batch, Compression, OpenSegment, SegmentOptions, Writer};
use crate::schedule::{Config, SpoolFull, StoreTarget, Window};
use crate::seal::Chain;
use crate::spool::Spool;
use crate::upload::{Bound, Room, Sender, Store};
use formats::hash::Hash256;
use formats::seal::{Counts, EndReason};
use formats::signature::SecretKey;
use formats::store::RecordingId;
use jiff::SignedDuration;
use object_store::path::Path as StorePath;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// Recordings of a world: a seed takes milliseconds.
const RECORDINGS_MAX: usize = 20;

/// Batches that wait for the writer at most.
const QUEUE: usize = 4;

pub struct World {
    random: Random,
    pub disk: SimDisk,
    pub store: Arc<SimStore>,
    clock: SimClock,
    pub truth: BTreeMap<RecordingId, Truth>,
    full: SpoolFull,
    window: Arc<Window>,
    spool_bytes_max: u64,
    /// One of so many syncs fails, or lies; none where the disk is a good one.
    sync_fails_one_of: Option<u64>,
    sync_lies_one_of: Option<u64>,
    pub deeds: Deeds,
}

/// What happened, so that it can be seen that it did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deeds {
    pub seeds: u64,
    pub lives: u64,
    pub deaths: u64,
    pub power_cuts: u64,
    pub failures: u64,
    pub clock_steps: u64,
    pub recordings: u64,
    pub segments: u64,
    pub recovered: u64,
    pub forgotten: u64,
    pub packets: u64,
    pub lost_on_disk: u64,
}

impl std::ops::AddAssign for Deeds {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.lives += other.lives;
        self.deaths += other.deaths;
        self.power_cuts += other.power_cuts;
        self.failures += other.failures;
        self.clock_steps += other.clock_steps;
        self.recordings += other.recordings;
        self.segments += other.segments;
        self.recovered += other.recovered;
        self.forgotten += other.forgotten;
        self.packets += other.packets;
        self.lost_on_disk += other.lost_on_disk;
    }
}

/// What is true of a recording, whatever its ledger says.
#[derive(Debug, Default)]
pub struct Truth {
    /// Whether it had begun: then it must be stored, if only to say that there was nothing.
    pub begun: bool,
    /// What the writer was given.
    pub given: Counts,
    /// Packets given to the writer, by number, and whether it took them.
    pub packets: Vec<(u64, bool)>,
    /// Packets in each segment that was sealed while it was recorded.
    pub sealed: BTreeMap<u32, Vec<u64>>,
    /// How it was to end, once all that came before its close was done.
    pub closing: Option<EndReason>,
    /// Whether it did.
    pub closed: bool,
    /// Whether the power was cut before that.
    pub power_cut: bool,
    /// How far the time of day was from the steady clock, when the writer first and last looked.
    pub offsets: Option<(SignedDuration, SignedDuration)>,
    next: u64,
}

/// A recording at work, as `pipeline` wires it.
struct Running {
    _lock: Lock,
    id: RecordingId,
    chain: Chain,
    writer: Writer,
    interfaces: Interfaces,
    queue: VecDeque<(Batch, Vec<u64>)>,
    in_segment: Vec<u64>,
    to_seal: VecDeque<(OpenSegment, Vec<u64>)>,
    orders: Orders,
}

/// One process.
struct Life {
    spool: Spool,
    bound: Bound,
    upload: Pin<Box<dyn Future<Output = ()>>>,
    running: Vec<Running>,
}

impl Life {
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

fn target() -> StoreTarget {
    StoreTarget { url: "s3://in/memory".parse().expect("a URL"), write_only: false }
}

fn window() -> Arc<Window> {
    let config = "{cluster: c, store: 's3://in/memory', windows: [{name: w, always: true, interfaces: [any]}]}";
    Config::from_yaml(config).expect("a configuration").windows.remove(0)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let write_only = random.chance(1, 4);
        Self {
            disk: SimDisk::new(random.split()),
            store: Arc::new(SimStore::new(random.split(), write_only)),
            clock: SimClock::new(),
            truth: BTreeMap::new(),
            full: if random.chance(1, 2) { SpoolFull::DropOldest } else { SpoolFull::Stop },
            window: window(),
            spool_bytes_max: 8_000 + random.below(40_000),
            sync_fails_one_of: random.chance(1, 4).then_some(40),
            sync_lies_one_of: random.chance(1, 8).then_some(4),
            deeds: Deeds { seeds: 1, ..Deeds::default() },
            random,
        }
    }

    /// A process starts, as `remora-recorder` does.
    fn start(&mut self) -> Option<Life> {
        let spool = Spool::open_on(Arc::new(self.disk.clone()), Path::new("/spool")).ok()?.signed_by(Some(key()));
        recover(&spool, &EndReason::Crash, self.clock.now().wall).ok();
        let store = Store::over(self.store.clone(), prefix());
        let store = if self.store.write_only { store.write_only() } else { store };
        let mut sender = Sender::new(spool.clone()).with_store(target(), store);
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
        self.disk.set(Faults { dies_in, sync_fails_one_of, sync_lies_one_of, ..Faults::default() });
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
        match (self.random.below(100), at) {
            (0..25, Some(at)) => self.produce(&mut life.running[at]),
            (25..45, Some(at)) => self.write(&mut life.running[at]),
            (45..55, Some(at)) => self.seal(life, at),
            (55..80, _) => life.upload(),
            (80..88, _) => self.clock.pass(self.random.below(400)),
            (88, _) => {
                let by = SignedDuration::from_millis(self.random.below(7_200_000) as i64 - 3_600_000);
                self.clock.set_by(by);
                self.deeds.clock_steps += 1;
            }
            (89, _) => {
                let faults = self.disk.faults();
                let room = self.random.below(4000);
                let capacity = if faults.capacity.is_some() { None } else { Some(self.disk.used_bytes() + room) };
                self.disk.set(Faults { capacity, ..faults });
            }
            (90, _) => {
                let faults = self.disk.faults();
                self.disk.set(Faults { read_only: !faults.read_only && self.random.chance(1, 3), ..faults });
            }
            (91, _) => self.store.set(fails_one_of, self.random.chance(1, 2)),
            (92, Some(at)) => self.end(life, at, EndReason::Duration),
            _ if life.running.len() < 2 && self.truth.len() < RECORDINGS_MAX => self.begin(life),
            _ => {}
        }
    }

    /// As `pipeline::record` begins.
    fn begin(&mut self, life: &mut Life) {
        recover(&life.spool, &EndReason::Failure, self.clock.now().wall).ok();
        if !matches!(life.bound.enforce(), Ok(Room::Left)) || self.disk.is_dead() {
            return;
        }
        let window = format!("w{:03}", self.truth.len());
        let (start, node) = (self.clock.now().wall.into(), "node-1".parse().expect("a name"));
        let id = RecordingId {
            cluster: "prod".parse().expect("a name"),
            window: window.parse().expect("a name"),
            start,
            node,
        };
        self.truth.insert(id.clone(), Truth::default());
        let folder = life.spool.folder(&id);
        let begun = self.disk.create_folders(&folder).and_then(|()| self.disk.lock(&folder)).and_then(|lock| {
            life.spool.begin(&id, &target())?;
            Ok(lock.expect("nobody else records it"))
        });
        let Ok(lock) = begun else { return };
        self.truth.entry(id.clone()).or_default().begun = true;
        let compression = if self.random.chance(2, 3) { Compression::Zstd } else { Compression::None };
        let (bytes_max, age_max) = (1000 + self.random.below(4000), Duration::from_secs(2));
        let options = SegmentOptions {
            folder,
            last_sequence: 0,
            bytes_max,
            age_max,
            compression,
            snap_bytes: 262_144,
            filter: None,
        };
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        life.running.push(Running {
            _lock: lock,
            chain: Chain::new(life.spool.clone(), id.clone(), Hash256::of(b""), clock.clone()),
            writer: Writer::new(life.spool.disk().clone(), options, clock),
            id,
            interfaces: Interfaces::default(),
            queue: VecDeque::new(),
            in_segment: Vec::new(),
            to_seal: VecDeque::new(),
            orders: Orders::default(),
        });
    }

    /// The source: some packets, some that the kernel refused or dropped.
    fn produce(&mut self, running: &mut Running) {
        if running.queue.len() >= QUEUE {
            return; // The ring waits.
        }
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        let numbers: Vec<u64> = (truth.next..truth.next + self.random.below(12)).collect();
        truth.next += numbers.len() as u64;
        let frame = |number: &u64| {
            let mut frame = vec![0; 14];
            frame.extend_from_slice(&number.to_be_bytes());
            frame.extend((0..self.random.below(120)).map(|_| self.random.next() as u8));
            frame
        };
        let frames: Vec<Vec<u8>> = numbers.iter().map(frame).collect();
        let tally = Tally {
            passed_packets: 0,
            dropped_packets: self.random.below(40).saturating_sub(36),
            refused_packets: self.random.below(8),
        };
        let mut batch = batch(&mut running.interfaces, &frames, tally, 0);
        batch.until = self.clock.now().wall;
        running.queue.push_back((batch, numbers));
    }

    /// The writer thread.
    fn write(&mut self, running: &mut Running) {
        if !running.to_seal.is_empty() {
            return; // It waits for the sealer.
        }
        let Some((mut batch, numbers)) = running.queue.pop_front() else { return };
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.given += batch.counts;
        let now = self.clock.now();
        let steady = SignedDuration::try_from(now.steady).expect("it is small");
        let offset = now.wall.as_duration() - steady;
        truth.offsets = Some((truth.offsets.map_or(offset, |offsets| offsets.0), offset));
        let before = running.writer.in_segment();
        let over = running.writer.write(&mut batch);
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
        let Some((segment, numbers)) = running.to_seal.pop_front() else { return };
        match pipeline::seal_one(&mut running.chain, &life.bound, &self.window, &running.orders, segment) {
            Ok(seal) => {
                let truth = self.truth.get_mut(&running.id).expect("it was begun");
                truth.sealed.insert(seal.sequence, numbers);
                if let Some(reason) = running.orders.to_end().cloned() {
                    self.end(life, at, reason);
                }
            }
            Err(_) => self.fail(life, at),
        }
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
        loop {
            while let Some((segment, numbers)) = running.to_seal.pop_front() {
                let seal = pipeline::seal_one(&mut running.chain, &life.bound, &self.window, &running.orders, segment);
                let truth = self.truth.get_mut(&running.id).expect("it was begun");
                truth.sealed.insert(seal.map_err(drop)?.sequence, numbers);
            }
            if running.queue.is_empty() {
                break;
            }
            self.write(running);
        }
        let (last, untold) = running.writer.take_rest();
        if let Some(last) = last {
            let seal = pipeline::seal_one(&mut running.chain, &life.bound, &self.window, &running.orders, last)
                .map_err(drop)?;
            let truth = self.truth.get_mut(&running.id).expect("it was begun");
            truth.sealed.insert(seal.sequence, std::mem::take(&mut running.in_segment));
        }
        let truth = self.truth.get_mut(&running.id).expect("it was begun");
        truth.closing = Some(reason.clone());
        pipeline::close(&mut running.chain, untold, reason, self.clock.now().wall).map_err(drop)?;
        truth.closed = true;
        Ok(())
    }

    /// A recording cannot go on: what it left is recovered at once, as `remora-recorder run` does.
    fn fail(&mut self, life: &mut Life, at: usize) {
        drop(life.running.remove(at));
        self.deeds.failures += 1;
        recover(&life.spool, &EndReason::Failure, self.clock.now().wall).ok();
    }

    /// The last life: nothing fails any more, and everything is stored.
    fn end_in_peace(&mut self) {
        self.store.set(None, false);
        self.disk.set(Faults::default());
        let mut life = self.start().expect("nothing fails");
        // A sweep takes a few polls for each file.
        for _ in 0..5_000 {
            if life.spool.recordings().expect("nothing fails").is_empty() {
                return;
            }
            life.upload();
        }
        panic!("the spool is not empty: {:?}", self.disk.files());
    }
}

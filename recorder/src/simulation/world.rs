//! Lives of one recorder after another, until the last one ends in peace: what happens in them is chance.

use super::clock::SimClock;
use super::disk::{Faults, SimDisk};
use super::life::Life;
use super::random::Random;
use super::store::{SimStore, pause};
use super::truth::{Deeds, Truth};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::ready;
use crate::schedule::{Config, SpoolFull, Window};
use crate::spool::Spool;
use crate::upload::{Sender, Store};
use formats::age::Identity;
use formats::seal::EndReason;
use formats::signature::SecretKey;
use formats::store::RecordingId;
use jiff::SignedDuration;
use object_store::path::Path as StorePath;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Recordings of a world: a seed takes milliseconds.
const RECORDINGS_MAX: usize = 20;

pub struct World {
    pub(super) random: Random,
    pub disk: SimDisk,
    pub store: Arc<SimStore>,
    pub(super) clock: SimClock,
    pub truth: BTreeMap<RecordingId, Truth>,
    pub full: SpoolFull,
    pub is_encrypted: bool,
    pub(super) window: Arc<Window>,
    pub(super) ready_window: Arc<Window>,
    spool_bytes_max: u64,
    /// What fails at times; nothing where the disk is a good one.
    faults: Faults,
    /// Recordings that somebody wants kept, and the files that were whole then.
    pinned: BTreeMap<RecordingId, Vec<PathBuf>>,
    pub deeds: Deeds,
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
    /// Everything a seed gives.
    pub fn run(seed: u64) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..1 + world.random.below(4) {
            world.live();
        }
        world.end_in_peace();
        world
    }

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
            faults: Faults {
                sync_fails_one_of: random.chance(1, 4).then_some(40),
                sync_lies_one_of: random.chance(1, 8).then_some(4),
                look_fails_one_of: random.chance(1, 4).then_some(20),
                read_fails_one_of: random.chance(1, 4).then_some(40),
                change_fails_one_of: random.chance(1, 4).then_some(60),
                ..Faults::default()
            },
            pinned: BTreeMap::new(),
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
        sender.resume();
        let upload = Box::pin(async move {
            loop {
                sender.sweep().await.ok();
                pause().await;
            }
        });
        Some(Life { spool, bound, upload, running: Vec::new(), has_untold: false })
    }

    fn live(&mut self) {
        self.deeds.lives += 1;
        // Few are long: chains grow in them, and what is kept ready gets too old.
        let long = if self.random.chance(1, 8) { 6 } else { 1 };
        let dies_in = self.random.chance(3, 4).then(|| 1 + self.random.below(300 * long));
        self.disk.set(Faults { dies_in, ..self.faults });
        let fails_one_of = self.random.chance(2, 3).then(|| 2 + self.random.below(20));
        self.store.set(fails_one_of, self.random.chance(1, 4));
        if let Some(mut life) = self.start() {
            for _ in 0..self.random.below(400 * long) {
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
                let capacity = self.random.chance(1, 3).then(|| self.disk.used_bytes() + room);
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
            (115, _) => self.pin_or_not(&life.spool),
            _ if life.running.len() < 2 && self.truth.len() < RECORDINGS_MAX => match self.random.chance(1, 3) {
                true => self.begin_ready(life),
                false => self.begin(life),
            },
            _ => {}
        }
    }

    /// The last life: nothing fails any more, and everything is stored.
    fn end_in_peace(&mut self) {
        self.store.set(None, false);
        self.store.damage(Some(6));
        self.disk.set(Faults::default());
        let mut life = self.start().expect("nothing fails");
        ready::remove_others(&life.spool, &[]).expect("nothing fails");
        // A sweep takes a few polls for each file.
        for _ in 0..5_000 {
            if life.spool.unsent().expect("nothing fails").is_empty() {
                self.unpin_all(&life.spool);
                self.disk.remove_folder(&life.spool.ready_root()).ok(); // Where there was any.
                self.deeds.damaged = self.store.damaged();
                return;
            }
            life.upload();
        }
        panic!("the spool is not empty: {:?}", self.disk.files());
    }

    /// Somebody wants a recording kept here, or no longer.
    fn pin_or_not(&mut self, spool: &Spool) {
        let recordings = spool.recordings().unwrap_or_default();
        if recordings.is_empty() {
            return;
        }
        let id = &recordings[self.random.below(recordings.len() as u64) as usize];
        if self.pinned.remove(id).is_some() {
            spool.unpin(id).ok();
        } else if spool.pin(id, self.clock.now().wall).is_ok_and(|gone| gone.is_some()) {
            self.pinned.insert(id.clone(), self.whole_files(spool, id));
            self.deeds.pinned += 1;
        }
    }

    /// The files of segments that wait, which are there.
    fn whole_files(&self, spool: &Spool, id: &RecordingId) -> Vec<PathBuf> {
        let seals = spool.waiting(id).unwrap_or_default().into_iter().map(|sequence| spool.seal(id, sequence));
        let files = seals.flatten().flatten().flat_map(|seal| seal.files);
        files.map(|file| spool.path(id, &file.name)).filter(|path| self.disk.exists(path)).collect()
    }

    /// All is stored, and nobody wants it kept here any more.
    fn unpin_all(&mut self, spool: &Spool) {
        for (id, files) in &self.pinned {
            let missing: Vec<&PathBuf> = files.iter().filter(|path| !self.disk.exists(path)).collect();
            assert!(missing.is_empty(), "{id}: pinned, and removed: {missing:?}");
        }
        for id in spool.recordings().expect("nothing fails") {
            assert!(spool.unpin(&id).expect("nothing fails"), "{id}: stored, not pinned, and still here");
        }
    }
}

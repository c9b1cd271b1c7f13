//! The front of a recording: targets that come and go, the real `Scout` that follows them, and the real `Pump` that reads
//! their rings.

use super::clock::SimClock;
use super::random::Random;
use super::ring::SimRing;
use crate::capture::sys::{Ready, Socket, Wait};
use crate::capture::{CaptureError, Ring, RingOptions, Selection};
use crate::clock::Clock;
use crate::limits;
use crate::rotate::{Batch, Pump, Sieve};
use crate::targets::{Change, Open, Scout, Sighting, Source, TargetError, There};
use formats::pcapng::Target;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Targets there are at most.
const TARGETS: u64 = 4;

/// Rings of a target there are at most.
const RINGS: u64 = 3;

/// Rings are small, so that they fill up.
const RING_BLOCKS: usize = 4;

/// What a `kill -9` may cost: by then everything is on its way to the disk.
const KILL_COSTS: Duration = Duration::from_secs(1);

/// What the wire did, whatever anybody says of it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub shown: u64,
    /// By target.
    pub dropped: BTreeMap<u64, u64>,
    pub refused: u64,
    /// Whose ring is whose, by its number.
    pub targets: BTreeMap<u64, u64>,
    /// Whether a ring broke down: what was in it is lost, and elsewhere nothing is.
    pub broke_down: bool,
}

/// Where targets are, and the rings inside them.
#[derive(Debug, Clone)]
struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    clock: SimClock,
    random: Random,
    there: BTreeSet<u64>,
    /// Of targets that may be gone: packets that are on their way still come.
    rings: Vec<(u64, SimRing)>,
    /// Of all rings there ever were.
    targets: BTreeMap<u64, u64>,
    rings_made: u64,
    packets_made: u64,
}

impl Places {
    fn steady(&self) -> Duration {
        self.state().clock.steady()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic with it in hand")
    }
}

impl Source for Places {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        for &netns in &self.state().there {
            there.add(Target { netns, pid: Some(netns as u32), ..Target::default() }, "/proc".into());
        }
        Ok(())
    }
}

impl Open for Places {
    fn open(&self, sighting: &Sighting, options: RingOptions) -> Result<Vec<Ring>, CaptureError> {
        let state = &mut *self.state();
        let netns = sighting.target.netns;
        if state.random.chance(1, 8) {
            let source = io::ErrorKind::NotFound.into();
            return Err(CaptureError::System { action: "open the target's network namespace", source });
        }
        assert!(state.there.contains(&netns), "a ring in a target that is gone");
        let rings = (0..options.rings).map(|_| {
            let ring = SimRing::new(state.clock.clone(), RING_BLOCKS);
            let kernel = ring.kernel();
            state.rings_made += 1;
            state.targets.insert(state.rings_made, netns);
            state.rings.push((state.rings_made, ring));
            Ring::over(kernel)
        });
        Ok(rings.collect())
    }
}

impl Wait for Places {
    fn add(&self, _: &Socket, _: u64, _: bool) -> io::Result<()> {
        unreachable!("nothing here has a socket")
    }

    /// Time passes; rings that broke down say so.
    fn wait(&self, timeout: Duration) -> io::Result<Vec<(u64, Ready)>> {
        let state = &mut *self.state();
        let passed = state.random.below(timeout.as_millis() as u64 + 2);
        state.clock.pass(passed);
        let broken = state.rings.iter().filter_map(|(_, ring)| ring.broken());
        Ok(broken.map(|token| (token, Ready { readable: false, failed: true })).collect())
    }
}

pub struct Front {
    places: Places,
    scout: Scout,
    tell: Sender<Change>,
    closed: Receiver<u64>,
    pump: Option<Pump>,
    batches: Receiver<Batch>,
    buffers: SyncSender<Vec<u8>>,
    /// Batches that wait for the writer, with the numbers of their packets.
    waiting: VecDeque<(Batch, Vec<u64>)>,
    /// When the last of them came.
    handed_over: Duration,
    pub seen: Seen,
}

impl Front {
    /// As `Tap::open` does it. Rings of several fronts have other numbers.
    pub fn open(clock: &SimClock, front_number: u64, mut random: Random) -> Self {
        let there = (0..1 + random.below(TARGETS)).collect();
        let rings_of_a_target = 1 + random.below(RINGS) as usize;
        let (rings_made, packets_made) = (front_number << 16, 0);
        let (clock, rings, targets) = (clock.clone(), Vec::new(), BTreeMap::new());
        let state = State { clock: clock.clone(), random, there, rings, targets, rings_made, packets_made };
        let places = Places(Arc::new(Mutex::new(state)));
        let options = RingOptions {
            selection: Selection::Any,
            filter: None,
            snap_bytes: limits::SNAP_BYTES_MAX,
            ring_bytes: limits::RING_BYTES_DEFAULT,
            rings: rings_of_a_target,
            promiscuous: false,
            must_exist: false,
        };
        let all = ["proc".parse().expect("a selector")];
        let mut scout = Scout::over(vec![Box::new(places.clone())], Box::new(places.clone()), (&all, &[]), options);
        let (tell, changes) = channel();
        let (tell_closed, closed) = channel();
        scout.begin(&tell, || false).expect("our own namespace is none of them");
        let (buffers, to_fill) = sync_channel(limits::BATCHES);
        let (to_write, batches) = sync_channel(limits::BATCHES);
        (0..limits::BATCHES).for_each(|_| buffers.send(Vec::new()).expect("there is room"));
        let waits = (Box::new(places.clone()) as _, Arc::new(clock.clone()) as _);
        let handed_over = clock.steady();
        let sieve = Sieve::new(None, scout.follows());
        let pump = Pump::new((changes, tell_closed), (to_write, to_fill), sieve, waits).expect("rings are whole");
        let (waiting, seen) = (VecDeque::new(), Seen::default());
        Self { places, scout, tell, closed, pump: Some(pump), batches, buffers, waiting, handed_over, seen }
    }

    /// Something happens around the recorder.
    pub fn happen(&mut self) {
        let what = self.places.state().random.below(20);
        match what {
            0 => self.come_or_go(),
            1 => {
                let state = self.places.state();
                state.rings.last().into_iter().for_each(|(_, ring)| ring.break_down());
                self.seen.broke_down |= !state.rings.is_empty();
            }
            _ => self.traffic(),
        }
    }

    fn come_or_go(&self) {
        let state = &mut *self.places.state();
        let netns = state.random.below(TARGETS);
        if !state.there.remove(&netns) {
            state.there.insert(netns);
        }
    }

    /// Packets at one target, which the filter lets through or not.
    fn traffic(&mut self) {
        let state = &mut *self.places.state();
        state.rings.retain(|(_, ring)| !ring.is_shut());
        if state.rings.is_empty() {
            return;
        }
        let at = state.random.below(state.rings.len() as u64) as usize;
        let (ring_number, ring) = state.rings[at].clone();
        for _ in 0..state.random.below(12) {
            if state.random.chance(1, 6) {
                let refused = u64::from(ring.refuse());
                self.seen.refused += refused;
                self.seen.shown += refused;
                continue;
            }
            state.packets_made += 1;
            let mut frame = vec![0; 14];
            frame.extend_from_slice(&(ring_number << 32 | state.packets_made).to_be_bytes());
            frame.extend((0..state.random.below(120)).map(|_| state.random.next() as u8).collect::<Vec<u8>>());
            let arrived = ring.arrive(frame);
            self.seen.shown += u64::from(arrived.is_some());
            if arrived == Some(false) {
                *self.seen.dropped.entry(state.targets[&ring_number]).or_default() += 1;
            }
        }
    }

    /// The scout thread.
    pub fn look(&mut self) {
        while let Ok(netns) = self.closed.try_recv() {
            self.scout.closed(netns);
        }
        self.scout.compare(&self.tell);
    }

    /// The capture thread, unless it waits for the writer.
    pub fn turn(&mut self) {
        let has_buffer = self.waiting.len() + 2 <= limits::BATCHES;
        if let Some(pump) = self.pump.as_mut().filter(|_| has_buffer) {
            let (batches, waited) = (self.waiting.len(), self.places.steady() - self.handed_over);
            assert!(pump.turn().expect("others will come"), "the writer is there");
            self.gather();
            assert!(waited < KILL_COSTS || self.waiting.len() > batches, "nothing was handed over for {waited:?}");
        }
    }

    /// Ends the capture thread; false when it waits for the writer.
    pub fn finish(&mut self) -> bool {
        if self.waiting.len() + 2 > limits::BATCHES {
            return false;
        }
        if let Some(mut pump) = self.pump.take() {
            pump.finish().expect("rings are whole");
            self.gather();
        }
        true
    }

    fn gather(&mut self) {
        while let Ok(batch) = self.batches.try_recv() {
            let numbers = numbers(&batch.blocks);
            self.waiting.push_back((batch, numbers));
            self.handed_over = self.places.steady();
        }
        self.seen.targets.clone_from(&self.places.state().targets);
    }

    /// Whether something waits for the writer.
    pub fn has_next(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What comes next for the writer.
    pub fn next(&mut self) -> Option<(Batch, Vec<u64>)> {
        self.waiting.pop_front()
    }

    /// The writer gives a buffer back.
    pub fn give_back(&self, buffer: Vec<u8>) {
        self.buffers.send(buffer).ok();
    }
}

/// The numbers of the packets in blocks of pcapng (draft-ietf-opsawg-pcapng, §4.3).
fn numbers(mut blocks: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let [_, _, _, _, a, b, c, d, ..] = *blocks {
        let (block, rest) = blocks.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        // Behind the block's head, addresses, the tag that the kernel took out, and the type.
        numbers.extend(block.get(28 + 18..28 + 26).map(|n| u64::from_be_bytes(n.try_into().expect("eight bytes"))));
        blocks = rest;
    }
    numbers
}

//! The wiring of one recording, on one screen: start reading here.
//!
//!     Scout ── rings ──▶ Pump ── batches ──▶ OpenSegment ── segments ──▶ Chain ──▶ spool ──▶ upload
//!     scout thread       capture thread      writer thread               sealer thread
//!       └◀─ closed ────────┘ └◀── buffers ─────┘
//!
//! Every arrow between threads is a channel of fixed length: who is slow makes the one before wait, back to the
//! ring, where the kernel counts what it drops.

mod tap;

pub(crate) use tap::Tap;

use crate::budget::{CpuMeter, ThreadClock, Work};
use crate::capture::{CaptureError, Urgency, hurry};
use crate::clock::{Clock, Deadline, SystemClock};
use crate::disk::{Disk, at};
use crate::filter::FilterError;
use crate::limits;
use crate::observe::{Observer, Pulse};
use crate::orders::Orders;
use crate::rotate::{Batch, Compression, OpenSegment, Pump, SegmentOptions, UNBOUNDED, Untold, Writer};
use crate::schedule::{Recording, Window};
use crate::seal::{Chain, SealingError};
use crate::spool::Spool;
use crate::targets::Unrecorded;
use crate::upload::{Bound, Room};
use formats::seal::{Close, EndReason, Seal, Volume};
use jiff::Timestamp;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Why a recording failed. What was sealed before stays, and what was open is recovered at the next start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Nothing can be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Its filter is none.
    #[error("filter: {0}")]
    Filter(#[from] FilterError),
    /// Nothing can be sealed.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The spool does not take it.
    #[error("spool: {0}")]
    Spool(#[from] io::Error),
}

/// What a recorder is set to, beside what its windows say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Size of all rings of a recording together [bytes].
    pub ring_bytes: usize,
    /// Whether interfaces are asked for frames that are not addressed to them.
    pub promiscuous: bool,
    /// How segments are compressed.
    pub compression: Compression,
    /// How urgent the capture thread is.
    pub urgency: Urgency,
    /// The processors it may run on; any when empty.
    pub cpus: Vec<usize>,
    /// Who is told how it goes.
    pub observer: Observer,
}

/// Records until the recording's time is over, its budget is spent, the spool is full, or it is ordered to end.
///
/// The calling thread captures, and is to do nothing else.
///
/// # Errors
/// [`RecordError`]; the ones before the first packet leave nothing behind.
pub fn record(
    recording: &Recording,
    spool: &Spool,
    bound: &Bound,
    settings: &Settings,
    orders: &Orders,
) -> Result<Close, RecordError> {
    let window = &recording.window;
    let tap = Tap::open(recording, settings, orders)?;
    orders.relieve();
    let folder = spool.folder(&recording.id);
    spool.disk().create_folders(&folder).map_err(at(&folder))?;
    let lock = spool.disk().lock(&folder).map_err(at(&folder))?;
    let _lock = lock.ok_or_else(|| io::Error::other("another process makes this recording"))?;
    spool.begin(&recording.id, &window.store)?;
    orders.tell_begun(&recording.id);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let chain = Chain::new(spool.clone(), recording.id.clone(), recording.configuration_sha256, clock.clone());
    let options = segment_options(window, settings, folder, 0);
    let sealer = |to_seal, pulse: &Pulse| seal(chain, bound, window, orders, to_seal, pulse);
    let to_disk = (spool.disk().clone(), options);
    let Ran { captured, sealed, untold } = run(tap, recording, settings, orders, to_disk, &clock, sealer)?;
    let mut chain =
        sealed.inspect_err(|_| spool.keep_untold(&spool.folder(&recording.id), untold.clone(), Vec::new()))?;
    let reason = captured.as_ref().map_or(EndReason::Failure, EndReason::clone);
    let close = close(&mut chain, untold, reason, clock.now().wall)?;
    Ok(captured.map(|_| close)?)
}

/// How the segments of a window are written: into `folder`, numbered behind `last_sequence`.
pub(crate) fn segment_options(
    window: &Window,
    settings: &Settings,
    folder: PathBuf,
    last_sequence: u32,
) -> SegmentOptions {
    SegmentOptions {
        folder,
        last_sequence,
        bytes_max: window.segment.bytes.0,
        age_max: window.segment.age.0,
        compression: settings.compression,
        snap_bytes: window.snap_length,
        filter: window.filter.clone(),
    }
}

/// What the threads of a recording leave.
pub(crate) struct Ran<T> {
    /// Why it ended.
    pub captured: Result<EndReason, CaptureError>,
    /// What the sealer leaves.
    pub sealed: Result<T, RecordError>,
    /// What became of packets that no segment tells of.
    pub untold: Untold,
}

/// Runs the three threads to their end.
pub(crate) fn run<T: Send>(
    tap: Tap,
    recording: &Recording,
    settings: &Settings,
    orders: &Orders,
    (disk, options): (Arc<dyn Disk>, SegmentOptions),
    clock: &Arc<dyn Clock>,
    sealer: impl FnOnce(Receiver<OpenSegment>, &Pulse) -> Result<T, RecordError> + Send,
) -> io::Result<Ran<T>> {
    let Tap { scout, tell, closed, pump, batches, buffers, pulse } = tap;
    let writer = Writer::new(disk, options, clock.clone());
    std::thread::scope(|scope| {
        let (segments, to_seal) = sync_channel(1);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let sealer = thread("sealer").spawn_scoped(scope, || sealer(to_seal, &pulse))?;
        let writer =
            thread("writer").spawn_scoped(scope, || write(writer, orders, batches, buffers, segments, &pulse))?;
        if scout.follows() {
            let found = |recorded, unrecorded: Vec<Unrecorded>| {
                pulse.targets(recorded, unrecorded.len());
                orders.tell_unrecorded(unrecorded);
            };
            thread("scout").spawn_scoped(scope, move || scout.follow(&tell, &closed, found))?;
        } else {
            drop(closed); // Nobody opens a ring anew.
        }
        be_urgent(settings);
        let captured = capture(recording, orders, clock.as_ref(), pump, &pulse);
        pulse.rests();
        // The pump is gone, which ends the writer, which ends the sealer.
        let untold = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let sealed = sealer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Ran { captured, sealed, untold })
    })
}

/// Has the calling thread scheduled as it was asked for, if that is allowed: a capture is better late than not there.
fn be_urgent(settings: &Settings) {
    if let Err(error) = hurry(settings.urgency) {
        match settings.urgency {
            Urgency::RealTime => tracing::warn!(%error, "no right to real-time priority"),
            _ => tracing::debug!(%error, "no right to a more urgent schedule"),
        }
    }
    if !settings.cpus.is_empty() {
        let mut set = CpuSet::new();
        settings.cpus.iter().for_each(|&cpu| set.set(cpu));
        if let Err(error) = sched_setaffinity(None, &set) {
            tracing::warn!(%error, cpus = ?settings.cpus, "capture thread runs on any processor");
        }
    }
}

/// The capture thread: from the rings into batches, until there is a reason to end.
fn capture(
    recording: &Recording,
    orders: &Orders,
    clock: &dyn Clock,
    mut pump: Pump,
    pulse: &Pulse,
) -> Result<EndReason, CaptureError> {
    let budget = &recording.window.budget;
    // Whoever sets the clock makes no run longer or shorter.
    let mut due = Deadline::new(clock.now(), recording.ends);
    // A packet of the moment in which another run takes the place of this one stands in both.
    let hand_over =
        Deadline::new(clock.now(), recording.ends.saturating_add(limits::HAND_OVER).unwrap_or(Timestamp::MAX));
    let mut work = ThreadClock::new(orders);
    let mut cpu = budget.cpu.map(CpuMeter::new);
    // What is kept ready for a trigger that may never come spends no budget of packets and bytes.
    let mut free = Volume::default();
    let most = Volume {
        packets: budget.packets.map_or(u64::MAX, |most| most.get().saturating_sub(recording.spent.packets)),
        bytes: budget.bytes.map_or(u64::MAX, |most| most.0.saturating_sub(recording.spent.bytes)),
    };
    let ended = loop {
        let is_ready = recording.window.pre_trigger.is_some() && orders.ends().is_none();
        let spent = pump.written();
        pump.bound(if is_ready {
            UNBOUNDED
        } else {
            Volume {
                packets: most.packets.saturating_sub(spent.packets - free.packets),
                bytes: most.bytes.saturating_sub(spent.bytes - free.bytes),
            }
        });
        match pump.turn() {
            Ok(true) => {}
            Ok(false) => break Ok(EndReason::Failure),
            Err(error) => break Err(error),
        }
        pulse.turned();
        pump.news().for_each(|news| pulse.of_ring(&news.target.label(), news.tally, news.fill));
        if is_ready {
            free = pump.written();
        }
        work.tick();
        if let Some(reason) = orders.to_end() {
            break Ok(reason.clone());
        }
        let triggered_until = orders.ends();
        if let Some(ends) = triggered_until {
            due.move_to(clock.now(), ends);
        }
        let mut is_over_work = false;
        match cpu.as_mut().and_then(|cpu| cpu.look(Instant::now(), orders.work(), pump.passed())) {
            None => {}
            Some(Work::Over) => is_over_work = true,
            Some(Work::Keep { halvings }) => {
                tracing::warn!(halvings, "share of a processor: flows are left out");
                pump.shed(halvings);
            }
        }
        let waits = orders.is_followed() && !hand_over.is_over(clock.now());
        break Ok(match () {
            () if due.is_over(clock.now()) && !waits && orders.time_is_over(triggered_until) => EndReason::Duration,
            () if is_over_work => EndReason::CpuBudget,
            () => match pump.spent() {
                Some(reason) => reason.clone(),
                None => continue,
            },
        });
    };
    orders.tell_over();
    let finished = pump.finish();
    pump.news().for_each(|news| pulse.of_ring(&news.target.label(), news.tally, news.fill));
    ended.and_then(|reason| finished.map(|()| reason))
}

/// The writer thread: from batches into segments. Ends when there are no more batches; what became of packets that no segment
/// tells of. Where nobody seals any more the recording is to end, and what comes until then is written or counted all the same.
fn write(
    mut writer: Writer,
    orders: &Orders,
    to_write: Receiver<Batch>,
    buffers: SyncSender<Vec<u8>>,
    segments: SyncSender<OpenSegment>,
    pulse: &Pulse,
) -> Untold {
    let mut work = ThreadClock::new(orders);
    for mut batch in to_write {
        let over = writer.write(&mut batch);
        pulse.wrote(writer.counts(), writer.opened());
        orders.add_counts(&writer.counts());
        if writer.has_given_up() {
            orders.end(EndReason::Failure);
        }
        if let Some(over) = over
            && segments.send(over.written()).is_err()
        {
            orders.end(EndReason::Failure); // The sealer says why.
        }
        // After the last batch nobody waits for buffers.
        buffers.send(batch.blocks).ok();
        work.tick();
    }
    let (last, untold) = writer.take_rest();
    if let Some(last) = last {
        segments.send(last.written()).ok();
    }
    untold
}

/// The sealer thread: waiting for the disk is its work, so that nobody else has to.
fn seal(
    mut chain: Chain,
    bound: &Bound,
    window: &Window,
    orders: &Orders,
    to_seal: Receiver<OpenSegment>,
    pulse: &Pulse,
) -> Result<Chain, RecordError> {
    let mut work = ThreadClock::new(orders);
    for segment in to_seal {
        seal_one(&mut chain, bound, window, orders, segment)?;
        pulse.segment_sealed();
        work.tick();
    }
    Ok(chain)
}

/// Seals a segment, and looks whether there is room for another.
pub(crate) fn seal_one(
    chain: &mut Chain,
    bound: &Bound,
    window: &Window,
    orders: &Orders,
    segment: OpenSegment,
) -> Result<Seal, RecordError> {
    let seal = chain.seal(segment.finish()?, None)?;
    tracing::info!(recording = %chain.id(), segment = seal.sequence, packets = seal.counts.written.packets, "segment sealed");
    match bound.enforce_for(window) {
        Ok(Room::Left) => {}
        Ok(Room::Full) => orders.end(EndReason::SpoolFull),
        Ok(Room::ShareFull) => orders.end(EndReason::SpoolBudget),
        Err(error) => tracing::error!(%error, "the spool's size is not known"),
    }
    Ok(seal)
}

/// Tells what no segment tells, and ends the recording.
pub(crate) fn close(
    chain: &mut Chain,
    untold: Untold,
    reason: EndReason,
    ended: Timestamp,
) -> Result<Close, SealingError> {
    chain.seal_untold(untold)?;
    chain.close(reason, ended)
}

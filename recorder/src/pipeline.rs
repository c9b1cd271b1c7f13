//! The wiring of one recording, on one screen: start reading here.
//!
//!     Ring ──▶ Pump ── batches ──▶ OpenSegment ── segments ──▶ Chain ──▶ spool ──▶ upload
//!     capture thread               writer thread               sealer thread
//!                └◀── buffers ─────┘
//!
//! Every arrow between threads is a channel of fixed length: who is slow makes the one before wait, back to the
//! ring, where the kernel counts what it drops.

use crate::budget::{CpuMeter, ThreadClock};
use crate::capture::{CaptureError, Ring, RingOptions, Selection, hurry};
use crate::clock::{self, Clock, SystemClock};
use crate::filter::{Expression, FilterError};
use crate::limits;
use crate::orders::Orders;
use crate::rotate::{Batch, Compression, OpenSegment, Pump, SegmentOptions, Untold, Writer};
use crate::schedule::{Recording, Window};
use crate::seal::{Chain, SealingError};
use crate::spool::Spool;
use crate::upload::{Bound, Room};
use formats::seal::{Close, EndReason, Seal};
use jiff::Timestamp;
use std::io;
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
    /// Size of the ring [bytes].
    pub ring_bytes: usize,
    /// Whether interfaces are asked for frames that are not addressed to them.
    pub promiscuous: bool,
    /// How segments are compressed.
    pub compression: Compression,
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
    let names: Vec<String> = window.interfaces.iter().map(|name| name.as_str().to_owned()).collect();
    let filter = window.filter.as_deref().map(str::parse::<Expression>).transpose()?;
    let mut ring = Ring::open(RingOptions {
        selection: Selection::new(&names)?,
        filter,
        snap_bytes: window.snap_length,
        ring_bytes: settings.ring_bytes,
        promiscuous: settings.promiscuous,
    })?;
    let folder = spool.folder(&recording.id);
    spool.disk().create_folders(&folder)?;
    let _lock = spool.disk().lock(&folder)?.ok_or_else(|| io::Error::other("another process makes this recording"))?;
    spool.begin(&recording.id, &window.store)?;
    let options = SegmentOptions {
        folder,
        bytes_max: window.segment.bytes.0,
        age_max: window.segment.age.0,
        compression: settings.compression,
        snap_bytes: window.snap_length,
        filter: window.filter.clone(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let chain = Chain::new(spool.clone(), recording.id.clone(), recording.configuration_sha256, clock.clone());
    let writer = Writer::new(spool.disk().clone(), options, clock.clone());
    std::thread::scope(|scope| {
        let (buffers, to_fill) = sync_channel(limits::BATCHES);
        let (batches, to_write) = sync_channel(limits::BATCHES);
        let (segments, to_seal) = sync_channel(1);
        for _ in 0..limits::BATCHES {
            buffers.send(Vec::new()).expect("the channel has room for all, and its other end is here");
        }
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let sealer = thread("sealer").spawn_scoped(scope, || seal(chain, bound, window, orders, to_seal))?;
        let writer = thread("writer").spawn_scoped(scope, || write(writer, orders, to_write, buffers, segments))?;
        let pump = Pump::new(&ring, batches, to_fill);
        let captured = capture(&mut ring, recording, orders, clock.as_ref(), pump);
        // The pump is gone, which ends the writer, which ends the sealer.
        let untold = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut chain = sealer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let reason = captured.as_ref().map_or(EndReason::Failure, EndReason::clone);
        let close = close(&mut chain, untold, reason, clock.now().wall)?;
        Ok(captured.map(|_| close)?)
    })
}

/// The capture thread: from the ring into batches, until there is a reason to end.
fn capture(
    ring: &mut Ring,
    recording: &Recording,
    orders: &Orders,
    clock: &dyn Clock,
    mut pump: Pump,
) -> Result<EndReason, CaptureError> {
    if let Err(error) = hurry() {
        tracing::debug!(%error, "no right to a more urgent schedule");
    }
    let budget = &recording.window.budget;
    let begun = clock.now();
    // Whoever sets the clock makes no run longer or shorter.
    let ends = begun.steady + clock::until(begun, recording.ends);
    let mut work = ThreadClock::new(orders);
    let mut cpu = budget.cpu.map(CpuMeter::new);
    let ended = loop {
        match pump.turn(ring) {
            Ok(true) => {}
            Ok(false) => break Ok(EndReason::Failure),
            Err(error) => break Err(error),
        }
        let written = pump.written();
        orders.tell_written(written);
        work.tick();
        if let Some(reason) = orders.to_end() {
            break Ok(reason.clone());
        }
        break Ok(match () {
            () if clock.now().steady >= ends => EndReason::Duration,
            () if budget.packets.is_some_and(|most| written.packets >= most) => EndReason::PacketBudget,
            () if budget.bytes.is_some_and(|most| written.bytes >= most.0) => EndReason::ByteBudget,
            () if cpu.as_mut().is_some_and(|cpu| cpu.is_over(Instant::now(), orders.work())) => EndReason::CpuBudget,
            () => continue,
        });
    };
    let finished = pump.finish(ring);
    ended.and_then(|reason| finished.map(|()| reason))
}

/// The writer thread: from batches into segments. Ends when there are no more batches, or nobody seals; what became of
/// packets that no segment tells of.
fn write(
    mut writer: Writer,
    orders: &Orders,
    to_write: Receiver<Batch>,
    buffers: SyncSender<Vec<u8>>,
    segments: SyncSender<OpenSegment>,
) -> Untold {
    let mut work = ThreadClock::new(orders);
    for mut batch in to_write {
        if let Some(over) = writer.write(&mut batch)
            && segments.send(over).is_err()
        {
            break; // The sealer says why.
        }
        // After the last batch nobody waits for buffers.
        buffers.send(batch.blocks).ok();
        work.tick();
    }
    let (last, untold) = writer.take_rest();
    if let Some(last) = last {
        segments.send(last).ok();
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
) -> Result<Chain, RecordError> {
    let mut work = ThreadClock::new(orders);
    for segment in to_seal {
        seal_one(&mut chain, bound, window, orders, segment)?;
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
    if !untold.is_empty() {
        chain.seal_untold(untold)?;
    }
    chain.close(reason, ended)
}

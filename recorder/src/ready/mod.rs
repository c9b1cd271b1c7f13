//! The past, kept ready for a trigger: the last minutes of a window stay on the node as finished segments, the
//! oldest makes room for the newest, and a trigger makes a recording of them that goes on.
//!
//!     Ring ──▶ Pump ──▶ OpenSegment ──▶ Backlog ─ ─ trigger ─ ─▶ Chain ──▶ spool ──▶ upload
//!                                          └──▶ the oldest is removed, and counted
//!
//! Enters: finished segments, triggers. Leaves: a recording, sealed from its first segment on; nobody can tell its
//! seals from those of any other. Refused: to remove anything once it was triggered.
//!
//!     <spool>/.ready/<window>/      no name of a cluster begins with a dot
//!         000731.pcapng.zst.open    is being written
//!         000730.pcapng.zst         is finished,
//!         000730.kept.json          with what its seal will say; renamed into place after it
//!         expired.json              what was removed so far
//!         paused.json               no ring was open before those of now; until a segment that is kept tells
//!         trigger.json              it was triggered: all that is kept belongs to that recording
//!         rest.json                 that recording was ended before its time, by a crash or with the recorder, and is to go on
//!
//! Nothing is sealed before the trigger: a seal names the one before, and the oldest are removed. Then segments move
//! into the folder of the recording one by one, each sealed before the next moves, so that a crash leaves
//! either the state before a step or the one after it. What is finished meanwhile waits its turn among them.
//! `trigger.json` goes once all of them are sealed.

mod backlog;
mod folder;
mod recover;
#[cfg(test)]
mod tests;

pub use recover::{Left, Rest, recover_all, remove_others};

use crate::budget::ThreadClock;
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::observe::Pulse;
use crate::orders::Orders;
use crate::pipeline::{self, Ran, RecordError, Settings};
use crate::rotate::OpenSegment;
use crate::schedule::Recording;
use crate::seal::SealingError;
use crate::spool::Spool;
use crate::upload::{Bound, Room};
pub(crate) use backlog::{Backlog, Promoted};
use formats::seal::{Close, EndReason};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Keeps the past of a window ready until it is ordered to end; once triggered, records until its time is over.
/// Why it ended, and the close; none when it was never triggered: then what is kept stays for whoever comes next.
///
/// The calling thread captures, and is to do nothing else.
///
/// # Errors
/// [`RecordError`]; what was triggered is recovered by [`recover`].
pub fn keep_ready(
    recording: &Recording,
    spool: &Spool,
    bound: &Bound,
    settings: &Settings,
    orders: &Orders,
) -> Result<(EndReason, Option<Close>), RecordError> {
    let window = &recording.window;
    let tap = pipeline::Tap::open(recording, settings, orders)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let backlog = Backlog::open(spool, recording, clock.clone())?;
    let options = pipeline::segment_options(window, settings, backlog.folder().to_owned(), backlog.last_sequence());
    let sealer = |segments, pulse: &Pulse| keep(backlog, bound, orders, segments, pulse);
    let to_disk = (spool.disk().clone(), options);
    let ran = pipeline::run(tap, recording, settings, orders, to_disk, &clock, sealer)?;
    let Ran { captured, sealed, untold } = ran;
    let folder = spool.ready_folder(&window.name);
    // For whoever recovers what was triggered, or keeps the window ready next.
    spool.keep_untold(&folder, untold, Vec::new());
    let reason = captured.as_ref().map_or(EndReason::Failure, EndReason::clone);
    let close = sealed?.map(|promoted| close(promoted, spool, &folder, reason, Timestamp::now())).transpose()?;
    Ok((captured?, close))
}

/// Ends a recording that was triggered, all of which is sealed; it tells what is told nowhere else.
pub(crate) fn close(
    mut promoted: Promoted,
    spool: &Spool,
    folder: &Path,
    reason: EndReason,
    ended: Timestamp,
) -> Result<Close, SealingError> {
    let untold = spool.take_untold(folder).map_err(|source| promoted.chain.error(source))?;
    pipeline::close(&mut promoted.chain, untold, reason, ended)
}

/// The sealer thread: keeps segments, or seals them once they are part of a recording.
fn keep(
    mut backlog: Backlog,
    bound: &Bound,
    orders: &Orders,
    segments: Receiver<OpenSegment>,
    pulse: &Pulse,
) -> Result<Option<Promoted>, RecordError> {
    let mut clock = ThreadClock::new(orders);
    orders.tell_past(backlog.past());
    loop {
        let wait = if between(&mut backlog, orders)? { Duration::ZERO } else { limits::TRIGGER_WAIT };
        match segments.recv_timeout(wait) {
            Ok(segment) => {
                take(&mut backlog, segment, bound, orders)?;
                pulse.segment_sealed();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        expire(&mut backlog, bound, orders)?;
        clock.tick();
    }
    end(backlog, orders)
}

/// What is done between two segments: triggers, and a step of sealing what is kept once there was one; false when there is
/// nothing more to do.
pub(crate) fn between(backlog: &mut Backlog, orders: &Orders) -> Result<bool, RecordError> {
    // Once it is over, what asks for more is for the next one.
    if !(orders.is_over() && backlog.is_triggered()) {
        orders.take_triggers().into_iter().for_each(|trigger| backlog.trigger(trigger, orders));
    }
    Ok(backlog.promote_oldest()?)
}

/// Takes a segment that is written.
pub(crate) fn take(
    backlog: &mut Backlog,
    segment: OpenSegment,
    bound: &Bound,
    orders: &Orders,
) -> Result<(), RecordError> {
    backlog.take(segment.finish()?)?;
    make_room(backlog, bound, orders)
}

/// Removes what is too old, and tells what is kept.
pub(crate) fn expire(backlog: &mut Backlog, bound: &Bound, orders: &Orders) -> Result<(), RecordError> {
    backlog.expire(backlog.share().of(bound.bytes_max()))?;
    orders.tell_past(backlog.past());
    Ok(())
}

/// There are no more segments.
pub(crate) fn end(mut backlog: Backlog, orders: &Orders) -> Result<Option<Promoted>, RecordError> {
    if !backlog.is_triggered() {
        orders.take_triggers().into_iter().for_each(|trigger| backlog.trigger(trigger, orders));
    }
    if orders.leaves_rest() {
        backlog.note_rest()?;
    }
    Ok(backlog.finish()?)
}

/// A full spool takes what is kept ready first: nobody has asked for it yet.
fn make_room(backlog: &mut Backlog, bound: &Bound, orders: &Orders) -> Result<(), RecordError> {
    backlog.make_room(bound.excess_bytes().unwrap_or(0))?;
    match bound.enforce() {
        Ok(Room::Left) => {}
        Ok(Room::Full | Room::ShareFull) => orders.end(EndReason::SpoolFull),
        Err(error) => tracing::error!(%error, "the spool's size is not known"),
    }
    Ok(())
}

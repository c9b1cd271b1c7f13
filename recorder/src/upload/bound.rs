//! The spool's bound, and what happens at it.

use super::UploadError;
use super::sender::Progress;
use super::store::spool_error;
use crate::schedule::{SpoolFull, Window};
use crate::spool::Spool;
use crate::sync::lock;
use formats::seal::Seal;
use formats::store::{FileName, Name, RecordingId};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Keeps a spool below its bound.
#[derive(Debug, Clone)]
pub struct Bound {
    spool: Spool,
    bytes_max: u64,
    full: SpoolFull,
    in_transit: InTransit,
    progress: watch::Sender<Progress>,
}

/// Whether there is room in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// No: recordings must end.
    Full,
    /// Yes.
    Left,
    /// Not for this window: its recordings must end.
    ShareFull,
}

/// The segments that are being sent at this moment, one for each store: not given up while they may still arrive.
#[derive(Debug, Clone, Default)]
pub(super) struct InTransit(Arc<Mutex<Vec<(RecordingId, u32)>>>);

impl InTransit {
    /// It is being sent until what is returned is dropped.
    pub(super) fn begin(&self, id: &RecordingId, sequence: u32) -> OnItsWay {
        let segment = (id.clone(), sequence);
        lock(&self.0).push(segment.clone());
        OnItsWay { segment, these: self.clone() }
    }
}

/// A segment that is being sent.
pub(super) struct OnItsWay {
    segment: (RecordingId, u32),
    these: InTransit,
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        lock(&self.these.0).retain(|other| *other != self.segment);
    }
}

impl Bound {
    pub(super) fn new(
        spool: Spool,
        bytes_max: u64,
        full: SpoolFull,
        in_transit: InTransit,
        progress: watch::Sender<Progress>,
    ) -> Self {
        Self { spool, bytes_max, full, in_transit, progress }
    }

    /// Most bytes in the spool.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How much more there is in the spool than there may be.
    pub fn excess_bytes(&self) -> Result<u64, UploadError> {
        let used = self.spool.used_bytes().map_err(|source| spool_error(std::path::Path::new("spool"), source))?;
        Ok(used.saturating_sub(self.bytes_max))
    }

    /// Looks how full the spool is, and does what the policy says: with [`SpoolFull::DropOldest`] gives up the
    /// oldest segments that wait, and says that it is full only when none is left to give up.
    pub fn enforce(&self) -> Result<Room, UploadError> {
        let error = |source| spool_error(std::path::Path::new("spool"), source);
        let used = self.spool.used_bytes().map_err(error)?;
        if used <= self.bytes_max {
            return Ok(Room::Left);
        }
        match self.full {
            SpoolFull::DropOldest if self.drop_oldest(used - self.bytes_max, None).map_err(error)? => Ok(Room::Left),
            SpoolFull::DropOldest | SpoolFull::Stop => Ok(Room::Full),
        }
    }

    /// As [`Bound::enforce`], and the same for the window's share of the spool, if it has one. What is kept ready for
    /// a trigger keeps to its share by itself, and what is recorded then is not bound by it.
    pub fn enforce_for(&self, window: &Window) -> Result<Room, UploadError> {
        let room = self.enforce()?;
        let Some(share) = window.budget.spool.filter(|_| window.pre_trigger.is_none()) else { return Ok(room) };
        let error = |source| spool_error(std::path::Path::new("spool"), source);
        let used = self.spool.used_bytes_of(&window.name).map_err(error)?;
        let excess_bytes = used.saturating_sub(share.of(self.bytes_max));
        match self.full {
            _ if room == Room::Full || excess_bytes == 0 => Ok(room),
            SpoolFull::DropOldest if self.drop_oldest(excess_bytes, Some(&window.name)).map_err(error)? => Ok(room),
            SpoolFull::DropOldest | SpoolFull::Stop => Ok(Room::ShareFull),
        }
    }

    /// Gives up the oldest segments, all or those of one window, until that many bytes are gone; false when there
    /// are not so many to give up.
    fn drop_oldest(&self, mut excess_bytes: u64, of: Option<&Name>) -> io::Result<bool> {
        for id in self.spool.recordings()?.into_iter().filter(|id| of.is_none_or(|window| id.window == *window)) {
            if self.spool.is_pinned(&id)? {
                continue;
            }
            for sequence in self.spool.waiting(&id)? {
                // Held while the files go: the sender waits, and then finds them gone.
                let in_transit = lock(&self.in_transit.0);
                let busy = in_transit.iter().any(|(sent, number)| *sent == id && *number == sequence);
                if busy || self.spool.is_forgotten(&id, sequence)? {
                    continue;
                }
                let Ok(Ok(seal)) = self.spool.seal(&id, sequence) else { continue };
                let bytes = self.spool.bytes_of(&id, &seal)?;
                if bytes == 0 {
                    continue; // Given up before, and told by a seal since.
                }
                give_up(&self.spool, &self.progress, &id, &seal)?;
                tracing::warn!(recording = %id, sequence, bytes, packets = seal.counts.written.packets, "spool is full: segment given up");
                excess_bytes = excess_bytes.saturating_sub(bytes);
                if excess_bytes == 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Removes the files of a segment that will not be stored; the ledger will say so, and whoever watches is told.
pub(super) fn give_up(
    spool: &Spool,
    progress: &watch::Sender<Progress>,
    id: &RecordingId,
    seal: &Seal,
) -> io::Result<()> {
    spool.forget(id, seal)?;
    progress.send_modify(|progress| progress.given_up += seal.counts.written);
    Ok(())
}

/// Gives up what has waited in these recordings for longer than `age_max` and is not pinned, whatever room there is.
pub(super) fn give_up_older(
    spool: &Spool,
    progress: &watch::Sender<Progress>,
    recordings: &[RecordingId],
    age_max: Duration,
    now: SystemTime,
) -> io::Result<()> {
    for id in recordings.iter().filter(|id| spool.is_pinned(id).is_ok_and(|is_pinned| !is_pinned)) {
        for sequence in spool.waiting(id)? {
            let sealed = spool.disk().look(&spool.path(id, &FileName::seal(sequence))).ok();
            let age = sealed.and_then(|seal| now.duration_since(seal.changed?).ok());
            if age.is_none_or(|age| age <= age_max) || spool.is_forgotten(id, sequence)? {
                continue;
            }
            let Ok(Ok(seal)) = spool.seal(id, sequence) else { continue };
            if spool.bytes_of(id, &seal)? == 0 {
                continue; // Given up before, and told by a seal since.
            }
            give_up(spool, progress, id, &seal)?;
            tracing::warn!(recording = %id, sequence, packets = seal.counts.written.packets, "waited too long for its store: segment given up");
        }
    }
    Ok(())
}

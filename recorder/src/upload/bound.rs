//! The spool's bound, and what happens at it.

use super::UploadError;
use super::sender::Progress;
use super::store::spool_error;
use crate::schedule::{SpoolFull, Window};
use crate::spool::Spool;
use formats::store::{Name, RecordingId};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The segment that is being sent at this moment: not given up while it may still arrive.
#[derive(Debug, Clone, Default)]
pub(super) struct InTransit(Arc<Mutex<Option<(RecordingId, u32)>>>);

impl InTransit {
    pub(super) fn set(&self, segment: Option<(RecordingId, u32)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = segment;
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

    /// As [`Bound::enforce`], and the same for the window's share of the spool, if it has one.
    pub fn enforce_for(&self, window: &Window) -> Result<Room, UploadError> {
        let room = self.enforce()?;
        let Some(share) = window.budget.spool else { return Ok(room) };
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
            for sequence in self.spool.waiting(&id)? {
                // Held while the files go: the sender waits, and then finds them gone.
                let in_transit = self.in_transit.0.lock().unwrap_or_else(PoisonError::into_inner);
                let busy = in_transit.as_ref().is_some_and(|(sent, number)| *sent == id && *number == sequence);
                if busy || self.spool.is_forgotten(&id, sequence) {
                    continue;
                }
                let Ok(Ok(seal)) = self.spool.seal(&id, sequence) else { continue };
                let bytes = self.spool.bytes_of(&id, &seal);
                if bytes == 0 {
                    continue; // Given up before, and told by a seal since.
                }
                self.spool.forget(&id, &seal)?;
                self.progress.send_modify(|progress| progress.given_up += seal.counts.written);
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

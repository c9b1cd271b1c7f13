//! The spool's bound, and what happens at it.

use super::UploadError;
use super::progress::Progress;
use super::source::spool_error;
use crate::schedule::{SpoolFull, Window};
use crate::spool::Spool;
use crate::sync::lock;
use formats::store::{Name, RecordingId};
use std::io;
use std::sync::{Arc, Mutex};
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
        let used = self.spool.waiting_bytes_of(&window.name).map_err(error)?;
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
        let Self { spool, in_transit, progress, .. } = self;
        for id in spool.recordings()?.into_iter().filter(|id| of.is_none_or(|window| id.window == *window)) {
            if spool.is_pinned(&id).unwrap_or(true) {
                continue;
            }
            for sequence in spool.waiting(&id)? {
                let bytes = match give_up(spool, in_transit, progress, (&id, sequence), "spool is full") {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        tracing::error!(recording = %id, sequence, %error, "cannot be given up");
                        break; // Others make room.
                    }
                };
                excess_bytes = excess_bytes.saturating_sub(bytes);
                if excess_bytes == 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Removes the files of a segment that waits, unless it is being sent or pinned. Where they are not stored, the ledger will say so,
/// and whoever watches is told. How many bytes that makes free.
pub(super) fn give_up(
    spool: &Spool,
    in_transit: &InTransit,
    progress: &watch::Sender<Progress>,
    (id, sequence): (&RecordingId, u32),
    why: &str,
) -> io::Result<u64> {
    // Held while the files go: the sender waits, and then finds them gone.
    let in_transit = lock(&in_transit.0);
    if in_transit.iter().any(|(sent, number)| sent == id && *number == sequence) {
        return Ok(0);
    }
    let Ok(Ok(seal)) = spool.seal(id, sequence) else { return Ok(0) };
    let is_stored = spool.has_receipt(id, sequence)?;
    let bytes = spool.give_up(id, &seal)?;
    if bytes > 0 && is_stored {
        tracing::info!(recording = %id, sequence, bytes, "{why}: files removed that are stored, their seal is not yet");
    } else if bytes > 0 {
        let packets = seal.counts.written.packets;
        tracing::warn!(recording = %id, sequence, bytes, packets, "{why}: segment given up");
        progress.send_modify(|progress| progress.given_up += seal.counts.written);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::disk::SimDisk;
    use crate::simulation::random::Random;
    use crate::spool::tests::record;
    use std::path::Path;

    #[test]
    fn what_is_being_sent_is_not_given_up() {
        let spool = Spool::open_on(Arc::new(SimDisk::new(Random::new(1))), Path::new("/spool")).unwrap();
        let (id, in_transit) = (record(&spool, "w"), InTransit::default());
        let bound = Bound::new(spool.clone(), 1, SpoolFull::DropOldest, in_transit.clone(), watch::Sender::default());
        let given_up = || {
            bound.enforce().unwrap();
            spool.untold(&id).unwrap().0
        };
        let sent = in_transit.begin(&id, 1);
        assert_eq!(given_up(), [0; 0]);
        drop(sent);
        assert_eq!(given_up(), [1]);
    }
}

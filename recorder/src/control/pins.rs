//! Recordings that somebody wants kept on this node: done on the disk, by whoever does chores, and known here.

use super::chores::Chore;
use super::request::{Answer, Told};
use crate::spool::Spool;
use crate::sync::lock;
use formats::store::RecordingId;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What is pinned in a spool.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    spool: Spool,
    known: Arc<Mutex<BTreeSet<RecordingId>>>,
}

impl Pins {
    pub fn new(spool: Spool) -> Self {
        Self { spool, known: Arc::default() }
    }

    /// What is known to be pinned.
    pub fn known(&self) -> Vec<String> {
        lock(&self.known).iter().map(RecordingId::folder).collect()
    }

    /// Reads what was pinned before the start.
    pub fn read(&self) -> Chore {
        let Self { spool, known } = self.clone();
        Box::new(move || match spool.pinned() {
            Ok(found) => lock(&known).extend(found),
            Err(error) => tracing::error!(%error, "what is pinned cannot be read"),
        })
    }

    pub fn pin(&self, id: RecordingId, now: Timestamp, told: Told) -> Chore {
        let Self { spool, known } = self.clone();
        Box::new(move || {
            told(match spool.pin(&id, now) {
                Ok(true) => {
                    lock(&known).insert(id.clone());
                    Answer::done("pinned: it stays on this node until it is unpinned", [&id])
                }
                Ok(false) => Answer::refused(format!("{id} is not in the spool: it is stored, or was not made here")),
                Err(error) => Answer::refused(format!("{id} could not be pinned: {error}")),
            });
        })
    }

    pub fn unpin(&self, id: RecordingId, told: Told) -> Chore {
        let Self { spool, known } = self.clone();
        Box::new(move || {
            let unpinned = spool.unpin(&id);
            if unpinned.is_ok() {
                lock(&known).remove(&id);
            }
            told(match unpinned {
                Ok(true) => Answer::done("unpinned", [&id]),
                Ok(false) => Answer::refused(format!("{id} is not pinned")),
                Err(error) => Answer::refused(format!("{id} could not be unpinned: {error}")),
            });
        })
    }
}

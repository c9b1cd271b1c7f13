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
                Ok(Some(gone)) => {
                    lock(&known).insert(id.clone());
                    Answer::done(format!("pinned: it stays on this node until it is unpinned{}", but_for(&gone)), [&id])
                }
                Ok(None) => Answer::refused(format!("{id} is not in the spool: it is stored, or was not made here")),
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

/// What of it does not stay, in words; nothing where all does.
fn but_for(gone: &[u32]) -> String {
    if gone.is_empty() {
        return String::new();
    }
    let runs = gone.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first} to {last}"),
        run => run.iter().map(u32::to_string).collect(),
    });
    format!(", but for what is in the store alone: segments {}", runs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_had_gone_in_words() {
        let said = super::but_for(&[1, 2, 3, 7, 9, 10]);
        assert_eq!(said, ", but for what is in the store alone: segments 1 to 3, 7, 9 to 10");
        assert_eq!(super::but_for(&[]), "");
    }
}

//! What somebody wants kept here.

use super::{PINNED, SENT, STORED, Spool};
use crate::disk::Entry;
use crate::sync::lock;
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use std::io;

impl Spool {
    /// Keeps a recording here, whatever becomes of it in the store; none when it is not here, else the numbers of its segments
    /// that are in the store alone.
    pub fn pin(&self, id: &RecordingId, now: Timestamp) -> io::Result<Option<Vec<u32>>> {
        let _pins = lock(&self.pins);
        let folder = self.folder(id);
        if !self.is_begun(id)? {
            return Ok(None);
        }
        self.disk.write_durably(&folder.join(PINNED), &serde_json::to_vec(&serde_json::json!({ "since": now }))?)?;
        let mut gone = self.numbered(id, SENT)?;
        for Entry { name, .. } in self.disk.list(&folder)? {
            if let Some(Ok(FileName::Segment { sequence, suffix })) = name.to_str().map(str::parse)
                && suffix != SENT
                && let Ok(at) = gone.binary_search(&sequence)
            {
                gone.remove(at);
            }
        }
        Ok(Some(gone))
    }

    /// Takes back [`Spool::pin`]; false when it was not pinned. What is stored goes at once.
    pub fn unpin(&self, id: &RecordingId) -> io::Result<bool> {
        let _pins = lock(&self.pins);
        let folder = self.folder(id);
        if !self.is_pinned(id)? {
            return Ok(false);
        }
        self.disk.remove(&folder.join(PINNED))?;
        self.disk.sync_folder(&folder)?;
        self.tidy(id)?;
        Ok(true)
    }

    /// Whether somebody wants it kept here.
    pub fn is_pinned(&self, id: &RecordingId) -> io::Result<bool> {
        self.disk.exists(&self.folder(id).join(PINNED))
    }

    /// Whether it is here only because it is pinned, or was when we last looked.
    pub fn is_stored(&self, id: &RecordingId) -> io::Result<bool> {
        self.disk.exists(&self.folder(id).join(STORED))
    }

    /// Recordings that are pinned; and those of which that is not known, for they are kept as if they were.
    pub fn pinned(&self) -> io::Result<Vec<RecordingId>> {
        Ok(self.recordings()?.into_iter().filter(|id| self.is_pinned(id).unwrap_or(true)).collect())
    }
}

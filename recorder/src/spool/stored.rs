//! What is stored, and what of it stays here.

use super::{FORGOTTEN, RECEIPT, SENT, STORE, STORED, Spool, is_full};
use crate::disk::{Entry, gone};
use crate::sync::lock;
use formats::seal::Seal;
use formats::store::{FileName, RecordingId};
use std::io;

impl Spool {
    /// A segment and its seal are stored: forgets the files, keeps the seal under another name.
    pub fn sent(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        let sent = FileName::segment(seal.sequence, SENT);
        // First the rename: a crash between the two leaves files that nobody waits for, not a seal without files.
        // Another process with the same spool may have been faster; what is stored is stored.
        let name = FileName::seal(seal.sequence);
        self.disk.rename(&self.path(id, &name), &self.path(id, &sent)).or_else(gone(()))?;
        self.disk.sync_folder(&self.folder(id)).or_else(gone(()))?;
        let _pins = lock(&self.pins);
        if self.is_pinned(id)? {
            return Ok(());
        }
        self.remove_files(id, seal)?;
        let others = [name.signature(), FileName::segment(seal.sequence, RECEIPT)];
        others.iter().try_for_each(|name| self.disk.remove(&self.path(id, name)).or_else(gone(())))
    }

    /// The files of a segment are proved to be in the store: whatever becomes of its seal, they are not lost.
    ///
    /// A disk that is full does not keep the seal from being sent.
    pub fn keep_receipt(&self, id: &RecordingId, sequence: u32) -> io::Result<()> {
        let kept = self.disk.write_durably(&self.path(id, &FileName::segment(sequence, RECEIPT)), b"");
        if kept.as_ref().is_err_and(is_full) { Ok(()) } else { kept }
    }

    /// Whether the files of a segment that waits are known to be in the store.
    pub fn has_receipt(&self, id: &RecordingId, sequence: u32) -> io::Result<bool> {
        self.disk.exists(&self.path(id, &FileName::segment(sequence, RECEIPT)))
    }

    pub(super) fn remove_files(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        seal.files.iter().try_for_each(|file| self.disk.remove(&self.path(id, &file.name)).or_else(gone(())))
    }

    /// A recording is stored, `close.json` and all: nothing of it stays here, unless it is pinned.
    pub fn done(&self, id: &RecordingId) -> io::Result<()> {
        let _pins = lock(&self.pins);
        if self.is_pinned(id)? {
            return self.disk.write_durably(&self.folder(id).join(STORED), b"{}");
        }
        match self.remove(id) {
            Err(error) if !self.is_begun(id)? => {
                tracing::warn!(recording = %id, %error, "stored, and cannot be removed from the spool: tried again");
                lock(&self.unremoved).insert(id.clone());
                Ok(())
            }
            removed => removed,
        }
    }

    /// Removes what could not be removed when its recording was stored.
    pub fn remove_rest(&self) {
        let rest = lock(&self.unremoved).clone();
        for id in rest.into_iter().filter(|id| self.remove(id).is_ok()) {
            lock(&self.unremoved).remove(&id);
        }
    }

    pub(super) fn remove(&self, id: &RecordingId) -> io::Result<()> {
        let folder = self.folder(id);
        // What a crash leaves of the rest is then known to be owed to nobody.
        self.disk.remove(&folder.join(STORE)).or_else(gone(()))?;
        self.disk.sync_folder(&folder).or_else(gone(()))?;
        for Entry { name, .. } in self.disk.list(&folder).or_else(gone(Vec::new()))? {
            self.disk.remove(&folder.join(name)).or_else(gone(()))?;
        }
        self.disk.remove_folder(&folder).or_else(gone(()))?;
        // The folder of the run, if nothing else is in it. Those above are for the next run.
        folder.parent().map(|run| self.disk.remove_folder(run));
        Ok(())
    }

    /// Recordings that have begun and are not stored, or not wholly; or of which that is not known: what is stored may be sent
    /// again.
    pub fn unsent(&self) -> io::Result<Vec<RecordingId>> {
        let is_owed = |id: &RecordingId| self.is_begun(id).unwrap_or(true) && !self.is_stored(id).unwrap_or(false);
        Ok(self.recordings()?.into_iter().filter(is_owed).collect())
    }

    /// After a crash, or when it is no longer pinned: removes what is known to be stored.
    pub fn tidy(&self, id: &RecordingId) -> io::Result<()> {
        if self.is_pinned(id)? {
            return Ok(());
        }
        if self.is_stored(id)? {
            return self.remove(id);
        }
        let sent = self.numbered(id, SENT)?;
        let folder = self.folder(id);
        for Entry { name, .. } in self.disk.list(&folder)? {
            match name.to_str().map(str::parse) {
                Some(Ok(FileName::Segment { sequence, suffix }))
                    if sent.contains(&sequence) && suffix != SENT && suffix != FORGOTTEN =>
                {
                    self.disk.remove(&folder.join(&name))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

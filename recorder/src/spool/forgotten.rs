//! What the spool gave up, and what of it no seal has told yet.

use super::{FORGOTTEN, SENT, Spool};
use crate::disk::gone;
use crate::rotate::Untold;
use crate::sync::lock;
use formats::seal::{Close, Seal, Volume};
use formats::store::{FileName, RecordingId};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What could not be written down.
#[derive(Debug)]
pub(super) struct Unwritten {
    untold: Untold,
    /// One of these files tells it, where it is there after all.
    told_by: Vec<PathBuf>,
}

impl Spool {
    /// Gives up the files of a segment that waits, which are whole, unless somebody wants them kept here. How many bytes that
    /// makes free; none where it was given up before. What is in the store is not lost, and no ledger tells of it.
    pub fn give_up(&self, id: &RecordingId, seal: &Seal) -> io::Result<u64> {
        let _pins = lock(&self.pins);
        if self.is_pinned(id)? {
            return Ok(0);
        }
        let look = |file| self.disk.look(&self.path(id, file)).map(|file| file.bytes).or_else(gone(0));
        let bytes = seal.files.iter().map(|file| look(&file.name)).sum::<io::Result<u64>>()?;
        if bytes > 0 {
            if !self.has_receipt(id, seal.sequence)? {
                self.mark_forgotten(id, seal)?;
            }
            self.remove_files(id, seal)?;
        }
        Ok(bytes)
    }

    /// Gives up the files of a segment that are not what was sealed, or not there. Those of a recording that somebody wants kept
    /// stay as they are.
    pub fn give_up_damaged(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        let _pins = lock(&self.pins);
        self.mark_forgotten(id, seal)?;
        if self.is_pinned(id)? { Ok(()) } else { self.remove_files(id, seal) }
    }

    /// Has the next seal, or `close.json`, tell of it.
    fn mark_forgotten(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        let mark = FileName::segment(seal.sequence, FORGOTTEN);
        self.disk.write_durably(&self.path(id, &mark), &serde_json::to_vec(&seal.counts.written)?)
    }

    /// Whether the files of a segment were given up and no seal has told it yet.
    pub fn is_forgotten(&self, id: &RecordingId, sequence: u32) -> io::Result<bool> {
        self.disk.exists(&self.path(id, &FileName::segment(sequence, FORGOTTEN)))
    }

    /// Segments that were given up and that no seal has told of, with the packets in them: for the next seal,
    /// or `close.json`. Call [`Spool::told`] when that is in place.
    pub fn untold(&self, id: &RecordingId) -> io::Result<(Vec<u32>, Volume)> {
        let mut numbers = self.numbered(id, FORGOTTEN)?;
        if !numbers.is_empty() {
            // Told, and killed before the mark could be removed.
            let told = self.told_of(id)?;
            numbers.retain(|sequence| !told.contains(sequence));
        }
        let mut sum = Volume::default();
        for &sequence in &numbers {
            let bytes = self.disk.read(&self.path(id, &FileName::segment(sequence, FORGOTTEN)))?;
            sum += serde_json::from_slice::<Volume>(&bytes)?;
        }
        Ok((numbers, sum))
    }

    /// Segments that a seal or `close.json` says were given up.
    pub fn told_of(&self, id: &RecordingId) -> io::Result<BTreeSet<u32>> {
        let mut told = BTreeSet::new();
        for suffix in [formats::store::SEAL, SENT] {
            for sequence in self.numbered(id, suffix)? {
                let bytes = self.disk.read(&self.path(id, &FileName::segment(sequence, suffix))).map(Some);
                let seal = bytes.or_else(gone(None))?.and_then(|bytes| Seal::from_bytes(&bytes).ok());
                told.extend(seal.into_iter().flat_map(|seal| seal.forgotten));
            }
        }
        let close = self.disk.read(&self.path(id, &FileName::Close)).map(Some).or_else(gone(None))?;
        let close = close.and_then(|bytes| Close::from_bytes(&bytes).ok());
        told.extend(close.into_iter().flat_map(|close| close.forgotten));
        Ok(told)
    }

    /// A seal or `close.json` that tells of these is in place.
    pub fn told(&self, id: &RecordingId, forgotten: &[u32]) -> io::Result<()> {
        let mark = |sequence: u32| self.path(id, &FileName::segment(sequence, FORGOTTEN));
        forgotten.iter().try_for_each(|&sequence| self.disk.remove(&mark(sequence)).or_else(gone(())))
    }

    /// Remembers what happened that is written down nowhere in a folder. Where writing it down failed, it is not known whether it
    /// did: it is told if one of these files is there after all.
    pub fn keep_untold(&self, folder: &Path, untold: Untold, told_by: Vec<PathBuf>) {
        if !untold.is_empty() {
            lock(&self.untold).entry(folder.to_owned()).or_default().push(Unwritten { untold, told_by });
        }
    }

    /// What happened that is written down nowhere in a folder, to be written down now.
    ///
    /// # Errors
    /// When the disk does not say what is written down; then all of it is still remembered.
    pub fn take_untold(&self, folder: &Path) -> io::Result<Untold> {
        let mut all = lock(&self.untold);
        let mut sum = Untold::default();
        for Unwritten { untold, told_by } in all.get(folder).into_iter().flatten() {
            if self.disk.first_of(told_by)?.is_none() {
                sum += untold.clone();
            }
        }
        all.remove(folder);
        Ok(sum)
    }
}

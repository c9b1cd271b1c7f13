//! How much room the spool takes.

use super::{READY, SENT, Spool, is_a};
use crate::disk::{Entry, gone};
use formats::store::{FileName, Name, RecordingId};
use std::io;
use std::path::Path;

impl Spool {
    /// Bytes of all files in it, but of what outlives recordings, and of what nobody lets us see.
    pub fn used_bytes(&self) -> io::Result<u64> {
        self.bytes_below(&self.root)
    }

    /// Bytes of a window's recordings that wait for the store: what is stored is here only because it is pinned.
    pub fn waiting_bytes_of(&self, window: &Name) -> io::Result<u64> {
        let mut bytes = 0;
        for id in self.recordings()?.iter().filter(|id| id.window == *window) {
            bytes += self.if_allowed(&self.folder(id), self.waiting_bytes(id))?;
        }
        Ok(bytes)
    }

    fn waiting_bytes(&self, id: &RecordingId) -> io::Result<u64> {
        if self.is_stored(id)? {
            return Ok(0);
        }
        let (folder, sent) = (self.folder(id), self.numbered(id, SENT)?);
        let mut bytes = 0;
        for Entry { name, .. } in self.disk.list(&folder)? {
            let file = name.to_str().map(str::parse);
            if matches!(file, Some(Ok(FileName::Segment { sequence, .. })) if sent.binary_search(&sequence).is_ok()) {
                continue;
            }
            let path = folder.join(name);
            bytes += self.if_allowed(&path, self.disk.look(&path).map(|file| file.bytes))?;
        }
        Ok(bytes)
    }

    fn bytes_below(&self, folder: &Path) -> io::Result<u64> {
        let mut bytes = 0;
        for Entry { name, is_folder } in self.disk.list(folder)? {
            if is_folder && folder == self.root && name != READY && !is_a::<Name>(&name) {
                continue;
            }
            let path = folder.join(name);
            let below = match is_folder {
                true => self.bytes_below(&path),
                false => self.disk.look(&path).map(|file| file.bytes),
            };
            bytes += self.if_allowed(&path, below)?;
        }
        Ok(bytes)
    }

    /// Nothing where it is gone, or where we are not let in.
    fn if_allowed(&self, path: &Path, bytes: io::Result<u64>) -> io::Result<u64> {
        match bytes {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.pass_over(path, &error);
                Ok(0)
            }
            bytes => bytes.or_else(gone(0)),
        }
    }
}

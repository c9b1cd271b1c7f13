//! What is remembered of the runs of each window, kept for the next start of the recorder: `.starts/<window>`.

use super::Spool;
use crate::disk::{Disk, Entry, at, gone};
use crate::schedule::{Remembered, Starts};
use crate::sync::lock;
use formats::seal::Volume;
use formats::store::{Name, RecordingId, Start};
use std::io;
use std::path::Path;

/// A file for each window: no recording, for no cluster has a name like that.
const STARTS: &str = ".starts";

impl Spool {
    /// What is remembered of runs, for those that begin others.
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// Remembers the start of a recording, before anybody else sees that.
    pub(super) fn remember_start(&self, id: &RecordingId) -> io::Result<()> {
        self.starts.add(id);
        self.keep_starts(&id.window)
    }

    /// Remembers what a recording that has ended has spent of the budget of its run, before anybody sees that it has ended.
    pub fn remember_spent(&self, id: &RecordingId, written: Volume) {
        let kept = if self.starts.spend(id, written) { self.keep_starts(&id.window) } else { Ok(()) };
        if let Err(error) = kept {
            tracing::warn!(recording = %id, %error, "after a restart its run has more of its budget than is left");
        }
    }

    /// Keeps what is remembered of a window for the next start of the recorder.
    pub fn keep_starts(&self, window: &Name) -> io::Result<()> {
        let _keeping = lock(&self.keeping);
        let folder = self.root.join(STARTS);
        let path = folder.join(window.as_str());
        self.disk.create_folders(&folder).map_err(at(&folder))?;
        self.disk.write_durably(&path, &serde_json::to_vec(&self.starts.of(window))?).map_err(at(&path))
    }
}

/// What an earlier start has kept.
pub(super) fn read(disk: &dyn Disk, root: &Path) -> io::Result<Starts> {
    let (starts, folder) = (Starts::default(), root.join(STARTS));
    for Entry { name, .. } in disk.list(&folder).or_else(gone(Vec::new()))? {
        let Some(window) = name.to_str().and_then(|name| name.parse::<Name>().ok()) else { continue };
        match disk.read(&folder.join(&name)).and_then(|bytes| Ok(remembered(&bytes)?)) {
            Ok(remembered) => starts.recall(window, remembered),
            Err(error) => tracing::warn!(%window, %error, "it is not known which starts its recordings had"),
        }
    }
    Ok(starts)
}

fn remembered(bytes: &[u8]) -> serde_json::Result<Remembered> {
    match serde_json::from_slice::<Vec<Start>>(bytes) {
        Ok(starts) => Ok(starts.into_iter().collect()),
        Err(_) => serde_json::from_slice(bytes),
    }
}

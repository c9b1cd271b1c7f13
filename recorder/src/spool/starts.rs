//! Which starts were taken, kept for the next start of the recorder: `.starts/<window>`.

use super::Spool;
use crate::disk::{Disk, Entry, at, gone};
use crate::schedule::Starts;
use formats::store::{Name, RecordingId, Start};
use jiff::Timestamp;
use std::io;
use std::path::Path;

/// Starts that were taken, a file for each window: no recording, for no cluster has a name like that.
const STARTS: &str = ".starts";

impl Spool {
    /// The starts that recordings of before have had, for those that begin to take others.
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// Remembers the start of a recording, before anybody else sees that.
    pub(super) fn remember_start(&self, id: &RecordingId) -> io::Result<()> {
        let starts = self.starts.add(&id.window, [id.start.time()]);
        let starts: Vec<Start> = starts.into_iter().map(Start::from).collect();
        let folder = self.root.join(STARTS);
        let path = folder.join(id.window.as_str());
        self.disk.create_folders(&folder).map_err(at(&folder))?;
        self.disk.write_durably(&path, &serde_json::to_vec(&starts)?).map_err(at(&path))
    }
}

/// What an earlier start has kept.
pub(super) fn read(disk: &dyn Disk, root: &Path) -> io::Result<Starts> {
    let (starts, folder) = (Starts::default(), root.join(STARTS));
    for Entry { name, .. } in disk.list(&folder).or_else(gone(Vec::new()))? {
        let Some(window) = name.to_str().and_then(|name| name.parse::<Name>().ok()) else { continue };
        let read = disk.read(&folder.join(&name)).and_then(|bytes| Ok(serde_json::from_slice::<Vec<Start>>(&bytes)?));
        match read {
            Ok(taken) => drop(starts.add(&window, taken.into_iter().map(Timestamp::from))),
            Err(error) => tracing::warn!(%window, %error, "it is not known which starts its recordings had"),
        }
    }
    Ok(starts)
}

//! What stands in the folder of a window that is kept ready.

use crate::clock::{Clock, Moment};
use crate::disk::{Disk, Entry};
use crate::schedule::StoreTarget;
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::{self, ClockStep, Counts, DropsByTarget, Pause, Recovered, SealedFile, Volume};
use formats::store::{FileName, Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Suffix of what is known of a segment that is kept.
pub(super) const KEPT: &str = "kept.json";
/// What was removed so far.
pub(super) const EXPIRED: &str = "expired.json";
/// When no ring was open before those of now.
pub(super) const PAUSED: &str = "paused.json";
/// What was triggered.
pub(super) const MARK: &str = "trigger.json";
/// Until when a recording was to go on that ended before its time.
pub(super) const REST: &str = "rest.json";

/// A finished segment that waits for a trigger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub file: SealedFile,
    /// When it began.
    pub since: Timestamp,
    /// Until when it is known what came.
    pub until: Timestamp,
    pub counts: Counts,
    #[serde(default)]
    pub targets: DropsByTarget,
    pub first_packet: Option<Timestamp>,
    pub last_packet: Option<Timestamp>,
    pub recovered: Option<Recovered>,
    pub configuration_sha256: Hash256,
    /// What was known of the clock when it was finished, and how it had been set meanwhile.
    pub clock: Option<seal::Clock>,
    pub steps: Vec<ClockStep>,
    #[serde(default)]
    pub pause: Option<Pause>,
    /// When it was finished, by the clock that only goes on; below zero before the machine was started.
    #[serde(skip)]
    pub finished: SignedDuration,
}

/// What is not kept any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Expired {
    /// Since when it is counted.
    pub since: Timestamp,
    /// Segments up to this one are removed; where their files are still there, a crash came between.
    pub through: u32,
    pub segments: u64,
    pub volume: Volume,
}

/// No ring was open since the newest segment that is kept, until the rings were opened that there are now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Paused {
    /// The first segment that can tell.
    pub sequence: u32,
    pub pause: Pause,
}

/// Written when it is triggered: from then on everything here belongs to a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    pub recording: RecordingId,
    pub store: StoreTarget,
    pub configuration_sha256: Hash256,
    pub ends: Timestamp,
    pub trigger: seal::Trigger,
}

/// A clock that says what it said when a segment was finished.
#[derive(Debug)]
pub(super) struct Remembered(pub Option<seal::Clock>);

impl Clock for Remembered {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn state(&self) -> Option<seal::Clock> {
        self.0.clone()
    }
}

/// A time of day by the clock that only goes on, as both stand now.
pub(super) fn steadily(now: Moment, wall: Timestamp) -> SignedDuration {
    SignedDuration::try_from(now.steady).unwrap_or(SignedDuration::MAX).saturating_add(wall.duration_since(now.wall))
}

/// What is known of a segment that is kept. Where the disk has lost that, the segment is read anew, as one that
/// was left open.
pub(super) fn read_kept(disk: &dyn Disk, path: &Path, now: Moment) -> io::Result<Option<Kept>> {
    match read::<Kept>(disk, path) {
        Ok(kept) => Ok(kept.map(|kept| Kept { finished: steadily(now, kept.until), ..kept })),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            tracing::error!(file = %path.display(), %error, "damaged in the spool: its segment is read anew");
            disk.remove(path)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a folder was triggered to, if it was.
pub(super) fn mark(disk: &dyn Disk, folder: &Path) -> io::Result<Option<Mark>> {
    read(disk, &folder.join(MARK))
}

/// Number and suffix of a segment's file.
pub(super) fn parts(name: &FileName) -> Option<(u32, String)> {
    match name {
        FileName::Segment { sequence, suffix } => Some((*sequence, suffix.clone())),
        FileName::Close | FileName::CloseSignature => None,
    }
}

/// Until when a recording was to go on that ended before its time, if it was not begun again.
pub(super) fn rest(disk: &dyn Disk, folder: &Path, now: Timestamp) -> io::Result<Option<Timestamp>> {
    let ends = read(disk, &folder.join(REST))?.filter(|ends| *ends > now);
    if ends.is_none() {
        remove(disk, &folder.join(REST))?;
    }
    Ok(ends)
}

/// Notes until when a recording was to go on.
pub(super) fn note_rest(disk: &dyn Disk, folder: &Path, ends: Timestamp) -> io::Result<()> {
    disk.write_durably(&folder.join(REST), &serde_json::to_vec(&ends)?)
}

/// Removes a file, if it is there.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> io::Result<Option<T>> {
    match disk.read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
    }
}

/// Folders of windows that are kept ready, or were.
pub(super) fn folders(spool: &Spool) -> io::Result<Vec<(Name, PathBuf)>> {
    let root = spool.ready_root();
    let entries = match spool.disk().list(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders = Vec::new();
    for Entry { name, .. } in entries {
        // What is not ours to name is not ours to touch.
        let window = name.to_str().and_then(|name| name.parse().ok());
        folders.extend(window.map(|window| (window, root.join(&name))));
    }
    Ok(folders)
}

//! What a crash left of recordings that had been triggered.

use super::backlog::Backlog;
use super::folder::{self, Remembered};
use crate::disk::{Entry, gone};
use crate::recover;
use crate::seal::SealingError;
use crate::spool::Spool;
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A recording that ended before its time, by a crash or with the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Its window.
    pub window: Name,
    /// Until when it was to go on.
    pub ends: Timestamp,
}

/// What is left to do behind a recovery.
#[derive(Debug, Default)]
pub struct Left {
    /// Recordings that ended before their time.
    pub rests: Vec<Rest>,
    /// How many recordings could not be closed.
    pub unclosed: usize,
}

/// Seals and closes every recording of the spool that nobody works on any more, with that `reason`; first those that were
/// triggered, with what is still kept of them. What was not triggered stays.
///
/// # Errors
/// When the spool itself cannot be read.
pub fn recover_all(spool: &Spool, reason: &EndReason, now: Timestamp) -> io::Result<Left> {
    let mut left = recover(spool, now)?;
    // What could not be recovered with what is kept must not be closed without it.
    let (mut marked, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for (window, folder) in folder::folders(spool)? {
        // A mark that is gone must not come back with a power cut, behind the close of its recording.
        match spool.disk().sync_folder(&folder).and_then(|()| folder::mark(spool.disk().as_ref(), &folder)) {
            Ok(mark) => marked.extend(mark.map(|mark| mark.recording)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // The window has just gone.
            Err(error) => {
                tracing::error!(%window, %error, "it is not known whether it was triggered");
                unknown.insert(window);
            }
        }
    }
    let is_left = |id: &RecordingId| marked.contains(id) || unknown.contains(&id.window);
    let found = recover::recover(spool, reason, now, is_left)?;
    left.unclosed += found.iter().filter(|found| found.seal.is_err()).count();
    Ok(left)
}

/// Those that were triggered.
///
/// A recording that cannot be recovered is logged and left as it is, and does not keep back the others.
///
/// # Errors
/// When the spool itself cannot be read.
pub(super) fn recover(spool: &Spool, now: Timestamp) -> io::Result<Left> {
    let mut left = Left::default();
    for (window, folder) in folder::folders(spool)? {
        match recover_one(spool, &folder, now) {
            Ok(None) => {}
            Ok(Some(ends)) => left.rests.push(Rest { window, ends }),
            Err(error) => {
                tracing::error!(%window, %error, "what was triggered cannot be recovered");
                left.unclosed += 1;
            }
        }
    }
    Ok(left)
}

/// When it is to end, if it was triggered and did not come to its end.
fn recover_one(spool: &Spool, folder: &Path, now: Timestamp) -> Result<Option<Timestamp>, SealingError> {
    let failed = |source| SealingError::Spool { folder: folder.to_owned(), source };
    let disk = spool.disk().as_ref();
    // Kept ready at this moment; or just removed, for its window is gone.
    let Some(lock) = disk.lock(folder).or_else(gone(None)).map_err(failed)? else { return Ok(None) };
    let Some(mark) = folder::mark(disk, folder).map_err(failed)? else {
        return folder::rest(disk, folder, now).map_err(failed);
    };
    let ends = mark.ends;
    // What was recorded before is not timed by the clock as it is now.
    let clock = Arc::new(Remembered(None));
    let mut backlog =
        Backlog::load(spool, folder.to_owned(), lock, mark.configuration_sha256, clock).map_err(failed)?;
    backlog.promote_to(mark)?;
    while backlog.promote_oldest()? {}
    // Behind what was kept: a segment that was moved and not sealed, then those that were open.
    while let Some((open, name, compression)) =
        backlog.chain().map_or(Ok(None), |chain| recover::left_open(spool, chain)).map_err(failed)?
    {
        let (segment, recovered) = recover::cut(disk, &open, name, compression).map_err(failed)?;
        backlog.seal_recovered(segment, recovered)?;
    }
    while let Some((open, name, compression)) = backlog.left_open().map_err(failed)? {
        let (segment, recovered) = recover::cut(disk, &open, name, compression).map_err(failed)?;
        backlog.keep(segment, Some(recovered)).map_err(failed)?;
        backlog.promote_oldest()?;
    }
    // Before the mark goes: the next start may be killed too.
    folder::note_rest(disk, folder, ends).map_err(failed)?;
    if let Some(promoted) = backlog.finish()? {
        let close = super::close(promoted, spool, folder, EndReason::Crash, now)?;
        tracing::warn!(recording = %close.recording, packets = close.counts.written.packets, "recording was left behind after its trigger: recovered and closed");
    }
    Ok(Some(ends))
}

/// Removes what is kept ready for windows that are not among the `wanted`: nobody could trigger it.
///
/// # Errors
/// When the spool cannot be read, or a folder of it not be removed.
pub fn remove_others(spool: &Spool, wanted: &[Name]) -> io::Result<()> {
    for (window, folder) in folder::folders(spool)?.into_iter().filter(|(window, _)| !wanted.contains(window)) {
        // Still worked on; or triggered, and to be recovered.
        let disk = spool.disk().as_ref();
        let Some(_lock) = disk.lock(&folder)? else { continue };
        if folder::mark(disk, &folder)?.is_none() {
            let files = disk.list(&folder)?;
            let segments = files.iter().filter(|entry| is_kept(entry)).count();
            tracing::warn!(%window, segments, "nobody can trigger it any more: what was kept ready for it is removed");
            files.iter().try_for_each(|entry| disk.remove(&folder.join(&entry.name)))?;
            disk.remove_folder(&folder)?;
        }
    }
    Ok(())
}

fn is_kept(entry: &Entry) -> bool {
    entry.name.to_string_lossy().ends_with(folder::KEPT)
}

//! What a `kill -9`, a power cut or a full disk left open is cut at its last whole frame, sealed, and closed.
//!
//! Enters: the spool, at start. Leaves: recordings that are closed, with what is known of what they lost.
//! Refused: recordings that a living process still writes; it holds a lock on their folder.

pub(crate) mod scan;

use crate::clock::Moment;
use crate::disk::{Disk, Entry, gone};
use crate::rotate::{Compression, Finished, OPEN, OpenSegment, SegmentOptions};
use crate::seal::{Chain, SealingError};
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::{DropsByTarget, EndReason, Recovered, Seal, SealedFile};
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use scan::Scanned;
use std::io;
use std::path::{Path, PathBuf};

#[doc(hidden)]
pub use scan::fuzz;

/// What was found of a recording that was left behind.
#[derive(Debug)]
pub struct Found {
    /// The recording.
    pub id: RecordingId,
    /// The last segment that was open; none if the crash came between two. An error where it could not be closed.
    pub seal: Result<Option<Seal>, SealingError>,
}

/// Seals and closes every recording of the spool that nobody works on any more, but those that are to be left, with that
/// `reason`: [`EndReason::Crash`] at a start, [`EndReason::Failure`] while other recordings go on.
///
/// A recording that cannot be recovered is logged and left as it is, and does not keep back the others.
///
/// # Errors
/// When the spool itself cannot be read.
pub fn recover(
    spool: &Spool,
    reason: &EndReason,
    now: Timestamp,
    is_left: impl Fn(&RecordingId) -> bool,
) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for id in spool.recordings()?.into_iter().filter(|id| !is_left(id)) {
        let Some(seal) = recover_one(spool, &id, reason.clone(), now).transpose() else { continue };
        if let Err(error) = &seal {
            tracing::error!(recording = %id, %error, "recording cannot be recovered");
        }
        found.push(Found { id, seal });
    }
    Ok(found)
}

/// Recovers what there is of a recording: a segment that was being written, and up to two that waited for their seals. The seal
/// of the last of them; nothing where there is nothing to close.
fn recover_one(
    spool: &Spool,
    id: &RecordingId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Option<Option<Seal>>, SealingError> {
    let folder = spool.folder(id);
    let failed = |source| SealingError::Spool { folder: folder.clone(), source };
    // Just being begun, but at a start: whoever does that finds it locked by nobody.
    if reason != EndReason::Crash && !spool.is_begun(id).map_err(failed)? {
        return Ok(None);
    }
    // By now the sender may be done with it.
    let Some(_lock) = spool.disk().lock(&folder).or_else(gone(None)).map_err(failed)? else { return Ok(None) };
    if !spool.is_begun(id).map_err(failed)? {
        // Killed before anything was recorded, or after all was stored.
        return spool.done(id).map(|()| None).map_err(failed);
    }
    if spool.disk().exists(&spool.path(id, &FileName::Close)).map_err(failed)? {
        return Ok(None);
    }
    let mut chain = Chain::resume(spool.clone(), id.clone())?;
    // Before anything is sealed here: the number of a seal that failed may become that of a segment.
    let untold = spool.take_untold(&folder).map_err(failed)?;
    let sealed = seal_left_open(spool, &mut chain);
    let last = sealed.inspect_err(|_| spool.keep_untold(&folder, untold.clone(), Vec::new()))?;
    chain.seal_untold(untold)?;
    chain.close(reason, now)?;
    let packets = last.as_ref().map_or(0, |seal| seal.counts.written.packets);
    let lost = last.as_ref().and_then(|seal| seal.recovered.as_ref());
    tracing::warn!(recording = %id, packets, ?lost, "recording was left behind: recovered and closed");
    Ok(Some(last))
}

/// Seals the segments that the chain has no seals of. The seal of the last of them.
fn seal_left_open(spool: &Spool, chain: &mut Chain) -> Result<Option<Seal>, SealingError> {
    let mut last = None;
    while let Some((open, name, compression)) = left_open(spool, chain).map_err(|source| chain.error(source))? {
        let cut = cut(spool.disk().as_ref(), &open, name, compression);
        let (segment, recovered) = cut.map_err(|source| chain.error(source))?;
        last = Some(chain.seal(segment, Some(recovered))?);
    }
    remove_unfinished(spool.disk().as_ref(), &chain.folder()).map_err(|source| chain.error(source))?;
    Ok(last)
}

/// The segment that the chain has no seal of yet.
pub(crate) fn left_open(spool: &Spool, chain: &Chain) -> io::Result<Option<(PathBuf, FileName, Compression)>> {
    for compression in [Compression::Zstd, Compression::None] {
        let name = FileName::segment(chain.next_sequence(), compression.suffix());
        let (whole, open) = (spool.path(chain.id(), &name), chain.folder().join(format!("{name}{OPEN}")));
        // Killed between the renames of the segment and of its seal: it is taken back, and read like any other.
        if spool.disk().exists(&whole)? {
            spool.disk().rename(&whole, &open)?;
        }
        if spool.disk().exists(&open)? {
            return Ok(Some((open, name, compression)));
        }
    }
    Ok(None)
}

/// Cuts a segment behind its last whole frame.
pub(crate) fn cut(
    disk: &dyn Disk,
    open: &Path,
    name: FileName,
    compression: Compression,
) -> io::Result<(Finished, Recovered)> {
    let mut file = disk.change(open)?;
    let look = disk.look(open)?;
    let Scanned { bytes, sha256, counts, first_packet, last_packet, alive_until } = scan::scan(&mut file, compression)?;
    let recovered = Recovered {
        cut_bytes: look.bytes.saturating_sub(bytes),
        // Without a packet and a count in it, the last write is all there is.
        nothing_after: last_packet
            .max(alive_until)
            .or_else(|| look.changed.and_then(|time| Timestamp::try_from(time).ok())),
    };
    if bytes == 0 {
        let until = recovered.nothing_after;
        return Ok((Finished { until, ..begun_anew(disk, open, &name, compression)? }, recovered));
    }
    file.set_len(bytes)?;
    file.sync()?;
    let file = SealedFile { name, bytes, sha256: Hash256(sha256), encrypted: None };
    // The file has sums alone.
    let (targets, steps) = (DropsByTarget::default(), Vec::new());
    let (path, until, pause) = (open.to_owned(), recovered.nothing_after, None);
    Ok((Finished { path, file, counts, targets, first_packet, last_packet, until, steps, pause }, recovered))
}

/// A segment with nothing in it, in place of one of which not even the header is whole: a capture all the same.
fn begun_anew(disk: &dyn Disk, open: &Path, name: &FileName, compression: Compression) -> io::Result<Finished> {
    let folder = open.parent().map(Path::to_owned).unwrap_or_default();
    let options = SegmentOptions { folder, compression, ..SegmentOptions::default() };
    OpenSegment::begin(disk, name.sequence().unwrap_or(1), 0, Moment::default(), &options)?.finish()
}

/// Seals and totals that were being written; what they would have said is known again.
fn remove_unfinished(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for Entry { name, .. } in disk.list(folder)? {
        if name.to_string_lossy().ends_with(OPEN) {
            disk.remove(&folder.join(name))?;
        }
    }
    Ok(())
}

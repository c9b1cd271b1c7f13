//! What a recorder wrote beside a segment: how many packets did not come into it, and why.
//!
//! Nothing is proved here; `remora snapshot verify` does.

use dissect::{NotKept, Origin};
use formats::seal::{Close, Counts, Seal, SealError, Volume};
use formats::store::{FileName, RecordingId};
use std::fmt::Display;

/// Why nothing is known of what a segment lacks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It is none, or none that we understand.
    #[error("its {name} {error}")]
    Content {
        /// Which file.
        name: FileName,
        /// What is wrong with it.
        error: SealError,
    },
    /// It is not there: the segment was never closed, or was copied without.
    #[error("its {name} is not there, so what the recorder lost is not known")]
    Missing {
        /// Which file.
        name: FileName,
    },
    /// It cannot be read.
    #[error("its {name} cannot be read: {error}")]
    Read {
        /// Which file.
        name: FileName,
        /// What the system or the store says.
        error: String,
    },
}

/// What the path of a segment says.
pub fn origin(id: &RecordingId) -> Origin {
    Origin {
        node: Some(id.node.as_str().to_owned()),
        window: Some(id.window.as_str().to_owned()),
        recording: Some(id.folder()),
        not_kept: Vec::new(),
    }
}

/// What the seal of a segment says did not come into it, and of the last what `close.json` adds.
///
/// `read` gives the bytes of a file beside the segment; none where there is none.
///
/// # Errors
/// A seal that is not there or not what it should be. A recording without `close.json` has not ended.
pub fn not_kept<E: Display>(
    id: &RecordingId,
    file: &FileName,
    mut read: impl FnMut(FileName) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<NotKept>, LedgerError> {
    let Some(sequence) = file.sequence() else { return Ok(Vec::new()) };
    let mut read = |name: &FileName| {
        let failed = |error: E| LedgerError::Read { name: name.clone(), error: error.to_string() };
        read(name.clone()).map_err(failed)
    };
    let name = FileName::seal(sequence);
    let bytes = read(&name)?.ok_or_else(|| LedgerError::Missing { name: name.clone() })?;
    let content = |error| LedgerError::Content { name: name.clone(), error };
    let seal = Seal::from_bytes(&bytes).map_err(content)?;
    let mut not_kept = of_counts(&seal.counts);
    if let Some(recovered) = seal.recovered.filter(|recovered| recovered.cut_bytes > 0) {
        not_kept.push(NotKept {
            stage: "disk",
            reason: "end of a segment cut off after a crash, in bytes of the file",
            packets: 0,
            bytes: Some(recovered.cut_bytes),
        });
    }
    let name = FileName::Close;
    if let Some(bytes) = read(&name)? {
        let close = Close::from_bytes(&bytes).map_err(|error| LedgerError::Content { name, error })?;
        if close.recording == *id && close.segments == sequence && close.forgotten_volume != Volume::default() {
            not_kept.push(volume(
                "upload",
                "segments given up at the end, before they were stored",
                close.forgotten_volume,
            ));
        }
    }
    Ok(not_kept)
}

/// A row for each stage, also where it lost nothing: zero is an answer, no row is none.
fn of_counts(counts: &Counts) -> Vec<NotKept> {
    let dropped = &counts.dropped;
    // The kernel filters without counting bytes.
    let filtered = Some(counts.filtered.bytes).filter(|&bytes| bytes > 0 || counts.filtered.packets == 0);
    let mut rows = vec![
        NotKept { stage: "kernel", reason: "capture ring full", packets: dropped.kernel_packets, bytes: None },
        volume("ring", "writing too slow", dropped.ring),
        NotKept { stage: "filter", reason: "refused by the filter", packets: counts.filtered.packets, bytes: filtered },
        volume("disk", "writing failed", dropped.disk),
        volume("upload", "segments given up before they were stored", dropped.spool),
    ];
    if !counts.sampled.is_nothing() {
        rows.push(volume("filter", "flows beyond the rate", counts.sampled));
    }
    if counts.snapped_bytes > 0 {
        let bytes = Some(counts.snapped_bytes);
        rows.push(NotKept { stage: "filter", reason: "beyond the snap length", packets: 0, bytes });
    }
    rows
}

fn volume(stage: &'static str, reason: &'static str, volume: Volume) -> NotKept {
    NotKept { stage, reason, packets: volume.packets, bytes: Some(volume.bytes) }
}

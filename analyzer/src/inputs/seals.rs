//! What a recorder wrote beside a segment: how many packets did not come into it, and why.
//!
//! Nothing is proved here; `remora snapshot verify` does.

use dissect::{NotKept, Origin};
use formats::age::Recipient;
use formats::seal::{Close, Counts, Dropped, DropsByTarget, Seal, SealError, TargetDrops, Volume};
use formats::store::{FileName, PACKETS, RecordingId};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Suffix of packets that are not compressed.
const PLAIN_PACKETS: &str = "pcapng";

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

/// The numbers of the seals that speak for a segment: its own, those before it of segments whose packets are not there, for
/// the spool gave them up or the disk never took them, and behind the last one those that follow. For `close.json` they are all,
/// where no packets are there. `is_there` says which files are beside it.
pub fn speakers(file: &FileName, is_there: impl Fn(&FileName) -> bool) -> RangeInclusive<u32> {
    // Of a recording without packets all seals follow: they are behind number 0.
    let own = file.sequence().unwrap_or(0);
    let has_packets = |sequence| {
        let plain = [PACKETS, PLAIN_PACKETS].map(|suffix| FileName::segment(sequence, suffix));
        plain.iter().any(|plain| is_there(plain) || is_there(&plain.encrypted()))
    };
    let is_lost = |sequence: u32| is_there(&FileName::seal(sequence)) && !has_packets(sequence);
    let first = (1..own).rev().take_while(|sequence| is_lost(*sequence)).last().unwrap_or(own);
    let behind = (own.saturating_add(1)..=u32::MAX).take_while(|sequence| is_lost(*sequence)).last().unwrap_or(own);
    // What stands before a further segment is for that one to say.
    let is_last = !has_packets(behind.saturating_add(1));
    first.max(1)..=if is_last { behind } else { own }
}

/// What is told of a segment.
#[derive(Debug, Default)]
pub struct Told {
    /// What did not come into it.
    pub not_kept: Vec<NotKept>,
    /// Whose keys decrypt it.
    pub recipients: Vec<Recipient>,
}

/// What the seals of that numbers say of a segment, whose packets are in `file`, and `close.json`, if the last of them ends the
/// recording.
///
/// `read` gives the bytes of a file beside the segment; none where there is none.
///
/// # Errors
/// A seal that is not there or not what it should be. A recording without `close.json` has not ended.
pub fn told<E: Display>(
    id: &RecordingId,
    file: &FileName,
    speakers: RangeInclusive<u32>,
    mut read: impl FnMut(FileName) -> Result<Option<Vec<u8>>, E>,
) -> Result<Told, LedgerError> {
    let mut read = |name: &FileName| {
        let failed = |error: E| LedgerError::Read { name: name.clone(), error: error.to_string() };
        read(name.clone()).map_err(failed)
    };
    let (mut counts, mut targets) = (Counts::default(), DropsByTarget::default());
    let (mut cut_bytes, mut recipients) = (0u64, Vec::new());
    for sequence in speakers.clone() {
        let name = FileName::seal(sequence);
        let bytes = read(&name)?.ok_or_else(|| LedgerError::Missing { name: name.clone() })?;
        let seal = Seal::from_bytes(&bytes).map_err(|error| LedgerError::Content { name, error })?;
        counts += seal.counts;
        targets += seal.targets;
        let own = seal.files.into_iter().filter(|sealed| sealed.name == *file);
        recipients.extend(own.filter_map(|sealed| sealed.encrypted).flat_map(|encrypted| encrypted.recipients));
        cut_bytes = cut_bytes.saturating_add(seal.recovered.map_or(0, |recovered| recovered.cut_bytes));
    }
    let mut not_kept = of_counts(counts, targets);
    if cut_bytes > 0 {
        not_kept.push(NotKept {
            stage: "disk",
            reason: "end of a segment cut off after a crash, in bytes of the file",
            target: None,
            packets: 0,
            bytes: Some(cut_bytes),
        });
    }
    let name = FileName::Close;
    if let Some(bytes) = read(&name)? {
        let close = Close::from_bytes(&bytes).map_err(|error| LedgerError::Content { name, error })?;
        let is_last = close.segments == *speakers.end();
        if close.recording == *id && is_last && close.forgotten_volume != Volume::default() {
            not_kept.push(volume(
                "upload",
                "segments given up at the end, before they were stored",
                close.forgotten_volume,
            ));
        }
    }
    Ok(Told { not_kept, recipients })
}

/// A row for each stage, also where it lost nothing: zero is an answer, no row is none. What is known to be of a target has
/// rows of its own.
fn of_counts(counts: Counts, targets: DropsByTarget) -> Vec<NotKept> {
    let told = targets.sum();
    // A sum may be cut off at its greatest.
    let rest = |all: Volume, told: Volume| Volume {
        packets: all.packets.saturating_sub(told.packets),
        bytes: all.bytes.saturating_sub(told.bytes),
    };
    let dropped = Dropped {
        kernel_packets: counts.dropped.kernel_packets.saturating_sub(told.kernel_packets),
        ring: rest(counts.dropped.ring, told.ring),
        disk: rest(counts.dropped.disk, told.disk),
        spool: counts.dropped.spool,
    };
    // The kernel filters without counting bytes.
    let filtered = Some(counts.filtered.bytes).filter(|&bytes| bytes > 0 || counts.filtered.packets == 0);
    let refused = Volume { packets: counts.filtered.packets, bytes: 0 };
    let [kernel, ring, disk] = of_drops(&dropped);
    let mut rows = vec![
        kernel,
        ring,
        NotKept { bytes: filtered, ..volume("filter", "refused by the filter", refused) },
        disk,
        volume("upload", "segments given up before they were stored", dropped.spool),
    ];
    if !counts.sampled.is_nothing() {
        rows.push(volume("filter", "flows beyond the rate, or the share of a processor", counts.sampled));
    }
    if counts.snapped_bytes > 0 {
        let bytes = Some(counts.snapped_bytes);
        rows.push(NotKept { bytes, ..volume("filter", "beyond the snap length", Volume::default()) });
    }
    for TargetDrops { target, dropped, .. } in targets.0 {
        let lost = of_drops(&dropped).into_iter().filter(|row| row.packets > 0);
        rows.extend(lost.map(|row| NotKept { target: Some(target.clone()), ..row }));
    }
    rows
}

/// What the kernel, we and the disk lost.
fn of_drops(dropped: &Dropped) -> [NotKept; 3] {
    let kernel = Volume { packets: dropped.kernel_packets, bytes: 0 };
    [
        NotKept { bytes: None, ..volume("kernel", "capture ring full", kernel) },
        volume("ring", "writing too slow", dropped.ring),
        volume("disk", "writing failed", dropped.disk),
    ]
}

fn volume(stage: &'static str, reason: &'static str, volume: Volume) -> NotKept {
    NotKept { stage, reason, target: None, packets: volume.packets, bytes: Some(volume.bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_of_packets_that_are_not_there_are_spoken_for() {
        // Segments 1 and 4 have packets, 2 and 3 were given up, 5 and 6 never got a file.
        let is_there = |name: &FileName| match name {
            FileName::Segment { sequence, suffix } if suffix == PACKETS => [1, 4].contains(sequence),
            FileName::Segment { sequence, suffix } if suffix == "seal.json" => (1..=6).contains(sequence),
            _ => false,
        };
        let of = |sequence| speakers(&FileName::segment(sequence, PACKETS), is_there);
        assert_eq!((of(1), of(4)), (1..=1, 2..=6));
        let sealed = |name: &FileName| is_there(name) && *name == FileName::seal(name.sequence().unwrap_or(0));
        assert_eq!(speakers(&FileName::Close, sealed), 1..=6, "no packets at all");
        assert!(speakers(&FileName::Close, |_| false).is_empty());
        let is_there = |name: &FileName| match name {
            FileName::Segment { suffix, .. } if suffix == "pcapng.zst.age" => is_there(&name.decrypted().unwrap()),
            FileName::Segment { suffix, .. } if suffix == PACKETS => false,
            _ => is_there(name),
        };
        let of = |sequence| speakers(&FileName::segment(sequence, PACKETS).encrypted(), is_there);
        assert_eq!((of(1), of(4)), (1..=1, 2..=6));
    }
}

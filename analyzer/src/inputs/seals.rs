//! What a recorder wrote beside segments: how many packets did not come into them, and why; and whether they are all there.
//!
//! Nothing is proved here, for no packets are hashed; `remora snapshot verify` does.

mod rows;

use super::recorded;
use dissect::{NotKept, Origin};
use formats::age::Recipient;
use formats::chain::{Fault, Wrong};
use formats::hash::Hash256;
use formats::seal::{Close, Counts, DropsByTarget, EndReason, Seal, Volume};
use formats::store::{FileName, PACKETS, RecordingId};
use rows::{CRASH, PAUSE, clock_set, of_counts, volume};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

/// Suffix of packets that are not compressed.
const PLAIN_PACKETS: &str = "pcapng";

/// Why nothing is known of what a segment lacks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It is none that we understand, or of something else.
    #[error("its {0}, so what the recorder lost is not known")]
    Fault(#[source] Fault),
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

/// What the path of a capture says, and the seals beside it: where it is from, whose keys decrypt it, and whether it is
/// `close.json`.
pub fn origin(path: &Path, told: Option<Told>) -> (Origin, Vec<Recipient>, bool) {
    let Some((id, file)) = recorded(path) else { return (Origin::default(), Vec::new(), false) };
    let Told { not_kept, sealed, recipients } = told.unwrap_or_default();
    let origin = Origin {
        node: Some(id.node.as_str().to_owned()),
        window: Some(id.window.as_str().to_owned()),
        recording: Some(id.folder()),
        not_kept,
        sealed,
    };
    (origin, recipients, file == FileName::Close)
}

/// A recording of which files are read.
pub struct Recording {
    /// Which one, as its path says.
    pub id: RecordingId,
    /// Its folder, for people.
    pub shown: String,
    /// What is in its folder.
    pub there: BTreeSet<FileName>,
    /// What is read of it: packets, or `close.json` where there are none.
    pub read: Vec<FileName>,
}

/// What is told of a file that is read.
#[derive(Debug, Default)]
pub struct Told {
    /// What did not come into it.
    pub not_kept: Vec<NotKept>,
    /// What was sealed in it.
    pub sealed: Option<Volume>,
    /// Whose keys decrypt it.
    pub recipients: Vec<Recipient>,
}

/// A seal with the hash of its bytes, or `close.json`.
pub enum Ledger {
    /// The totals.
    Close(Box<Close>),
    /// Of a segment.
    Seal(Box<Seal>, Hash256),
}

/// What was read of a recording's ledger.
pub type Ledgers = BTreeMap<FileName, Result<Ledger, LedgerError>>;

impl Recording {
    /// The seals that have something to say of what is read, and `close.json`.
    pub fn wanted(&self) -> Vec<FileName> {
        let mut wanted: BTreeSet<u32> = self.read.iter().flat_map(|file| self.speakers(file)).collect();
        if let Some(lost) = wanted.iter().copied().find(|sequence| !self.has_packets(*sequence)) {
            // That it was given up is told by a seal behind it.
            wanted.extend(self.sealed().filter(|sequence| *sequence > lost));
        }
        wanted.retain(|sequence| self.is_sealed(*sequence));
        // What ends the recording has something to say of its last segment only.
        let is_last = wanted.last().copied() == self.sealed().max();
        let close = Some(FileName::Close).filter(|close| is_last && self.there.contains(close));
        wanted.into_iter().map(FileName::seal).chain(close).collect()
    }

    /// One of those, of its bytes.
    ///
    /// # Errors
    /// What reading said, and what is not of this recording, or not what its name says.
    pub fn ledger(&self, name: &FileName, bytes: Result<Vec<u8>, impl Display>) -> Result<Ledger, LedgerError> {
        let fault = |wrong| LedgerError::Fault(Fault { name: name.to_string(), wrong });
        let foreign = |of| fault(Wrong::Foreign { of: Box::new(of) });
        let bytes = bytes.map_err(|error| LedgerError::Read { name: name.clone(), error: error.to_string() })?;
        if *name == FileName::Close {
            let close = Close::from_bytes(&bytes).map_err(|error| fault(Wrong::Ledger(error)))?;
            let is_ours = close.recording == self.id;
            return if is_ours { Ok(Ledger::Close(Box::new(close))) } else { Err(foreign(close.recording)) };
        }
        let seal = Seal::from_bytes(&bytes).map_err(|error| fault(Wrong::Ledger(error)))?;
        match seal.sequence {
            _ if seal.recording != self.id => Err(foreign(seal.recording)),
            holds if name.sequence() != Some(holds) => Err(fault(Wrong::Misplaced { holds })),
            _ => Ok(Ledger::Seal(Box::new(seal), Hash256::of(&bytes))),
        }
    }

    /// What the ledgers that were wanted say of each file that is read, in order. Warnings tell what they cannot say, and what
    /// does not fit together.
    pub fn told(&self, ledgers: &Ledgers, warnings: &mut Vec<String>) -> Vec<Told> {
        let seals = ledgers.values().filter_map(|ledger| match ledger {
            Ok(Ledger::Seal(seal, sha256)) => Some((seal.as_ref(), sha256)),
            _ => None,
        });
        let seals: Vec<(&Seal, &Hash256)> = seals.collect();
        let close = match ledgers.get(&FileName::Close) {
            Some(Ok(Ledger::Close(close))) => Some(&**close),
            Some(Err(error)) => {
                warnings.push(format!("{}: {error}", self.shown));
                None
            }
            _ => None,
        };
        warnings.extend(unfit(&seals, close).iter().map(|fault| format!("{}/{fault}", self.shown)));
        let of_seals = seals.iter().flat_map(|(seal, _)| &seal.forgotten);
        let forgotten: BTreeSet<u32> =
            of_seals.chain(close.iter().flat_map(|close| &close.forgotten)).copied().collect();
        let is_absent = |seal: &Seal| {
            !seal.files.is_empty() && !forgotten.contains(&seal.sequence) && !self.has_packets(seal.sequence)
        };
        let absent = seals.iter().map(|(seal, _)| *seal).filter(|seal| is_absent(seal));
        let absent: BTreeMap<u32, Volume> = absent.map(|seal| (seal.sequence, seal.counts.written)).collect();
        if let Some((first, _)) = absent.first_key_value() {
            warnings.push(format!(
                "{}: the packets of {} segments were sealed and are not there, the first {first:06} (coverage, stage 'store')",
                self.shown,
                absent.len()
            ));
        }
        let told = self.read.iter().map(|file| {
            self.of_file(file, ledgers, &absent).unwrap_or_else(|error| {
                warnings.push(format!("{}/{file}: {error}", self.shown));
                Told::default()
            })
        });
        let mut told: Vec<Told> = told.collect();
        let is_end = |file: &FileName| *self.speakers(file).end() >= self.sealed().max().unwrap_or(0);
        if let (Some(last), true) = (told.last_mut(), self.read.last().is_some_and(is_end)) {
            last.not_kept.extend(self.at_end(&seals, close, warnings));
        }
        told
    }

    /// What the seals say of a segment that is read, and of those before it that are not.
    fn of_file(&self, file: &FileName, ledgers: &Ledgers, absent: &BTreeMap<u32, Volume>) -> Result<Told, String> {
        let (mut counts, mut targets) = (Counts::default(), DropsByTarget::default());
        let (mut cut_bytes, mut recipients, mut gone, mut noted) = (0u64, Vec::new(), Volume::default(), Vec::new());
        let mut sealed = None;
        for sequence in self.speakers(file) {
            let name = FileName::seal(sequence);
            let seal = match ledgers.get(&name) {
                Some(Ok(Ledger::Seal(seal, _))) => seal,
                Some(Err(error)) => return Err(error.to_string()),
                _ => return Err(LedgerError::Missing { name }.to_string()),
            };
            counts += seal.counts;
            targets += seal.targets.clone();
            let own = seal.files.iter().filter(|sealed| sealed.name == *file);
            recipients.extend(own.filter_map(|sealed| sealed.encrypted.clone()).flat_map(|plain| plain.recipients));
            sealed = sealed.or((file.sequence() == Some(sequence)).then_some(seal.counts.written));
            noted.extend(seal.pause.map(|_| PAUSE));
            noted.extend(seal.clock.iter().flat_map(|clock| &clock.steps).map(clock_set));
            cut_bytes = cut_bytes.saturating_add(seal.recovered.as_ref().map_or(0, |recovered| recovered.cut_bytes));
            gone += absent.get(&sequence).copied().unwrap_or_default();
        }
        let mut not_kept = of_counts(counts, targets);
        not_kept.append(&mut noted);
        if cut_bytes > 0 {
            let cut = Volume { packets: 0, bytes: cut_bytes };
            not_kept.push(volume("disk", "end of a segment that was found open, cut off, in bytes of the file", cut));
        }
        if !gone.is_nothing() {
            not_kept.push(volume("store", "sealed and not there: removed, or not copied", gone));
        }
        Ok(Told { not_kept, sealed, recipients })
    }

    /// What the end of the recording tells: that nobody counted what came last, and of segments that left nothing here, neither
    /// packets nor a seal.
    fn at_end(&self, seals: &[(&Seal, &Hash256)], close: Option<&Close>, warnings: &mut Vec<String>) -> Vec<NotKept> {
        let mut not_kept = Vec::new();
        // Whoever fails and lives on counts what is not written any more.
        not_kept.extend(close.filter(|close| close.reason == EndReason::Crash).map(|_| CRASH));
        if let Some(close) = close.filter(|close| !close.forgotten_volume.is_nothing()) {
            let reason = "segments given up at the end, before they were stored";
            not_kept.push(volume("upload", reason, close.forgotten_volume));
        }
        // Whoever asks for some segments does not ask for the others.
        if seals.len() != self.sealed().count() {
            return not_kept;
        }
        // What lies beside a segment, such as the signature of its seal, is none.
        let is_there = |sequence: &u32| self.is_sealed(*sequence) || self.has_packets(*sequence);
        let there: BTreeSet<u32> = self.there.iter().filter_map(FileName::sequence).filter(is_there).collect();
        let last = there.last().copied().max(close.map(|close| close.segments)).unwrap_or(0);
        let lacking = u64::from(last).saturating_sub(there.len() as u64);
        if let Some(first) = (1..=last).find(|sequence| !there.contains(sequence)) {
            warnings.push(format!(
                "{}: nothing is there of {lacking} segments, not even their seals, the first {first:06}",
                self.shown
            ));
        }
        if let Some(close) = close.filter(|_| lacking > 0) {
            let mut written = Volume::default();
            seals.iter().for_each(|(seal, _)| written += seal.counts.written);
            let gone = Volume {
                packets: close.counts.written.packets.saturating_sub(written.packets),
                bytes: close.counts.written.bytes.saturating_sub(written.bytes),
            };
            if !gone.is_nothing() {
                not_kept.push(volume("store", "of segments whose seals are not there either", gone));
            }
        }
        not_kept
    }

    /// The numbers of the seals that speak for a segment: its own, those before it of segments whose packets are not there, for
    /// the spool gave them up, the disk never took them or somebody took them away, and behind the last one those that follow.
    /// For `close.json` they are all, where no packets are there.
    fn speakers(&self, file: &FileName) -> RangeInclusive<u32> {
        // Of a recording without packets all seals follow: they are behind number 0.
        let own = file.sequence().unwrap_or(0);
        let is_lost = |sequence: u32| self.is_sealed(sequence) && !self.has_packets(sequence);
        let first = (1..own).rev().take_while(|sequence| is_lost(*sequence)).last().unwrap_or(own);
        let behind = (own.saturating_add(1)..=u32::MAX).take_while(|sequence| is_lost(*sequence)).last().unwrap_or(own);
        // What stands before a further segment is for that one to say.
        let is_last = !self.has_packets(behind.saturating_add(1));
        first.max(1)..=if is_last { behind } else { own }
    }

    fn has_packets(&self, sequence: u32) -> bool {
        let plain = [PACKETS, PLAIN_PACKETS].map(|suffix| FileName::segment(sequence, suffix));
        plain.iter().any(|plain| self.there.contains(plain) || self.there.contains(&plain.encrypted()))
    }

    fn is_sealed(&self, sequence: u32) -> bool {
        self.there.contains(&FileName::seal(sequence))
    }

    /// The numbers of the seals that are there.
    fn sealed(&self) -> impl Iterator<Item = u32> {
        self.there.iter().filter(|name| name.is_ledger()).filter_map(FileName::sequence)
    }
}

/// Where seals do not follow each other, nor `close.json` the last of them.
fn unfit(seals: &[(&Seal, &Hash256)], close: Option<&Close>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for ((before, sha256), (seal, _)) in seals.iter().zip(seals.iter().skip(1)) {
        if before.sequence + 1 == seal.sequence && seal.previous_sha256 != Some(**sha256) {
            let (name, previous) = (FileName::seal(seal.sequence).to_string(), FileName::seal(before.sequence));
            faults.push(Fault { name, wrong: Wrong::NotTheNext { previous } });
        }
    }
    if let (Some((last, sha256)), Some(close)) = (seals.last(), close) {
        let what = match close.segments {
            segments if segments < last.sequence => Some("another number of segments"),
            // Of those that are not there it is told that they are not.
            segments if segments > last.sequence => None,
            _ => Some("another last seal").filter(|_| close.last_seal_sha256 != Some(**sha256)),
        };
        let name = FileName::Close.to_string();
        faults.extend(what.map(|what| Fault { name, wrong: Wrong::CloseMismatch { what } }));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_of_packets_that_are_not_there_are_spoken_for() {
        let recording = |packets: &[u32], seals: u32, is_encrypted: bool| {
            let packets = packets.iter().map(|sequence| FileName::segment(*sequence, PACKETS));
            let packets = packets.map(|packets| if is_encrypted { packets.encrypted() } else { packets });
            Recording {
                id: RecordingId::parse_folder("prod/nightly/20261124T100000Z/node-1").unwrap(),
                shown: String::new(),
                there: packets.chain((1..=seals).map(FileName::seal)).collect(),
                read: Vec::new(),
            }
        };
        // Segments 1 and 4 have packets, 2 and 3 were given up, 5 and 6 never got a file.
        for is_encrypted in [false, true] {
            let recording = recording(&[1, 4], 6, is_encrypted);
            let of = |sequence| recording.speakers(&FileName::segment(sequence, PACKETS));
            assert_eq!((of(1), of(4)), (1..=1, 2..=6));
        }
        assert_eq!(recording(&[], 6, false).speakers(&FileName::Close), 1..=6, "no packets at all");
        assert!(recording(&[], 0, false).speakers(&FileName::Close).is_empty());
    }
}

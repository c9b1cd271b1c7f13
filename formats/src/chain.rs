//! Proves a recording: every file is the one that was sealed, every seal follows the one before, and the
//! totals are those of the seals. A pure function: whoever calls it has listed and hashed the files.
//!
//!     000001.seal.json ◀── previous ── 000002.seal.json ◀── last_seal ── close.json
//!        │ names, sizes, hashes           │
//!     000001.pcapng.zst                000002.pcapng.zst
//!
//! Whoever can write to the store and knows this format can forge a whole chain, unless it is signed
//! ([`verify_signed`]). Everything less is named here.

mod fault;

pub use fault::{Fault, Wrong};

use crate::age::Recipient;
use crate::hash::Hash256;
use crate::seal::{Clock, Close, Counts, EndReason, Pause, Seal, SealedFile, TlsCounts, Volume, note_pause};
use crate::signature::{self, PublicKey, SignatureError};
use crate::store::{FileName, PROBE_BYTES, RecordingId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A file found in the folder of a recording.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name as listed, unchecked.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// A seal, `close.json`, a signature, or what is called like a probe, read whole; or the first [`crate::seal::SEAL_BYTES_MAX`] + 1 bytes
    /// of it.
    Ledger(Vec<u8>),
    /// Any other file: read through, and forgotten.
    Hashed {
        /// How many bytes there were.
        bytes: u64,
        /// Their SHA-256.
        sha256: Hash256,
    },
    /// An encrypted file, read through by somebody with a key.
    Opened {
        /// How many bytes there were.
        bytes: u64,
        /// Their SHA-256.
        sha256: Hash256,
        /// How many bytes were in it.
        plain_bytes: u64,
        /// The SHA-256 of these.
        plain_sha256: Hash256,
    },
    /// A file that was not read, for no seal names it.
    Unread,
}

impl Content {
    /// Size and hash of the file itself; none of one that was not read.
    fn stored(&self) -> Option<(u64, Hash256)> {
        match self {
            Self::Ledger(bytes) => Some((bytes.len() as u64, Hash256::of(bytes))),
            Self::Hashed { bytes, sha256 } | Self::Opened { bytes, sha256, .. } => Some((*bytes, *sha256)),
            Self::Unread => None,
        }
    }
}

impl Found {
    /// Whether the file of that name is to be read whole.
    pub fn is_ledger(name: &str) -> bool {
        name.parse::<FileName>().is_ok_and(|name| name.is_ledger() || name.is_signature() || name.is_probe())
    }
}

/// What a sound recording holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sound {
    /// How many segments.
    pub segments: u32,
    /// Their files, without seals.
    pub files: u64,
    /// Bytes of these files, as stored.
    pub bytes: u64,
    /// Whose keys decrypt files of it; none where nothing is encrypted.
    pub recipients: BTreeSet<Recipient>,
    /// Earliest packet.
    pub first_packet: Option<Timestamp>,
    /// Latest packet.
    pub last_packet: Option<Timestamp>,
    /// Packets kept and lost.
    pub counts: Counts,
    /// TLS plaintext events.
    pub tls: TlsCounts,
    /// Segments whose files were given up before they were stored; the ledger says so.
    pub forgotten: BTreeSet<u32>,
    /// Packets in segments only `close.json` tells are forgotten.
    pub forgotten_at_close: Volume,
    /// Segments found open, after a crash or a failure.
    pub recovered: Vec<u32>,
    /// After this moment nothing is known of the last of these.
    pub nothing_after: Option<Timestamp>,
    /// When it ended; none before its end.
    pub ended: Option<Timestamp>,
    /// Why it ended; none before its end.
    pub reason: Option<EndReason>,
    /// The clock the packets were timed with, and how it was set.
    pub clock: Option<Clock>,
    /// When no ring was open.
    pub pauses: Vec<Pause>,
    /// Signatures that are there, proved or not.
    pub signatures: u32,
}

/// Checks the recording whose folder is `id` against all files `found` in that folder.
///
/// # Errors
/// The first [`Fault`]: segments in order, in each its seal before its files; then files nobody sealed;
/// then `close.json`.
pub fn verify(id: &RecordingId, found: &[Found]) -> Result<Sound, Fault> {
    verify_folder(id, found, None)
}

/// As [`verify`], and that one of `keys` signed every seal and `close.json`.
///
/// # Errors
/// As [`verify`]; a signature's turn comes right after what it signs was found to be right.
pub fn verify_signed(id: &RecordingId, found: &[Found], keys: &[PublicKey]) -> Result<Sound, Fault> {
    verify_folder(id, found, Some(keys))
}

fn verify_folder(id: &RecordingId, found: &[Found], keys: Option<&[PublicKey]>) -> Result<Sound, Fault> {
    let folder = Folder::new(found);
    let mut sound = Sound::default();
    let mut previous: Option<(FileName, Hash256)> = None;
    for sequence in 1..=folder.segments() {
        let (name, seal, sha256) = folder.seal(id, sequence)?;
        if let Some((previous, previous_sha256)) = previous
            && seal.previous_sha256 != Some(previous_sha256)
        {
            return Err(Fault::new(name, Wrong::NotTheNext { previous }));
        }
        folder.check_signature(&name, keys)?;
        for file in &seal.files {
            folder.check_file(file, sequence)?;
        }
        sound.add(&seal, folder.forgotten.contains(&sequence));
        previous = Some((name, sha256));
    }
    folder.check_nothing_else(sound.segments)?;
    let close = folder.close(id)?;
    check_close(&close, &sound, previous.map(|(_, sha256)| sha256))?;
    folder.check_signature(&FileName::Close, keys)?;
    (sound.ended, sound.reason) = (Some(close.ended), Some(close.reason));
    sound.forgotten_at_close = close.forgotten_volume;
    sound.signatures = folder.files.keys().filter(|name| name.is_signature()).count() as u32;
    Ok(sound)
}

impl Sound {
    fn add(&mut self, seal: &Seal, forgotten: bool) {
        self.segments = seal.sequence;
        if forgotten {
            self.forgotten.insert(seal.sequence);
        } else {
            self.files += seal.files.len() as u64;
            self.bytes = seal.files.iter().fold(self.bytes, |sum, file| sum.saturating_add(file.bytes));
        }
        self.first_packet = [self.first_packet, seal.first_packet].into_iter().flatten().min();
        self.last_packet = self.last_packet.max(seal.last_packet);
        self.counts += seal.counts;
        self.tls += seal.tls;
        self.recipients
            .extend(seal.files.iter().filter_map(|file| file.encrypted.as_ref()).flat_map(|file| &file.recipients));
        Clock::follow(&mut self.clock, seal.clock.as_ref());
        seal.pause.into_iter().for_each(|pause| note_pause(&mut self.pauses, pause));
        if let Some(recovered) = &seal.recovered {
            self.recovered.push(seal.sequence);
            self.nothing_after = recovered.nothing_after;
        }
    }
}

fn check_close(close: &Close, sound: &Sound, last_seal_sha256: Option<Hash256>) -> Result<(), Fault> {
    let mismatch = |what| Err(Fault::new(FileName::Close, Wrong::CloseMismatch { what }));
    match () {
        () if close.segments != sound.segments => mismatch("another number of segments"),
        () if close.last_seal_sha256 != last_seal_sha256 => mismatch("another last seal"),
        () if close.counts != sound.counts || close.tls != sound.tls => mismatch("other counts"),
        () if (close.first_packet, close.last_packet) != (sound.first_packet, sound.last_packet) => {
            mismatch("other times")
        }
        () if close.clock != sound.clock => mismatch("another clock"),
        () if close.pauses != sound.pauses => mismatch("other pauses"),
        () => Ok(()),
    }
}

/// The files of a recording by name, with what the seals say of them.
struct Folder<'a> {
    files: BTreeMap<FileName, &'a Content>,
    /// Names that are none of ours.
    strangers: Vec<&'a str>,
    /// Every seal that can be read, by the number in its name.
    seals: BTreeMap<u32, Seal>,
    /// `close.json`, if it can be read.
    close: Option<Close>,
    /// Under which name each content was sealed, to tell swapped from changed.
    sealed_as: BTreeMap<Hash256, FileName>,
    /// Segments a seal or the close says are not stored.
    forgotten: BTreeSet<u32>,
}

impl<'a> Folder<'a> {
    fn new(found: &'a [Found]) -> Self {
        let mut folder = Self {
            files: BTreeMap::new(),
            strangers: Vec::new(),
            seals: BTreeMap::new(),
            close: None,
            sealed_as: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        };
        for file in found {
            match file.name.parse::<FileName>() {
                Ok(name) => drop(folder.files.insert(name, &file.content)),
                Err(_) => folder.strangers.push(&file.name),
            }
        }
        for (name, content) in &folder.files {
            match (name, content) {
                (FileName::Close, Content::Ledger(bytes)) => folder.close = Close::from_bytes(bytes).ok(),
                (FileName::Segment { sequence, .. }, Content::Ledger(bytes)) if name.is_ledger() => {
                    // What cannot be read is named when its turn comes.
                    if let Ok(seal) = Seal::from_bytes(bytes) {
                        folder.seals.insert(*sequence, seal);
                    }
                }
                _ => {}
            }
        }
        for seal in folder.seals.values() {
            folder.forgotten.extend(&seal.forgotten);
            let plain = seal.files.iter().filter_map(|file| file.encrypted.as_ref());
            folder.sealed_as.extend(plain.map(|plain| (plain.sha256, plain.name.clone())));
            folder.sealed_as.extend(seal.files.iter().map(|file| (file.sha256, file.name.clone())));
        }
        folder.forgotten.extend(folder.close.iter().flat_map(|close| &close.forgotten));
        folder
    }

    /// How many segments there should be: as many as `close.json` says, or more when there are more seals.
    fn segments(&self) -> u32 {
        let sealed = self.files.keys().filter(|name| name.is_ledger()).filter_map(FileName::sequence).max();
        let closed = self.close.as_ref().map(|close| close.segments);
        sealed.max(closed).unwrap_or(0)
    }

    fn ledger(&self, name: &FileName) -> Option<&'a [u8]> {
        match self.files.get(name)? {
            Content::Ledger(bytes) => Some(bytes),
            Content::Hashed { .. } | Content::Opened { .. } | Content::Unread => None,
        }
    }

    fn seal(&self, id: &RecordingId, sequence: u32) -> Result<(FileName, Seal, Hash256), Fault> {
        let name = FileName::seal(sequence);
        let fault = |wrong| Fault::new(&name, wrong);
        let bytes = self.ledger(&name).ok_or_else(|| fault(Wrong::Missing))?;
        let seal = Seal::from_bytes(bytes).map_err(|error| fault(Wrong::Ledger(error)))?;
        if seal.recording != *id {
            return Err(fault(Wrong::Foreign { of: Box::new(seal.recording) }));
        }
        if seal.sequence != sequence {
            return Err(fault(Wrong::Misplaced { holds: seal.sequence }));
        }
        Ok((name, seal, Hash256::of(bytes)))
    }

    fn close(&self, id: &RecordingId) -> Result<Close, Fault> {
        let fault = |wrong| Fault::new(FileName::Close, wrong);
        let bytes = self.ledger(&FileName::Close).ok_or_else(|| fault(Wrong::Unclosed))?;
        let close = Close::from_bytes(bytes).map_err(|error| fault(Wrong::Ledger(error)))?;
        if close.recording != *id {
            return Err(fault(Wrong::Foreign { of: Box::new(close.recording) }));
        }
        Ok(close)
    }

    /// Whether one of `keys`, if there are any to ask, signed a seal or the close.
    fn check_signature(&self, name: &FileName, keys: Option<&[PublicKey]>) -> Result<(), Fault> {
        let Some(keys) = keys else { return Ok(()) };
        let signature = self.ledger(&name.signature()).ok_or_else(|| Fault::new(name, Wrong::NotSigned))?;
        let signed = self.ledger(name).unwrap_or_default();
        let proved = signature::verify(keys, signed, signature);
        proved.map(drop).map_err(|error| match error {
            // Said of the signature's own file.
            SignatureError::NotASignature { .. } => Fault::new(name.signature(), Wrong::Signature(error)),
            _ => Fault::new(name, Wrong::Signature(error)),
        })
    }

    fn check_file(&self, sealed: &SealedFile, sequence: u32) -> Result<(), Fault> {
        let Some(plain) = &sealed.encrypted else {
            return self.check_content(&sealed.name, (sealed.bytes, sealed.sha256), sequence);
        };
        if self.files.contains_key(&plain.name) {
            // Somebody decrypted it: what is there beside it or in its place must be what was in it.
            self.check_content(&plain.name, (plain.bytes, plain.sha256), sequence)?;
            if !self.files.contains_key(&sealed.name) {
                return Ok(());
            }
        }
        self.check_content(&sealed.name, (sealed.bytes, sealed.sha256), sequence)?;
        match self.files.get(&sealed.name) {
            Some(Content::Opened { plain_bytes, plain_sha256, .. }) => self
                .compare(&plain.name, (plain.bytes, plain.sha256), (*plain_bytes, *plain_sha256))
                .map_err(|wrong| Fault::new(&sealed.name, Wrong::Decrypted(Box::new(wrong)))),
            _ => Ok(()),
        }
    }

    fn check_content(&self, name: &FileName, sealed: (u64, Hash256), sequence: u32) -> Result<(), Fault> {
        match self.files.get(name).and_then(|content| content.stored()) {
            None if self.forgotten.contains(&sequence) => Ok(()),
            None => Err(Fault::new(name, Wrong::Missing)),
            Some(found) => self.compare(name, sealed, found).map_err(|wrong| Fault::new(name, wrong)),
        }
    }

    /// Sizes and hashes of what was sealed under that name, and of what was found.
    fn compare(
        &self,
        name: &FileName,
        (sealed_bytes, sealed): (u64, Hash256),
        (found_bytes, found): (u64, Hash256),
    ) -> Result<(), Wrong> {
        if found == sealed && found_bytes == sealed_bytes {
            return Ok(());
        }
        Err(match self.sealed_as.get(&found) {
            Some(other) if other != name => Wrong::Swapped { sealed_as: other.clone() },
            _ if found_bytes != sealed_bytes => Wrong::Size { found_bytes, sealed_bytes },
            _ => Wrong::Changed { found, sealed },
        })
    }

    /// Whether what a signature signs is there.
    fn signs_something(&self, name: &FileName) -> bool {
        let signed = name.sequence().map_or(FileName::Close, FileName::seal);
        self.files.contains_key(&signed)
    }

    /// Files that no seal names. Without `close.json`, files behind the last seal are on their way.
    fn check_nothing_else(&self, last: u32) -> Result<(), Fault> {
        let files = || self.seals.values().flat_map(|seal| &seal.files);
        let plain = files().filter_map(|file| file.encrypted.as_ref()).map(|plain| &plain.name);
        let sealed: BTreeSet<&FileName> = files().map(|file| &file.name).chain(plain).collect();
        let closed = self.files.contains_key(&FileName::Close);
        let is_signed = |name: &FileName| name.is_signature() && self.signs_something(name);
        let is_probe = |name: &FileName| name.is_probe() && self.ledger(name) == Some(PROBE_BYTES);
        let is_known = |name: &&FileName| sealed.contains(name) || is_signed(name) || is_probe(name);
        let unknown = self.files.keys().filter(|name| !name.is_ledger() && !is_known(name));
        for name in unknown {
            if closed || name.sequence().is_some_and(|sequence| sequence <= last) {
                return Err(Fault::new(name, Wrong::NotSealed));
            }
        }
        // Being written, as long as there is no close.
        match self.strangers.iter().find(|name| closed || !FileName::is_staged(name)) {
            Some(stranger) => Err(Fault::new(stranger, Wrong::NotSealed)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

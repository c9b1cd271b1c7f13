//! The seal that closes a segment and the totals that close a recording (drawn in FORMATS.md).
//!
//! Both are one line of JSON whose last member is the SHA-256 of all bytes before it, so that a changed
//! byte is seen in the file itself; the chain from seal to seal and to `close.json` shows the rest.
//! Seals are hashed as stored, never re-written: members a later version adds survive and are ignored.
//!
//! Enters: bytes, or what was recorded. Leaves: a [`Seal`] or a [`Close`], or the bytes of one; `line.rs` is how they stand in a
//! file. Refused: a byte that was changed, and what cannot be.

mod by_target;
mod clock;
mod close;
mod counts;
mod line;
mod pause;

use crate::age::Recipient;
use crate::hash::Hash256;
use crate::store::{FileName, RecordingId};
use jiff::Timestamp;
use line::{check_version, from_line, to_line};
use serde::{Deserialize, Serialize};

pub use by_target::{DropsByTarget, TARGETS_MAX, TargetDrops};
pub use clock::{CLOCK_STEPS_MAX, Clock, ClockStep, note};
pub use close::{Close, EndReason, Trigger};
pub use counts::{Counts, Dropped, TlsCounts, Volume};
pub use line::{SEAL_BYTES_MAX, SealError, VERSION};
pub use pause::{PAUSES_MAX, Pause, note_pause};

/// What was sealed: one segment with everything known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// The recording it belongs to.
    pub recording: RecordingId,
    /// Number of the segment, from 1 without gaps.
    pub sequence: u32,
    /// The files of the segment, as stored.
    pub files: Vec<SealedFile>,
    /// Earliest packet of the segment; null without packets.
    pub first_packet: Option<Timestamp>,
    /// Latest packet of the segment; null without packets.
    pub last_packet: Option<Timestamp>,
    /// Packets and bytes, kept and lost, since the seal before.
    pub counts: Counts,
    /// What of `counts.dropped` is known to be of which target; not there where nothing is. A segment that was found open after
    /// a crash tells of none.
    #[serde(default, skip_serializing_if = "DropsByTarget::is_empty")]
    pub targets: DropsByTarget,
    /// TLS plaintext events since the seal before.
    pub tls: TlsCounts,
    /// Segments before this one whose files were given up by the spool's policy before they were stored.
    /// Told by the first seal made after that.
    pub forgotten: Vec<u32>,
    /// The clock the packets were timed with, when the segment ended; null when it was not asked.
    pub clock: Option<Clock>,
    /// Version of the recorder that wrote it.
    pub recorder: String,
    /// SHA-256 of the configuration it was made with; FORMATS.md says of what bytes.
    pub configuration_sha256: Hash256,
    /// Set when the segment was found open after a crash.
    pub recovered: Option<Recovered>,
    /// The time between the segment before and this one, where no ring was open meanwhile; not there where there always was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// SHA-256 of the bytes of the seal before; null for the first.
    pub previous_sha256: Option<Hash256>,
}

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Its name, in the folder of the recording.
    pub name: FileName,
    /// Its size, as stored.
    pub bytes: u64,
    /// Its SHA-256, as stored.
    pub sha256: Hash256,
    /// What it is once decrypted; not there for files that are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<Encrypted>,
}

/// What an encrypted file is once it is decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// Its name then.
    pub name: FileName,
    /// Its size then.
    pub bytes: u64,
    /// Its SHA-256 then.
    pub sha256: Hash256,
    /// Whose keys decrypt it.
    pub recipients: Vec<Recipient>,
}

/// What a crash cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Bytes at the end of the open segment that could not be read, and were cut off.
    pub cut_bytes: u64,
    /// After this moment nothing is known: the last packet kept, or the start of the segment. Packets
    /// between it and the next segment are lost, and nobody counted them.
    pub nothing_after: Option<Timestamp>,
}

impl Seal {
    /// The bytes of `<number>.seal.json`; the same seal gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads what [`Seal::to_bytes`] wrote, in this version or one that only adds members.
    ///
    /// # Bounds
    /// [`SEAL_BYTES_MAX`]; nesting is bounded by serde_json.
    /// # Errors
    /// Everything in [`SealError`]: a byte changed anywhere is one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let seal: Self = from_line(bytes)?;
        check_version(seal.version)?;
        let impossible = |what| Err(SealError::Impossible { what });
        if seal.sequence == 0 || (seal.sequence == 1) != seal.previous_sha256.is_none() {
            return impossible("the first seal, and only the first, has no seal before it");
        }
        let is_of_it =
            |name: &FileName| name.sequence() == Some(seal.sequence) && !name.is_ledger() && !name.is_signature();
        if !seal.files.iter().all(|file| is_of_it(&file.name)) {
            return impossible("it lists a file that is not of its segment");
        }
        let plain = seal.files.iter().filter_map(|file| Some((&file.name, &file.encrypted.as_ref()?.name)));
        if !plain.clone().all(|(name, plain)| *name == plain.encrypted()) {
            return impossible("it lists a file that is not called as what is in it");
        }
        let mut names: Vec<_> = seal.files.iter().map(|file| &file.name).chain(plain.map(|(_, plain)| plain)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return impossible("it lists a file twice");
        }
        let (all, told) = (&seal.counts.dropped, seal.targets.sum());
        let is_within = |told: Volume, all: Volume| told.packets <= all.packets && told.bytes <= all.bytes;
        if told.kernel_packets > all.kernel_packets
            || !is_within(told.ring, all.ring)
            || !is_within(told.disk, all.disk)
        {
            return impossible("its targets lost more than was lost");
        }
        if seal.sequence == 1 && seal.pause.is_some() {
            return impossible("it pauses before the recording begins");
        }
        if seal.forgotten.iter().any(|&forgotten| forgotten == 0 || forgotten >= seal.sequence) {
            return impossible("it forgets a segment that is not before it");
        }
        Ok(seal)
    }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever is read as a seal or a close can be written and read again.
    pub fn fuzz_seal(data: &[u8]) {
        // Random bytes never carry their own hash: give them one, so that what lies behind is reached.
        let mut line = data.to_vec();
        line.extend_from_slice(super::line::TAIL_OPEN);
        line.extend_from_slice(crate::hash::Hash256::of(data).to_string().as_bytes());
        line.extend_from_slice(super::line::TAIL_CLOSE);
        if let Ok(seal) = super::Seal::from_bytes(&line) {
            assert_eq!(super::Seal::from_bytes(&seal.to_bytes()).ok(), Some(seal));
        }
        if let Ok(close) = super::Close::from_bytes(&line) {
            assert_eq!(super::Close::from_bytes(&close.to_bytes()).ok(), Some(close));
        }
    }
}

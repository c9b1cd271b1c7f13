//! The totals that close a recording.
//!
//! Enters: bytes, or the sums of all seals. Leaves: a [`Close`], or the bytes of one. Refused: as for a seal.

use super::clock::Clock;
use super::counts::{Counts, TlsCounts, Volume};
use super::line::{SealError, check_version, from_line, to_line};
use super::pause::Pause;
use crate::hash::Hash256;
use crate::store::RecordingId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Totals of a recording, written when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Version of this format: [`VERSION`](super::VERSION).
    pub version: u32,
    /// The recording it ends.
    pub recording: RecordingId,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it ended.
    pub reason: EndReason,
    /// How many segments there are: the number of the last.
    pub segments: u32,
    /// Earliest packet of all segments; null without packets.
    pub first_packet: Option<Timestamp>,
    /// Latest packet of all segments; null without packets.
    pub last_packet: Option<Timestamp>,
    /// Sums over all seals.
    pub counts: Counts,
    /// Sums over all seals.
    pub tls: TlsCounts,
    /// Segments given up by the spool's policy that no seal has told of, with what was in them.
    pub forgotten: Vec<u32>,
    /// Packets in those; not part of `counts`, which are the seals' sums.
    pub forgotten_volume: Volume,
    /// What set it off, where it began with what had been kept ready; not there for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The clock as the last seal that knows of it says, with the steps of all seals.
    #[serde(default)]
    pub clock: Option<Clock>,
    /// The pauses of all seals, as [`note_pause`](super::note_pause) adds them up; not there where there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// Version of the recorder that wrote it.
    pub recorder: String,
    /// SHA-256 of the bytes of the last seal; null without segments.
    pub last_seal_sha256: Option<Hash256>,
}

/// What made a recording of the past that was kept ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// When.
    pub at: Timestamp,
    /// By whom or what, in words.
    pub by: String,
    /// Since when the past had been kept ready.
    pub ready_since: Timestamp,
    /// What had been kept, and was removed before the trigger because it was too old or took too much room. It is
    /// no part of the recording.
    pub expired: Volume,
    /// How many segments that was.
    pub expired_segments: u64,
}

/// Why a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// Its bytes were used up.
    ByteBudget,
    /// Its share of a processor was used up: recording must not take from what it records.
    CpuBudget,
    /// Found unfinished by a later start.
    Crash,
    /// Its time was over.
    Duration,
    /// Capturing or writing failed, and could not go on.
    Failure,
    /// Its packets were used up.
    PacketBudget,
    /// The next run of its window took its place.
    Replaced,
    /// Its share of the spool was used up.
    SpoolBudget,
    /// The spool was full, and its policy is to stop.
    SpoolFull,
    /// Somebody stopped it, or the recorder.
    Stopped,
    /// Its window was changed or removed.
    WindowChanged,
    /// A reason of a later version.
    #[serde(untagged)]
    Other(String),
}

impl Close {
    /// The bytes of `close.json`; the same totals give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads what [`Close::to_bytes`] wrote, in this version or one that only adds members.
    ///
    /// # Bounds
    /// [`SEAL_BYTES_MAX`](super::SEAL_BYTES_MAX); nesting is bounded by serde_json.
    /// # Errors
    /// Everything in [`SealError`]: a byte changed anywhere is one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let close: Self = from_line(bytes)?;
        check_version(close.version)?;
        if (close.segments == 0) != close.last_seal_sha256.is_none() {
            return Err(SealError::Impossible { what: "a recording with segments, and only that, has a last seal" });
        }
        Ok(close)
    }
}

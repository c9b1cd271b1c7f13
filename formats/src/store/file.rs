//! The files of a recording, and what they are called.

use super::name::{NameError, shown};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest suffix of a file; ours have at most 20 bytes.
const SUFFIX_BYTES_MAX: usize = 64;

/// The totals that end a recording.
pub const CLOSE: &str = "close.json";
/// Suffix of the packets of a segment.
pub const PACKETS: &str = "pcapng.zst";
/// Suffix of the TLS plaintext of a segment.
pub const TLS: &str = "tls.pcapng.zst";
/// Suffix of the inventory of a segment.
pub const INVENTORY: &str = "inventory.jsonl.zst";
/// Suffix of the seal of a segment.
pub const SEAL: &str = "seal.json";
/// Suffix of the signature of a seal.
pub const SEAL_SIGNATURE: &str = "seal.json.minisig";
/// The signature of the totals.
pub const CLOSE_SIGNATURE: &str = "close.json.minisig";
/// Suffix of what a recorder sends first whose credentials can only write, and that stays where a store compares nothing.
pub const PROBE: &str = "probe";
/// All that is in it.
pub const PROBE_BYTES: &[u8] = b"This store keeps what has another SHA-256 than was sent along with it.\n";

/// Name of a file of a recording: `close.json` and its signature, or `<number of the segment>.<suffix>`.
///
/// # Bounds
/// The number has six digits or more and counts from 1. The suffix is lower-case letters, digits, `-` and
/// single `.`: suffixes of later versions are names too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileName {
    /// A file of one segment.
    Segment {
        /// Number of the segment, from 1.
        sequence: u32,
        /// What the file is: [`PACKETS`], [`SEAL`], …
        suffix: String,
    },
    /// The totals: behind every segment, also when sorted.
    Close,
    /// The signature of the totals.
    CloseSignature,
}

impl FileName {
    /// The file with that suffix of segment `sequence`.
    pub fn segment(sequence: u32, suffix: &str) -> Self {
        Self::Segment { sequence, suffix: suffix.to_owned() }
    }

    /// The seal of segment `sequence`.
    pub fn seal(sequence: u32) -> Self {
        Self::segment(sequence, SEAL)
    }

    /// The segment it belongs to; none for `close.json` and its signature.
    pub fn sequence(&self) -> Option<u32> {
        match self {
            Self::Segment { sequence, .. } => Some(*sequence),
            Self::Close | Self::CloseSignature => None,
        }
    }

    /// Whether it says what others must be: a seal, or `close.json`.
    pub fn is_ledger(&self) -> bool {
        matches!(self, Self::Segment { suffix, .. } if suffix == SEAL) || *self == Self::Close
    }

    /// Whether it is the signature of a seal or of `close.json`.
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::Segment { suffix, .. } if suffix == SEAL_SIGNATURE) || *self == Self::CloseSignature
    }

    /// Whether it is called like a probe: also one beside a file, with `.probe` behind its name.
    pub fn is_probe(&self) -> bool {
        matches!(self, Self::Segment { suffix, .. } if suffix.rsplit('.').next() == Some(PROBE))
    }

    /// Whether that is what a file is called while it is written to a folder: its name, `#` and a number.
    pub fn is_staged(name: &str) -> bool {
        name.rsplit_once('#').is_some_and(|(name, number)| {
            name.parse::<Self>().is_ok() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// The same file, encrypted; ledgers and signatures are not.
    pub fn encrypted(&self) -> Self {
        match self {
            Self::Segment { sequence, suffix } if !self.is_ledger() && !self.is_signature() => {
                Self::segment(*sequence, &format!("{suffix}{}", crate::age::ENDING))
            }
            ledger => ledger.clone(),
        }
    }

    /// The same file, decrypted; none for one that is not encrypted.
    pub fn decrypted(&self) -> Option<Self> {
        match self {
            Self::Segment { sequence, suffix } => {
                let plain = suffix.strip_suffix(crate::age::ENDING).filter(|plain| !plain.is_empty())?;
                Some(Self::segment(*sequence, plain))
            }
            Self::Close | Self::CloseSignature => None,
        }
    }

    /// The signature of this seal, or of this `close.json`.
    pub fn signature(&self) -> Self {
        self.sequence().map_or(Self::CloseSignature, |sequence| Self::segment(sequence, SEAL_SIGNATURE))
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        match name {
            CLOSE => return Ok(Self::Close),
            CLOSE_SIGNATURE => return Ok(Self::CloseSignature),
            _ => {}
        }
        let refused = || NameError::File { name: shown(name) };
        let (number, suffix) = name.split_once('.').ok_or_else(refused)?;
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let fits = (1..=SUFFIX_BYTES_MAX).contains(&suffix.len()) && suffix.bytes().all(known);
        if !fits || suffix.starts_with(['-', '.']) || suffix.ends_with('.') || suffix.contains("..") {
            return Err(refused());
        }
        let file = Self::segment(number.parse().map_err(|_| refused())?, suffix);
        // `u32` also reads "+1" and "1": only what we would write ourselves is a name.
        if file.sequence() != Some(0) && file.to_string() == name { Ok(file) } else { Err(refused()) }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment { sequence, suffix } => write!(f, "{sequence:06}.{suffix}"),
            Self::Close => f.write_str(CLOSE),
            Self::CloseSignature => f.write_str(CLOSE_SIGNATURE),
        }
    }
}

impl Serialize for FileName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

//! Where things lie in a store, and which names may stand in its paths.
//!
//!     <cluster>/<window>/<recording start, RFC 3339 basic UTC>/<node>/<file>
//!
//! Every name is checked when it is made, whether it comes from a configuration, a seal or a listing:
//! a [`Name`], a [`RecordingId`] or a [`FileName`] that exists is safe as a part of a local path.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name: that of a Kubernetes object (RFC 1123 §2.1, 253 octets), and below the 255 of file systems.
pub const NAME_BYTES_MAX: usize = 253;

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

/// Why a name or path cannot stand in a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Neither `close.json` nor a number and a suffix.
    #[error("{name:?} is no file of a recording")]
    File {
        /// What was given.
        name: String,
    },
    /// Characters that mean something to a file system, a URL or a shell, or too many of them.
    #[error(
        "{name:?} cannot be a name: letters, digits, '-', '_' and single '.' only, \
         beginning with a letter, a digit or '_', at most {NAME_BYTES_MAX}"
    )]
    Name {
        /// What was given, cut.
        name: String,
    },
    /// Not the four folders of a recording.
    #[error("{path:?} is not <cluster>/<window>/<start>/<node>")]
    Path {
        /// What was given, cut.
        path: String,
    },
    /// Not RFC 3339 basic format in UTC.
    #[error("{text:?} is no time such as 20261123T100000Z")]
    Start {
        /// What was given, cut.
        text: String,
    },
}

/// What an error shows of a name that may be very long.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Name of a cluster, a window or a node.
///
/// # Bounds
/// ASCII letters, digits, `-`, `_` and `.`; not beginning with `-` or `.`, no `..`; at most [`NAME_BYTES_MAX`].
/// That is what Kubernetes and host names need, and means nothing to a file system, a URL or a shell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(known);
        if fits && !name.starts_with(['-', '.']) && !name.contains("..") {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError::Name { name: shown(name) })
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which recording: one run of a window on one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordingId {
    /// The cluster it was made in.
    pub cluster: Name,
    /// The window it is a run of.
    pub window: Name,
    /// When it began, to the millisecond; nodes that follow one schedule share it.
    pub start: Start,
    /// The node it was made on.
    pub node: Name,
}

impl RecordingId {
    /// The folder of this recording below the store, without a slash at either end.
    pub fn folder(&self) -> String {
        format!("{}/{}/{}/{}", self.cluster, self.window, self.start, self.node)
    }

    /// The path of `file` below the store.
    pub fn path(&self, file: &FileName) -> String {
        format!("{}/{file}", self.folder())
    }

    /// Reads what [`RecordingId::folder`] wrote.
    pub fn parse_folder(folder: &str) -> Result<Self, NameError> {
        let mut parts = folder.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(cluster), Some(window), Some(start), Some(node), None) => Ok(Self {
                cluster: cluster.parse()?,
                window: window.parse()?,
                start: start.parse()?,
                node: node.parse()?,
            }),
            _ => Err(NameError::Path { path: shown(folder) }),
        }
    }

    /// Reads what [`RecordingId::path`] wrote.
    pub fn parse_path(path: &str) -> Result<(Self, FileName), NameError> {
        let (folder, file) = path.rsplit_once('/').ok_or_else(|| NameError::Path { path: shown(path) })?;
        Ok((Self::parse_folder(folder)?, file.parse()?))
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.folder())
    }
}

/// When a recording began: a time with whole milliseconds, written `20261123T100000Z`, or
/// `20261123T100000.25Z` where it was not a whole second, and RFC 3339 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "Timestamp", from = "Timestamp")]
pub struct Start(Timestamp);

impl Start {
    /// The time itself.
    pub fn time(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Start {
    /// Forgets what is finer than a millisecond.
    fn from(time: Timestamp) -> Self {
        // Flooring the time of 9999 or -9999 cannot leave jiff's range: both ends are whole milliseconds or above.
        Self(Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time))
    }
}

impl From<Start> for Timestamp {
    fn from(start: Start) -> Self {
        start.0
    }
}

/// RFC 3339 §5.6 allows the basic format of ISO 8601 to be profiled; ours has no `:` and no `-`, which
/// some file systems and tools refuse in names.
const BASIC: &str = "%Y%m%dT%H%M%S%.fZ";

impl FromStr for Start {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Start { text: shown(text) };
        let civil = jiff::civil::DateTime::strptime(BASIC, text).map_err(|_| refused())?;
        let start = Start::from(civil.to_zoned(TimeZone::UTC).map_err(|_| refused())?.timestamp());
        // One time has one spelling, so that a listing cannot show one recording under two folders.
        if start.to_string() == text { Ok(start) } else { Err(refused()) }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.strftime(BASIC).to_string())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for good in ["a", "prod-eu.1", "ip-10-0-0-1.internal", "_x", "A_B", &"n".repeat(253)] {
            assert_eq!(good.parse::<Name>().map(String::from), Ok(good.to_owned()));
        }
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            "../x",
            "/etc",
            "a/b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a b",
            "~",
            "a%2fb",
            "ü",
            ".git",
            "-rf",
            "a:b",
            "C:",
            "a*",
            &"n".repeat(254),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn starts() {
        for good in ["20261123T100000Z", "20261123T100000.25Z", "20261123T235959.999Z", "19700101T000000Z"] {
            assert_eq!(good.parse::<Start>().map(|start| start.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "20261123",
            "20261123T100000",
            "20261123T100000+0000",
            "2026-11-23T10:00:00Z",
            "20261323T100000Z",
            "20261123T100000.Z",
            "20261123T100000.250Z",
            "20261123T100000.2500001Z",
            "20261123T100060Z",
            "../../..",
        ] {
            assert!(bad.parse::<Start>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn files() {
        for (name, sequence) in [
            ("000001.pcapng.zst", Some(1)),
            ("000001.tls.pcapng.zst", Some(1)),
            ("999999.inventory.jsonl.zst", Some(999_999)),
            ("1000000.seal.json", Some(1_000_000)),
            ("close.json", None),
            ("close.json.minisig", None),
        ] {
            let file: FileName = name.parse().expect(name);
            assert_eq!((file.sequence(), file.to_string().as_str()), (sequence, name));
        }
        for bad in [
            "",
            "close",
            "000000.seal.json",
            "1.seal.json",
            "+00001.seal.json",
            "0000001.seal.json",
            "000001",
            "000001.",
            "000001..",
            "000001./x",
            "000001.a..b",
            "000001.PCAP",
            "99999999999.x",
            "000001.a/b",
            "000001.x\0",
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_was_built(
            cluster in "[A-Za-z0-9_][A-Za-z0-9_-]{0,9}", window in "[a-z]{1,5}(\\.[a-z]{1,5})?", node in "[a-z0-9]{1,12}",
            milliseconds in 0i64..4_102_444_800_000, sequence in 1u32.., suffix in "[a-z]{1,6}(\\.[a-z]{1,6})?",
        ) {
            let id = RecordingId {
                cluster: cluster.parse().unwrap(),
                window: window.parse().unwrap(),
                start: Timestamp::from_millisecond(milliseconds).unwrap().into(),
                node: node.parse().unwrap(),
            };
            let file = FileName::segment(sequence, &suffix);
            prop_assert_eq!(RecordingId::parse_path(&id.path(&file)), Ok((id, file)));
        }

        #[test]
        fn whatever_is_read_stays_inside_the_store(path in "[a-z0-9./TZ\\\\\0-]{0,60}|\\PC{0,60}") {
            if let Ok((id, file)) = RecordingId::parse_path(&path) {
                prop_assert_eq!(id.path(&file), path.clone());
                let parts: Vec<_> = std::path::Path::new(&path).components().collect();
                prop_assert!(parts.len() == 5);
                prop_assert!(parts.iter().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}

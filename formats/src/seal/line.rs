//! The line that a seal or close is: JSON whose last member is the SHA-256 of all bytes before it.

use crate::hash::Hash256;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version written here. It changes only when an older reader would misunderstand, not for new members.
pub const VERSION: u32 = 1;

/// Longest seal that is read: ours have about 1 KiB, and 100 bytes for each TLS process of a node to come.
pub const SEAL_BYTES_MAX: usize = 1 << 20;

/// Why bytes are no seal and no close.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes do not have the hash they end with.
    #[error("was edited: it does not have the hash it ends with")]
    Edited,
    /// Says something that cannot be.
    #[error("contradicts itself: {what}")]
    Impossible {
        /// What contradicts what.
        what: &'static str,
    },
    /// A later version gave the members another meaning.
    #[error("has version {version}, this program reads up to {VERSION}")]
    LaterVersion {
        /// The version it claims.
        version: u32,
    },
    /// JSON, but not ours; or no JSON.
    #[error("cannot be read: {0}")]
    NotASeal(#[from] serde_json::Error),
    /// Longer than any seal.
    #[error("has {bytes} bytes, a seal has at most {SEAL_BYTES_MAX}")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
}

/// Between the members and their hash.
pub(super) const TAIL_OPEN: &[u8] = b",\"sha256\":\"";
/// Behind the hash.
pub(super) const TAIL_CLOSE: &[u8] = b"\"}\n";

/// The line; the same members give the same bytes.
pub(super) fn to_line(members: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(members).expect("no map with odd keys and no fallible serialiser in a seal");
    line.pop(); // The closing brace: one more member follows.
    let hash = Hash256::of(&line);
    line.extend_from_slice(TAIL_OPEN);
    line.extend_from_slice(hash.to_string().as_bytes());
    line.extend_from_slice(TAIL_CLOSE);
    line
}

/// What a line says, if no byte of it was changed.
pub(super) fn from_line<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SealError> {
    if bytes.len() > SEAL_BYTES_MAX {
        return Err(SealError::TooLong { bytes: bytes.len() });
    }
    let hashed = bytes.strip_suffix(TAIL_CLOSE).and_then(|line| line.split_last_chunk::<64>());
    let Some((before, hash)) = hashed.and_then(|(line, hash)| Some((line.strip_suffix(TAIL_OPEN)?, hash))) else {
        return Err(SealError::Edited);
    };
    if Hash256::of(before).to_string().as_bytes() != hash {
        return Err(SealError::Edited);
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Refuses versions that gave members another meaning.
pub(super) fn check_version(version: u32) -> Result<(), SealError> {
    if version > VERSION { Err(SealError::LaterVersion { version }) } else { Ok(()) }
}

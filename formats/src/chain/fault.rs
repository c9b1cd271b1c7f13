//! What can be wrong with a recording.

use crate::hash::Hash256;
use crate::seal::SealError;
use crate::signature::SignatureError;
use crate::store::{FileName, RecordingId};

/// The first thing that is wrong with a recording: which file, and what.
#[derive(Debug, thiserror::Error)]
#[error("{} {wrong}", name.escape_debug())]
pub struct Fault {
    /// The file, as named in the folder of the recording.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub wrong: Wrong,
}

/// What can be wrong with a file of a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Right size, other bytes.
    #[error("was changed: its SHA-256 is {found}, {sealed} was sealed")]
    Changed {
        /// Hash of what is there.
        found: Hash256,
        /// Hash of what was sealed.
        sealed: Hash256,
    },
    /// The totals are not those of the seals.
    #[error("does not match the seals: {what}")]
    CloseMismatch {
        /// What differs.
        what: &'static str,
    },
    /// Sealed as it is, but what is in it is something else.
    #[error("decrypted {0}")]
    Decrypted(#[source] Box<Wrong>),
    /// A whole seal or close of some other recording.
    #[error("belongs to {of}")]
    Foreign {
        /// The recording it says it belongs to.
        of: Box<RecordingId>,
    },
    /// The bytes are no seal or no close.
    #[error("{0}")]
    Ledger(#[source] SealError),
    /// A whole seal under another number.
    #[error("is the seal of segment {holds}: swapped or renamed")]
    Misplaced {
        /// The segment it seals.
        holds: u32,
    },
    /// Not there.
    #[error("is missing")]
    Missing,
    /// Sealed by nobody.
    #[error("was sealed by nobody")]
    NotSealed,
    /// No signature, where signatures were asked for.
    #[error("is not signed")]
    NotSigned,
    /// The chain is broken here.
    #[error("does not follow {previous}: one of them was edited or exchanged")]
    NotTheNext {
        /// Name of the seal before.
        previous: FileName,
    },
    /// Other size.
    #[error("has {found_bytes} bytes, {sealed_bytes} were sealed")]
    Size {
        /// Bytes that are there.
        found_bytes: u64,
        /// Bytes that were sealed.
        sealed_bytes: u64,
    },
    /// Signed by somebody else, or changed since.
    #[error("{0}")]
    Signature(#[source] SignatureError),
    /// Whole, but another file of this recording.
    #[error("holds what was sealed as {sealed_as}: swapped or renamed")]
    Swapped {
        /// The name its content was sealed under.
        sealed_as: FileName,
    },
    /// No `close.json`.
    #[error("is missing: still being recorded, not yet uploaded, or removed")]
    Unclosed,
}

impl Fault {
    pub(super) fn new(name: impl ToString, wrong: Wrong) -> Self {
        Self { name: name.to_string(), wrong }
    }
}

//! What was sealed goes into the store: sent, proved, and only then forgotten here.
//!
//! Enters: the [`Spool`](crate::spool::Spool). Leaves: a [`Receipt`] for every file. Refused: to overwrite
//! in the store what it did not create itself, and to remove anything here that is not proved to be there.
//!
//! Order, which recovery and `remora snapshot verify` rely on: the files of a segment, the signature of its seal,
//! its seal, the next segment, `close.json` last. When the store cannot be reached, segments stay, until the spool's bound
//! ([`Bound`]); a restart goes on with what lies in the spool. Each store is sent to by itself, so that none waits for another;
//! what of files is in memory meanwhile has its bound over all of them.

mod ages;
mod bound;
mod errand;
mod folder;
mod marks;
mod options;
mod probe;
mod progress;
mod receipt;
mod s3;
mod sender;
mod source;
mod store;
mod turns;

pub use bound::{Bound, Room};
pub use progress::{Failing, Progress};
pub use receipt::{Proof, Receipt};
pub use sender::Sender;
pub use store::Store;

use formats::hash::Hash256;
use formats::store::RecordingId;
use std::any::Any;
use std::io;
use std::path::PathBuf;

/// Why a file is not in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A bug: the thread panicked, and goes on.
    #[error("{recording}: a bug: {what}")]
    Bug {
        /// Which recording was being sent.
        recording: Box<RecordingId>,
        /// What was said as it happened.
        what: String,
    },
    /// Something else stands under that name, and may be another's.
    #[error("{path} is in the store with other bytes: {found}, not {sealed}")]
    Conflict {
        /// The path in the store.
        path: String,
        /// SHA-256 of what is there.
        found: Hash256,
        /// SHA-256 of what should be.
        sealed: Hash256,
    },
    /// A file of the spool is not what was sealed: the disk lost it.
    #[error("{} is not what was sealed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A file of the spool cannot be read or removed.
    #[error("{}: {source}", path.display())]
    Spool {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something stands under that name that was not sent from here, and nobody can read what it is.
    #[error("{path} is in the store already, and was not sent from this spool: it stays as it is")]
    Taken {
        /// The path in the store.
        path: String,
    },
    /// Nobody can read what was stored, and the store neither compared it nor says what it has.
    #[error(
        "store {store}: it keeps what has another SHA-256 than was sent along with it, and its ETags are no MD5 either, so that \
         nothing proves an upload by credentials that can only write: let them read, and leave out store_write_only"
    )]
    Uncompared {
        /// Which store.
        store: String,
    },
    /// The store did not do what was asked.
    #[error("store {store}: {said}")]
    Store {
        /// Which store.
        store: String,
        /// What it said, in one line.
        said: String,
    },
}

impl UploadError {
    fn bug(recording: &RecordingId, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Bug { recording: Box::new(recording.clone()), what: text.unwrap_or("no text").to_owned() }
    }
}

//! Recordings in stores: found, fetched, proved. No room here knows SQL.
//!
//! Enters: a store (a URL, or a folder, which a snapshot is too) and a [`Selection`]. Leaves: what is there, a
//! copy of it, or the first thing that is wrong with it. Refused: names that could leave the folder they belong in.

mod download;
mod hashed;
mod list;
mod plain;
mod proof;
mod store;
mod verify;

pub use download::download;
pub use list::{Recorded, Selection, list};
pub use store::{Store, refuse_secrets};
pub use verify::{ProofKeys, verify};

use std::io;
use std::path::PathBuf;

/// Files read at the same time, of all recordings: enough to fill a line or two cores.
pub const FILES_AT_ONCE: usize = 4;

/// Why a store cannot be read, or a snapshot not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A file of the snapshot cannot be read or written.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An encrypted file cannot be decrypted.
    #[error("{name} {source}")]
    Locked {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Neither a folder nor a URL that we know.
    #[error("{store:?} is no store: {reason}")]
    NoStore {
        /// What was given.
        store: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A login in a URL, which stands in lists of processes and in logs.
    #[error("a store's URL holds no secrets: give them in the environment")]
    Secret,
    /// The store did not do what was asked.
    #[error("store {store}: {said}")]
    Store {
        /// Which store.
        store: String,
        /// What it said.
        said: String,
    },
}

//! Where things lie in a store, and which names may stand in its paths.
//!
//!     <cluster>/<window>/<recording start, RFC 3339 basic UTC>/<node>/<file>
//!
//! Every name is checked when it is made, whether it comes from a configuration, a seal or a listing:
//! a [`Name`], a [`RecordingId`] or a [`FileName`] that exists is safe as a part of a local path.

mod file;
mod name;
mod start;
#[cfg(test)]
mod tests;

use name::shown;
use serde::{Deserialize, Serialize};
use std::fmt;

pub use file::{CLOSE, CLOSE_SIGNATURE, FileName, INVENTORY, PACKETS, PROBE, PROBE_BYTES, SEAL, SEAL_SIGNATURE, TLS};
pub use name::{NAME_BYTES_MAX, Name, NameError};
pub use start::Start;

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

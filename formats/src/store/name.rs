//! A name that may stand in a path of a store, and why others may not.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name: that of a Kubernetes object (RFC 1123 §2.1, 253 octets), and below the 255 of file systems.
pub const NAME_BYTES_MAX: usize = 253;

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
pub(super) fn shown(text: &str) -> String {
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

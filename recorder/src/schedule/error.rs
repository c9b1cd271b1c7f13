//! Why a configuration cannot be followed, with the place.

use crate::limits;
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

/// Why a configuration cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Words that do not go together.
    #[error("line {line} column {column}: {what}")]
    Invalid {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        what: String,
    },
    /// Nothing names the cluster.
    #[error("nothing names the cluster: write 'cluster: NAME'")]
    NoCluster,
    /// Larger than any configuration.
    #[error(
        "is larger than a configuration may be: all files together have at most {} bytes",
        limits::CONFIG_BYTES_MAX
    )]
    TooLong,
    /// Not YAML, or not our words.
    #[error("{}", in_words(.0))]
    Yaml(Box<serde_saphyr::Error>),
}

/// As [`ConfigError::Invalid`]. What serde-saphyr prints by itself is for who programs with it, and shows of a long line a
/// part with the column in that.
fn in_words(error: &serde_saphyr::Error) -> String {
    let place = error.location().map(|at| format!("line {} column {}: ", at.line(), at.column()));
    place.unwrap_or_default() + &UserMessageFormatter.format_message(error)
}

/// As [`ConfigError::Invalid`], at a word of the configuration.
pub(super) fn invalid<T, R>(place: &Spanned<T>, what: impl ToString) -> Result<R, ConfigError> {
    let (line, column) = (place.referenced.line(), place.referenced.column());
    Err(ConfigError::Invalid { line, column, what: what.to_string() })
}

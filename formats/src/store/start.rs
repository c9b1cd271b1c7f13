//! When a recording began, as a folder is called.

use super::name::{NameError, shown};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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

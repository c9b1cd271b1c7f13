//! How long nobody may delete or replace what is stored: S3 Object Lock.

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A retention that each object gets when it is stored, written `compliance 90d` or `governance 90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectLock {
    /// Who may shorten it.
    pub mode: LockMode,
    /// Days it lasts, from when the object is stored: from 1 to [`DAYS_MAX`].
    pub days: u32,
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Nobody.
    Compliance,
    /// Who has a permission for it.
    Governance,
}

/// A hundred years, as S3 has it.
const DAYS_MAX: u32 = 36_500;

impl ObjectLock {
    /// When it ends, of what is stored at `now`.
    pub fn until(self, now: Timestamp) -> Timestamp {
        now.checked_add((24 * i64::from(self.days)).hours()).unwrap_or(Timestamp::MAX)
    }
}

impl FromStr for ObjectLock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || format!("{text:?} is no object lock: write compliance 90d or governance 90d, at most {DAYS_MAX}d");
        let (mode, days) = text.trim().split_once(' ').ok_or_else(refused)?;
        let mode = match mode {
            "compliance" => LockMode::Compliance,
            "governance" => LockMode::Governance,
            _ => return Err(refused()),
        };
        let days = days.trim_start().strip_suffix('d').and_then(|days| days.parse().ok());
        let days = days.filter(|days| (1..=DAYS_MAX).contains(days)).ok_or_else(refused)?;
        Ok(Self { mode, days })
    }
}

impl TryFrom<String> for ObjectLock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ObjectLock> for String {
    fn from(lock: ObjectLock) -> Self {
        lock.to_string()
    }
}

impl fmt::Display for ObjectLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            LockMode::Compliance => "compliance",
            LockMode::Governance => "governance",
        };
        write!(f, "{mode} {}d", self.days)
    }
}

/// The same as a configuration has it: `none` takes back what is said for all windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LockWord(pub Option<ObjectLock>);

impl<'de> Deserialize<'de> for LockWord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Self(None)),
            text => text.parse().map(|lock| Self(Some(lock))).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks() {
        for (text, mode, days) in
            [("compliance 1d", LockMode::Compliance, 1), ("governance 36500d", LockMode::Governance, 36_500)]
        {
            let lock = ObjectLock { mode, days };
            assert_eq!((text.parse(), lock.to_string().as_str()), (Ok(lock), text));
        }
        for text in ["", "none", "90d", "compliance", "compliance 0d", "compliance 36501d", "COMPLIANCE 9d", "legal 9d"]
        {
            assert!(text.parse::<ObjectLock>().is_err(), "{text}");
        }
        let lock: ObjectLock = "compliance 90d".parse().unwrap();
        assert_eq!(lock.until("2026-11-27T03:00:00Z".parse().unwrap()).to_string(), "2027-02-25T03:00:00Z");
        assert_eq!(lock.until(Timestamp::MAX), Timestamp::MAX);
    }
}

//! What a sender has done so far, for whoever watches it.

use crate::schedule::StoreTarget;
use formats::seal::Volume;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What a sender has done since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments stored.
    pub segments: u64,
    /// Recordings stored completely, `close.json` and all.
    pub recordings: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Packets in segments that were given up.
    pub given_up: Volume,
    /// The stores that something was sent to, and how it goes with them; none for where it cannot be read which it is.
    pub stores: HashMap<Option<StoreTarget>, Option<Failing>>,
    /// The sender is gone: nothing is stored any more.
    pub is_over: bool,
}

/// Nothing can be stored there, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// What the last failure was.
    pub why: String,
}

impl Progress {
    /// The stores by what they are called. Those of one URL are one, which fails as long as one of them does.
    pub fn by_url(&self) -> BTreeMap<String, Option<Failing>> {
        let mut stores = BTreeMap::new();
        for (target, failing) in &self.stores {
            let name = target.as_ref().map_or_else(|| "unknown".to_owned(), |target| target.url.to_string());
            let worst: &mut Option<Failing> = stores.entry(name).or_default();
            if let Some(failing) = failing
                && worst.as_ref().is_none_or(|worst| failing.since < worst.since)
            {
                *worst = Some(failing.clone());
            }
        }
        stores
    }
}

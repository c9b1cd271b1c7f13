//! When to record: windows in, [`Recording`]s out, one for each run of a window.
//!
//! Enters: a configuration (YAML), and the time. Leaves: a [`Recording`], which the capture room starts and
//! the run loop ends. Refused: a configuration that says something twice, not at all, or with a word
//! we do not know; the message names line and column.
//!
//! Nothing here reads a clock: every function takes the time, so that tests and simulation give it.

mod agenda;
mod clock_changes;
mod config;
mod error;
mod explain;
mod files;
mod keys;
mod lock;
mod starts;
mod targets;
mod values;
mod when;
mod window;

pub use agenda::{Agenda, Decision, SkipReason, StartError, moved};
pub use config::{Config, Observe, Spool, SpoolFull};
pub use error::ConfigError;
pub use explain::{View, explain};
pub use files::FilesError;
pub use keys::{EXAMPLE, explain_keys};
pub use lock::{LockMode, ObjectLock};
pub use starts::{Remembered, Run, Starts};
pub use targets::{Glob, Place, Selector};
pub use values::{ByteSize, EncryptTo, Interface, Percent, Period, Recipients, StoreUrl};
pub use when::When;
pub use window::{Budget, Missed, Overlap, Rate, SegmentLimits, StoreTarget, Window};

use formats::hash::Hash256;
use formats::seal::Volume;
use formats::store::RecordingId;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// One run of a window on this node.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its place in the store.
    pub id: RecordingId,
    /// When it is to end; budgets and people may end it sooner.
    pub ends: Timestamp,
    /// What to record, and how much.
    pub window: Arc<Window>,
    /// SHA-256 of the configuration it follows.
    pub configuration_sha256: Hash256,
    /// What of its budget other recordings of the same run have spent.
    pub spent: Volume,
}

impl Recording {
    /// How long it is to go on from `now`; nothing once its time is over.
    pub fn left(&self, now: Timestamp) -> Duration {
        self.ends.duration_since(now).try_into().unwrap_or_default()
    }
}

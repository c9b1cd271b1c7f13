//! Requests and answers as they stand on the socket.

use crate::targets::Unrecorded;
use crate::upload::Failing;
use formats::hash::Hash256;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What somebody asks for: `{"command":"start","window":"incident"}`, typed as `ctl start incident`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, clap::Subcommand)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Keep a recording of the spool on this node until it is unpinned: a legal hold.
    Pin {
        /// Its place in the store: cluster/window/start/node.
        recording: String,
    },
    /// Record a run of a window now, whatever its schedule says.
    Start {
        /// Name of the window.
        window: Name,
    },
    /// Say what is recorded, what comes next, and how full the spool is.
    Status,
    /// End the runs of a window that are going on; the next begins when its schedule says.
    Stop {
        /// Name of the window.
        window: Name,
    },
    /// Make a recording of what a window on demand keeps ready, and go on; begin a run, where it keeps nothing.
    Trigger {
        /// Name of the window.
        window: Name,
    },
    /// Leave a recording to the spool's policies again.
    Unpin {
        /// Its place in the store: cluster/window/start/node.
        recording: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done {
        /// What, in words.
        said: String,
        /// The recordings it was done with.
        recordings: Vec<String>,
    },
    /// It is not done.
    Refused {
        /// Why.
        why: String,
    },
    /// How things are.
    Status(Box<Status>),
}

/// Told what came of a request, now or later.
pub(super) type Told = Box<dyn FnOnce(Answer) + Send>;

impl Answer {
    pub(super) fn refused(why: impl ToString) -> Self {
        Self::Refused { why: why.to_string() }
    }

    pub(super) fn done<'a>(said: impl Into<String>, recordings: impl IntoIterator<Item = &'a RecordingId>) -> Self {
        Self::Done { said: said.into(), recordings: recordings.into_iter().map(RecordingId::folder).collect() }
    }
}

/// How things are with a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The cluster it is in.
    pub cluster: Name,
    /// The node it is on.
    pub node: Name,
    /// Since when it runs.
    pub since: Timestamp,
    /// SHA-256 of the configuration it follows.
    pub configuration_sha256: Hash256,
    /// The last time it read the configuration anew; null if it never did.
    pub reload: Option<Reload>,
    /// The spool.
    pub spool: SpoolStatus,
    /// The stores that something was sent to, and since when that fails; null if it does not.
    #[serde(default)]
    pub stores: BTreeMap<String, Option<Failing>>,
    /// The windows, as the configuration names them.
    pub windows: Vec<WindowStatus>,
    /// Recordings that are pinned.
    pub pinned: Vec<String>,
}

/// What others know without asking a disk or a store.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// [`SpoolStatus::bytes`].
    pub spool_bytes: Option<u64>,
    /// [`Status::stores`].
    pub stores: BTreeMap<String, Option<Failing>>,
    /// [`WindowStatus::failure`], by window.
    pub failures: BTreeMap<String, String>,
}

/// How reading the configuration anew went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// When.
    pub at: Timestamp,
    /// Why the configuration of before is still followed; null if it is not.
    pub error: Option<String>,
}

/// How things are with the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Its folder.
    pub folder: String,
    /// Bytes in it, when it was last looked at; null if that is not known.
    pub bytes: Option<u64>,
    /// Most bytes in it.
    pub bytes_max: u64,
}

/// How things are with a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowStatus {
    /// Its name.
    pub name: Name,
    /// When it runs, in words.
    pub when: String,
    /// When its next run begins; null if nothing is scheduled.
    pub next: Option<Timestamp>,
    /// When what is left of a run that failed is begun again; null if none is to be.
    pub again: Option<Timestamp>,
    /// Why its last run failed; null if it did not, or has rings since.
    #[serde(default)]
    pub failure: Option<String>,
    /// Its runs that are going on.
    pub runs: Vec<RunStatus>,
}

/// How things are with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its place in the store; null while it only keeps the past ready.
    pub recording: Option<String>,
    /// Since when packets are kept that are or would be in it.
    pub since: Timestamp,
    /// When it is to end; null while it waits for a trigger.
    pub ends: Option<Timestamp>,
    /// Packets kept so far.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets lost so far: in the kernel, in the rings, or on the disk.
    #[serde(default)]
    pub lost_packets: u64,
    /// Targets that are chosen and not recorded.
    pub unrecorded: Vec<Unrecorded>,
}

//! One process, and the recordings at work in it.

use super::front::Front;
use crate::disk::Lock;
use crate::orders::Orders;
use crate::ready::Backlog;
use crate::rotate::{OpenSegment, Untold, Writer};
use crate::seal::Chain;
use crate::spool::Spool;
use crate::upload::Bound;
use formats::store::RecordingId;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Waker};

/// A recording at work, as `pipeline` and `ready` wire it.
pub struct Running {
    pub id: RecordingId,
    pub front: Front,
    pub writer: Writer,
    pub in_segment: Vec<u64>,
    pub to_seal: VecDeque<(OpenSegment, Vec<u64>)>,
    pub orders: Orders,
    pub sealer: Sealer,
    /// Where its segments are written.
    pub folder: PathBuf,
    pub untold: Untold,
}

/// What becomes of segments.
pub enum Sealer {
    Chain {
        chain: Box<Chain>,
        _lock: Lock,
    },
    /// Kept for a trigger, with the packets in those that this life finished.
    Ready {
        backlog: Box<Backlog>,
        finished: BTreeMap<u32, Vec<u64>>,
    },
    Over,
}

/// One process.
pub struct Life {
    pub spool: Spool,
    pub bound: Bound,
    pub upload: Pin<Box<dyn Future<Output = ()>>>,
    pub running: Vec<Running>,
    /// Whether what was kept ready left something to tell to whoever keeps it ready next.
    pub has_untold: bool,
}

impl Life {
    pub fn add(&mut self, running: Running) {
        self.running.push(running);
    }

    /// The sender goes on until it waits for the store; it never ends.
    pub fn upload(&mut self) {
        let _ = self.upload.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

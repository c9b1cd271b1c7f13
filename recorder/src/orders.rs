//! What a recording is told while it runs, and what it tells: between the capture thread and everybody else.

use formats::seal::{EndReason, Volume};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Orders to one recording. Shared by reference; nobody waits for anybody.
#[derive(Debug, Default)]
pub struct Orders {
    end: OnceLock<EndReason>,
    packets: AtomicU64,
    bytes: AtomicU64,
    work_ns: AtomicU64,
}

impl Orders {
    /// Has it end, within a moment. The first reason counts.
    pub fn end(&self, reason: EndReason) {
        // Told before: it ends already.
        self.end.set(reason).ok();
    }

    /// Why it is to end, if it is.
    pub fn to_end(&self) -> Option<&EndReason> {
        self.end.get()
    }

    /// Adds what a thread of it worked.
    pub fn add_work(&self, work: Duration) {
        self.work_ns.fetch_add(u64::try_from(work.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long its threads worked so far, together.
    pub fn work(&self) -> Duration {
        Duration::from_nanos(self.work_ns.load(Ordering::Relaxed))
    }

    /// Tells how much was kept so far.
    pub fn tell_written(&self, written: Volume) {
        self.packets.store(written.packets, Ordering::Relaxed);
        self.bytes.store(written.bytes, Ordering::Relaxed);
    }

    /// How much was kept so far.
    pub fn written(&self) -> Volume {
        Volume { packets: self.packets.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

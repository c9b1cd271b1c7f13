//! What a recording is told while it runs, and what it tells: between the capture thread and everybody else.

use crate::sync::lock;
use crate::targets::Unrecorded;
use formats::seal::{Counts, EndReason, Volume};
use formats::store::RecordingId;
use jiff::Timestamp;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Told which recording it became, or why none.
pub type Told = Box<dyn FnOnce(Result<&RecordingId, String>) + Send>;

/// Makes a recording of what is kept ready, and has it go on.
pub struct Trigger {
    /// When.
    pub at: Timestamp,
    /// By whom, in words.
    pub by: String,
    /// Until when it is to go on.
    pub ends: Timestamp,
    /// Told once it survives a crash, or why it could not be done.
    pub told: Told,
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger").field("at", &self.at).field("by", &self.by).finish_non_exhaustive()
    }
}

/// What a recording with a past tells.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Since when packets are kept; none where nothing is kept ready.
    pub since: Option<Timestamp>,
    /// What it was triggered to: the recording, and when that ends.
    pub triggered: Option<(RecordingId, Timestamp)>,
}

impl Past {
    fn ends(&self) -> Option<Timestamp> {
        self.triggered.as_ref().map(|(_, ends)| *ends)
    }
}

/// What has to be known together.
#[derive(Debug, Default)]
struct Life {
    past: Past,
    /// Nothing more is captured.
    over: bool,
}

/// Ends other recordings of its window when it is dropped.
#[derive(Debug, Default)]
struct Relief(Vec<(Arc<Orders>, EndReason)>);

impl Drop for Relief {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(orders, reason)| orders.end(reason));
    }
}

/// Who waits for it to begin; told that it did not when this is dropped.
#[derive(Default)]
struct Asked(Option<Told>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asked").field(&self.0.is_some()).finish()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err("it could not begin: see the log".to_owned()));
        }
    }
}

/// Orders to one recording. Shared by reference; nobody waits for anybody.
#[derive(Debug, Default)]
pub struct Orders {
    /// Those whose place it takes.
    relief: Mutex<Relief>,
    asked: Mutex<Asked>,
    is_followed: AtomicBool,
    end: OnceLock<EndReason>,
    leaves_rest: AtomicBool,
    triggers: Mutex<Vec<Trigger>>,
    life: Mutex<Life>,
    packets: AtomicU64,
    bytes: AtomicU64,
    lost_packets: AtomicU64,
    work_ns: AtomicU64,
    unrecorded: Mutex<Vec<Unrecorded>>,
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

    /// Has it end because the recorder does: what is left of it then is for the next start.
    pub fn end_for_now(&self) {
        self.leaves_rest.fetch_or(self.end.get().is_none(), Ordering::Relaxed);
        self.end(EndReason::Stopped);
    }

    /// Whether the next start is to go on with what is left of it.
    pub fn leaves_rest(&self) -> bool {
        self.leaves_rest.load(Ordering::Relaxed)
    }

    /// Has another of its window end, for that reason, once this one has its rings, or will never have any.
    pub fn take_place_of(&self, other: Arc<Orders>, reason: EndReason) {
        lock(&self.relief).0.push((other, reason));
    }

    /// It has its rings: those whose place it takes may end.
    pub fn relieve(&self) {
        drop(std::mem::take(&mut *lock(&self.relief)));
    }

    /// Somebody waits for it to begin.
    pub fn ask_for_begin(&self, told: Told) {
        lock(&self.asked).0 = Some(told);
    }

    /// It has begun: its folder is there.
    pub fn tell_begun(&self, id: &RecordingId) {
        if let Some(told) = lock(&self.asked).0.take() {
            told(Ok(id));
        }
    }

    /// Tells whether another takes its place when its time is over: it goes on until that one has its rings.
    pub fn tell_followed(&self, is_followed: bool) {
        self.is_followed.store(is_followed, Ordering::Relaxed);
    }

    /// Whether another takes its place when its time is over.
    pub fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Relaxed)
    }

    /// Triggers it. What is asked twice is answered twice.
    pub fn trigger(&self, trigger: Trigger) {
        lock(&self.triggers).push(trigger);
    }

    /// Triggers that wait.
    pub fn take_triggers(&self) -> Vec<Trigger> {
        std::mem::take(&mut *lock(&self.triggers))
    }

    /// Tells what is kept of the past, and what became of it. True while it can still go on for longer.
    pub fn tell_past(&self, past: Past) -> bool {
        let mut life = lock(&self.life);
        life.past = past;
        !life.over
    }

    /// What is kept of the past.
    pub fn past(&self) -> Past {
        lock(&self.life).past.clone()
    }

    /// When it ends, where a trigger has decided that.
    pub fn ends(&self) -> Option<Timestamp> {
        lock(&self.life).past.ends()
    }

    /// Tells that nothing more is captured, since its time is over: unless it is to go on past `ends` by now.
    pub fn time_is_over(&self, ends: Option<Timestamp>) -> bool {
        let mut life = lock(&self.life);
        life.over |= life.past.ends() == ends;
        life.over
    }

    /// Tells that nothing more is captured, whatever was asked for.
    pub fn tell_over(&self) {
        lock(&self.life).over = true;
    }

    /// Whether nothing more is captured.
    pub fn is_over(&self) -> bool {
        lock(&self.life).over
    }

    /// Adds what a thread of it worked.
    pub fn add_work(&self, work: Duration) {
        self.work_ns.fetch_add(u64::try_from(work.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long its threads worked so far, together.
    pub fn work(&self) -> Duration {
        Duration::from_nanos(self.work_ns.load(Ordering::Relaxed))
    }

    /// Tells what became of packets: those that the disk has taken, and those that were lost.
    pub fn add_counts(&self, counts: &Counts) {
        let Counts { written, dropped, .. } = counts;
        self.packets.fetch_add(written.packets, Ordering::Relaxed);
        self.bytes.fetch_add(written.bytes, Ordering::Relaxed);
        let lost_packets = dropped.kernel_packets + dropped.ring.packets + dropped.disk.packets;
        self.lost_packets.fetch_add(lost_packets, Ordering::Relaxed);
    }

    /// How much was kept so far.
    pub fn written(&self) -> Volume {
        Volume { packets: self.packets.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Packets that were lost so far, in the kernel, the rings, or on the disk.
    pub fn lost_packets(&self) -> u64 {
        self.lost_packets.load(Ordering::Relaxed)
    }

    /// Tells which targets are not recorded, though they are chosen.
    pub fn tell_unrecorded(&self, targets: Vec<Unrecorded>) {
        *lock(&self.unrecorded) = targets;
    }

    /// Which targets are not recorded, though they are chosen.
    pub fn unrecorded(&self) -> Vec<Unrecorded> {
        lock(&self.unrecorded).clone()
    }
}

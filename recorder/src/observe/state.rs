//! What is known of the recorder at this moment, shared by those who do the work and those who tell of it.

use super::look::Look;
use crate::capture::Tally;
use crate::clock::Moment;
use crate::limits;
use crate::sync::lock;
use crate::upload::{Failing, Progress};
use formats::seal::{Counts, EndReason};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Takes note of what the recorder does. Clones share their notes.
#[derive(Debug, Clone)]
pub struct Observer(pub(super) Arc<State>);

/// The notes.
#[derive(Debug)]
pub(super) struct State {
    /// When they were begun; times below are milliseconds since.
    pub began: Instant,
    /// A capture that has not turned for so long has stalled.
    pub stall: Duration,
    pub is_started: AtomicBool,
    pub stalls: AtomicU64,
    pub sealed_segments: AtomicU64,
    /// Recordings that ended, by reason.
    pub ended: Mutex<BTreeMap<String, u64>>,
    /// Runs that were left out, by window and reason.
    pub left_out: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// Triggers that were refused, for whoever asked did not know the secret.
    pub refused_triggers: AtomicU64,
    pub series: Mutex<Vec<Arc<Series>>>,
    pub rings: Mutex<Vec<Rings>>,
    pub pulses: Mutex<Vec<Arc<Beat>>>,
    /// Shared with who looks, for as long as anybody wants to know.
    pub look: Arc<Mutex<Look>>,
    pub progress: Mutex<Option<watch::Receiver<Progress>>>,
}

/// What was counted for a window, over all its recordings: as their seals say it.
#[derive(Debug)]
pub(super) struct Series {
    pub window: String,
    pub counts: Mutex<Counts>,
    /// A recording is due and has no ring yet: until then it is missed.
    pub due_until: Mutex<Option<Instant>>,
    /// Why its last recording failed, until it has rings again.
    pub failure: Mutex<Option<String>>,
    /// When its last recording ended [ms]; none while there is one.
    pub ended_ms: Mutex<Option<u64>>,
}

/// What the rings of a target did for a window, one after the other.
#[derive(Debug)]
pub(super) struct Rings {
    pub window: String,
    pub target: String,
    pub tally: Tally,
    pub fill: Peak,
    /// When one last told of itself [ms].
    told_ms: u64,
}

/// The signs of life of one capture.
#[derive(Debug)]
pub(super) struct Beat {
    pub series: Arc<Series>,
    /// When the capture thread last came round [ms]; [`RESTS`] when it is not meant to.
    pub turned_ms: AtomicU64,
    /// When the segment that is open was begun; none when none is.
    pub segment: Mutex<Option<Moment>>,
    /// Whether the stall it is in was told.
    pub is_stalled: AtomicBool,
    /// Targets that have a ring.
    pub recorded_targets: AtomicUsize,
    /// Targets that are chosen and have no ring.
    pub unrecorded_targets: AtomicUsize,
}

/// No time.
pub(super) const RESTS: u64 = u64::MAX;

/// The greatest of what was seen lately: a scrape comes too seldom to see it otherwise.
#[derive(Debug, Default)]
pub(super) struct Peak {
    slot: u64,
    before: f64,
    here: f64,
}

impl Peak {
    /// Peaks are kept for one to two of these [ms].
    const SLOT_MS: u64 = 15_000;

    fn roll(&mut self, now_ms: u64) {
        let slot = now_ms / Self::SLOT_MS;
        if slot != self.slot {
            self.before = if slot == self.slot + 1 { self.here } else { 0.0 };
            (self.slot, self.here) = (slot, 0.0);
        }
    }

    pub fn add(&mut self, value: f64, now_ms: u64) {
        self.roll(now_ms);
        self.here = self.here.max(value);
    }

    pub fn get(&mut self, now_ms: u64) -> f64 {
        self.roll(now_ms);
        self.here.max(self.before)
    }
}

impl Observer {
    /// Begins to take notes; a capture that has not turned for `stall` is told of.
    pub fn new(stall: Duration) -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            stall,
            is_started: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            sealed_segments: AtomicU64::new(0),
            ended: Mutex::default(),
            left_out: Mutex::default(),
            refused_triggers: AtomicU64::new(0),
            series: Mutex::default(),
            rings: Mutex::default(),
            pulses: Mutex::default(),
            look: Arc::default(),
            progress: Mutex::default(),
        }))
    }

    /// Start-up is over: what was left behind is recovered, and the schedule is followed.
    pub fn started(&self) {
        self.0.is_started.store(true, Ordering::Relaxed);
    }

    /// Tells of what this sender does.
    pub fn follow(&self, progress: watch::Receiver<Progress>) {
        *lock(&self.0.progress) = Some(progress);
    }

    /// Bytes in the spool when it was last looked at; none before.
    pub fn spool_bytes(&self) -> Option<u64> {
        lock(&self.0.look).found.map(|found| found.used_bytes)
    }

    /// The stores that something was sent to, by URL, and how it goes with them.
    pub fn stores(&self) -> BTreeMap<String, Option<Failing>> {
        self.0.stores()
    }

    /// A recording is due, and is missed until it has a ring or its time is over.
    pub fn expect(&self, window: &str, for_at_most: Duration) {
        let series = self.0.series(window);
        *lock(&series.due_until) = Instant::now().checked_add(for_at_most);
        if !self.0.is_captured(&series) {
            // Should it never have one, it is forgotten some time after it would have ended.
            let length_ms = u64::try_from(for_at_most.as_millis()).unwrap_or(u64::MAX);
            *lock(&series.ended_ms) = Some(self.0.now_ms().saturating_add(length_ms));
        }
    }

    /// Nothing is due but for these windows.
    pub fn expect_only(&self, is_due: impl Fn(&str) -> bool) {
        for series in lock(&self.0.series).iter().filter(|series| !is_due(&series.window)) {
            *lock(&series.due_until) = None;
        }
    }

    /// Rings are open: from here on their capture has to turn.
    pub fn open(&self, window: &str) -> Pulse {
        let series = self.0.series(window);
        *lock(&series.due_until) = None;
        *lock(&series.failure) = None;
        *lock(&series.ended_ms) = None;
        let beat = Arc::new(Beat {
            series,
            turned_ms: AtomicU64::new(self.0.now_ms()),
            segment: Mutex::default(),
            is_stalled: AtomicBool::new(false),
            recorded_targets: AtomicUsize::new(0),
            unrecorded_targets: AtomicUsize::new(0),
        });
        lock(&self.0.pulses).push(beat.clone());
        Pulse { state: self.0.clone(), beat }
    }

    /// A recording has failed: that is why.
    pub fn failed(&self, window: &str, why: String) {
        *lock(&self.0.series(window).failure) = Some(why);
    }

    /// Why windows that have no rings since have failed.
    pub fn failures(&self) -> BTreeMap<String, String> {
        let all = lock(&self.0.series);
        all.iter().filter_map(|series| Some((series.window.clone(), lock(&series.failure).clone()?))).collect()
    }

    /// A recording has ended.
    pub fn ended(&self, reason: &EndReason) {
        let name = serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(str::to_owned));
        *lock(&self.0.ended).entry(name.unwrap_or_else(|| "other".to_owned())).or_default() += 1;
    }

    /// A run was left out.
    pub fn left_out(&self, window: &str, reason: &'static str) {
        *lock(&self.0.left_out).entry((window.to_owned(), reason)).or_default() += 1;
    }
}

impl State {
    pub fn stores(&self) -> BTreeMap<String, Option<Failing>> {
        lock(&self.progress).as_ref().map(|progress| progress.borrow().by_url()).unwrap_or_default()
    }

    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn is_captured(&self, series: &Arc<Series>) -> bool {
        lock(&self.pulses).iter().any(|beat| Arc::ptr_eq(&beat.series, series))
    }

    fn series(&self, window: &str) -> Arc<Series> {
        let mut all = lock(&self.series);
        if let Some(known) = all.iter().find(|series| series.window == window) {
            return known.clone();
        }
        self.forget_old(&mut all);
        let series = Arc::new(Series {
            window: window.to_owned(),
            counts: Mutex::default(),
            due_until: Mutex::default(),
            failure: Mutex::default(),
            ended_ms: Mutex::default(),
        });
        all.push(series.clone());
        series
    }

    /// Windows come and go: of those that went, the counts are kept until they were certainly read.
    fn forget_old(&self, all: &mut Vec<Arc<Series>>) {
        let now_ms = self.now_ms();
        let kept_ms = limits::SERIES_KEPT.as_millis() as u64;
        all.retain(|series| lock(&series.ended_ms).is_none_or(|ended| now_ms.saturating_sub(ended) < kept_ms));
    }
}

/// A capture's way to show that it lives. Gone when dropped; what it counted stays.
#[derive(Debug)]
pub struct Pulse {
    state: Arc<State>,
    beat: Arc<Beat>,
}

impl Pulse {
    /// The capture thread came round.
    pub fn turned(&self) {
        self.beat.turned_ms.store(self.state.now_ms(), Ordering::Relaxed);
    }

    /// What a ring of `target` did since it was last told, and the greatest part of it that was filled.
    pub fn of_ring(&self, target: &str, tally: Tally, fill: f64) {
        let (now_ms, window) = (self.state.now_ms(), &self.beat.series.window);
        let kept_ms = limits::SERIES_KEPT.as_millis() as u64;
        let mut all = lock(&self.state.rings);
        let known = all.iter().position(|rings| (&rings.window, &*rings.target) == (window, target));
        let at = known.unwrap_or_else(|| {
            // Targets come and go: those that went were certainly read by then.
            all.retain(|rings| now_ms.saturating_sub(rings.told_ms) < kept_ms);
            let (window, target) = (window.clone(), target.to_owned());
            all.push(Rings { window, target, tally: Tally::default(), fill: Peak::default(), told_ms: now_ms });
            all.len() - 1
        });
        if let Some(rings) = all.get_mut(at) {
            rings.tally += tally;
            rings.fill.add(fill, now_ms);
            rings.told_ms = now_ms;
        }
    }

    /// So many targets that are chosen have a ring, and so many have none.
    pub fn targets(&self, recorded: usize, unrecorded: usize) {
        self.beat.recorded_targets.store(recorded, Ordering::Relaxed);
        self.beat.unrecorded_targets.store(unrecorded, Ordering::Relaxed);
    }

    /// The capture thread is done: it need not turn any more.
    pub fn rests(&self) {
        self.beat.turned_ms.store(RESTS, Ordering::Relaxed);
    }

    /// A batch was written: what became of its packets, and since when the segment is open that it went into.
    pub fn wrote(&self, counts: Counts, opened: Option<Moment>) {
        *lock(&self.beat.series.counts) += counts;
        *lock(&self.beat.segment) = opened;
    }

    /// A segment was sealed.
    pub fn segment_sealed(&self) {
        self.state.sealed_segments.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        lock(&self.state.pulses).retain(|beat| !Arc::ptr_eq(beat, &self.beat));
        if !self.state.is_captured(&self.beat.series) {
            *lock(&self.beat.series.ended_ms) = Some(self.state.now_ms());
        }
    }
}

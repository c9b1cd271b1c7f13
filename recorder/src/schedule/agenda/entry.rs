//! One window of the agenda: its next run, those that go on, those that are to be begun again.

use super::super::{Missed, Overlap, Run, When, Window};
use super::{Decision, SkipReason};
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// After this time a run that failed is begun again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

#[derive(Debug)]
pub(super) struct Entry {
    pub window: Arc<Window>,
    /// Since when we follow it.
    pub begun: Timestamp,
    /// How much later than its window says a run begins on this node.
    pub delay: SignedDuration,
    /// When the next run begins here.
    pub next: Option<Timestamp>,
    /// Recordings that go on, each with the run it is of.
    pub running: Vec<(RecordingId, Run)>,
    /// Runs that failed, and when to begin what is left of each.
    pub again: Vec<(Timestamp, Run)>,
}

impl Entry {
    /// Follows a window from `now` on, of which `begun` is the latest run that has begun: what is over is not begun anew.
    pub fn new(window: &Arc<Window>, node: &Name, begun: Option<Run>, now: Timestamp) -> Self {
        let mut entry = Self {
            window: window.clone(),
            begun: now,
            delay: window.delay_on(node),
            next: None,
            running: Vec::new(),
            again: Vec::new(),
        };
        entry.next = entry.going_or_next(now);
        match (entry.next, begun.filter(|run| run.is_over)) {
            // Not later than after a whole run, however the clock was set meanwhile.
            (Some(next), Some(run)) if window.when == When::Always && run.ends > now => {
                entry.next = Some(run.ends).min(entry.after(next));
            }
            (Some(next), Some(run)) if entry.scheduled(next) == Some(run.start) => entry.next = entry.after(next),
            _ => {}
        }
        entry
    }

    /// As [`Entry::new`], after a start of the recorder: what somebody had asked for goes on.
    pub fn resumed(window: &Arc<Window>, node: &Name, begun: Option<Run>, now: Timestamp) -> Self {
        let mut entry = Self::new(window, node, begun, now);
        let is_wanted = |run: &Run| run.is_asked_for && !run.is_over && run.ends > now;
        if entry.is_on_demand() && window.missed == Missed::Rest {
            entry.again.extend(begun.filter(is_wanted).map(|run| (now, run)));
        }
        entry
    }

    /// Whether its runs begin when somebody asks for one, and nothing is kept ready until then.
    pub fn is_on_demand(&self) -> bool {
        self.window.when == When::OnDemand && self.window.pre_trigger.is_none()
    }

    /// Whether its runs begin when the clock says so.
    pub fn follows_clock(&self) -> bool {
        matches!(self.window.when, When::At(_) | When::Cron { .. })
    }

    /// When the run that begins here at `start` begins by what its window says.
    fn scheduled(&self, start: Timestamp) -> Option<Timestamp> {
        start.checked_sub(self.delay).ok()
    }

    pub fn again(&self) -> Option<Timestamp> {
        self.again.iter().map(|(due, _)| *due).min()
    }

    /// The clock says that it is earlier: runs begin when it says so, though it has said so before.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.begun = self.begun.min(now);
        // One that is going on need not begin again.
        self.next = if self.running.is_empty() { self.going_or_next(now) } else { self.after(now) };
    }

    /// As [`When::going_or_next`], by this node's time.
    pub fn going_or_next(&self, now: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.going_or_next(now.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// As [`When::after`], by this node's time.
    pub fn after(&self, start: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.after(start.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// The run of `start`, if it is to be recorded; `begun` is the latest that has begun.
    pub fn decide(&self, start: Timestamp, late: bool, begun: Option<Run>, now: Timestamp) -> Result<Run, SkipReason> {
        let window = &self.window;
        let ends = start.checked_add(window.duration).map_err(|_| SkipReason::Missed)?;
        let scheduled = self.scheduled(start).ok_or(SkipReason::Missed)?;
        // Its begin was not missed. What is left of it is not a whole run, unless its recording goes on until this one begins.
        let has_begun = begun.is_some_and(|run| run.start == scheduled);
        let late_by = now.duration_since(start).unsigned_abs();
        let past_deadline = !has_begun && window.missed_deadline.is_some_and(|deadline| late_by > deadline);
        let in_pieces = window.missed == Missed::Skip && (!has_begun || self.running.is_empty());
        if ends <= now || (late && (in_pieces || past_deadline)) {
            return Err(SkipReason::Missed);
        }
        let run = Run { start: scheduled, ends, is_asked_for: false, is_over: false };
        if self.overlaps(now) { Err(SkipReason::Overlap) } else { Ok(run) }
    }

    /// Whether as many runs are going on as its window wants beside each other. By the time they are meant to end: one that
    /// ends as another begins does not overlap it.
    pub fn overlaps(&self, now: Timestamp) -> bool {
        let going_on = self.running.iter().filter(|(_, run)| run.ends > now).count();
        self.window.overlap != Overlap::Replace && going_on >= self.window.runs_max
    }

    /// Whether one more run keeps to [`Window::runs_at_once_max`], whatever keeps others from ending.
    pub fn has_room(&self) -> bool {
        self.running.len() < self.window.runs_at_once_max()
    }

    /// What is left of a run is begun a little later, unless its window wants whole runs.
    pub fn begin_again(&mut self, run: Run, now: Timestamp) {
        let is_wanted = self.window.missed == Missed::Rest && !run.is_over;
        if is_wanted || self.window.pre_trigger.is_some() {
            self.again.extend(now.checked_add(AGAIN_AFTER).map(|due| (due, run)));
        }
    }

    /// Whether its past is to be kept ready, and nobody does.
    pub fn is_to_be_armed(&self) -> bool {
        self.window.pre_trigger.is_some() && self.running.is_empty() && self.again.is_empty()
    }

    /// What is left of runs that no schedule begins anew under the `next` entry, which takes the place of this one.
    pub fn rests_on_demand(&self, next: &Entry, now: Timestamp) -> Vec<(Timestamp, Run)> {
        if !self.is_on_demand() || !next.is_on_demand() {
            return Vec::new();
        }
        let running = self.running.iter().filter(|(_, run)| !run.is_over).map(|(_, run)| (now, *run));
        self.again.iter().copied().chain(running).collect()
    }

    pub fn end_all(&self, reason: &EndReason) -> impl Iterator<Item = Decision> {
        self.running.iter().map(|(id, _)| Decision::End { id: id.clone(), reason: reason.clone() })
    }
}

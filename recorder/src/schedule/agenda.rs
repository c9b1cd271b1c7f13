//! Which runs begin now, which are left out: decisions over time, without a clock.

use super::{Config, Missed, Overlap, Recording, Starts, When, Window};
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// A begin this much too late still counts as being on time: wake-ups are not exact.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(2);

/// A clock that is set back by less than this repeats no run.
const SET_BACK_MIN: SignedDuration = SignedDuration::from_mins(1);

/// After this time a run that failed is begun again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// What is to happen with a run.
#[derive(Debug, Clone)]
pub enum Decision {
    /// End it.
    End {
        /// Which recording.
        id: RecordingId,
        /// Why.
        reason: EndReason,
    },
    /// Begin it.
    Record(Recording),
    /// Leave it out, and say so.
    Skip {
        /// Whose run.
        window: Name,
        /// When it should have begun.
        start: Timestamp,
        /// Why it is left out.
        reason: SkipReason,
    },
}

/// Why a run is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its begin was missed, and its window wants whole runs, it is over, or it is past its deadline.
    Missed,
    /// As many runs as there may be are still going on, or the one after takes its place at once.
    Overlap,
    /// Runs before it go on past their end; what is left of it is begun later.
    Unended,
}

/// Why nothing begins that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no such window.
    #[error("there is no window {window}; there are: {present}")]
    NoWindow {
        /// What was asked for.
        window: Name,
        /// What there is.
        present: String,
    },
    /// A run of it is going on.
    #[error("{window} is being recorded, and leaves out a run that begins before the last has ended")]
    Overlap {
        /// What was asked for.
        window: Name,
    },
    /// As many of its runs as may be there at once have not ended.
    #[error("{window} has {runs} runs that have not ended, and no more may go on at once: see runs_max and overlap")]
    RunsMax {
        /// What was asked for.
        window: Name,
        /// How many there are.
        runs: usize,
    },
}

/// All windows, each with its next run.
#[derive(Debug)]
pub struct Agenda {
    identity: Identity,
    entries: Vec<Entry>,
    /// The latest that it was when runs were decided on.
    latest: Timestamp,
}

/// What all recordings of this process share.
#[derive(Debug)]
struct Identity {
    cluster: Name,
    node: Name,
    configuration_sha256: Hash256,
    starts: Starts,
}

#[derive(Debug)]
struct Entry {
    window: Arc<Window>,
    /// Since when we follow it.
    begun: Timestamp,
    /// How much later than its window says a run begins on this node.
    delay: SignedDuration,
    /// When the next run begins here.
    next: Option<Timestamp>,
    running: Vec<(RecordingId, Timestamp)>,
    /// Runs that failed: when to begin what is left of each, and when it ends.
    again: Vec<(Timestamp, Timestamp)>,
}

impl Agenda {
    /// Begins at `now`: runs that are going on are the next ones. Recordings begin at other times than in `starts`.
    pub fn new(config: &Config, node: Name, starts: Starts, now: Timestamp) -> Self {
        let cluster = config.cluster.clone();
        let entries = config.windows.iter().map(|window| Entry::new(window, &node, now)).collect();
        let identity = Identity { cluster, node, configuration_sha256: config.sha256, starts };
        Self { identity, entries, latest: now }
    }

    /// Told that somebody set the clock, and by how much: what is due after some time moves along.
    pub fn clock_was_set(&mut self, by: SignedDuration) {
        for entry in &mut self.entries {
            if entry.window.when == When::Always {
                entry.next.iter_mut().for_each(|next| *next = moved(*next, by));
            }
            entry.running.iter_mut().for_each(|(_, ends)| *ends = moved(*ends, by));
            entry.again.iter_mut().for_each(|(due, ends)| (*due, *ends) = (moved(*due, by), moved(*ends, by)));
        }
    }

    /// Follows the windows of `config` from `now` on: those that are the same go on as if nothing were, runs of
    /// others end, and begin anew if they are still wanted.
    pub fn update(&mut self, config: &Config, now: Timestamp) -> Vec<Decision> {
        self.identity.configuration_sha256 = config.sha256;
        let mut before = std::mem::take(&mut self.entries);
        let mut decisions = Vec::new();
        for window in &config.windows {
            let old = before.iter().position(|entry| entry.window.name == window.name);
            self.entries.push(match old.map(|at| before.swap_remove(at)) {
                Some(old) if old.window == *window => old,
                Some(old) => {
                    decisions.extend(old.end_all(&EndReason::WindowChanged));
                    let again = old.rests_on_demand(window, now);
                    // They end now, so that nothing that begins overlaps them.
                    let running = old.running.into_iter().map(|(id, _)| (id, now)).collect();
                    Entry { running, again, ..Entry::new(window, &self.identity.node, now) }
                }
                None => Entry::new(window, &self.identity.node, now),
            });
        }
        decisions.extend(before.iter().flat_map(|entry| entry.end_all(&EndReason::WindowChanged)));
        decisions
    }

    /// The windows, each with the begin of its next run.
    pub fn windows(&self) -> impl Iterator<Item = (&Arc<Window>, Option<Timestamp>)> {
        self.entries.iter().map(|entry| (&entry.window, entry.next))
    }

    /// Whether the next run of `window` begins by the time that one of it ends.
    pub fn is_followed(&self, window: &Name, ends: Timestamp) -> bool {
        self.entries.iter().any(|entry| entry.window.name == *window && entry.next.is_some_and(|next| next <= ends))
    }

    /// When what is left of a run of `window` that failed is begun again; none when none is to be.
    pub fn again(&self, window: &str) -> Option<Timestamp> {
        self.entries.iter().find(|entry| entry.window.name.as_str() == window)?.again()
    }

    /// When to wake it next; none when nothing will ever run again.
    pub fn next(&self) -> Option<Timestamp> {
        self.entries.iter().flat_map(|entry| [entry.next, entry.again()]).flatten().min()
    }

    /// Decides on every run that has begun by `now`.
    pub fn wake(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let is_set_back = self.latest.duration_since(now) >= SET_BACK_MIN;
        self.latest = if is_set_back { now } else { self.latest.max(now) };
        for entry in &mut self.entries {
            if is_set_back {
                entry.begin_anew(now);
            }
            while let Some(start) = entry.next.filter(|&start| start <= now) {
                let over = start.checked_add(entry.window.duration).is_ok_and(|ends| ends <= now);
                // After a long sleep the runs between are not counted one by one: one skip, then the present.
                entry.next = if over { entry.going_or_next(now) } else { entry.after(start) };
                // Begun before us: a run of before a crash may stand in the store under its scheduled time.
                let late = start < entry.begun || now.duration_since(start) > LATE_MAX;
                // Replaced before it has begun.
                let replaced = entry.window.overlap == Overlap::Replace && entry.next.is_some_and(|next| next <= now);
                let decided = if replaced { Err(SkipReason::Overlap) } else { entry.decide(start, late, now) };
                let skip = |entry: &Entry, reason| Decision::Skip { window: entry.window.name.clone(), start, reason };
                match decided {
                    Err(reason) => decisions.push(skip(entry, reason)),
                    Ok(ends) if !entry.has_room() => {
                        decisions.push(skip(entry, SkipReason::Unended));
                        // Its rest has in it what is left of those before.
                        entry.again.retain(|(_, other)| *other > ends);
                        entry.begin_again(ends, now);
                    }
                    Ok(ends) => {
                        let begins = if late { now } else { start.checked_sub(entry.delay).unwrap_or(start) };
                        self.identity.begin(entry, begins, ends, &mut decisions);
                    }
                }
            }
            while let Some(due) = entry.again.iter().position(|(due, _)| *due <= now) {
                let (_, ends) = entry.again.swap_remove(due);
                match ends > now && !entry.overlaps(now) {
                    true if entry.has_room() => self.identity.begin(entry, now, ends, &mut decisions),
                    true => entry.begin_again(ends, now),
                    false => {}
                }
            }
            if entry.is_to_be_armed() {
                self.identity.begin(entry, now, Timestamp::MAX, &mut decisions);
            }
        }
        decisions
    }

    /// Begins a run at `now`, whatever the schedule says: somebody asked for it.
    pub fn start(&mut self, window: &Name, now: Timestamp) -> Result<Vec<Decision>, StartError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.window.name == *window) else {
            let present: Vec<_> = self.entries.iter().map(|entry| entry.window.name.as_str()).collect();
            let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
            return Err(StartError::NoWindow { window: window.clone(), present });
        };
        if entry.overlaps(now) || !entry.has_room() {
            let (window, runs) = (window.clone(), entry.running.len());
            return Err(match entry.window.overlap {
                Overlap::Skip => StartError::Overlap { window },
                Overlap::Allow | Overlap::Replace => StartError::RunsMax { window, runs },
            });
        }
        let mut decisions = Vec::new();
        let ends = now.checked_add(entry.window.duration).unwrap_or(Timestamp::MAX);
        self.identity.begin(entry, now, ends, &mut decisions);
        Ok(decisions)
    }

    /// Told that runs of a window that failed are not to be begun again: somebody stopped it.
    pub fn stop(&mut self, window: &Name) {
        for entry in self.entries.iter_mut().filter(|entry| entry.window.name == *window) {
            entry.again.clear();
        }
    }

    /// Told when a recording is over, at its time or before.
    pub fn ended(&mut self, id: &RecordingId) {
        for entry in &mut self.entries {
            entry.running.retain(|(running, _)| running != id);
        }
    }

    /// Told when a recording could not go on, at `now`: what is left of its run is begun again a little later,
    /// unless its window wants whole runs. Interfaces come late, and stores come back.
    pub fn failed(&mut self, id: &RecordingId, now: Timestamp) {
        for entry in &mut self.entries {
            if let Some(&(_, ends)) = entry.running.iter().find(|(running, _)| running == id) {
                entry.begin_again(ends, now);
            }
        }
        self.ended(id);
    }
}

impl Identity {
    /// A recording that begins at `begins`, entered as running; with it the end of those that it replaces.
    fn begin(&self, entry: &mut Entry, begins: Timestamp, ends: Timestamp, decisions: &mut Vec<Decision>) {
        if entry.window.overlap == Overlap::Replace {
            decisions.extend(entry.end_all(&EndReason::Replaced));
        }
        let window = entry.window.clone();
        let (cluster, node) = (self.cluster.clone(), self.node.clone());
        let mut id = RecordingId { cluster, window: window.name.clone(), start: begins.into(), node };
        self.starts.take(&mut id);
        entry.running.push((id.clone(), ends));
        let configuration_sha256 = self.configuration_sha256;
        decisions.push(Decision::Record(Recording { id, ends, window, configuration_sha256 }));
    }
}

impl Entry {
    fn new(window: &Arc<Window>, node: &Name, now: Timestamp) -> Self {
        let mut entry = Self {
            window: window.clone(),
            begun: now,
            delay: window.delay_on(node),
            next: None,
            running: Vec::new(),
            again: Vec::new(),
        };
        entry.next = entry.going_or_next(now);
        entry
    }

    fn again(&self) -> Option<Timestamp> {
        self.again.iter().map(|(due, _)| *due).min()
    }

    /// The clock says that it is earlier: runs begin when it says so, though it has said so before.
    fn begin_anew(&mut self, now: Timestamp) {
        self.begun = self.begun.min(now);
        match self.window.when {
            // One that is going on need not begin again.
            When::At(_) | When::Cron { .. } if !self.running.is_empty() => self.next = self.after(now),
            When::At(_) | When::Cron { .. } => self.next = self.going_or_next(now),
            When::Always | When::OnDemand => {}
        }
    }

    /// As [`When::going_or_next`](super::When::going_or_next), by this node's time.
    fn going_or_next(&self, now: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.going_or_next(now.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// As [`When::after`](super::When::after), by this node's time.
    fn after(&self, start: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.after(start.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// When the run of `start` ends, if it is to be recorded.
    fn decide(&self, start: Timestamp, late: bool, now: Timestamp) -> Result<Timestamp, SkipReason> {
        let window = &self.window;
        let ends = start.checked_add(window.duration).map_err(|_| SkipReason::Missed)?;
        let late_by = now.duration_since(start).unsigned_abs();
        let past_deadline = window.missed_deadline.is_some_and(|deadline| late_by > deadline);
        if ends <= now || (late && (window.missed == Missed::Skip || past_deadline)) {
            return Err(SkipReason::Missed);
        }
        if self.overlaps(now) { Err(SkipReason::Overlap) } else { Ok(ends) }
    }

    /// Whether as many runs are going on as its window wants beside each other. By the time they are meant to end: one that
    /// ends as another begins does not overlap it.
    fn overlaps(&self, now: Timestamp) -> bool {
        let going_on = self.running.iter().filter(|(_, ends)| *ends > now).count();
        self.window.overlap != Overlap::Replace && going_on >= self.window.runs_max
    }

    /// Whether one more run keeps to [`Window::runs_at_once_max`], whatever keeps others from ending.
    fn has_room(&self) -> bool {
        self.running.len() < self.window.runs_at_once_max()
    }

    /// What is left of a run that ends then is begun a little later, unless its window wants whole runs.
    fn begin_again(&mut self, ends: Timestamp, now: Timestamp) {
        if self.window.missed == Missed::Rest || self.window.pre_trigger.is_some() {
            self.again.extend(now.checked_add(AGAIN_AFTER).map(|due| (due, ends)));
        }
    }

    /// Whether its past is to be kept ready, and nobody does.
    fn is_to_be_armed(&self) -> bool {
        self.window.pre_trigger.is_some() && self.running.is_empty() && self.again.is_empty()
    }

    /// What is left of runs that no schedule begins anew under `window`, which takes the place of theirs.
    fn rests_on_demand(&self, window: &Window, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let is_on_demand = |window: &Window| window.when == When::OnDemand && window.pre_trigger.is_none();
        if !is_on_demand(&self.window) || !is_on_demand(window) || window.missed == Missed::Skip {
            return Vec::new();
        }
        self.again.iter().copied().chain(self.running.iter().map(|(_, ends)| (now, *ends))).collect()
    }

    fn end_all(&self, reason: &EndReason) -> impl Iterator<Item = Decision> {
        self.running.iter().map(|(id, _)| Decision::End { id: id.clone(), reason: reason.clone() })
    }
}

/// The same moment, by a clock that was set; never stays never.
pub fn moved(time: Timestamp, by: SignedDuration) -> Timestamp {
    if time == Timestamp::MAX { time } else { time.saturating_add(by).unwrap_or(time) }
}

#[cfg(test)]
mod tests;

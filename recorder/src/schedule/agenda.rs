//! Which runs begin now, which are left out: decisions over time, without a clock.

mod entry;

use super::{Config, Overlap, Recording, Run, Starts, When, Window};
use entry::Entry;
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// A begin this much too late still counts as being on time: wake-ups are not exact.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(2);

/// A clock that is set back by less than this repeats no run.
const SET_BACK_MIN: SignedDuration = SignedDuration::from_mins(1);

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

impl SkipReason {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Overlap => "overlap",
            Self::Unended => "unended",
        }
    }
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
    #[error("{window} has {runs} runs that have not ended, and no more may go on at once: see runs_max")]
    RunsMax {
        /// What was asked for.
        window: Name,
        /// How many there are.
        runs: usize,
    },
    /// One of its runs takes the place of another, which has not ended yet.
    #[error("a run of {window} takes the place of another at this moment: ask again once that has ended")]
    Replacing {
        /// What was asked for.
        window: Name,
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

impl Agenda {
    /// Begins at `now`: runs that are going on are the next ones, unless they are over. Recordings begin at other times than
    /// in `starts`.
    pub fn new(config: &Config, node: Name, starts: Starts, now: Timestamp) -> Self {
        let cluster = config.cluster.clone();
        let entry = |window: &Arc<Window>| Entry::resumed(window, &node, starts.run(&window.name), now);
        let entries = config.windows.iter().map(entry).collect();
        let identity = Identity { cluster, node, configuration_sha256: config.sha256, starts };
        Self { identity, entries, latest: now }
    }

    /// Told that somebody set the clock, and by how much: what is due after some time moves along.
    pub fn clock_was_set(&mut self, by: SignedDuration) {
        for entry in &mut self.entries {
            if entry.window.when == When::Always {
                entry.next.iter_mut().for_each(|next| *next = moved(*next, by));
            }
            entry.running.iter_mut().for_each(|(_, run)| run.ends = moved(run.ends, by));
            entry.again.iter_mut().for_each(|(due, run)| (*due, run.ends) = (moved(*due, by), moved(run.ends, by)));
        }
        self.identity.starts.clock_was_set(by);
    }

    /// Follows the windows of `config` from `now` on: those that are the same go on as if nothing were, runs of
    /// others end, and begin anew if they are still wanted.
    pub fn update(&mut self, config: &Config, now: Timestamp) -> Vec<Decision> {
        self.identity.configuration_sha256 = config.sha256;
        let mut before = std::mem::take(&mut self.entries);
        let mut decisions = Vec::new();
        for window in &config.windows {
            let old = before.iter().position(|entry| entry.window.name == window.name);
            let begun = self.identity.starts.run(&window.name);
            self.entries.push(match old.map(|at| before.swap_remove(at)) {
                Some(old) if old.window == *window => old,
                Some(old) => {
                    decisions.extend(old.end_all(&EndReason::WindowChanged));
                    let next = Entry::new(window, &self.identity.node, begun, now);
                    let again = old.rests_on_demand(&next, now);
                    // They end now, so that nothing that begins overlaps them.
                    let running = old.running.into_iter().map(|(id, run)| (id, Run { ends: now, ..run })).collect();
                    Entry { running, again, ..next }
                }
                None => Entry::new(window, &self.identity.node, begun, now),
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
            if is_set_back && entry.follows_clock() {
                self.identity.starts.begin(&entry.window.name, None);
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
                let begun = self.identity.starts.run(&entry.window.name);
                let decided = if replaced { Err(SkipReason::Overlap) } else { entry.decide(start, late, begun, now) };
                let skip = |entry: &Entry, reason| Decision::Skip { window: entry.window.name.clone(), start, reason };
                match decided {
                    Err(reason) => decisions.push(skip(entry, reason)),
                    Ok(run) if !entry.has_room() => {
                        decisions.push(skip(entry, SkipReason::Unended));
                        // Its rest has in it what is left of those before.
                        entry.again.retain(|(_, other)| other.ends > run.ends);
                        entry.begin_again(run, now);
                    }
                    Ok(run) => {
                        self.identity.starts.begin(&entry.window.name, Some(run));
                        self.identity.begin(entry, if late { now } else { start }, run, &mut decisions);
                    }
                }
            }
            while let Some(due) = entry.again.iter().position(|(due, _)| *due <= now) {
                let (_, run) = entry.again.swap_remove(due);
                match run.ends > now && !entry.overlaps(now) {
                    true if entry.has_room() => self.identity.begin(entry, now, run, &mut decisions),
                    true => entry.begin_again(run, now),
                    false => {}
                }
            }
            if entry.is_to_be_armed() {
                self.identity.begin(entry, now, Run::asked_for(now, Timestamp::MAX), &mut decisions);
            }
        }
        decisions
    }

    /// Begins a run at `now`, whatever the schedule says: somebody asked for it.
    pub fn start(&mut self, window: &Name, now: Timestamp) -> Result<Vec<Decision>, StartError> {
        let present = self.present();
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.window.name == *window) else {
            return Err(StartError::NoWindow { window: window.clone(), present });
        };
        if entry.overlaps(now) || !entry.has_room() {
            let (window, runs) = (window.clone(), entry.running.len());
            return Err(match entry.window.overlap {
                Overlap::Skip => StartError::Overlap { window },
                Overlap::Allow => StartError::RunsMax { window, runs },
                Overlap::Replace => StartError::Replacing { window },
            });
        }
        let mut decisions = Vec::new();
        let run = Run::asked_for(now, now.checked_add(entry.window.duration).unwrap_or(Timestamp::MAX));
        // A run that a schedule has is not forgotten for one that somebody asked for beside it.
        if entry.window.when == When::OnDemand {
            self.identity.starts.begin(window, Some(run));
        }
        self.identity.begin(entry, now, run, &mut decisions);
        Ok(decisions)
    }

    /// Told that somebody stopped a window: what is left of its runs is not begun again, now or after a start of the
    /// recorder. Whether anything was to be.
    pub fn stop(&mut self, window: &Name) -> Result<bool, StartError> {
        let present = self.present();
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.window.name == *window) else {
            return Err(StartError::NoWindow { window: window.clone(), present });
        };
        self.identity.starts.end(window, |_| true);
        entry.running.iter_mut().for_each(|(_, run)| run.is_over = true);
        // What keeps the past ready is stopped by nobody, and what failed of that is not tried again sooner.
        if entry.window.pre_trigger.is_some() {
            return Ok(false);
        }
        Ok(!std::mem::take(&mut entry.again).is_empty())
    }

    /// Told that a recording ended by itself, and what is left of its run is not to be recorded: its budget is spent. Whether
    /// anything is left.
    pub fn over(&mut self, id: &RecordingId, now: Timestamp) -> bool {
        let mut all = self.entries.iter_mut().flat_map(|entry| &mut entry.running);
        let Some((_, run)) = all.find(|(running, run)| running == id && run.ends > now) else { return false };
        run.is_over = true;
        self.identity.starts.end(&id.window, |latest| latest.start == run.start);
        true
    }

    /// Whether a run of `window` may begin as soon as somebody asks for it, by how many have not ended.
    pub fn has_room(&self, window: &Name) -> bool {
        self.entries.iter().any(|entry| entry.window.name == *window && entry.has_room())
    }

    /// Begins at `now` what is left of a run that somebody asked for, where its window keeps nothing ready any more.
    pub fn go_on(&mut self, window: &Name, ends: Timestamp, now: Timestamp) {
        let run = Run::asked_for(now, ends);
        for entry in self.entries.iter_mut().filter(|entry| entry.window.name == *window && entry.is_on_demand()) {
            self.identity.starts.begin(window, Some(run));
            entry.again.push((now, run));
        }
    }

    /// The names of all windows, for people.
    fn present(&self) -> String {
        let names: Vec<_> = self.entries.iter().map(|entry| entry.window.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
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
            if let Some(&(_, run)) = entry.running.iter().find(|(running, _)| running == id) {
                entry.begin_again(run, now);
            }
        }
        self.ended(id);
    }
}

impl Identity {
    /// A recording that begins at `begins`, entered as running; with it the end of those that it replaces.
    fn begin(&self, entry: &mut Entry, begins: Timestamp, run: Run, decisions: &mut Vec<Decision>) {
        if entry.window.overlap == Overlap::Replace {
            decisions.extend(entry.end_all(&EndReason::Replaced));
        }
        let window = entry.window.clone();
        let (cluster, node) = (self.cluster.clone(), self.node.clone());
        let mut id = RecordingId { cluster, window: window.name.clone(), start: begins.into(), node };
        self.starts.take(&mut id);
        entry.running.push((id.clone(), run));
        let (spent, configuration_sha256) = (self.starts.spent(&id, &run), self.configuration_sha256);
        decisions.push(Decision::Record(Recording { id, ends: run.ends, window, configuration_sha256, spent }));
    }
}

/// The same moment, by a clock that was set; never stays never.
pub fn moved(time: Timestamp, by: SignedDuration) -> Timestamp {
    if time == Timestamp::MAX { time } else { time.saturating_add(by).unwrap_or(time) }
}

#[cfg(test)]
mod tests;

//! What is remembered of the runs of each window, longer than their recordings. Which starts they have had: a clock that is set
//! back comes to the same time twice, and what is recorded then must not take the place of what was recorded before. And the
//! latest run that has begun: who starts anew while it goes on is to know whether anything of it is still wanted.

use crate::limits;
use crate::sync::lock;
use formats::seal::Volume;
use formats::store::{Name, RecordingId, Start};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// What is remembered of all windows. Shared by who decides on runs and who keeps it for the next start.
#[derive(Debug, Clone, Default)]
pub struct Starts(Arc<Mutex<HashMap<Name, Remembered>>>);

/// What is remembered of a window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Remembered {
    /// The latest starts of recordings, [`limits::STARTS_MAX`] of them, oldest first.
    starts: VecDeque<Start>,
    /// The latest run that has begun.
    run: Option<Run>,
    /// What it has spent of its budget.
    #[serde(default)]
    spent: Spent,
}

/// What the recordings of a run have written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Spent {
    /// Each of the latest [`limits::STARTS_MAX`], oldest first; nothing until it has ended.
    recordings: VecDeque<(Start, Volume)>,
    /// Those before.
    before: Volume,
}

/// A run that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When its window says that it begins, whatever the delay of this node; when it was begun, where somebody asked for it.
    pub start: Timestamp,
    /// When it is to end.
    pub ends: Timestamp,
    /// Somebody asked for it: no schedule has it.
    pub is_asked_for: bool,
    /// It was stopped, or its budget is spent: what is left of it is not to be recorded.
    pub is_over: bool,
}

impl Run {
    /// One that somebody asked for.
    pub fn asked_for(start: Timestamp, ends: Timestamp) -> Self {
        Self { start, ends, is_asked_for: true, is_over: false }
    }
}

impl Starts {
    /// Moves a recording that is to begin to the first millisecond that is not taken, and takes that.
    pub fn take(&self, id: &mut RecordingId) {
        let mut all = lock(&self.0);
        let taken = all.entry(id.window.clone()).or_default();
        while taken.starts.contains(&id.start)
            && let Ok(later) = id.start.time().checked_add(SignedDuration::from_millis(1))
        {
            id.start = later.into();
        }
        taken.add(id.start);
    }

    /// Adds the start of a recording, wherever that is from.
    pub fn add(&self, id: &RecordingId) {
        lock(&self.0).entry(id.window.clone()).or_default().add(id.start);
    }

    /// All that is remembered of a window.
    pub fn of(&self, window: &Name) -> Remembered {
        lock(&self.0).get(window).cloned().unwrap_or_default()
    }

    /// What was remembered of a window before.
    pub fn recall(&self, window: Name, remembered: Remembered) {
        lock(&self.0).insert(window, remembered);
    }

    /// The latest run of a window that has begun.
    pub fn run(&self, window: &Name) -> Option<Run> {
        lock(&self.0).get(window)?.run
    }

    /// A run begins, or goes on, and is the latest; without one, none is remembered any more.
    pub fn begin(&self, window: &Name, run: Option<Run>) {
        let mut all = lock(&self.0);
        let remembered = all.entry(window.clone()).or_default();
        if remembered.run.map(|run| run.start) != run.map(|run| run.start) {
            remembered.spent = Spent::default();
        }
        remembered.run = run;
    }

    /// A recording of that run begins: what those before it have written. Of no run but the latest it is known.
    pub fn spent(&self, id: &RecordingId, run: &Run) -> Volume {
        let mut all = lock(&self.0);
        let Some(remembered) = all.get_mut(&id.window) else { return Volume::default() };
        if remembered.run.is_none_or(|latest| latest.start != run.start) {
            return Volume::default();
        }
        remembered.spent.begin(id.start)
    }

    /// A recording has ended, and has written so much. Whether it is of the latest run of its window.
    pub fn spend(&self, id: &RecordingId, written: Volume) -> bool {
        let mut all = lock(&self.0);
        let mut recordings =
            all.get_mut(&id.window).into_iter().flat_map(|remembered| &mut remembered.spent.recordings);
        let own = recordings.find(|(start, _)| *start == id.start);
        own.map(|(_, spent)| *spent = written).is_some()
    }

    /// What is left of the latest run is not to be recorded, if it is one of those.
    pub fn end(&self, window: &Name, which: impl FnOnce(&Run) -> bool) {
        let mut all = lock(&self.0);
        let run = all.get_mut(window).and_then(|remembered| remembered.run.as_mut());
        run.filter(|run| which(run)).into_iter().for_each(|run| run.is_over = true);
    }

    /// Somebody set the clock: runs last as long as they were to.
    pub fn clock_was_set(&self, by: SignedDuration) {
        let mut all = lock(&self.0);
        let runs = all.values_mut().filter_map(|remembered| remembered.run.as_mut());
        runs.for_each(|run| run.ends = super::moved(run.ends, by));
    }
}

impl Spent {
    /// A recording begins: what those before it have written.
    fn begin(&mut self, start: Start) -> Volume {
        let mut sum = self.before;
        self.recordings.iter().for_each(|(_, written)| sum += *written);
        self.recordings.push_back((start, Volume::default()));
        if self.recordings.len() > limits::STARTS_MAX {
            self.before += self.recordings.pop_front().map(|(_, written)| written).unwrap_or_default();
        }
        sum
    }
}

impl Remembered {
    fn add(&mut self, start: Start) {
        if !self.starts.contains(&start) {
            self.starts.push_back(start);
            if self.starts.len() > limits::STARTS_MAX {
                self.starts.pop_front();
            }
        }
    }
}

/// As an earlier version wrote it: starts alone.
impl FromIterator<Start> for Remembered {
    fn from_iter<I: IntoIterator<Item = Start>>(starts: I) -> Self {
        let mut remembered = Self::default();
        starts.into_iter().for_each(|start| remembered.add(start));
        remembered
    }
}

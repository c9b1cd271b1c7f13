//! Which starts the recordings of each window have had: a clock that is set back comes to the same time twice, and what
//! is recorded then must not take the place of what was recorded before.

use crate::limits;
use crate::sync::lock;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// The latest starts of each window, [`limits::STARTS_MAX`] of them. Shared by who decides on runs and who keeps it for the
/// next start.
#[derive(Debug, Clone, Default)]
pub struct Starts(Arc<Mutex<HashMap<Name, VecDeque<Timestamp>>>>);

impl Starts {
    /// Moves a recording that is to begin to the first millisecond that is not taken, and takes that.
    pub fn take(&self, id: &mut RecordingId) {
        let mut all = lock(&self.0);
        let taken = all.entry(id.window.clone()).or_default();
        while taken.contains(&id.start.time())
            && let Ok(later) = id.start.time().checked_add(SignedDuration::from_millis(1))
        {
            id.start = later.into();
        }
        add(taken, id.start.time());
    }

    /// Adds those of a window that were taken before, oldest first; all of it then.
    pub fn add(&self, window: &Name, starts: impl IntoIterator<Item = Timestamp>) -> Vec<Timestamp> {
        let mut all = lock(&self.0);
        let taken = all.entry(window.clone()).or_default();
        starts.into_iter().for_each(|start| add(taken, start));
        taken.iter().copied().collect()
    }
}

fn add(taken: &mut VecDeque<Timestamp>, start: Timestamp) {
    if !taken.contains(&start) {
        taken.push_back(start);
        if taken.len() > limits::STARTS_MAX {
            taken.pop_front();
        }
    }
}

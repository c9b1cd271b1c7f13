//! The clock that packets were timed with: how far it was off, and how it was set.

use crate::size;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far the clock of the node was off, and how it was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What must be added to our times to get the source's, as far as it is known.
    pub offset_ns: i64,
    /// Who says so: 'kernel', 'chrony', 'ptp', …
    pub source: String,
    /// Whether somebody keeps the clock right; null when nobody said.
    #[serde(default)]
    pub synchronised: Option<bool>,
    /// How far it may be off at most; null when nobody said.
    #[serde(default)]
    pub error_max_ns: Option<u64>,
    /// How it was set since the seal before, in order; in `close.json`, since the recording began.
    #[serde(default)]
    pub steps: Vec<ClockStep>,
}

/// The clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// When it was noticed, as the clock shows since.
    pub at: Timestamp,
    /// By how much; below zero when it was set back.
    pub by_ns: i64,
}

impl fmt::Display for ClockStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.by_ns < 0 { "back" } else { "forward" };
        write!(f, "clock set {way} {}", size::time(self.by_ns.saturating_abs()))
    }
}

/// Steps of the clock that are told one by one: who sets it more often is told by the sum.
pub const CLOCK_STEPS_MAX: usize = 64;

/// Notes a step with those before it. Behind [`CLOCK_STEPS_MAX`] it is added up with the last: who sets the clock again and
/// again takes no more memory for that.
pub fn note(steps: &mut Vec<ClockStep>, step: ClockStep) {
    let is_full = steps.len() >= CLOCK_STEPS_MAX;
    match steps.last_mut().filter(|_| is_full) {
        Some(last) => last.by_ns = last.by_ns.saturating_add(step.by_ns),
        None => steps.push(step),
    }
}

impl Clock {
    /// Adds a step, as [`note`].
    pub fn step(&mut self, step: ClockStep) {
        note(&mut self.steps, step);
    }

    /// What `close.json` says of the clock, seal by seal: the last that was said, and all steps.
    pub fn follow(so_far: &mut Option<Self>, next: Option<&Self>) {
        let Some(next) = next else { return };
        let steps = so_far.take().map(|clock| clock.steps).unwrap_or_default();
        let clock = so_far.insert(Self { steps, ..next.clone() });
        next.steps.iter().for_each(|&step| clock.step(step));
    }
}

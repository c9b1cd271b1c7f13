//! Times within a recording in which nothing was recorded.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// No ring was open: what was on the wire meanwhile nobody saw, and nobody counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// After this moment nothing is known.
    pub from: Timestamp,
    /// From this moment on there were rings again. Before `from` where the clock was set back meanwhile.
    pub until: Timestamp,
}

/// Pauses that `close.json` tells one by one: who pauses more often is told by the span of the rest.
pub const PAUSES_MAX: usize = 64;

/// Notes a pause with those before it. Behind [`PAUSES_MAX`] the last reaches from the first of the rest to the end of the last.
pub fn note_pause(pauses: &mut Vec<Pause>, pause: Pause) {
    let is_full = pauses.len() >= PAUSES_MAX;
    match pauses.last_mut().filter(|_| is_full) {
        Some(last) => last.until = pause.until,
        None => pauses.push(pause),
    }
}

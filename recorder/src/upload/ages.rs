//! How long segments have waited for their store, by the clock that only goes on: whoever sets the time of day makes nothing
//! older. Files do not tell that, so it counts from when this process first saw a segment wait.

use crate::clock::Clock;
use crate::spool::Spool;
use crate::sync::lock;
use formats::store::RecordingId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A segment is told apart from one that came a 64th of the largest age before it: so many numbers are kept of each recording.
const PARTS: u32 = 64;

/// When segments were first seen to wait.
#[derive(Debug, Clone)]
pub(super) struct Ages {
    age_max: Duration,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<HashMap<RecordingId, Seen>>>,
}

/// The same of one recording.
#[derive(Debug, Default)]
struct Seen {
    /// The newest segment there was in each part of the time.
    newest: BTreeMap<u128, u32>,
    /// Segments up to this one have waited too long.
    over: u32,
}

impl Ages {
    /// Segments may wait for `age_max`.
    pub fn new(age_max: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { age_max, clock, seen: Arc::default() }
    }

    /// Looks what waits in these recordings; which have waited for too long.
    pub fn over(&self, spool: &Spool, recordings: &[RecordingId]) -> io::Result<Vec<(RecordingId, u32)>> {
        let (mut over, now) = (Vec::new(), self.part(self.clock.steady()));
        for id in recordings {
            let waiting = spool.waiting(id)?;
            let through = lock(&self.seen).entry(id.clone()).or_default().over(waiting.last(), now);
            over.extend(waiting.into_iter().filter(|sequence| *sequence <= through).map(|it| (id.clone(), it)));
        }
        Ok(over)
    }

    /// Forgets all recordings but these.
    pub fn retain(&self, recordings: &[RecordingId]) {
        let recordings: BTreeSet<&RecordingId> = recordings.iter().collect();
        lock(&self.seen).retain(|id, _| recordings.contains(id));
    }

    fn part(&self, steady: Duration) -> u128 {
        steady.as_nanos() / (self.age_max / PARTS).as_nanos().max(1)
    }
}

impl Seen {
    fn over(&mut self, waits: Option<&u32>, part: u128) -> u32 {
        let before = self.newest.values().next_back().copied().unwrap_or(self.over);
        if let Some(newest) = waits.filter(|newest| **newest > before) {
            self.newest.insert(part, *newest);
        }
        let recent = self.newest.split_off(&part.saturating_sub(PARTS.into()));
        let old = std::mem::replace(&mut self.newest, recent);
        self.over = old.into_values().next_back().unwrap_or(self.over);
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::clock::SimClock;

    #[test]
    fn a_segment_is_over_once_it_was_seen_for_so_long() {
        let ages = Ages::new(Duration::from_secs(64), Arc::new(SimClock::new()));
        let mut seen = Seen::default();
        // Seconds, the newest that waits, and up to which they have waited too long.
        for (second, newest, over) in [
            (10, None, 0),
            (100, Some(3), 0),
            (101, Some(3), 0),
            (130, Some(4), 0),
            (164, Some(5), 0),
            (165, Some(5), 3),
            (166, None, 3),
            (195, Some(5), 4),
            (1000, Some(6), 5),
            (5000, Some(7), 6),
        ] {
            let part = ages.part(Duration::from_secs(second));
            assert_eq!(seen.over(newest.as_ref(), part), over, "after {second} s");
        }
        let mut seen = Seen::default();
        (0..100_000).for_each(|part| assert!(seen.over(Some(&(part as u32)), part) <= part as u32));
        assert!(seen.newest.len() <= PARTS as usize + 1, "{}", seen.newest.len());
    }
}

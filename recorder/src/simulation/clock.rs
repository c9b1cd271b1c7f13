//! A clock that is told what time it is.

use crate::clock::{Clock, Moment};
use formats::seal;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct SimClock(Arc<Mutex<Moment>>);

impl SimClock {
    pub fn new() -> Self {
        let wall = Timestamp::from_second(1_795_525_500).expect("a time");
        Self(Arc::new(Mutex::new(Moment { wall, steady: Duration::from_secs(60) })))
    }

    /// Time goes on.
    pub fn pass(&self, milliseconds: u64) {
        let mut now = self.0.lock().expect("no panic with it in hand");
        now.steady += Duration::from_millis(milliseconds);
        now.wall += Duration::from_millis(milliseconds);
    }

    /// Somebody sets the clock.
    pub fn set_by(&self, by: SignedDuration) {
        self.0.lock().expect("no panic with it in hand").wall += by;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        *self.0.lock().expect("no panic with it in hand")
    }

    fn state(&self) -> Option<seal::Clock> {
        let (synchronised, error_max_ns) = (Some(true), Some(1000));
        Some(seal::Clock { offset_ns: 17, source: "simulated".into(), synchronised, error_max_ns, steps: Vec::new() })
    }
}

//! Whether the recorder is well, and whether it is ready; both say why not.

use super::state::{Beat, RESTS, State};
use crate::sync::lock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl State {
    /// What keeps the recorder from recording: nothing when it is well.
    pub fn complaints(&self, now: Instant) -> Vec<String> {
        let stalled: Vec<_> =
            lock(&self.pulses).iter().filter_map(|beat| self.stall_of(beat, now).map(|s| told(beat, s))).collect();
        let spool = lock(&self.look).complaint(now, self.stall);
        let is_over = lock(&self.progress).as_ref().is_some_and(|progress| progress.borrow().is_over);
        let sender = is_over.then(|| "nothing is stored any more: whoever did it is gone, see the log".to_owned());
        [stalled, spool.into_iter().chain(sender).collect()].concat()
    }

    /// What is missing before the recorder does all it should: nothing when it is ready.
    pub fn missing(&self, now: Instant) -> Vec<String> {
        if !self.is_started.load(Ordering::Relaxed) {
            return vec!["start-up is not over".to_owned()];
        }
        let all = lock(&self.series);
        let missed = all.iter().filter(|series| lock(&series.due_until).is_some_and(|until| now < until));
        missed.map(|series| format!("window {}: a recording is due, and has no ring yet", series.window)).collect()
    }

    /// For how long a capture that has stalled has not turned.
    fn stall_of(&self, beat: &Beat, now: Instant) -> Option<Duration> {
        let turned_ms = beat.turned_ms.load(Ordering::Relaxed);
        if turned_ms == RESTS {
            return None;
        }
        let silent = now.saturating_duration_since(self.began + Duration::from_millis(turned_ms));
        (silent >= self.stall).then_some(silent)
    }

    /// Logs captures that stalled or turn again, each once.
    pub fn sound_alarm(&self, now: Instant) {
        let pulses: Vec<Arc<Beat>> = lock(&self.pulses).clone();
        for beat in &pulses {
            let stall = self.stall_of(beat, now);
            let was_stalled = beat.is_stalled.swap(stall.is_some(), Ordering::Relaxed);
            let window = &beat.series.window;
            match stall {
                Some(silent) if !was_stalled => {
                    self.stalls.fetch_add(1, Ordering::Relaxed);
                    let silent_s = silent.as_secs_f64();
                    tracing::error!(
                        window,
                        silent_s,
                        "capture stalled: its thread waits for the disk or gets no time; the kernel counts what is lost"
                    );
                }
                None if was_stalled => tracing::warn!(window, "capture turns again"),
                _ => {}
            }
        }
    }
}

fn told(beat: &Beat, silent: Duration) -> String {
    let window = &beat.series.window;
    format!("window {window}: the capture has not turned for {:.0} s", silent.as_secs_f64())
}

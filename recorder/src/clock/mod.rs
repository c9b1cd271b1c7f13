//! What time it is, how sure that is, and whether somebody set the clock.
//!
//! Packets carry the time of day, as the kernel has it, and it may be set at any moment, also back. So nothing here
//! is measured by it: ages and ends follow the [`Moment::steady`] clock. A step of the one against the other is told
//! in the seal of the segment in which it came.

mod sys;

pub use formats::seal::note;
use formats::seal::{self, ClockStep};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;

/// Smallest step that is told [5 ms]: both clocks are read one after the other, and what comes between them on a busy
/// node stays far below. Daemons of NTP set the clock from 128 ms on, and slew it below; slewing moves both clocks.
const STEP_MIN: SignedDuration = SignedDuration::from_millis(5);

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time of day.
    pub wall: Timestamp,
    /// Time since the machine was started, sleep included: it only goes on.
    pub steady: Duration,
}

/// What tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The moment this is.
    fn now(&self) -> Moment;

    /// The same, of the clock that only goes on.
    fn steady(&self) -> Duration {
        self.now().steady
    }

    /// What is known of the time of day, without steps; none if it cannot be asked.
    fn state(&self) -> Option<seal::Clock>;
}

/// The clocks of the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        // Whoever is put aside between two readings reads again; one of a few is close enough.
        let readings = (0..8).map(|_| {
            let (before, wall, after) = (sys::steady(), Timestamp::now(), sys::steady());
            (after.saturating_sub(before), Moment { wall, steady: after })
        });
        let mut best = (Duration::MAX, Moment::default());
        for reading in readings {
            if reading.0 < best.0 {
                best = reading;
            }
            if best.0 < Duration::from_micros(100) {
                break;
            }
        }
        best.1
    }

    fn steady(&self) -> Duration {
        sys::steady()
    }

    fn state(&self) -> Option<seal::Clock> {
        sys::state().inspect_err(|error| tracing::debug!(%error, "the kernel does not tell of its clock")).ok()
    }
}

/// Compares moments with the first, and tells of steps in between.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    before: Option<Moment>,
}

impl Watch {
    /// The step of the time of day since the last look.
    pub fn look(&mut self, now: Moment) -> Option<ClockStep> {
        let before = self.before.replace(now)?;
        let passed = SignedDuration::try_from(now.steady.saturating_sub(before.steady)).ok()?;
        let by = now.wall.duration_since(before.wall).checked_sub(passed)?;
        if by.abs() < STEP_MIN {
            // Not forgotten: small differences must not add up unseen, nor be told one by one.
            let wall = before.wall.checked_add(passed).unwrap_or(now.wall);
            self.before = Some(Moment { wall, ..now });
            return None;
        }
        let by_ns = by.as_nanos().clamp(i64::MIN.into(), i64::MAX.into());
        Some(ClockStep { at: now.wall, by_ns: by_ns as i64 })
    }
}

/// How long it is until a time of day, if nobody sets the clock: to be added to [`Moment::steady`].
pub fn until(now: Moment, wall: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(now.wall)).unwrap_or_default()
}

/// When something is due, whoever sets the clock meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    wall: Timestamp,
    steady: Duration,
}

impl Deadline {
    /// At a time of day, as the clock stands now.
    pub fn new(now: Moment, wall: Timestamp) -> Self {
        Self { wall, steady: now.steady + until(now, wall) }
    }

    /// At another time of day; the same changes nothing.
    pub fn move_to(&mut self, now: Moment, wall: Timestamp) {
        if wall != self.wall {
            *self = Self::new(now, wall);
        }
    }

    /// Whether it is due.
    pub fn is_over(&self, now: Moment) -> bool {
        now.steady >= self.steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::seal::CLOCK_STEPS_MAX;

    fn moment(wall_ms: i64, steady_ms: u64) -> Moment {
        Moment { wall: Timestamp::from_millisecond(wall_ms).unwrap(), steady: Duration::from_millis(steady_ms) }
    }

    #[test]
    fn steps_are_told_once_and_noise_is_not() {
        let mut watch = Watch::default();
        let steps: Vec<Option<i64>> = [
            (100_000, 0),
            (101_000, 1000),
            (102_004, 2000),
            (103_000, 3000),
            (103_000 - 3_600_000, 3000),
            (104_000 - 3_600_000, 4000),
            (105_010 - 3_600_000, 5000),
            (206_010 - 3_600_000, 6000),
        ]
        .map(|(wall, steady)| watch.look(moment(wall, steady)).map(|step| step.by_ns / 1_000_000))
        .into();
        assert_eq!(steps, [None, None, None, None, Some(-3_600_000), None, Some(10), Some(100_000)]);
    }

    #[test]
    fn a_step_that_is_too_large_to_tell_keeps_its_sign() {
        let mut watch = Watch::default();
        let walls = [Timestamp::MIN, Timestamp::MAX, Timestamp::MIN];
        let steps = walls.map(|wall| watch.look(Moment { wall, ..Moment::default() }).map(|step| step.by_ns));
        assert_eq!(steps, [None, Some(i64::MAX), Some(i64::MIN)]);
    }

    #[test]
    fn steps_are_noted_one_by_one_up_to_a_bound() {
        let mut steps = Vec::new();
        for second in 0..1000 {
            note(&mut steps, ClockStep { at: moment(second, 0).wall, by_ns: 7 });
        }
        assert_eq!((steps.len(), steps.iter().map(|step| step.by_ns).sum::<i64>()), (CLOCK_STEPS_MAX, 7000));
    }

    #[test]
    fn small_steps_add_up() {
        let mut watch = Watch::default();
        watch.look(moment(0, 0));
        let steps: Vec<_> =
            (1..=6).filter_map(|second| watch.look(moment(1002 * second, 1000 * second as u64))).collect();
        assert_eq!(steps.len(), 2, "{steps:?}");
        assert_eq!(steps.iter().map(|step| step.by_ns).sum::<i64>(), 12_000_000);
    }

    #[test]
    fn the_system_s_clock_goes_on_and_says_how_sure_it_is() {
        let (first, second) = (SystemClock.now(), SystemClock.now());
        assert!(second.steady >= first.steady);
        let state = SystemClock.state().expect("the kernel tells");
        assert!(state.source == "kernel" && state.steps.is_empty(), "{state:?}");
        assert_eq!(until(first, first.wall), Duration::ZERO);
        assert_eq!(until(first, first.wall - SignedDuration::from_secs(1)), Duration::ZERO);
    }
}

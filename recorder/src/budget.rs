//! How much of the machine a recording takes.

use crate::capture::thread_work;
use crate::limits;
use crate::orders::Orders;
use crate::rotate::Passed;
use crate::schedule::Percent;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Adds what the calling thread works to the account of its recording.
#[derive(Debug)]
pub struct ThreadClock<'a> {
    orders: &'a Orders,
    told: Duration,
}

impl<'a> ThreadClock<'a> {
    /// From here on.
    pub fn new(orders: &'a Orders) -> Self {
        Self { orders, told: thread_work().unwrap_or_default() }
    }

    /// Adds what was worked since it was last called.
    pub fn tick(&mut self) {
        // Every Linux since 2.6 has this clock: where it fails, there is nothing to add.
        let work = thread_work().unwrap_or(self.told);
        self.orders.add_work(work.saturating_sub(self.told));
        self.told = work;
    }
}

/// Compares work with the share of a processor that is allowed.
#[derive(Debug)]
pub struct CpuMeter {
    share: Percent,
    /// When it was looked, how much work had been done, and for how many packets; the last is the newest.
    samples: VecDeque<(Instant, Duration, Passed)>,
    /// How many times half of the flows were left out.
    halvings: u32,
}

/// What is to be done so that a recording keeps to its share of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// So much that leaving out more flows would not help: the recording is to end.
    Over,
    /// Leave out flows, keep one of two to the power of that.
    Keep {
        /// How many times to halve them.
        halvings: u32,
    },
}

impl CpuMeter {
    /// Allows that share of one processor.
    pub fn new(share: Percent) -> Self {
        Self { share, samples: VecDeque::new(), halvings: 0 }
    }

    /// What is to be done, when something else than before is: half of the flows are left out where more than the share was
    /// worked in the last [`limits::CPU_MEASURED`], up to `now`, and come back where it would be less than two thirds of it with
    /// their packets. Nothing is, before as much time has passed with what was decided last.
    pub fn look(&mut self, now: Instant, work: Duration, passed: Passed) -> Option<Work> {
        let fresh = self.samples.back().is_some_and(|(at, ..)| now.duration_since(*at) < limits::CPU_SAMPLE);
        if fresh {
            return None;
        }
        self.samples.push_back((now, work, passed));
        // The newest of those that are old enough is what is compared with.
        let is_old = |sample: &(Instant, _, _)| now.duration_since(sample.0) >= limits::CPU_MEASURED;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        let (at, work_before, before) = self.samples.front().copied().filter(is_old)?;
        let worked = work.saturating_sub(work_before);
        let allowed = now.duration_since(at) * self.share.0 / 100;
        // One more of both, for there may be none.
        let kept = 1.0 + passed.kept.saturating_sub(before.kept) as f64;
        let with_next = worked.mul_f64(1.0 + passed.next.saturating_sub(before.next) as f64 / kept);
        self.halvings = match worked {
            worked if worked > allowed && self.halvings == limits::CPU_HALVINGS_MAX => return Some(Work::Over),
            worked if worked > allowed => self.halvings + 1,
            _ if with_next < allowed * 2 / 3 && self.halvings > 0 => self.halvings - 1,
            _ => return None,
        };
        self.samples.clear();
        self.samples.push_back((now, work, passed));
        Some(Work::Keep { halvings: self.halvings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided after how many seconds, of a recording that works so many milliseconds in each; what it works for
    /// flows, half of it is saved with each halving.
    fn decided(share: u32, work_ms: &[(u64, u64)]) -> Vec<(u64, Work)> {
        decided_of(share, work_ms, |flows_ms, halvings| flows_ms >> halvings)
    }

    /// The same, of flows of which `left` says how much is left when they are halved so often.
    fn decided_of(share: u32, work_ms: &[(u64, u64)], left: fn(u64, u32) -> u64) -> Vec<(u64, Work)> {
        let begin = Instant::now();
        let mut meter = CpuMeter::new(Percent(share));
        let (mut work, mut kept, mut passed) = (Duration::ZERO, 0, Passed::default());
        let mut decided = Vec::new();
        for (second, (always_ms, flows_ms)) in (0..).zip(work_ms) {
            if let Some(done) = meter.look(begin + Duration::from_secs(second), work, passed) {
                decided.push((second, done));
                if let Work::Keep { halvings } = done {
                    kept = halvings;
                }
            }
            let flows_left_ms = left(*flows_ms, kept);
            work += Duration::from_millis(always_ms + flows_left_ms);
            if kept > 0 {
                passed.kept += flows_left_ms;
                passed.next += left(*flows_ms, kept - 1) - flows_left_ms;
            }
        }
        decided
    }

    #[test]
    fn shares() {
        let keep = |halvings| Work::Keep { halvings };
        assert_eq!(decided(50, &[(0, 500); 60]), [], "as much as is allowed");
        assert_eq!(decided(50, &[(0, 501); 60]), [(10, keep(1))], "not before it was measured");
        let burst: Vec<_> = (0..60).map(|second| (0, if second % 10 < 4 { 1000 } else { 100 })).collect();
        assert_eq!(decided(50, &burst), [], "bursts that are over soon");
        assert_eq!(decided(20, &[(100, 900); 60]), [(10, keep(1)), (20, keep(2)), (30, keep(3)), (40, keep(4))]);
        let quiet: Vec<_> = (0..60).map(|second| (0, if second < 20 { 900 } else { 90 })).collect();
        assert_eq!(decided(50, &quiet)[..2], [(10, keep(1)), (27, keep(0))], "they come back");
        let lone = decided_of(20, &[(10, 900); 60], |flow_ms, halvings| if halvings < 2 { flow_ms } else { 0 });
        assert_eq!(lone, [(10, keep(1)), (20, keep(2))], "a lone flow stays left out");
        let hopeless = decided(10, &[(200, 0); 120]);
        assert_eq!(hopeless.iter().find(|(_, done)| *done == Work::Over), Some(&(90, Work::Over)));
    }
}

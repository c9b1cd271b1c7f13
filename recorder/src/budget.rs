//! How much of the machine a recording takes.

use crate::capture::thread_work;
use crate::limits;
use crate::orders::Orders;
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
    /// When it was looked, and how much work had been done; the last is the newest.
    samples: VecDeque<(Instant, Duration)>,
}

impl CpuMeter {
    /// Allows that share of one processor.
    pub fn new(share: Percent) -> Self {
        Self { share, samples: VecDeque::new() }
    }

    /// Whether more than the share was worked in the last [`limits::CPU_MEASURED`], up to `now`; never before as
    /// much time has passed.
    pub fn is_over(&mut self, now: Instant, work: Duration) -> bool {
        let fresh = self.samples.back().is_some_and(|(at, _)| now.duration_since(*at) < limits::CPU_SAMPLE);
        if fresh {
            return false;
        }
        self.samples.push_back((now, work));
        // The newest of those that are old enough is what is compared with.
        let is_old = |sample: &(Instant, Duration)| now.duration_since(sample.0) >= limits::CPU_MEASURED;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        let Some((at, before)) = self.samples.front().copied().filter(is_old) else { return false };
        work.saturating_sub(before) > now.duration_since(at) * self.share.0 / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds a recording is over its share that works so many milliseconds in each.
    fn over_after(share: u32, work_ms: &[u64]) -> Option<usize> {
        let begin = Instant::now();
        let mut meter = CpuMeter::new(Percent(share));
        let mut work = Duration::ZERO;
        (0..).zip(work_ms).position(|(second, &more)| {
            let over = meter.is_over(begin + Duration::from_secs(second), work);
            work += Duration::from_millis(more);
            over
        })
    }

    #[test]
    fn shares() {
        assert_eq!(over_after(50, &[500; 60]), None, "as much as is allowed");
        assert_eq!(over_after(50, &[501; 60]), Some(10), "not before it was measured");
        let burst: Vec<_> = (0..60).map(|second| if second % 10 < 4 { 1000 } else { 100 }).collect();
        assert_eq!(over_after(50, &burst), None, "bursts that are over soon");
        let late: Vec<_> = (0..60).map(|second| if second < 30 { 0 } else { 900 }).collect();
        assert_eq!(over_after(50, &late), Some(36));
    }
}

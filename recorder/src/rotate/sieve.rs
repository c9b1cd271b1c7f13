//! What of the packets that came from the rings is not kept after all, and why: the recorder's own uploads, flows
//! that are too much, for the rate cap or for the share of a processor, and what comes when the budget is used up. What is
//! kept gets its id.

use super::identity::Identities;
use crate::capture::{Ends, Flows, OwnConnections, Packet};
use formats::seal::{EndReason, Volume};

/// What is not IP counts as one flow, the first to be left out: no protocol reads it.
const WITHOUT_IP: u64 = u64::MAX;

/// No budget.
pub const UNBOUNDED: Volume = Volume { packets: u64::MAX, bytes: u64::MAX };

/// Why a packet is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It is of an upload of this recorder.
    Own,
    /// Its flow is one of those that the rate cap leaves out, or the share of a processor; or the budget is used up.
    Sampled,
}

/// How many packets there were while flows were left out for want of a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Of flows that are kept.
    pub kept: u64,
    /// Of flows that would be kept, were they halved once less.
    pub next: u64,
}

/// What is left out.
#[derive(Debug)]
pub struct Sieve {
    own: &'static OwnConnections,
    flows: Flows,
    cap: Option<RateCap>,
    /// Flows are left out whose hash begins with fewer zeroes, for want of a processor.
    halvings: u32,
    passed: Passed,
    /// What may still be kept.
    left: Volume,
    /// Which budget is used up.
    spent: Option<EndReason>,
    identities: Option<Identities>,
}

impl Sieve {
    /// Leaves out our own uploads, and what is beyond `packets_per_second`. Where there are several points, packets are
    /// known again.
    pub fn new(packets_per_second: Option<u64>, several_points: bool) -> Self {
        Self {
            own: OwnConnections::of_process(),
            flows: Flows::default(),
            cap: packets_per_second.map(RateCap::new),
            halvings: 0,
            passed: Passed::default(),
            left: UNBOUNDED,
            spent: None,
            identities: several_points.then(Identities::default),
        }
    }

    /// Keeps one flow of two to the power of `halvings` from now on, the same on every node.
    pub fn shed(&mut self, halvings: u32) {
        self.halvings = halvings;
    }

    /// What it kept since flows were first left out, and what the last halving costs.
    pub fn passed(&self) -> Passed {
        self.passed
    }

    /// Keeps no more than that from now on.
    pub fn bound(&mut self, left: Volume) {
        self.left = left;
    }

    /// Which budget is used up: nothing is kept any more.
    pub fn spent(&self) -> Option<&EndReason> {
        self.spent.as_ref()
    }

    /// Whether another packet, of which so many bytes would be kept, is within the budget; where it is not, none is that comes
    /// later.
    pub fn affords(&mut self, bytes: u32) -> bool {
        let left = self.left.bytes.checked_sub(bytes.into());
        self.left.packets = self.left.packets.saturating_sub(1);
        self.left.bytes = left.unwrap_or(0);
        if self.left.bytes == 0 {
            self.spent = Some(EndReason::ByteBudget);
        } else if self.left.packets == 0 {
            self.spent = Some(EndReason::PacketBudget);
        }
        left.is_some()
    }

    /// The id of a packet that is kept, seen in that network namespace, at the interface of that number.
    pub fn id(&mut self, packet: &Packet<'_>, netns: u64, number: u32) -> Option<u64> {
        self.identities.as_mut()?.of(packet, netns, number)
    }

    fn is_own(&mut self, packet: &Packet<'_>, is_here: bool) -> bool {
        let outer = Ends::of(packet);
        let is_own = |ends: &Ends| self.own.has(ends, packet.time_ns, is_here);
        outer.as_ref().is_some_and(is_own)
            || self.own.are_any() && self.flows.carried(packet, outer.as_ref()).as_ref().is_some_and(is_own)
    }

    /// Why a packet is left out; none if it is kept. `is_here`: it is of the recorder's own network namespace.
    pub fn look(&mut self, packet: &Packet<'_>, is_here: bool) -> Option<LeftOut> {
        if self.is_own(packet, is_here) {
            return Some(LeftOut::Own);
        }
        if self.spent.is_some() {
            return Some(LeftOut::Sampled);
        }
        if self.halvings == 0 && self.cap.is_none() {
            return None;
        }
        // Only here, for to look into tunnels takes its time.
        let hash = self.flows.of(packet).unwrap_or(WITHOUT_IP);
        let is_kept = hash.leading_zeros() >= self.halvings;
        self.passed.kept += u64::from(is_kept);
        self.passed.next += u64::from(hash.leading_zeros() + 1 == self.halvings);
        let is_kept = is_kept && self.cap.as_mut().is_none_or(|cap| cap.keeps(hash, packet.time_ns));
        (!is_kept).then_some(LeftOut::Sampled)
    }
}

/// Keeps all packets of some flows, and none of others, so that about so many are kept in a second: which, their hash
/// says, the same on every node. Each halving of what is kept leaves out half of the flows that were kept until then.
#[derive(Debug)]
struct RateCap {
    packets_per_second: u64,
    /// Flows are kept whose hash begins with so many zeroes.
    halvings: u32,
    interval: u64,
    /// Packets that were kept and that no interval has paid for yet [packets of a tenth of a second]: each counts ten, and each
    /// interval pays for the packets of a second.
    unpaid: u64,
    /// Intervals in a row in which there would have been few enough packets, were flows halved once less.
    quiet: u32,
    /// So many there would have been in them.
    wanted: u64,
}

/// The rate is measured and bounded in each tenth of a second.
const INTERVALS_PER_SECOND: u64 = 10;
const INTERVAL_NS: u64 = 1_000_000_000 / INTERVALS_PER_SECOND;

/// After a second in which twice as many flows would have been no more than half of what is allowed, so many are kept.
const QUIET_INTERVALS: u32 = 10;

/// One flow of 65536 is kept at least: a lone flow may be more than the cap.
const HALVINGS_MAX: u32 = 16;

/// After so many without a packet all are kept.
const QUIET_INTERVALS_MAX: u32 = QUIET_INTERVALS * HALVINGS_MAX + 1;

impl RateCap {
    fn new(packets_per_second: u64) -> Self {
        Self { packets_per_second, halvings: 0, interval: 0, unpaid: 0, quiet: 0, wanted: 0 }
    }

    fn keeps(&mut self, flow_hash: u64, time_ns: u64) -> bool {
        let interval = time_ns / INTERVAL_NS;
        if interval != self.interval {
            self.begin(interval);
        }
        let zeroes = flow_hash.leading_zeros();
        self.wanted += u64::from(zeroes + 1 >= self.halvings);
        if zeroes < self.halvings {
            return false;
        }
        // A packet that is paid for in part is no reason to leave out others; nor is one flow of before that was too much.
        let over = self.packets_per_second.saturating_add(INTERVALS_PER_SECOND);
        self.unpaid = self.unpaid.saturating_add(INTERVALS_PER_SECOND).min(over);
        if self.unpaid == over && self.halvings < HALVINGS_MAX {
            self.halvings += 1;
            self.unpaid = 0;
            (self.quiet, self.wanted) = (0, 0);
            tracing::info!(halvings = self.halvings, "rate cap: half of the flows are left out");
        }
        true
    }

    fn begin(&mut self, interval: u64) {
        let is_few = self.wanted <= self.packets_per_second / 2;
        // Packets of several processors go back and forth a little; a clock that was set begins anew.
        let passed = interval.saturating_sub(self.interval).min(QUIET_INTERVALS_MAX.into()) as u32;
        // All intervals without a packet are quiet, and those before them if they had few.
        self.quiet = if is_few { self.quiet.saturating_add(passed) } else { passed.saturating_sub(1) };
        if !is_few {
            self.wanted = 0;
        }
        let over = (self.quiet / QUIET_INTERVALS).min(self.halvings);
        if over > 0 {
            self.halvings -= over;
            self.quiet %= QUIET_INTERVALS;
            self.wanted = 0;
            tracing::info!(halvings = self.halvings, "rate cap: more flows are kept again");
        }
        self.unpaid = self.unpaid.saturating_sub(self.packets_per_second.saturating_mul(passed.into()));
        self.interval = interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Link;
    use std::collections::BTreeMap;

    /// Packets of `flows` flows, one of each in turn, spread over time; how many of each flow were kept in each second.
    fn kept(cap: &mut RateCap, flows: u64, per_second: u64, seconds: u64) -> Vec<BTreeMap<u64, u64>> {
        (0..seconds)
            .map(|second| {
                let mut kept = BTreeMap::new();
                for packet in 0..per_second {
                    let flow = packet % flows;
                    let hash =
                        flow.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32).wrapping_mul(0xff51_afd7_ed55_8ccd);
                    let time_ns = second * 1_000_000_000 + packet * 1_000_000_000 / per_second;
                    if cap.keeps(hash, time_ns) {
                        *kept.entry(flow).or_default() += 1;
                    }
                }
                kept
            })
            .collect()
    }

    #[test]
    fn below_the_cap_everything_is_kept() {
        for packets_per_second in [1000, 184_467_440_738, u64::MAX] {
            let seconds = kept(&mut RateCap::new(packets_per_second), 100, 1000, 5);
            assert!(seconds.iter().all(|second| second.values().sum::<u64>() == 1000), "{packets_per_second}");
        }
    }

    #[test]
    fn few_packets_are_counted_one_by_one() {
        for cap in [1, 2, 9, 10, 15, 25, 99] {
            let sum = |per_second| {
                let seconds = kept(&mut RateCap::new(cap), 1000, per_second, 100);
                seconds.iter().flat_map(BTreeMap::values).sum::<u64>()
            };
            assert_eq!(sum(cap), 100 * cap, "as many as {cap}");
            assert!((1..=200 * cap).contains(&sum(10 * cap)), "{} of ten times {cap}", sum(10 * cap));
        }
    }

    #[test]
    fn what_is_not_ip_is_one_flow_that_is_left_out_first() {
        let link =
            Link { protocol: 0x0806, interface_index: 1, hardware: 1, direction: 0, address_bytes: 0, address: [0; 8] };
        let arp = [0; 42];
        let packet =
            |time_ns| Packet { time_ns, wire_bytes: 42, frame: &arp, network_at: 14, vlan: None, flags: 0, link };
        let kept = |sieve: &mut Sieve, packets: u64| {
            let times = (0..packets).map(|at| at * 1_000_000_000 / packets);
            times.filter(|time_ns| sieve.look(&packet(*time_ns), true).is_none()).count()
        };
        let mut sieve = Sieve::new(Some(1000), false);
        assert_eq!(kept(&mut sieve, 900), 900);
        assert!(kept(&mut sieve, 50_000) < 300);
        let mut sieve = Sieve::new(None, false);
        assert_eq!(kept(&mut sieve, 50_000), 50_000);
        sieve.shed(1);
        assert_eq!(kept(&mut sieve, 50_000), 0);
    }

    #[test]
    fn above_it_whole_flows_are_left_out_and_come_back() {
        let mut cap = RateCap::new(1000);
        let seconds = kept(&mut cap, 1000, 50_000, 5);
        let [.., last] = &seconds[..] else { panic!("five seconds") };
        let all: u64 = last.values().sum();
        assert!((200..=1000).contains(&all), "{all} packets");
        assert!(last.values().all(|packets| *packets == 50), "a flow is kept whole or not at all");
        let mut cap = RateCap { interval: 0, ..cap };
        let later = kept(&mut cap, 1000, 20, 12);
        assert_eq!(later.last().unwrap().values().sum::<u64>(), 20, "with so few, all are kept again");
    }

    #[test]
    fn a_lone_flow_that_is_too_much_stays_left_out_until_it_is_over() {
        let mut cap = RateCap::new(300);
        let mut sum = |hash: u64, seconds: std::ops::Range<u64>, per_second: u64| -> u64 {
            let times =
                (seconds.start * per_second..seconds.end * per_second).map(|at| at * 1_000_000_000 / per_second);
            times.map(|time_ns| u64::from(cap.keeps(hash, time_ns))).sum()
        };
        let (large, small) = (1 << 60, u64::MAX);
        assert!((1..300).contains(&sum(large, 0..2, 1500)));
        assert_eq!(sum(large, 2..60, 1500), 0);
        assert_eq!(sum(large, 60..61, 100), 0, "few enough now");
        assert!(sum(large, 61..64, 100) > 100);
        assert!(sum(small, 64..72, 100) > 100, "and all are kept again");
    }

    #[test]
    fn silence_counts_for_as_long_as_it_was() {
        let mut cap = RateCap::new(1000);
        kept(&mut cap, 1000, 50_000, 2);
        let halvings = cap.halvings;
        assert!(halvings > 2);
        assert!(!cap.keeps(u64::MAX, 3_050_000_000) && cap.halvings == halvings - 1, "a second");
        assert!(cap.keeps(u64::MAX, 23_050_000_000) && cap.halvings == 0, "twenty seconds");
    }
}

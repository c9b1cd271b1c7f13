//! Windows over a clock that somebody sets, runs that fail, and a recorder that is started anew: the real `Desk`, and runs that
//! do nothing.

use super::clock::SimClock;
use super::disk::SimDisk;
use super::random::Random;
use crate::clock::{Clock, Deadline};
use crate::control::{Begin, Desk, Ending};
use crate::limits;
use crate::schedule::Config;
use crate::spool::Spool;
use formats::seal::EndReason;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// For so long each window may be silent at most: between two runs, behind one that failed, and until the next minute by
/// a clock that was set, after another that was set back by too little to repeat anything.
const SILENT_MAX: [(&str, Duration); 3] =
    [("always", Duration::from_secs(35)), ("minutely", Duration::from_secs(125)), ("ready", Duration::from_secs(35))];

const WINDOWS: &str = "{cluster: c, store: /s, windows: [
    {name: always, always: true, duration: 20s, interfaces: [any], overlap: OVERLAP},
    {name: minutely, cron: '* * * * *', duration: 20s, interfaces: [any], overlap: OVERLAP},
    {name: ready, on_demand: true, duration: 10m, pre_trigger: 5m, interfaces: [any]}]}";

/// A run, as the capture thread ends it.
struct Run {
    begin: Begin,
    due: Deadline,
    hand_over: Deadline,
}

/// Everything a seed gives: how often the clock was set, and how many runs there were.
pub fn run(seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
    let clock = SimClock::new();
    let overlap = ["allow", "replace", "skip"][random.below(3) as usize];
    let config = Config::from_yaml(&WINDOWS.replace("OVERLAP", overlap)).expect("a configuration");
    let disk = Arc::new(SimDisk::new(random.split()));
    let start = || {
        let spool = Spool::open_on(disk.clone(), Path::new("/spool")).expect("nothing fails");
        (spool.clone(), Desk::new(&config, "n".parse().expect("a name"), spool, Vec::new(), clock.now()))
    };
    let (mut spool, mut desk) = start();
    let mut ids = BTreeSet::new();
    let mut runs: Vec<Run> = Vec::new();
    let mut heard: BTreeMap<&str, Duration> = SILENT_MAX.map(|(window, _)| (window, clock.steady())).into();
    let (mut steps, mut begun) = (0, 0);
    for _ in 0..400 {
        // As long as the loop of `remora-recorder run` sleeps at most.
        clock.pass(random.below(1000));
        if random.chance(1, 50) {
            let most_ms = [100, 5_000, 90_000, 7_200_000, 400 * 86_400_000][random.below(5) as usize];
            clock.set_by(SignedDuration::from_millis(random.below(2 * most_ms) as i64 - most_ms as i64));
            steps += 1;
            heard.insert("minutely", clock.steady());
        }
        if random.chance(1, 100) {
            runs.clear();
            (spool, desk) = start();
            heard.values_mut().for_each(|heard| *heard = clock.steady());
        }
        let now = clock.now();
        for Begin { recording, orders } in desk.begin_due(now) {
            if recording.window.pre_trigger.is_none() {
                spool.begin(&recording.id, &recording.window.store).expect("nothing fails");
                assert!(ids.insert(recording.id.clone()), "{} twice", recording.id);
            }
            let due = Deadline::new(now, recording.ends);
            let hand_over = recording.ends.saturating_add(limits::HAND_OVER).unwrap_or(recording.ends);
            runs.push(Run { begin: Begin { recording, orders }, due, hand_over: Deadline::new(now, hand_over) });
            begun += 1;
        }
        for (window, silent_max) in SILENT_MAX {
            if runs.iter().any(|run| run.begin.recording.id.window.as_str() == window) {
                heard.insert(window, now.steady);
            }
            let silent = now.steady - heard[window];
            assert!(silent <= silent_max, "{window} is silent for {silent:?}, {overlap}");
        }
        runs.iter().for_each(|run| run.begin.orders.relieve());
        for at in (0..runs.len()).rev() {
            let Run { begin: Begin { recording, orders }, due, hand_over } = &runs[at];
            let waits = orders.is_followed() && !hand_over.is_over(now);
            let ending = match orders.to_end() {
                Some(EndReason::Duration | EndReason::Replaced) => Ending::Over,
                Some(reason) => panic!("{}: nobody ended it: {reason:?}", recording.id),
                None if due.is_over(now) && !waits => Ending::Over,
                None if random.chance(1, 200) => Ending::Failed,
                None => continue,
            };
            desk.ended(&recording.id, ending, now);
            spool.done(&recording.id).expect("nothing fails");
            runs.swap_remove(at);
        }
    }
    (steps, begun)
}

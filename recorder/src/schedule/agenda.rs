//! Which runs begin now, which are left out: decisions over time, without a clock.

use super::{Config, Missed, Overlap, Recording, Window};
use formats::hash::Hash256;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// A begin this much too late still counts as being on time: wake-ups are not exact.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(2);

/// After this time a run that failed is begun again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// What is to happen with a run.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Begin it.
    Record(Recording),
    /// Leave it out, and say so.
    Skip {
        /// Whose run.
        window: Name,
        /// When it should have begun.
        start: Timestamp,
        /// Why it is left out.
        reason: SkipReason,
    },
}

/// Why a run is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its begin was missed, and its window wants whole runs or it is over.
    Missed,
    /// The run before is still going on.
    Overlap,
}

/// All windows, each with its next run.
#[derive(Debug)]
pub struct Agenda {
    identity: Identity,
    begun: Timestamp,
    entries: Vec<Entry>,
}

/// What all recordings of this process share.
#[derive(Debug)]
struct Identity {
    cluster: Name,
    node: Name,
    configuration_sha256: Hash256,
}

#[derive(Debug)]
struct Entry {
    window: Arc<Window>,
    next: Option<Timestamp>,
    running: Vec<(RecordingId, Timestamp)>,
    /// Runs that failed: when to begin what is left of each, and when it ends.
    again: Vec<(Timestamp, Timestamp)>,
}

impl Agenda {
    /// Begins at `now`: runs that are going on are the next ones.
    pub fn new(config: &Config, node: Name, now: Timestamp) -> Self {
        let entry = |window: &Arc<Window>| Entry {
            next: window.when.going_or_next(now, window.duration),
            window: window.clone(),
            running: Vec::new(),
            again: Vec::new(),
        };
        Self {
            identity: Identity { cluster: config.cluster.clone(), node, configuration_sha256: config.sha256 },
            begun: now,
            entries: config.windows.iter().map(entry).collect(),
        }
    }

    /// When to wake it next; none when nothing will ever run again.
    pub fn next(&self) -> Option<Timestamp> {
        let again = |entry: &Entry| entry.again.iter().map(|(due, _)| *due).min();
        self.entries.iter().flat_map(|entry| [entry.next, again(entry)]).flatten().min()
    }

    /// Decides on every run that has begun by `now`.
    pub fn wake(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for entry in &mut self.entries {
            while let Some(start) = entry.next.filter(|&start| start <= now) {
                let window = entry.window.clone();
                let over = start.checked_add(window.duration).is_ok_and(|ends| ends <= now);
                // After a long sleep the runs between are not counted one by one: one skip, then the present.
                entry.next = match over {
                    true => window.when.going_or_next(now, window.duration),
                    false => window.when.after(start, window.duration),
                };
                // Begun before us: a run of before a crash may stand in the store under its scheduled time.
                let late = start < self.begun || now.duration_since(start) > LATE_MAX;
                decisions.push(match entry.decide(start, late, now) {
                    Err(reason) => Decision::Skip { window: window.name.clone(), start, reason },
                    Ok(ends) => self.identity.begin(entry, if late { now } else { start }, ends),
                });
            }
            while let Some(due) = entry.again.iter().position(|(due, _)| *due <= now) {
                let (_, ends) = entry.again.swap_remove(due);
                if ends > now && !entry.overlaps(now) {
                    decisions.push(self.identity.begin(entry, now, ends));
                }
            }
        }
        decisions
    }

    /// Told when a recording is over, at its time or before.
    pub fn ended(&mut self, id: &RecordingId) {
        for entry in &mut self.entries {
            entry.running.retain(|(running, _)| running != id);
        }
    }

    /// Told when a recording could not go on, at `now`: what is left of its run is begun again a little later,
    /// unless its window wants whole runs. Interfaces come late, and stores come back.
    pub fn failed(&mut self, id: &RecordingId, now: Timestamp) {
        for entry in &mut self.entries {
            let run = entry.running.iter().find(|(running, _)| running == id);
            if let Some(&(_, ends)) = run.filter(|_| entry.window.missed == Missed::Rest) {
                entry.again.extend(now.checked_add(AGAIN_AFTER).map(|due| (due, ends)));
            }
        }
        self.ended(id);
    }
}

impl Identity {
    /// A recording that begins at `begins`, entered as running.
    fn begin(&self, entry: &mut Entry, begins: Timestamp, ends: Timestamp) -> Decision {
        let window = entry.window.clone();
        let (cluster, node) = (self.cluster.clone(), self.node.clone());
        let mut id = RecordingId { cluster, window: window.name.clone(), start: begins.into(), node };
        entry.make_unique(&mut id);
        entry.running.push((id.clone(), ends));
        Decision::Record(Recording { id, ends, window, configuration_sha256: self.configuration_sha256 })
    }
}

impl Entry {
    /// When the run of `start` ends, if it is to be recorded.
    fn decide(&self, start: Timestamp, late: bool, now: Timestamp) -> Result<Timestamp, SkipReason> {
        let ends = start.checked_add(self.window.duration).map_err(|_| SkipReason::Missed)?;
        if ends <= now || (late && self.window.missed == Missed::Skip) {
            return Err(SkipReason::Missed);
        }
        if self.overlaps(now) { Err(SkipReason::Overlap) } else { Ok(ends) }
    }

    /// Whether a run is going on that its window wants alone. By the time it is meant to end: one that ends as
    /// another begins does not overlap it.
    fn overlaps(&self, now: Timestamp) -> bool {
        self.window.overlap == Overlap::Skip && self.running.iter().any(|(_, ends)| *ends > now)
    }

    /// Two late runs may begin at one moment; their recordings must not share a folder.
    fn make_unique(&self, id: &mut RecordingId) {
        while self.running.iter().any(|(running, _)| running == id)
            && let Ok(later) = id.start.time().checked_add(SignedDuration::from_millis(1))
        {
            id.start = later.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "2026-11-24T10:00:30Z";

    fn agenda(window: &str) -> Agenda {
        let file =
            format!("{{cluster: c, store: /s, windows: [{{name: w, duration: 10m, interfaces: [any], {window}}}]}}");
        Agenda::new(&Config::from_yaml(&file).unwrap(), "n".parse().unwrap(), BEGIN.parse().unwrap())
    }

    /// Wakes at each time of day and writes down what was decided: `+` begins (until), `-` is left out.
    /// `!` before a time: whatever runs had ended before it; `?`: had failed at it.
    fn decided(agenda: &mut Agenda, wakes: &str) -> String {
        let clock = |time: Timestamp| time.strftime("%H:%M:%S%.f").to_string();
        let mut line = Vec::new();
        for wake in wakes.split_whitespace() {
            let now = format!("2026-11-24T{}Z", wake.trim_start_matches(['!', '?'])).parse().unwrap();
            for (id, _) in agenda.entries.iter().flat_map(|entry| entry.running.clone()).collect::<Vec<_>>() {
                match wake.chars().next() {
                    Some('!') => agenda.ended(&id),
                    Some('?') => agenda.failed(&id, now),
                    _ => {}
                }
            }
            for decision in agenda.wake(now) {
                line.push(match decision {
                    Decision::Record(run) => format!("+{}-{}", clock(run.id.start.time()), clock(run.ends)),
                    Decision::Skip { start, reason, .. } => format!("-{}:{reason:?}", clock(start)),
                });
            }
        }
        line.join(" ")
    }

    #[test]
    fn decisions() {
        for (case, window, wakes, want) in [
            ("on time", "cron: '5 * * * *'", "10:04:59 10:05:00 10:05:01", "+10:05:00-10:15:00"),
            ("a little late", "cron: '5 * * * *'", "10:05:01.5", "+10:05:00-10:15:00"),
            ("late, the rest", "cron: '5 * * * *'", "10:07:00", "+10:07:00-10:15:00"),
            (
                "late, left out",
                "cron: '5 * * * *', missed: skip",
                "10:07:00 11:05:00",
                "-10:05:00:Missed +11:05:00-11:15:00",
            ),
            ("found running", "cron: '0 * * * *'", "10:00:30", "+10:00:30-10:10:00"),
            ("found running, left out", "cron: '0 * * * *', missed: skip", "10:00:30", "-10:00:00:Missed"),
            ("slept for hours", "cron: '5 * * * *'", "13:20:00 14:05:00", "-10:05:00:Missed +14:05:00-14:15:00"),
            ("slept into a run", "cron: '5 * * * *'", "13:06:00", "-10:05:00:Missed +13:06:00-13:15:00"),
            (
                "overlap",
                "cron: '*/6 * * * *'",
                "10:00:30 10:06:00 10:12:00",
                "+10:00:30-10:10:00 -10:06:00:Overlap +10:12:00-10:22:00",
            ),
            (
                "overlap allowed",
                "cron: '*/6 * * * *', overlap: allow",
                "10:06:00 10:12:00",
                "+10:06:00-10:10:00 +10:06:00.001-10:16:00 +10:12:00-10:22:00",
            ),
            (
                "no overlap once ended",
                "cron: '*/6 * * * *'",
                "10:00:30 !10:06:00",
                "+10:00:30-10:10:00 +10:06:00-10:16:00",
            ),
            (
                "end to end is no overlap",
                "cron: '*/10 * * * *'",
                "10:00:30 10:10:00 10:20:00",
                "+10:00:30-10:10:00 +10:10:00-10:20:00 +10:20:00-10:30:00",
            ),
            (
                "failed, again",
                "always: true",
                "10:00:30 ?10:01:00 10:01:29 10:01:30",
                "+10:00:30-10:10:30 +10:01:30-10:10:30",
            ),
            ("failed, at its end", "cron: '5 * * * *'", "10:05:00 ?10:14:50 10:15:20", "+10:05:00-10:15:00"),
            (
                "failed, whole runs only",
                "cron: '5 * * * *', missed: skip",
                "10:05:00 ?10:06:00 10:07:00",
                "+10:05:00-10:15:00",
            ),
            (
                "failed, then the next",
                "cron: '*/8 * * * *'",
                "10:00:30 !10:08:00 ?10:15:59 10:16:00 10:16:29",
                "+10:00:30-10:10:00 +10:08:00-10:18:00 +10:16:00-10:26:00",
            ),
            ("once", "at: 2026-11-24T10:01:00Z", "10:01:00 10:02:00 11:00:00", "+10:01:00-10:11:00"),
            ("once, over", "at: 2026-11-24T09:01:00Z", "10:02:00", ""),
            ("once, slept over", "at: 2026-11-24T11:00:00Z", "12:00:00", "-11:00:00:Missed"),
            (
                "always",
                "always: true",
                "10:00:30 10:10:30 10:20:30",
                "+10:00:30-10:10:30 +10:10:30-10:20:30 +10:20:30-10:30:30",
            ),
        ] {
            assert_eq!(decided(&mut agenda(window), wakes), want, "{case}");
        }
    }

    #[test]
    fn a_clock_set_from_1970_costs_one_skip() {
        let config = Config::from_yaml(
            "{cluster: c, store: /s, windows: [{name: w, cron: '* * * * *', duration: 10s, interfaces: [any]}]}",
        );
        let mut agenda = Agenda::new(&config.unwrap(), "n".parse().unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(decided(&mut agenda, "10:00:30 10:01:00"), "-00:00:00:Missed +10:01:00-10:01:10");
    }

    #[test]
    fn the_next_wake_is_the_earliest() {
        let mut agenda = agenda("cron: '5 * * * *'");
        assert_eq!(agenda.next(), Some("2026-11-24T10:05:00Z".parse().unwrap()));
        decided(&mut agenda, "10:05:00");
        assert_eq!(agenda.next(), Some("2026-11-24T11:05:00Z".parse().unwrap()));
    }
}

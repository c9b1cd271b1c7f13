//! Which runs begin now, which are left out: decisions over time, without a clock.

use super::{Config, Missed, Overlap, Recording, Window};
use formats::hash::Hash256;
use formats::seal::EndReason;
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
    /// End it.
    End {
        /// Which recording.
        id: RecordingId,
        /// Why.
        reason: EndReason,
    },
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
    /// Its begin was missed, and its window wants whole runs, it is over, or it is past its deadline.
    Missed,
    /// The run before is still going on, or the one after takes its place at once.
    Overlap,
}

/// Why nothing begins that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no such window.
    #[error("there is no window {window}; there are: {present}")]
    NoWindow {
        /// What was asked for.
        window: Name,
        /// What there is.
        present: String,
    },
    /// A run of it is going on.
    #[error("{window} is being recorded, and leaves out a run that begins before the last has ended")]
    Overlap {
        /// What was asked for.
        window: Name,
    },
}

/// All windows, each with its next run.
#[derive(Debug)]
pub struct Agenda {
    identity: Identity,
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
    /// Since when we follow it.
    begun: Timestamp,
    /// How much later than its window says a run begins on this node.
    delay: SignedDuration,
    /// When the next run begins here.
    next: Option<Timestamp>,
    running: Vec<(RecordingId, Timestamp)>,
    /// Runs that failed: when to begin what is left of each, and when it ends.
    again: Vec<(Timestamp, Timestamp)>,
}

impl Agenda {
    /// Begins at `now`: runs that are going on are the next ones.
    pub fn new(config: &Config, node: Name, now: Timestamp) -> Self {
        let cluster = config.cluster.clone();
        let entries = config.windows.iter().map(|window| Entry::new(window, &node, now)).collect();
        Self { identity: Identity { cluster, node, configuration_sha256: config.sha256 }, entries }
    }

    /// Follows the windows of `config` from `now` on: those that are the same go on as if nothing were, runs of
    /// others end, and begin anew if they are still wanted.
    pub fn update(&mut self, config: &Config, now: Timestamp) -> Vec<Decision> {
        self.identity.configuration_sha256 = config.sha256;
        let mut before = std::mem::take(&mut self.entries);
        let mut decisions = Vec::new();
        for window in &config.windows {
            let old = before.iter().position(|entry| entry.window.name == window.name);
            self.entries.push(match old.map(|at| before.swap_remove(at)) {
                Some(old) if old.window == *window => old,
                Some(old) => {
                    decisions.extend(old.end_all(&EndReason::WindowChanged));
                    // They end now, so that nothing that begins overlaps them; and their names stay taken.
                    let running = old.running.into_iter().map(|(id, _)| (id, now)).collect();
                    Entry { running, ..Entry::new(window, &self.identity.node, now) }
                }
                None => Entry::new(window, &self.identity.node, now),
            });
        }
        decisions.extend(before.iter().flat_map(|entry| entry.end_all(&EndReason::WindowChanged)));
        decisions
    }

    /// The windows, each with the begin of its next run.
    pub fn windows(&self) -> impl Iterator<Item = (&Arc<Window>, Option<Timestamp>)> {
        self.entries.iter().map(|entry| (&entry.window, entry.next))
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
                let over = start.checked_add(entry.window.duration).is_ok_and(|ends| ends <= now);
                // After a long sleep the runs between are not counted one by one: one skip, then the present.
                entry.next = if over { entry.going_or_next(now) } else { entry.after(start) };
                // Begun before us: a run of before a crash may stand in the store under its scheduled time.
                let late = start < entry.begun || now.duration_since(start) > LATE_MAX;
                // Replaced before it has begun.
                let replaced = entry.window.overlap == Overlap::Replace && entry.next.is_some_and(|next| next <= now);
                let decided = if replaced { Err(SkipReason::Overlap) } else { entry.decide(start, late, now) };
                match decided {
                    Err(reason) => {
                        decisions.push(Decision::Skip { window: entry.window.name.clone(), start, reason });
                    }
                    Ok(ends) => {
                        let begins = if late { now } else { start.checked_sub(entry.delay).unwrap_or(start) };
                        self.identity.begin(entry, begins, ends, &mut decisions);
                    }
                }
            }
            while let Some(due) = entry.again.iter().position(|(due, _)| *due <= now) {
                let (_, ends) = entry.again.swap_remove(due);
                if ends > now && !entry.overlaps(now) {
                    self.identity.begin(entry, now, ends, &mut decisions);
                }
            }
            if entry.is_to_be_armed() {
                self.identity.begin(entry, now, Timestamp::MAX, &mut decisions);
            }
        }
        decisions
    }

    /// Begins a run at `now`, whatever the schedule says: somebody asked for it.
    pub fn start(&mut self, window: &Name, now: Timestamp) -> Result<Vec<Decision>, StartError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.window.name == *window) else {
            let present: Vec<_> = self.entries.iter().map(|entry| entry.window.name.as_str()).collect();
            let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
            return Err(StartError::NoWindow { window: window.clone(), present });
        };
        if entry.overlaps(now) {
            return Err(StartError::Overlap { window: window.clone() });
        }
        let mut decisions = Vec::new();
        let ends = now.checked_add(entry.window.duration).unwrap_or(Timestamp::MAX);
        self.identity.begin(entry, now, ends, &mut decisions);
        Ok(decisions)
    }

    /// Told that runs of a window that failed are not to be begun again: somebody stopped it.
    pub fn stop(&mut self, window: &Name) {
        for entry in self.entries.iter_mut().filter(|entry| entry.window.name == *window) {
            entry.again.clear();
        }
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
            let wanted = entry.window.missed == Missed::Rest || entry.window.pre_trigger.is_some();
            let run = entry.running.iter().find(|(running, _)| running == id);
            if let Some(&(_, ends)) = run.filter(|_| wanted) {
                entry.again.extend(now.checked_add(AGAIN_AFTER).map(|due| (due, ends)));
            }
        }
        self.ended(id);
    }
}

impl Identity {
    /// A recording that begins at `begins`, entered as running; with it the end of those that it replaces.
    fn begin(&self, entry: &mut Entry, begins: Timestamp, ends: Timestamp, decisions: &mut Vec<Decision>) {
        if entry.window.overlap == Overlap::Replace {
            decisions.extend(entry.end_all(&EndReason::Replaced));
        }
        let window = entry.window.clone();
        let (cluster, node) = (self.cluster.clone(), self.node.clone());
        let mut id = RecordingId { cluster, window: window.name.clone(), start: begins.into(), node };
        entry.make_unique(&mut id);
        entry.running.push((id.clone(), ends));
        let configuration_sha256 = self.configuration_sha256;
        decisions.push(Decision::Record(Recording { id, ends, window, configuration_sha256 }));
    }
}

impl Entry {
    fn new(window: &Arc<Window>, node: &Name, now: Timestamp) -> Self {
        let mut entry = Self {
            window: window.clone(),
            begun: now,
            delay: window.delay_on(node),
            next: None,
            running: Vec::new(),
            again: Vec::new(),
        };
        entry.next = entry.going_or_next(now);
        entry
    }

    /// As [`When::going_or_next`](super::When::going_or_next), by this node's time.
    fn going_or_next(&self, now: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.going_or_next(now.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// As [`When::after`](super::When::after), by this node's time.
    fn after(&self, start: Timestamp) -> Option<Timestamp> {
        let scheduled = self.window.when.after(start.checked_sub(self.delay).ok()?, self.window.duration)?;
        scheduled.checked_add(self.delay).ok()
    }

    /// When the run of `start` ends, if it is to be recorded.
    fn decide(&self, start: Timestamp, late: bool, now: Timestamp) -> Result<Timestamp, SkipReason> {
        let window = &self.window;
        let ends = start.checked_add(window.duration).map_err(|_| SkipReason::Missed)?;
        let late_by = now.duration_since(start).unsigned_abs();
        let past_deadline = window.missed_deadline.is_some_and(|deadline| late_by > deadline);
        if ends <= now || (late && (window.missed == Missed::Skip || past_deadline)) {
            return Err(SkipReason::Missed);
        }
        if self.overlaps(now) { Err(SkipReason::Overlap) } else { Ok(ends) }
    }

    /// Whether a run is going on that its window wants alone. By the time it is meant to end: one that ends as
    /// another begins does not overlap it.
    fn overlaps(&self, now: Timestamp) -> bool {
        self.window.overlap == Overlap::Skip && self.running.iter().any(|(_, ends)| *ends > now)
    }

    /// Whether its past is to be kept ready, and nobody does.
    fn is_to_be_armed(&self) -> bool {
        self.window.pre_trigger.is_some() && self.running.is_empty() && self.again.is_empty()
    }

    fn end_all(&self, reason: &EndReason) -> impl Iterator<Item = Decision> {
        self.running.iter().map(|(id, _)| Decision::End { id: id.clone(), reason: reason.clone() })
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

    fn config(window: &str) -> Config {
        let file =
            format!("{{cluster: c, store: /s, windows: [{{name: w, duration: 10m, interfaces: [any], {window}}}]}}");
        Config::from_yaml(&file).unwrap()
    }

    fn agenda(window: &str) -> Agenda {
        Agenda::new(&config(window), "n".parse().unwrap(), BEGIN.parse().unwrap())
    }

    fn clock(time: Timestamp) -> String {
        if time == Timestamp::MAX { "ever".to_owned() } else { time.strftime("%H:%M:%S%.f").to_string() }
    }

    fn shown(decision: Decision) -> String {
        match decision {
            Decision::End { id, reason } => format!("!{}:{reason:?}", clock(id.start.time())),
            Decision::Record(run) => format!("+{}-{}", clock(run.id.start.time()), clock(run.ends)),
            Decision::Skip { start, reason, .. } => format!("-{}:{reason:?}", clock(start)),
        }
    }

    /// Wakes at each time of day and writes down what was decided: `+` begins (until), `-` is left out, `!` ends.
    /// `!` before a time: whatever runs had ended before it; `?`: had failed at it.
    fn decided(agenda: &mut Agenda, wakes: &str) -> String {
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
            line.extend(agenda.wake(now).into_iter().map(shown));
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
            (
                "replaced",
                "cron: '*/6 * * * *', overlap: replace",
                "10:06:00 10:12:00",
                "-10:00:00:Overlap +10:06:00-10:16:00 !10:06:00:Replaced +10:12:00-10:22:00",
            ),
            ("late, before its deadline", "cron: '5 * * * *', missed_deadline: 2m", "10:07:00", "+10:07:00-10:15:00"),
            ("late, past its deadline", "cron: '5 * * * *', missed_deadline: 2m", "10:07:01", "-10:05:00:Missed"),
            ("kept ready", "on_demand: true, pre_trigger: 5m", "10:00:30 10:30:00", "+10:00:30-ever"),
            (
                "kept ready again",
                "on_demand: true, pre_trigger: 5m",
                "10:01:00 !10:02:00",
                "+10:01:00-ever +10:02:00-ever",
            ),
            (
                "kept ready, failed",
                "on_demand: true, pre_trigger: 5m",
                "10:01:00 ?10:02:00 10:02:29 10:02:30",
                "+10:01:00-ever +10:02:30-ever",
            ),
            ("on demand", "on_demand: true", "10:01:00", ""),
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
    fn a_node_begins_at_a_time_of_its_own() {
        let jittered = config("cron: '5 * * * *', jitter: 10m");
        let mut delays = Vec::new();
        for node in ["node-1", "node-2", "node-3"] {
            let mut agenda = Agenda::new(&jittered, node.parse().unwrap(), BEGIN.parse().unwrap());
            let begins = agenda.next().unwrap();
            let delay = begins.duration_since("2026-11-24T10:05:00Z".parse().unwrap());
            assert!((SignedDuration::ZERO..SignedDuration::from_mins(10)).contains(&delay), "{delay}");
            // Recordings of all nodes stand under the time the window says, and have its length.
            let ends = clock(begins.checked_add(SignedDuration::from_mins(10)).unwrap());
            let decided: Vec<_> = agenda.wake(begins).into_iter().map(shown).collect();
            assert_eq!(decided, [format!("+10:05:00-{ends}")]);
            let next = "2026-11-24T11:05:00Z".parse::<Timestamp>().unwrap().checked_add(delay).unwrap();
            assert_eq!(agenda.next(), Some(next), "the same delay every time");
            delays.push(delay);
        }
        delays.dedup();
        assert_eq!(delays.len(), 3);
    }

    #[test]
    fn somebody_starts_a_run() {
        let mut agenda = agenda("on_demand: true");
        let mut start = |window: &str, now: &str| {
            let now = format!("2026-11-24T{now}Z").parse().unwrap();
            agenda
                .start(&window.parse().unwrap(), now)
                .map(|decisions| decisions.into_iter().map(shown).collect::<Vec<_>>())
        };
        assert_eq!(start("w", "10:02:00"), Ok(vec!["+10:02:00-10:12:00".to_owned()]));
        assert!(matches!(start("w", "10:03:00"), Err(StartError::Overlap { .. })));
        let error = start("x", "10:03:00").unwrap_err();
        assert_eq!(error.to_string(), "there is no window x; there are: w");
        assert_eq!(start("w", "10:12:00"), Ok(vec!["+10:12:00-10:22:00".to_owned()]));
    }

    #[test]
    fn another_configuration() {
        let now = "2026-11-24T10:06:00Z".parse().unwrap();
        let always = "always: true";
        for (case, before, after, ends, begins) in [
            ("the same", always, always, "", ""),
            ("changed", always, "always: true, snap_length: 64", "!10:00:30:WindowChanged", "+10:06:00-10:16:00"),
            ("changed, not due", always, "cron: '0 12 * * *'", "!10:00:30:WindowChanged", ""),
            ("vanished", always, "", "!10:00:30:WindowChanged", ""),
        ] {
            let mut agenda = agenda(before);
            decided(&mut agenda, "10:00:30");
            let file = match after {
                "" => Config::from_yaml("{cluster: c, windows: []}").unwrap(),
                window => config(window),
            };
            let ended: Vec<_> = agenda.update(&file, now).into_iter().map(shown).collect();
            assert_eq!((ended.join(" ").as_str(), decided(&mut agenda, "10:06:00").as_str()), (ends, begins), "{case}");
        }
    }

    #[test]
    fn the_next_wake_is_the_earliest() {
        let mut agenda = agenda("cron: '5 * * * *'");
        assert_eq!(agenda.next(), Some("2026-11-24T10:05:00Z".parse().unwrap()));
        decided(&mut agenda, "10:05:00");
        assert_eq!(agenda.next(), Some("2026-11-24T11:05:00Z".parse().unwrap()));
    }
}

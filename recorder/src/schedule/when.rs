//! When a window's runs begin: a pure function of the time.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::fmt;
use std::time::Duration;

/// When the runs of a window begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// One run follows the other without a pause.
    Always,
    /// One run, at that time.
    At(Timestamp),
    /// As a cron expression says, by the clock of a time zone.
    Cron {
        /// The expression.
        cron: Box<Cron>,
        /// The zone whose clock it speaks of.
        time_zone: TimeZone,
    },
    /// When somebody asks for one.
    OnDemand,
}

impl When {
    /// Reads a cron expression of five fields, or a nickname such as `@daily`.
    ///
    /// # Errors
    /// What is wrong with it, and an expression that never comes true, such as 30 February.
    /// # Source
    /// POSIX crontab, with the extensions L, W and # of croner; seconds and years are not taken, as in
    /// Kubernetes' CronJob.
    pub fn cron(expression: &str, time_zone: TimeZone) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron =
            parser.parse(expression).map_err(|error| format!("{expression:?} is no cron expression: {error}"))?;
        let when = Self::Cron { cron: Box::new(cron), time_zone };
        match when.after(Timestamp::UNIX_EPOCH, Duration::ZERO) {
            Some(_) => Ok(when),
            None => Err(format!("{expression:?} never comes true")),
        }
    }

    /// The first run after `time`, which for [`When::Always`] is the begin of a run of `duration`.
    ///
    /// Clock times that a change to summer time leaves out run once, at the end of the gap; those that a change
    /// to winter time repeats run the first time. Expressions with `*` in hours follow time that passes.
    pub fn after(&self, time: Timestamp, duration: Duration) -> Option<Timestamp> {
        match self {
            Self::Always => time.checked_add(duration).ok(),
            Self::At(start) => Some(*start).filter(|start| *start > time),
            Self::Cron { cron, time_zone } if follows_time(cron) => {
                let found = cron.find_next_occurrence(&time.to_zoned(time_zone.clone()), false);
                found.ok().map(|found| found.timestamp())
            }
            Self::Cron { cron, time_zone } => next_by_clock(cron, time_zone, time),
            Self::OnDemand => None,
        }
    }

    /// The run that is going on at `now`, the latest of several; else the first after it.
    pub fn going_or_next(&self, now: Timestamp, duration: Duration) -> Option<Timestamp> {
        let latest = match self {
            Self::Always => Some(now),
            Self::At(start) => Some(*start).filter(|start| *start <= now),
            Self::Cron { cron, time_zone } if follows_time(cron) => {
                let found = cron.find_previous_occurrence(&now.to_zoned(time_zone.clone()), true);
                found.ok().map(|found| found.timestamp())
            }
            Self::Cron { cron, time_zone } => last_by_clock(cron, time_zone, now),
            Self::OnDemand => None,
        };
        let going = |start: &Timestamp| start.checked_add(duration).is_ok_and(|ends| ends > now);
        latest.filter(going).or_else(|| self.after(now, duration))
    }
}

/// Whether runs keep their distance when the clock changes.
fn follows_time(cron: &Cron) -> bool {
    let hours = &cron.pattern.hours;
    hours.from_wildcard && hours.step == 1
}

/// The first run after `time`, by the clock. Times come in the order of what the clock shows, also where it changes: so none
/// before what it shows now is later than now.
fn next_by_clock(cron: &Cron, zone: &TimeZone, time: Timestamp) -> Option<Timestamp> {
    let mut shown = zone.to_datetime(time);
    loop {
        // Where the clock never changes the expression is asked for what a clock shows, and nothing else.
        shown = cron.find_next_occurrence(&shown.to_zoned(TimeZone::UTC).ok()?, false).ok()?.datetime();
        let found = first_shown(zone, shown)?;
        // What is shown a second time is over.
        if found > time {
            return Some(found);
        }
    }
}

/// The latest run at `time` or before, by the clock.
fn last_by_clock(cron: &Cron, zone: &TimeZone, time: Timestamp) -> Option<Timestamp> {
    let mut shown = zone.to_datetime(time);
    // Before the clock went back it was later.
    if let AmbiguousOffset::Fold { before, .. } = zone.to_ambiguous_timestamp(shown).offset() {
        shown = before.to_datetime(time);
    }
    let mut is_first = true;
    loop {
        let found = cron.find_previous_occurrence(&shown.to_zoned(TimeZone::UTC).ok()?, is_first);
        shown = found.ok()?.datetime();
        is_first = false;
        let found = first_shown(zone, shown)?;
        if found <= time {
            return Some(found);
        }
    }
}

/// When the clock shows that time, or first shows a later one.
fn first_shown(zone: &TimeZone, shown: DateTime) -> Option<Timestamp> {
    let when = zone.to_ambiguous_timestamp(shown);
    match when.offset() {
        AmbiguousOffset::Gap { .. } => {
            // As if the clock had not changed: in the time that follows the change.
            let behind = when.later().ok()?.checked_add(Duration::from_nanos(1)).ok()?;
            zone.preceding(behind).next().map(|change| change.timestamp())
        }
        AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. } => when.earlier().ok(),
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => write!(f, "always"),
            Self::At(start) => write!(f, "once, at {start}"),
            Self::Cron { cron, time_zone } => {
                write!(f, "cron {} in {}", cron.as_str(), time_zone.iana_name().unwrap_or("UTC"))
            }
            Self::OnDemand => write!(f, "on demand"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn cron(expression: &str, zone: &str) -> When {
        When::cron(expression, TimeZone::get(zone).expect(zone)).expect(expression)
    }

    #[test]
    fn next_runs() {
        let berlin = "Europe/Berlin";
        for (case, expression, zone, after, want) in [
            ("plain", "*/15 * * * *", "UTC", "2026-11-24T10:07:30Z", "2026-11-24T10:15:00Z 2026-11-24T10:30:00Z"),
            (
                "strictly after",
                "0 10 * * *",
                "UTC",
                "2026-11-24T10:00:00Z",
                "2026-11-25T10:00:00Z 2026-11-26T10:00:00Z",
            ),
            (
                "a fraction before",
                "0 10 * * *",
                "UTC",
                "2026-11-24T09:59:59.5Z",
                "2026-11-24T10:00:00Z 2026-11-25T10:00:00Z",
            ),
            (
                "a fraction after",
                "0 10 * * *",
                "UTC",
                "2026-11-24T10:00:00.5Z",
                "2026-11-25T10:00:00Z 2026-11-26T10:00:00Z",
            ),
            ("zone, winter", "0 2 * * *", berlin, "2026-01-10T12:00:00Z", "2026-01-11T01:00:00Z 2026-01-12T01:00:00Z"),
            // 2026-03-29, 02:00 CET: the clock goes to 03:00 CEST. 02:30 is left out.
            ("gap", "30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"),
            (
                "hourly over the gap",
                "0 * * * *",
                berlin,
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z 2026-03-29T02:00:00Z",
            ),
            // 2026-10-25, 03:00 CEST: the clock goes to 02:00 CET. 02:30 comes twice.
            ("repeated", "30 2 * * *", berlin, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"),
            (
                "hourly over it",
                "0 * * * *",
                berlin,
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z 2026-10-25T02:00:00Z",
            ),
            (
                "steps of hours over the gap",
                "0 */2 * * *",
                berlin,
                "2026-03-28T23:00:00Z",
                "2026-03-29T01:00:00Z 2026-03-29T02:00:00Z",
            ),
            (
                "steps of hours over the hour that comes twice",
                "30 2-23/12 * * *",
                berlin,
                "2026-10-24T12:30:00Z",
                "2026-10-25T00:30:00Z 2026-10-25T13:30:00Z",
            ),
            (
                "a list over the gap",
                "0 2,14 28 3 *",
                berlin,
                "2027-03-01T00:00:00Z",
                "2027-03-28T01:00:00Z 2027-03-28T12:00:00Z",
            ),
            (
                "steps of minutes over the gap",
                "*/20 2,3 * * *",
                berlin,
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z 2026-03-29T01:20:00Z",
            ),
            (
                "a list over the hour that comes twice",
                "0,30 2 * * *",
                berlin,
                "2026-10-25T00:15:00Z",
                "2026-10-25T00:30:00Z 2026-10-26T01:00:00Z",
            ),
            (
                "a range over it",
                "30 1-2 25 10 *",
                berlin,
                "2026-10-24T23:45:00Z",
                "2026-10-25T00:30:00Z 2027-10-24T23:30:00Z",
            ),
            // 2027-03-27, 23:00: the clock goes to midnight, which is another day.
            (
                "gap before midnight",
                "30 23 27 3 *",
                "America/Nuuk",
                "2027-03-01T00:00:00Z",
                "2027-03-28T01:00:00Z 2028-03-28T00:30:00Z",
            ),
            ("leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"),
            ("last Friday", "0 18 * * 5L", "UTC", "2026-11-24T00:00:00Z", "2026-11-27T18:00:00Z 2026-12-25T18:00:00Z"),
        ] {
            let when = cron(expression, zone);
            let first = when.after(time(after), Duration::ZERO).expect(case);
            let second = when.after(first, Duration::ZERO).expect(case);
            assert_eq!(format!("{first} {second}"), want, "{case}");
        }
    }

    #[test]
    fn a_run_that_is_going_on() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let hourly = cron("0 * * * *", "UTC");
        let at = When::At(time("2026-11-24T10:00:00Z"));
        let by_clock = cron("30,45 2 * * *", "Europe/Berlin");
        for (case, when, now, duration, want) in [
            ("in its middle", &hourly, "2026-11-24T10:05:00Z", minutes(10), Some("2026-11-24T10:00:00Z")),
            ("at its begin", &hourly, "2026-11-24T10:00:00Z", minutes(10), Some("2026-11-24T10:00:00Z")),
            ("at its end", &hourly, "2026-11-24T10:10:00Z", minutes(10), Some("2026-11-24T11:00:00Z")),
            ("latest of several", &hourly, "2026-11-24T10:05:00Z", minutes(150), Some("2026-11-24T10:00:00Z")),
            ("left out", &by_clock, "2026-03-29T01:05:00Z", minutes(10), Some("2026-03-29T01:00:00Z")),
            ("shown twice, the first", &by_clock, "2026-10-25T00:40:00Z", minutes(60), Some("2026-10-25T00:30:00Z")),
            ("shown twice, the second", &by_clock, "2026-10-25T01:40:00Z", minutes(60), Some("2026-10-25T00:45:00Z")),
            ("at its begin, by the clock", &by_clock, "2026-10-26T01:30:00Z", minutes(1), Some("2026-10-26T01:30:00Z")),
            ("once, before", &at, "2026-11-24T09:00:00Z", minutes(10), Some("2026-11-24T10:00:00Z")),
            ("once, in its middle", &at, "2026-11-24T10:01:00Z", minutes(10), Some("2026-11-24T10:00:00Z")),
            ("once, over", &at, "2026-11-24T10:10:00Z", minutes(10), None),
            ("always", &When::Always, "2026-11-24T10:10:00.25Z", minutes(10), Some("2026-11-24T10:10:00.25Z")),
        ] {
            assert_eq!(when.going_or_next(time(now), duration), want.map(time), "{case}");
        }
    }

    #[test]
    fn what_is_no_expression() {
        for expression in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "hourly"] {
            assert!(When::cron(expression, TimeZone::UTC).is_err(), "{expression:?}");
        }
        assert!(When::cron("@daily", TimeZone::UTC).is_ok());
    }
}

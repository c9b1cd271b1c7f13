//! What a change to or from summer time does to a run, in words.

use super::when::When;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use std::time::Duration;

/// What is odd about the clock of `zone` where a run of `when` begins at `start`, or while it lasts.
pub(super) fn note(when: &When, zone: &TimeZone, start: Timestamp, duration: Duration) -> Option<String> {
    left_out(when, zone, start).or_else(|| repeated(zone, start)).or_else(|| during(zone, start, duration))
}

/// The time the expression names does not exist that day: the run begins where the clock goes on.
fn left_out(when: &When, zone: &TimeZone, start: Timestamp) -> Option<String> {
    let When::Cron { cron, .. } = when else { return None };
    if cron.is_time_matching(&start.to_zoned(zone.clone())).unwrap_or(true) {
        return None;
    }
    let change = Change::at_or_before(zone, start)?;
    Some(format!("the time it names is left out: the clock goes from {} to {}", hour(change.from), hour(change.to)))
}

/// The clock shows the time of the begin twice that day.
fn repeated(zone: &TimeZone, start: Timestamp) -> Option<String> {
    let local = start.to_zoned(zone.clone());
    let AmbiguousOffset::Fold { before, .. } = zone.to_ambiguous_timestamp(local.datetime()).offset() else {
        return None;
    };
    let which = if local.offset() == before { "first" } else { "second" };
    Some(format!("{} comes twice that day: the {which}", hour(local.datetime())))
}

/// The clock changes between begin and end.
fn during(zone: &TimeZone, start: Timestamp, duration: Duration) -> Option<String> {
    let change = Change::at_or_before(zone, start.checked_add(duration).ok()?)?;
    let inside = change.at > start && change.from != change.to;
    inside.then(|| format!("the clock goes from {} to {} during it", hour(change.from), hour(change.to)))
}

/// A change of the clock.
struct Change {
    at: Timestamp,
    from: DateTime,
    to: DateTime,
}

impl Change {
    fn at_or_before(zone: &TimeZone, time: Timestamp) -> Option<Self> {
        let after = time.checked_add(Duration::from_nanos(1)).ok()?;
        let change = zone.preceding(after).next()?;
        let at = change.timestamp();
        let before = zone.to_offset(at.checked_sub(Duration::from_nanos(1)).ok()?);
        let shown = |offset: Offset| offset.to_datetime(at);
        Some(Self { at, from: shown(before), to: shown(change.offset()) })
    }
}

fn hour(time: DateTime) -> String {
    time.strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (cron, start, minutes, want) in [
            ("30 2 * * *", "2026-03-28T01:30:00Z", 10, None),
            (
                "30 2 * * *",
                "2026-03-29T01:00:00Z",
                10,
                Some("the time it names is left out: the clock goes from 02:00 to 03:00"),
            ),
            ("0 3 * * *", "2026-03-29T01:00:00Z", 10, None),
            ("30 1 * * *", "2026-03-29T00:30:00Z", 60, Some("the clock goes from 02:00 to 03:00 during it")),
            ("30 1 * * *", "2026-03-29T00:30:00Z", 30, Some("the clock goes from 02:00 to 03:00 during it")),
            ("30 1 * * *", "2026-03-29T00:30:00Z", 29, None),
            ("30 2 * * *", "2026-10-25T00:30:00Z", 10, Some("02:30 comes twice that day: the first")),
            (
                "0,20 2 * * *",
                "2026-03-29T01:00:00Z",
                10,
                Some("the time it names is left out: the clock goes from 02:00 to 03:00"),
            ),
            ("0 * * * *", "2026-10-25T01:00:00Z", 10, Some("02:00 comes twice that day: the second")),
            ("0 1 * * *", "2026-10-24T23:00:00Z", 300, Some("the clock goes from 03:00 to 02:00 during it")),
        ] {
            let when = When::cron(cron, berlin.clone()).unwrap();
            let note = note(&when, &berlin, start.parse().unwrap(), Duration::from_secs(60 * minutes));
            assert_eq!(note.as_deref(), want, "{cron} at {start}");
        }
        let utc = When::cron("0 3 * * *", TimeZone::UTC).unwrap();
        assert_eq!(note(&utc, &TimeZone::UTC, Timestamp::UNIX_EPOCH, Duration::from_secs(86_400 * 300)), None);
    }
}

//! What a configuration means, in words.

use super::when::When;
use super::{Config, Interface, Missed, Overlap, Period, Selector, SpoolFull, Window};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Write;

/// How many runs are shown of each window.
const RUNS: usize = 5;

/// Describes every window of `config` with its next five runs after `now`.
pub fn explain(config: &Config, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = describe(config, now, &mut text);
    text
}

fn describe(config: &Config, now: Timestamp, out: &mut String) -> std::fmt::Result {
    let full = match config.spool.full {
        SpoolFull::DropOldest => "drops the oldest segments when full",
        SpoolFull::Stop => "stops recording when full",
    };
    writeln!(
        out,
        "cluster {}, node {}",
        config.cluster,
        config.node.as_ref().map_or("of the machine", |n| n.as_str())
    )?;
    writeln!(out, "spool {}, at most {}, {full}", config.spool.folder.display(), config.spool.bytes_max)?;
    for window in &config.windows {
        writeln!(out)?;
        describe_window(window, now, out)?;
    }
    Ok(())
}

fn describe_window(window: &Window, now: Timestamp, out: &mut String) -> std::fmt::Result {
    let interfaces: Vec<_> = window.interfaces.iter().map(Interface::as_str).collect();
    let on = if interfaces.is_empty() { "any".to_owned() } else { interfaces.join(", ") };
    writeln!(out, "window {}: {}, for {}", window.name, window.when, Period(window.duration))?;
    writeln!(out, "  records    {} on {}", window.filter.as_deref().unwrap_or("everything"), on)?;
    let list = |selectors: &[Selector]| selectors.iter().map(Selector::to_string).collect::<Vec<_>>().join("; ");
    if window.targets != [Selector::host()] {
        writeln!(out, "  of         {}", list(&window.targets))?;
    }
    if !window.exclude.is_empty() {
        writeln!(out, "  not of     {}", list(&window.exclude))?;
    }
    if window.targets.iter().chain(&window.exclude).any(Selector::asks_names) {
        writeln!(out, "  NOTE       names, workloads and labels of pods are not known yet: they fit no target")?;
    }
    writeln!(out, "  keeps      {} bytes of a packet", window.snap_length)?;
    writeln!(out, "  segments   of {} or {}", window.segment.bytes, window.segment.age)?;
    if let Some(bytes) = window.budget.bytes {
        writeln!(out, "  ends at    {bytes}")?;
    }
    if let Some(packets) = window.budget.packets {
        writeln!(out, "  ends at    {packets} packets")?;
    }
    if let Some(packets) = window.rate.packets_per_second {
        writeln!(out, "  leaves out flows beyond {packets} packets in a second")?;
    }
    let proof = if window.store.write_only { "proved by the store's SHA-256" } else { "read back" };
    writeln!(out, "  stored at  {}, {proof}", window.store.url)?;
    let overlap = match window.overlap {
        Overlap::Allow => "recorded too",
        Overlap::Skip => "left out",
    };
    let missed = match window.missed {
        Missed::Rest => "recorded from then on",
        Missed::Skip => "left out",
    };
    writeln!(out, "  a run that begins before the last has ended is {overlap}; one that is found running is {missed}")?;
    describe_runs(window, now, out)
}

fn describe_runs(window: &Window, now: Timestamp, out: &mut String) -> std::fmt::Result {
    let zone = match &window.when {
        When::Cron { time_zone, .. } => time_zone.clone(),
        When::Always | When::At(_) => TimeZone::UTC,
    };
    let mut next = window.when.going_or_next(now, window.duration);
    if next.is_none() {
        return writeln!(out, "  never runs again");
    }
    for run in 1..=RUNS {
        let Some(start) = next else { break };
        let state = if start <= now { " (going on)" } else { "" };
        let local = start.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
        writeln!(out, "  run {run}      {start:.0}  {local}{state}")?;
        next = window.when.after(start, window.duration);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_in_words() {
        let config = Config::from_yaml(
            "{cluster: prod, store: 's3://b/p', windows: [{name: nightly, cron: '30 2 * * *', time_zone: Europe/Berlin, \
             duration: 10m, interfaces: [eth0], filter: tcp port 80, budget: {packets: 5}}]}",
        );
        let text = explain(&config.unwrap(), "2026-03-27T12:00:00Z".parse().unwrap());
        let want = "\
cluster prod, node of the machine
spool /var/lib/remora/spool, at most 4 GiB, stops recording when full

window nightly: cron 30 2 * * * in Europe/Berlin, for 10m
  records    tcp port 80 on eth0
  keeps      262144 bytes of a packet
  segments   of 64 MiB or 10s
  ends at    5 packets
  stored at  s3://b/p, read back
  a run that begins before the last has ended is left out; one that is found running is recorded from then on
  run 1      2026-03-28T01:30:00Z  Sat 2026-03-28 02:30:00 CET
  run 2      2026-03-29T01:00:00Z  Sun 2026-03-29 03:00:00 CEST
  run 3      2026-03-30T00:30:00Z  Mon 2026-03-30 02:30:00 CEST
  run 4      2026-03-31T00:30:00Z  Tue 2026-03-31 02:30:00 CEST
  run 5      2026-04-01T00:30:00Z  Wed 2026-04-01 02:30:00 CEST
";
        assert_eq!(text, want);
    }
}

//! What a configuration means, in words.

use super::clock_changes;
use super::when::When;
use super::{Agenda, Decision, SkipReason, Starts};
use super::{ByteSize, Config, Interface, Missed, Overlap, Period, Selector, SpoolFull, Window};
use crate::limits::READY_SHARE_DEFAULT;
use formats::store::{Name, RecordingId};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// How many runs are shown of each window.
const RUNS: usize = 5;

/// From where a configuration is looked at.
#[derive(Debug, Clone)]
pub struct View {
    /// When.
    pub now: Timestamp,
    /// On which node; none for the one the configuration names.
    pub node: Option<Name>,
    /// By whose clock times are shown where a window has none of its own.
    pub local: TimeZone,
    /// What the interfaces of a window carry in a second; none when nobody knows.
    pub bytes_per_second: Option<ByteSize>,
}

/// Describes every window of `config` with its next five runs, and how large they are.
pub fn explain(config: &Config, view: &View) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = describe(config, view, &mut text);
    text
}

fn describe(config: &Config, view: &View, out: &mut String) -> std::fmt::Result {
    let node = view.node.as_ref().or(config.node.as_ref());
    let full = match config.spool.full {
        SpoolFull::DropOldest => "drops the oldest segments when full",
        SpoolFull::Stop => "stops recording when full",
    };
    writeln!(out, "cluster {}, node {}", config.cluster, node.map_or("of the machine", |node| node.as_str()))?;
    write!(out, "spool {}, at most {}, {full}", config.spool.folder.display(), config.spool.bytes_max)?;
    match config.spool.age_max {
        Some(age_max) => writeln!(out, ", gives up what waits longer than {age_max}")?,
        None => writeln!(out)?,
    }
    if let Some(rate) = view.bytes_per_second {
        let outage = Duration::from_secs(config.spool.bytes_max.0 / rate.0);
        writeln!(out, "  holds      {} of {rate} a second, uncompressed", Period(outage))?;
    }
    if config.windows.is_empty() {
        writeln!(out, "no windows: nothing is recorded")?;
    }
    for window in &config.windows {
        writeln!(out)?;
        describe_what(window, out)?;
        describe_bounds(window, out)?;
        describe_store(window, out)?;
        describe_begin(window, out)?;
        describe_size(window, config.spool.bytes_max, view, out)?;
        describe_runs(config, window, node, view, out)?;
    }
    Ok(())
}

fn describe_what(window: &Window, out: &mut String) -> std::fmt::Result {
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
    if window.rings > 1 {
        writeln!(out, "  shares     the packets of each target among {} rings, flow by flow", window.rings)?;
    }
    writeln!(out, "  segments   of {} or {}", window.segment.bytes, window.segment.age)
}

fn describe_bounds(window: &Window, out: &mut String) -> std::fmt::Result {
    let budget = &window.budget;
    let spool = budget.spool.filter(|_| window.pre_trigger.is_none());
    let share = spool.map(|share| format!("{share} of the spool"));
    let sums =
        [budget.bytes.map(|bytes| bytes.to_string()), budget.packets.map(|packets| format!("{packets} packets"))];
    for bound in sums.into_iter().flatten().chain(share) {
        writeln!(out, "  ends at    {bound}")?;
    }
    if let Some(share) = budget.cpu {
        writeln!(out, "  leaves out flows beyond {share} of one processor, and ends where that does not help")?;
    }
    if let Some(packets) = window.rate.packets_per_second {
        writeln!(out, "  leaves out flows beyond {packets} packets in a second")?;
    }
    Ok(())
}

fn describe_store(window: &Window, out: &mut String) -> std::fmt::Result {
    let proof = if window.store.write_only { "proved by the store's SHA-256" } else { "read back" };
    writeln!(out, "  stored at  {}, {proof}", window.store.url)?;
    for key in &window.store.encrypt_to {
        writeln!(out, "  encrypted  to {key}")?;
    }
    if let Some(lock) = &window.store.object_lock {
        writeln!(out, "  locked     {lock}")?;
    }
    Ok(())
}

/// What sets it off, and what becomes of runs that meet.
fn describe_begin(window: &Window, out: &mut String) -> std::fmt::Result {
    if let Some(before) = window.pre_trigger {
        let (before, share) = (Period(before), window.budget.spool.unwrap_or(READY_SHARE_DEFAULT));
        writeln!(out, "  ready      the last {before}, within {share} of the spool; stored when triggered")?;
    }
    if let Some(file) = &window.trigger_file {
        writeln!(out, "  triggered  when {} appears", file.display())?;
    }
    if window.when == When::OnDemand {
        return Ok(());
    }
    let overlap = match window.overlap {
        Overlap::Allow => format!("recorded too, up to {} at once", window.runs_max),
        Overlap::Replace => "recorded in its place".to_owned(),
        Overlap::Skip => "left out".to_owned(),
    };
    let missed = match (window.missed, window.missed_deadline) {
        (Missed::Rest, None) => "recorded from then on".to_owned(),
        (Missed::Rest, Some(deadline)) => format!("recorded from then on, up to {} late", Period(deadline)),
        (Missed::Skip, _) => "left out".to_owned(),
    };
    writeln!(out, "  a run that begins before the last has ended is {overlap}; one that is found running is {missed}")
}

/// The least of what bounds a run: its budgets, its rate, and what the interfaces carry while it lasts.
fn describe_size(window: &Window, spool_bytes_max: ByteSize, view: &View, out: &mut String) -> std::fmt::Result {
    let budget = &window.budget;
    let each = u64::from(window.snap_length) + AROUND_PACKET_BYTES;
    let by_packets = budget.packets.map(|packets| packets.get().saturating_mul(each));
    let carried = |lasts: Duration| view.bytes_per_second.map(|rate| rate.0.saturating_mul(lasts.as_secs()));
    let let_in = |lasts: Duration| {
        let packets = window.rate.packets_per_second?.get().saturating_mul(lasts.as_secs());
        Some(packets.saturating_mul(each))
    };
    let bounds = [
        (carried(window.duration), "what is carried meanwhile, and up to 60 bytes of each packet"),
        (let_in(window.duration), "what its rate lets in, each packet as large as is kept"),
        (budget.bytes.map(|bytes| bytes.0), "its bytes are used up, and up to 60 more of each packet"),
        (by_packets, "its packets are used up, each as large as is kept"),
    ];
    let least = bounds.into_iter().filter_map(|(bytes, why)| Some((bytes?, why))).min();
    match least {
        Some((bytes, why)) => writeln!(out, "  size       at most {} a run before compression: {why}", about(bytes))?,
        None => writeln!(out, "  size       unknown: no budget bounds it; --bytes-per-second says what is carried")?,
    }
    let Some(before) = window.pre_trigger else { return Ok(()) };
    let share = window.budget.spool.unwrap_or(READY_SHARE_DEFAULT).of(spool_bytes_max.0);
    match carried(before).into_iter().chain(let_in(before)).min().filter(|bytes| *bytes <= share) {
        Some(bytes) => writeln!(out, "             and {} of what was before", about(bytes)),
        None => writeln!(out, "             and at most {} of what was before, as stored", about(share)),
    }
}

fn describe_runs(
    config: &Config,
    window: &Window,
    node: Option<&Name>,
    view: &View,
    out: &mut String,
) -> std::fmt::Result {
    let zone = match &window.when {
        When::Cron { time_zone, .. } => time_zone.clone(),
        When::Always | When::At(_) | When::OnDemand => view.local.clone(),
    };
    let delay = node.map_or(SignedDuration::ZERO, |node| window.delay_on(node));
    match node {
        _ if window.jitter.is_zero() => {}
        Some(_) => writeln!(out, "  begins     {delay:#} later on this node, of up to {}", Period(window.jitter))?,
        None => writeln!(out, "  begins     up to {} later: each node at its time", Period(window.jitter))?,
    }
    if window.when == When::OnDemand {
        return writeln!(out, "  runs when somebody asks: remora-recorder ctl start {}", window.name);
    }
    let now = view.now.checked_sub(delay).unwrap_or(view.now);
    let runs = next_runs(config, window, now);
    if runs.is_empty() {
        return writeln!(out, "  never runs again");
    }
    for (run, (start, left_out)) in (1..).zip(runs) {
        let state = match left_out {
            Some(SkipReason::Missed) => " (left out by a recorder that starts now)",
            Some(SkipReason::Overlap | SkipReason::Unended) => " (left out: one before it goes on)",
            None if start <= now => " (going on)",
            None => "",
        };
        let local = start.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
        let change = clock_changes::note(&window.when, &zone, start, window.duration);
        let change = change.map(|note| format!(" ({note})")).unwrap_or_default();
        writeln!(out, "  run {run}      {start:.0}  {local}{state}{change}")?;
    }
    Ok(())
}

/// What a segment has around each packet, with what is said of it.
const AROUND_PACKET_BYTES: u64 = 60;

/// The next runs of a window by what it says, and why one is left out: decided as a recorder does that starts at `now`, each run as
/// long as it may be.
fn next_runs(config: &Config, window: &Window, now: Timestamp) -> Vec<(Timestamp, Option<SkipReason>)> {
    let alone = Arc::new(Window { jitter: Duration::ZERO, ..window.clone() });
    let config = Config { windows: vec![alone], ..config.clone() };
    let mut agenda = Agenda::new(&config, config.cluster.clone(), Starts::default(), now);
    let (mut runs, mut going): (Vec<_>, Vec<(RecordingId, Timestamp)>) = Default::default();
    while let Some(start) = agenda.next().filter(|_| runs.len() < RUNS) {
        let due = start.max(now);
        going.extract_if(.., |(_, ends)| *ends <= due).for_each(|(id, _)| agenda.ended(&id));
        for decision in agenda.wake(due) {
            match decision {
                Decision::End { id, .. } => agenda.ended(&id),
                Decision::Record(run) => {
                    going.push((run.id, run.ends));
                    runs.push((start, None));
                }
                Decision::Skip { start, reason, .. } => runs.push((start, Some(reason))),
            }
        }
    }
    runs
}

/// A size for people: three digits are enough.
fn about(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    let unit = UNITS.get(power as usize - 1).copied().unwrap_or_default();
    format!("{:.1} {unit}", bytes as f64 / f64::from(1024u32).powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(now: &str) -> View {
        View { now: now.parse().unwrap(), node: None, local: TimeZone::UTC, bytes_per_second: None }
    }

    #[test]
    fn a_window_in_words() {
        let config = Config::from_yaml(
            "{cluster: prod, store: 's3://b/p', windows: [{name: nightly, cron: '30 2 * * *', time_zone: Europe/Berlin, \
             duration: 10m, interfaces: [eth0], filter: tcp port 80, budget: {packets: 5, cpu: 50%}}]}",
        );
        let text = explain(&config.unwrap(), &view("2026-03-27T12:00:00Z"));
        let want = "\
cluster prod, node of the machine
spool /var/lib/remora/spool, at most 4 GiB, stops recording when full

window nightly: cron 30 2 * * * in Europe/Berlin, for 10m
  records    tcp port 80 on eth0
  keeps      262144 bytes of a packet
  segments   of 64 MiB or 10s
  ends at    5 packets
  leaves out flows beyond 50% of one processor, and ends where that does not help
  stored at  s3://b/p, read back
  a run that begins before the last has ended is left out; one that is found running is recorded from then on
  size       at most 1.3 MiB a run before compression: its packets are used up, each as large as is kept
  run 1      2026-03-28T01:30:00Z  Sat 2026-03-28 02:30:00 CET
  run 2      2026-03-29T01:00:00Z  Sun 2026-03-29 03:00:00 CEST (the time it names is left out: the clock goes from 02:00 to 03:00)
  run 3      2026-03-30T00:30:00Z  Mon 2026-03-30 02:30:00 CEST
  run 4      2026-03-31T00:30:00Z  Tue 2026-03-31 02:30:00 CEST
  run 5      2026-04-01T00:30:00Z  Wed 2026-04-01 02:30:00 CEST
";
        assert_eq!(text, want);
    }

    #[test]
    fn runs_that_will_be_left_out_are_told() {
        for (case, window, now, want) in [
            (
                "too long",
                "cron: '*/5 * * * *', duration: 6m",
                "2026-03-27T12:01:00Z",
                "going on, one before it goes on, , one before it goes on",
            ),
            (
                "beside each other",
                "cron: '*/5 * * * *', duration: 6m, overlap: allow",
                "2026-03-27T12:06:00Z",
                "going on, , , ",
            ),
            (
                "found going on",
                "cron: '0 * * * *', duration: 10m, missed: skip",
                "2026-03-27T12:01:00Z",
                "left out by a recorder that starts now, , , ",
            ),
            // The day has 23 hours.
            (
                "a day that ends early",
                "cron: '0 0 * * *', time_zone: Europe/Berlin, duration: 1d",
                "2026-03-28T12:00:00Z",
                "going on, , one before it goes on, ",
            ),
        ] {
            let config = format!("{{cluster: c, store: /s, windows: [{{name: w, interfaces: [any], {window}}}]}}");
            let text = explain(&Config::from_yaml(&config).unwrap(), &view(now));
            let state = |line: &str| {
                let state = line.split_once('(').map_or("", |(_, state)| state.split([')', '(']).next().unwrap_or(""));
                state.trim_start_matches("left out: ").replace("the clock goes from 02:00 to 03:00 during it", "")
            };
            let runs: Vec<_> = text.lines().filter(|line| line.starts_with("  run ")).take(4).map(state).collect();
            assert_eq!(runs.join(", "), want, "{case}: {text}");
        }
    }

    #[test]
    fn sizes_and_windows_on_demand_in_words() {
        let config = Config::from_yaml(
            "{cluster: prod, store: /s, spool: {bytes_max: 2GiB, age_max: 7d}, windows: [
             {name: incident, on_demand: true, duration: 10m, pre_trigger: 5m, trigger_file: /run/now, interfaces: [any]},
             {name: short, on_demand: true, duration: 1s, pre_trigger: 1h, budget: {packets: 1, spool: 1%}, interfaces: [any]},
             {name: spread, at: '2026-03-28T00:00:00Z', duration: 1h, jitter: 30m, missed_deadline: 5m, interfaces: [any],
              snap_length: 128, rings: 4, rate: {packets_per_second: 1000}},
             {name: over, at: '2026-03-20T00:00:00Z', duration: 1h, overlap: replace, budget: {bytes: 64MiB}, interfaces: [any]}]}",
        );
        let view = View {
            node: Some("node-1".parse().unwrap()),
            local: TimeZone::get("Asia/Tokyo").unwrap(),
            bytes_per_second: Some(ByteSize(1 << 20)),
            ..view("2026-03-27T12:00:00Z")
        };
        let text = explain(&config.unwrap(), &view);
        let want = "\
cluster prod, node node-1
spool /var/lib/remora/spool, at most 2 GiB, stops recording when full, gives up what waits longer than 7d
  holds      34m 8s of 1 MiB a second, uncompressed

window incident: on demand, for 10m
  records    everything on any
  keeps      262144 bytes of a packet
  segments   of 64 MiB or 10s
  stored at  file:///s, read back
  ready      the last 5m, within 25% of the spool; stored when triggered
  triggered  when /run/now appears
  size       at most 600.0 MiB a run before compression: what is carried meanwhile, and up to 60 bytes of each packet
             and 300.0 MiB of what was before
  runs when somebody asks: remora-recorder ctl start incident

window short: on demand, for 1s
  records    everything on any
  keeps      262144 bytes of a packet
  segments   of 64 MiB or 10s
  ends at    1 packets
  stored at  file:///s, read back
  ready      the last 1h, within 1% of the spool; stored when triggered
  size       at most 256.1 KiB a run before compression: its packets are used up, each as large as is kept
             and at most 20.5 MiB of what was before, as stored
  runs when somebody asks: remora-recorder ctl start short

window spread: once, at 2026-03-28T00:00:00Z, for 1h
  records    everything on any
  keeps      128 bytes of a packet
  shares     the packets of each target among 4 rings, flow by flow
  segments   of 64 MiB or 10s
  leaves out flows beyond 1000 packets in a second
  stored at  file:///s, read back
  a run that begins before the last has ended is left out; one that is found running is recorded from then on, up to 5m late
  size       at most 645.4 MiB a run before compression: what its rate lets in, each packet as large as is kept
  begins     DELAY later on this node, of up to 30m
  run 1      2026-03-28T00:00:00Z  Sat 2026-03-28 09:00:00 JST

window over: once, at 2026-03-20T00:00:00Z, for 1h
  records    everything on any
  keeps      262144 bytes of a packet
  segments   of 64 MiB or 10s
  ends at    64 MiB
  stored at  file:///s, read back
  a run that begins before the last has ended is recorded in its place; one that is found running is recorded from then on
  size       at most 64.0 MiB a run before compression: its bytes are used up, and up to 60 more of each packet
  never runs again
";
        let delay = text.lines().find_map(|line| line.strip_prefix("  begins     ")?.split(" later").next()).unwrap();
        assert_eq!(text, want.replace("DELAY", delay));
    }
}

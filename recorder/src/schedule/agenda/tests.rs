use super::*;
use crate::limits;
use formats::seal::Volume;

const BEGIN: &str = "2026-11-24T10:00:30Z";

fn config(window: &str) -> Config {
    let file = format!("{{cluster: c, store: /s, windows: [{{name: w, duration: 10m, interfaces: [any], {window}}}]}}");
    Config::from_yaml(&file).unwrap()
}

fn agenda(window: &str) -> Agenda {
    Agenda::new(&config(window), "n".parse().unwrap(), Starts::default(), BEGIN.parse().unwrap())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn time(of_day: &str) -> Timestamp {
    format!("2026-11-24T{of_day}Z").parse().unwrap()
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
            "as many as may be",
            "cron: '* * * * *', overlap: allow, runs_max: 2",
            "10:00:30 10:01:00 10:02:00 !10:03:00",
            "+10:00:30-10:10:00 +10:01:00-10:11:00 -10:02:00:Overlap +10:03:00-10:13:00",
        ),
        (
            "others do not end",
            "cron: '*/10 * * * *'",
            "10:00:30 10:10:00 10:20:00 10:20:30 !10:21:00",
            "+10:00:30-10:10:00 +10:10:00-10:20:00 -10:20:00:Unended +10:21:00-10:30:00",
        ),
        ("no overlap once ended", "cron: '*/6 * * * *'", "10:00:30 !10:06:00", "+10:00:30-10:10:00 +10:06:00-10:16:00"),
        (
            "end to end is no overlap",
            "cron: '*/10 * * * *'",
            "10:00:30 10:10:00 !10:20:00",
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
        ("kept ready again", "on_demand: true, pre_trigger: 5m", "10:01:00 !10:02:00", "+10:01:00-ever +10:02:00-ever"),
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
            "10:00:30 10:10:30 !10:20:30",
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
    let mut agenda = Agenda::new(&config.unwrap(), "n".parse().unwrap(), Starts::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(decided(&mut agenda, "10:00:30 10:01:00"), "-00:00:00:Missed +10:01:00-10:01:10");
}

#[test]
fn a_node_begins_at_a_time_of_its_own() {
    let jittered = config("cron: '5 * * * *', jitter: 10m");
    let mut delays = Vec::new();
    for node in ["node-1", "node-2", "node-3"] {
        let mut agenda = Agenda::new(&jittered, node.parse().unwrap(), Starts::default(), BEGIN.parse().unwrap());
        let begins = agenda.next().unwrap();
        let delay = begins.duration_since("2026-11-24T10:05:00Z".parse().unwrap());
        assert!((SignedDuration::ZERO..SignedDuration::from_mins(10)).contains(&delay), "{delay}");
        // Recordings stand under the time they begin, and have the length the window says.
        let ends = clock(begins.checked_add(SignedDuration::from_mins(10)).unwrap());
        let decided: Vec<_> = agenda.wake(begins).into_iter().map(shown).collect();
        assert_eq!(decided, [format!("+{}-{ends}", clock(begins))]);
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
fn nobody_starts_more_runs_than_there_may_be() {
    for (overlap, want) in [("allow, runs_max: 3", 3), ("replace", 2), ("skip", 1)] {
        let mut agenda = agenda(&format!("on_demand: true, overlap: {overlap}"));
        let (w, now) = ("w".parse().unwrap(), BEGIN.parse().unwrap());
        let begun = (0..40).filter(|_| agenda.start(&w, now).is_ok()).count();
        assert_eq!(begun, want, "{overlap}");
        let why = agenda.start(&w, now).unwrap_err().to_string();
        assert_eq!(
            (why.contains("runs_max"), agenda.has_room(&w)),
            (overlap.contains("runs_max"), overlap != "replace"),
            "{why}"
        );
    }
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
        (
            "whole runs only",
            "cron: '5 * * * *', missed: skip",
            "cron: '5 * * * *', missed: skip, snap_length: 64",
            "!10:05:00:WindowChanged",
            "+10:06:00-10:15:00",
        ),
        (
            "past the deadline of its begin",
            "cron: '5 * * * *', missed_deadline: 10s",
            "cron: '5 * * * *', missed_deadline: 10s, snap_length: 64",
            "!10:05:00:WindowChanged",
            "+10:06:00-10:15:00",
        ),
        (
            "started by hand",
            "on_demand: true",
            "on_demand: true, snap_length: 64",
            "!10:00:30:WindowChanged",
            "+10:06:00-10:10:30",
        ),
    ] {
        let mut agenda = agenda(before);
        decided(&mut agenda, "10:00:30 10:05:00");
        if before == "on_demand: true" {
            agenda.start(&"w".parse().unwrap(), BEGIN.parse().unwrap()).unwrap();
        }
        let file = match after {
            "" => Config::from_yaml("{cluster: c, windows: []}").unwrap(),
            window => config(window),
        };
        let ended: Vec<_> = agenda.update(&file, now).into_iter().map(shown).collect();
        assert_eq!((ended.join(" ").as_str(), decided(&mut agenda, "10:06:00").as_str()), (ends, begins), "{case}");
    }
}

#[test]
fn what_is_over_is_begun_anew_by_no_start_of_the_recorder_nor_another_configuration() {
    let hourly = "cron: '5 * * * *'";
    let over = ["stopped", "spent"];
    for (window, acts, want) in [
        (hourly, &["killed"][..], "+10:06:00-10:15:00"),
        (hourly, &over, ""),
        ("cron: '5 * * * *', missed_deadline: 10s", &["killed"], "+10:06:00-10:15:00"),
        ("cron: '5 * * * *', missed: skip", &["killed"], "-10:05:00:Missed"),
        ("cron: '5 * * * *', missed: skip", &over, ""),
        ("at: 2026-11-24T10:05:00Z", &over, ""),
        ("always: true", &["killed"], "+10:06:00-10:16:00"),
        ("always: true", &over, "+10:10:30-10:20:30"),
        ("on_demand: true", &["killed"], "+10:06:00-10:10:30"),
        ("on_demand: true", &over, ""),
        ("on_demand: true, missed: skip", &["killed"], ""),
    ] {
        for act in acts {
            let w = "w".parse().unwrap();
            let begin = |starts: &Starts, now: &str| {
                Agenda::new(&config(window), "n".parse().unwrap(), starts.clone(), now.parse().unwrap())
            };
            let [started, configured] = [(); 2].map(|()| {
                let starts = Starts::default();
                let mut agenda = begin(&starts, BEGIN);
                if window.starts_with("on_demand") {
                    agenda.start(&w, BEGIN.parse().unwrap()).unwrap();
                }
                decided(&mut agenda, "10:00:30 10:05:00");
                let id = agenda.entries[0].running[0].0.clone();
                match *act {
                    "stopped" => drop(agenda.stop(&w).unwrap()),
                    "spent" => assert!(agenda.over(&id, "2026-11-24T10:05:30Z".parse().unwrap())),
                    _ => {}
                }
                (agenda, starts)
            });
            let (now, wakes, case) = ("2026-11-24T10:06:00Z", "10:06:00 10:10:30", format!("{window}, {act}"));
            assert_eq!(decided(&mut begin(&started.1, now), wakes), want, "{case}, started anew");
            if *act != "killed" {
                let mut agenda = configured.0;
                agenda.update(&config(&format!("{window}, snap_length: 64")), now.parse().unwrap());
                assert_eq!(decided(&mut agenda, wakes), want, "{case}, configured anew");
            }
        }
    }
}

#[test]
fn recordings_of_a_run_share_its_budget() {
    let starts = Starts::default();
    let mut agenda = Agenda::new(&config("cron: '0 * * * *'"), name("n"), starts.clone(), time("10:00:30"));
    let mut begun = |wake: &str| {
        let mut begun = agenda.wake(time(wake)).into_iter().filter_map(|decision| match decision {
            Decision::Record(recording) => Some(recording),
            _ => None,
        });
        let recording = begun.next().unwrap();
        agenda.failed(&recording.id, time(wake));
        (recording.id, recording.spent.packets)
    };
    let spend = |id: &RecordingId, packets| starts.spend(id, Volume { packets, bytes: 0 });
    let (first, spent) = begun("10:00:30");
    assert_eq!((spent, spend(&first, 3)), (0, true));
    let (second, spent) = begun("10:01:00");
    assert_eq!((spent, spend(&second, 5), spend(&second, 4)), (3, true, true), "told again, it counts once");
    assert_eq!(begun("10:01:30").1, 7);
    for later in 0..limits::STARTS_MAX as i64 {
        let start = time("10:02:00").checked_add(SignedDuration::from_millis(later)).unwrap().into();
        let id = RecordingId { start, ..first.clone() };
        starts.spent(&id, &starts.run(&first.window).unwrap());
        assert!(spend(&id, 1));
    }
    assert_eq!((begun("10:02:00").1, spend(&first, 9)), (7 + limits::STARTS_MAX as u64, false));
    let (next, spent) = begun("11:00:00");
    assert_eq!((spent, spend(&second, 9), spend(&next, 1)), (0, false, true), "of the latest run alone");
}

#[test]
fn who_stops_a_window_that_is_only_kept_ready_has_it_fail_no_faster() {
    let mut agenda = agenda("on_demand: true, pre_trigger: 5m");
    decided(&mut agenda, "10:01:00");
    assert_eq!(agenda.stop(&"w".parse().unwrap()), Ok(false));
    assert_eq!(decided(&mut agenda, "?10:02:00 10:02:29 10:02:30"), "+10:02:30-ever");
    decided(&mut agenda, "?10:03:00");
    assert_eq!(agenda.stop(&"w".parse().unwrap()), Ok(false));
    assert_eq!(decided(&mut agenda, "10:03:29 10:03:30"), "+10:03:30-ever");
}

#[test]
fn the_next_wake_is_the_earliest() {
    let mut agenda = agenda("cron: '5 * * * *'");
    assert_eq!(agenda.next(), Some("2026-11-24T10:05:00Z".parse().unwrap()));
    decided(&mut agenda, "10:05:00");
    assert_eq!(agenda.next(), Some("2026-11-24T11:05:00Z".parse().unwrap()));
}

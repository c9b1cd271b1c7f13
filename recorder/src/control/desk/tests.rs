//! Decisions, without a recorder that runs.

use super::*;
use crate::control::request::Answer;
use crate::control::socket::Ask;
use crate::upload::Failing;
use std::time::Duration;
use tokio::sync::oneshot;

/// A moment, by a clock that nobody sets.
fn at(second: u64) -> Moment {
    Moment { wall: Timestamp::UNIX_EPOCH + Duration::from_secs(second), steady: Duration::from_secs(second) }
}

fn desk(folder: &tempfile::TempDir, windows: &str) -> Desk {
    let config = Config::from_yaml(&format!("{{cluster: c, store: /s, windows: [{windows}]}}")).unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    Desk::new(&config, "n".parse().unwrap(), spool, Vec::new(), at(0))
}

/// What is answered at once; none where the answer is still to come.
fn ask(desk: &mut Desk, request: &str) -> Option<Answer> {
    let (answer, mut answered) = oneshot::channel();
    desk.serve(Ask { request: serde_json::from_str(request).unwrap(), by: "test", answer }, at(0));
    desk.take_chores().into_iter().for_each(|chore| chore());
    answered.try_recv().ok()
}

const PLAIN: &str = "{name: w, on_demand: true, duration: 1h, interfaces: [any]}";

#[test]
fn what_was_asked_for_and_has_not_begun_at_the_stop_never_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder, PLAIN);
    let answer = ask(&mut desk, "{\"command\":\"start\",\"window\":\"w\"}");
    assert_eq!(answer, None, "once it has begun");
    assert!(!desk.is_idle());
    desk.end_all();
    assert!(desk.is_idle());
}

#[test]
fn who_asks_for_a_recording_is_answered_once_it_has_begun_or_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder, PLAIN);
    for begins in [false, true] {
        let (answer, mut answered) = oneshot::channel();
        let request = serde_json::from_str("{\"command\":\"start\",\"window\":\"w\"}").unwrap();
        desk.serve(Ask { request, by: "test", answer }, at(0));
        let begun = desk.begin_due(at(0)).remove(0);
        assert!(answered.try_recv().is_err());
        if begins {
            begun.orders.tell_begun(&begun.recording.id);
        }
        desk.ended(&begun.recording.id, Ending::Failed, at(0));
        drop(begun);
        assert_eq!(matches!(answered.try_recv().unwrap(), Answer::Done { .. }), begins);
    }
}

#[test]
fn the_status_names_a_store_that_fails_and_why_a_window_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder, PLAIN);
    let failing = Failing { since: Timestamp::UNIX_EPOCH, why: "no route".to_owned() };
    let stores = [("s3://a/b".to_owned(), Some(failing))].into();
    let name = desk.agenda.windows().next().unwrap().0.name.to_string();
    desk.see(Seen { spool_bytes: Some(7), stores, failures: [(name, "no room".to_owned())].into() });
    let Some(Answer::Status(status)) = ask(&mut desk, "{\"command\":\"status\"}") else { panic!("a status") };
    let json = serde_json::to_string(&status.stores).unwrap();
    assert_eq!(json, r#"{"s3://a/b":{"since":"1970-01-01T00:00:00Z","why":"no route"}}"#);
    assert_eq!(status.windows[0].failure.as_deref(), Some("no room"));
}

#[test]
fn who_ends_as_another_begins_waits_until_that_one_has_its_rings() {
    let folder = tempfile::tempdir().unwrap();
    let one = |mut begun: Vec<Begin>| {
        assert_eq!(begun.len(), 1);
        begun.remove(0)
    };
    let mut desk = desk(&folder, "{name: w, always: true, duration: 1h, interfaces: [any]}");
    let first = one(desk.begin_due(at(0)));
    assert!(first.orders.is_followed());
    let second = one(desk.begin_due(at(3600)));
    assert_eq!((first.orders.to_end(), first.orders.is_followed()), (None, true));
    second.orders.relieve();
    assert_eq!(first.orders.to_end(), Some(&EndReason::Duration));
    desk.ended(&first.recording.id, Ending::Over, at(3600));

    let changed = "{cluster: c, store: /s, windows: [{name: w, always: true, duration: 1h, interfaces: [lo]}]}";
    assert!(desk.reload(Config::from_yaml("{cluster: other, windows: []}"), at(4000)).is_none());
    assert!(desk.reload(Config::from_yaml(changed), at(4000)).is_some());
    let third = one(desk.begin_due(at(4000)));
    assert_eq!(second.orders.to_end(), None);
    // It fails, and will never have any.
    desk.ended(&third.recording.id, Ending::Failed, at(4000));
    drop(third);
    assert_eq!(second.orders.to_end(), Some(&EndReason::WindowChanged));

    let fourth = one(desk.begin_due(at(4030)));
    desk.reload(Config::from_yaml("{cluster: c, windows: []}"), at(4031));
    assert!(desk.begin_due(at(4031)).is_empty());
    assert_eq!(fourth.orders.to_end(), Some(&EndReason::WindowChanged));
}

#[test]
fn what_a_configuration_calls_the_node_matters_where_no_flag_comes_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = |head: &str| Config::from_yaml(&format!("{{cluster: c, store: /s, {head}, windows: []}}")).unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let mut desk = Desk::new(&config("node: file"), "flag".parse().unwrap(), spool, Vec::new(), at(0));
    for (head, is_followed) in [
        ("node: file", true),
        ("node: other", false),
        ("node: flag", true),
        ("node: flag, observe: {stall: 1s}", false),
    ] {
        assert_eq!(desk.reload::<String>(Ok(config(head)), at(1)).is_some(), is_followed, "{head}");
    }
}

#[test]
fn a_start_goes_on_with_what_nobody_stopped_and_spent_no_budget() {
    for (act, is_begun) in [("stop", false), ("budget", false), ("end", true), ("kill", true)] {
        let folder = tempfile::tempdir().unwrap();
        let mut before = desk(&folder, PLAIN);
        assert_eq!(ask(&mut before, "{\"command\":\"start\",\"window\":\"w\"}"), None);
        let begun = before.begin_due(at(0)).remove(0).recording;
        before.spool.begin(&begun.id, &begun.window.store).unwrap();
        match act {
            "stop" => drop(ask(&mut before, "{\"command\":\"stop\",\"window\":\"w\"}")),
            "end" => before.end_all(),
            _ => {}
        }
        if act != "kill" {
            before.ended(&begun.id, Ending::Over, at(10));
            before.take_chores().into_iter().for_each(|chore| chore());
        }
        let ends: Vec<_> = desk(&folder, PLAIN).begin_due(at(10)).iter().map(|begin| begin.recording.ends).collect();
        assert_eq!(ends, Vec::from_iter(is_begun.then_some(begun.ends)), "{act}");
    }
}

#[test]
fn a_file_waits_until_what_is_replaced_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("now");
    let window = format!(
        "{{name: w, on_demand: true, duration: 1h, overlap: replace, trigger_file: {}, interfaces: [any]}}",
        file.display()
    );
    let mut desk = desk(&folder, &window);
    let request = "{\"command\":\"start\",\"window\":\"w\"}";
    assert_eq!([(); 2].map(|()| ask(&mut desk, request)), [None, None]);
    let begun = desk.begin_due(at(0));
    std::fs::write(&file, b"").unwrap();
    for _ in 0..3 {
        assert!(desk.begin_due(at(0)).is_empty() && file.exists());
    }
    desk.ended(&begun[0].recording.id, Ending::Over, at(1));
    assert_eq!(desk.begin_due(at(1)).len(), 1);
}

#[test]
fn a_clock_that_is_set_right_silences_no_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(
        &folder,
        "{name: all, always: true, duration: 1h, interfaces: [any]}, \
         {name: day, cron: '0 6 * * *', duration: 1h, interfaces: [any]}, \
         {name: fails, always: true, duration: 1h, interfaces: [any]}",
    );
    const HOUR: u64 = 3600;
    let mut running = Vec::new();
    let mut begun = |desk: &mut Desk, second, behind| {
        let moment = Moment { wall: at(second - behind).wall, ..at(second) };
        for (id, _) in running.extract_if(.., |(_, ends)| *ends < second) {
            desk.ended(&id, Ending::Over, moment);
        }
        let begun = desk.begin_due(moment);
        let shown = |begin: &Begin| format!("{} {}", begin.recording.id.window, begin.recording.ends);
        let shown: Vec<String> = begun.iter().map(shown).collect();
        for Begin { recording, .. } in begun {
            match recording.id.window.as_str() {
                "fails" => desk.ended(&recording.id, Ending::Failed, moment),
                _ => running.push((recording.id, second + HOUR)),
            }
        }
        shown
    };
    assert_eq!(begun(&mut desk, 0, 0), ["all 1970-01-01T01:00:00Z", "fails 1970-01-01T01:00:00Z"]);
    assert_eq!(begun(&mut desk, 6 * HOUR, 0).len(), 3);
    // Five hours too late, and set right.
    let behind = 5 * HOUR;
    assert_eq!(begun(&mut desk, 6 * HOUR + 30, behind), ["fails 1970-01-01T02:00:00Z"]);
    assert_eq!(begun(&mut desk, 7 * HOUR, behind), ["all 1970-01-01T03:00:00Z", "fails 1970-01-01T03:00:00Z"]);
    let day: Vec<_> = begun(&mut desk, 11 * HOUR, behind);
    assert!(day.contains(&"day 1970-01-01T07:00:00Z".to_owned()), "{day:?}");
}

#[test]
fn a_file_waits_until_its_window_is_ready_and_goes_once_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("now");
    std::fs::write(&file, b"").unwrap();
    let path = file.display();
    let window =
        format!("{{name: w, on_demand: true, duration: 1h, pre_trigger: 5m, trigger_file: {path}, interfaces: [any]}}");
    let mut desk = desk(&folder, &window);
    assert!(desk.awaits_files());
    let at = at(0);
    let [begin] = &desk.begin_due(at)[..] else { panic!("it is kept ready") };
    assert!(begin.orders.take_triggers().is_empty(), "nobody was there to be triggered");
    desk.begin_due(at);
    desk.begin_due(at);
    let mut triggers = begin.orders.take_triggers();
    assert_eq!(triggers.len(), 1, "once");
    // The recording fails before it can answer: the file stands for the next.
    let first = triggers.remove(0);
    drop(first);
    desk.begin_due(at);
    desk.begin_due(at);
    let second = begin.orders.take_triggers().remove(0);
    (second.told)(Ok(&begin.recording.id));
    desk.begin_due(at);
    assert!(!file.exists());
    desk.begin_due(at);
    assert!(begin.orders.take_triggers().is_empty());
}

#[test]
fn what_a_crash_ended_goes_on_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(
        &folder,
        "{name: w, on_demand: true, duration: 1h, pre_trigger: 5m, interfaces: [any]}, \
         {name: x, on_demand: true, duration: 1h, pre_trigger: 5m, interfaces: [any]}",
    );
    let ends = at(1000).wall;
    desk.rests = vec![Rest { window: "w".parse().unwrap(), ends }];
    let begun = desk.begin_due(at(0));
    let triggers: Vec<_> = begun.iter().map(|begin| begin.orders.take_triggers()).collect();
    assert_eq!(triggers.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(triggers[0][0].ends, ends);
    assert!(desk.rests.is_empty());
    // What comes as a recording ends is for the next.
    let trigger = Trigger { at: ends, by: "late".to_owned(), ends, told: Box::new(|_| {}) };
    begun[1].orders.trigger(trigger);
    desk.ended(&begun[1].recording.id, Ending::Over, at(1000));
    let again = desk.begin_due(at(1000));
    let [again] = &again[..] else { panic!("it is kept ready again") };
    assert_eq!((again.recording.id.window.as_str(), again.orders.take_triggers().len()), ("x", 1));
    // What another configuration ends goes on, too.
    begun[0].orders.tell_past(Past { since: Some(ends), triggered: Some((begun[0].recording.id.clone(), ends)) });
    begun[0].orders.end(EndReason::WindowChanged);
    desk.ended(&begun[0].recording.id, Ending::Over, at(900));
    assert_eq!(desk.rests.iter().map(|rest| rest.ends).collect::<Vec<_>>(), [ends]);
    // Also where nothing is kept ready any more, or only from now on.
    again.orders.tell_past(Past { since: Some(ends), triggered: Some((again.recording.id.clone(), at(3000).wall)) });
    let plain = PLAIN.replace("name: w", "name: x");
    let reload = |desk: &mut Desk, window: &str| {
        let config = Config::from_yaml(&format!("{{cluster: c, store: /s, windows: [{window}]}}"));
        assert!(desk.reload(config, at(2000)).is_some());
    };
    reload(&mut desk, &plain);
    let [rest] = &desk.begin_due(at(2000))[..] else { panic!("it goes on") };
    assert_eq!(rest.recording.ends, at(3000).wall);
    desk.ended(&again.recording.id, Ending::Over, at(2000));
    reload(&mut desk, &plain.replace("duration: 1h", "duration: 1h, pre_trigger: 5m"));
    rest.orders.end(EndReason::WindowChanged);
    desk.ended(&rest.recording.id, Ending::Over, at(2000));
    let [ready] = &desk.begin_due(at(2000))[..] else { panic!("it is kept ready again") };
    assert_eq!(ready.orders.take_triggers().iter().map(|trigger| trigger.ends).collect::<Vec<_>>(), [at(3000).wall]);
}

//! Decisions, without a recorder that runs.

use super::*;
use tokio::sync::oneshot;

fn desk(folder: &tempfile::TempDir, windows: &str) -> Desk {
    let config = Config::from_yaml(&format!("{{cluster: c, store: /s, windows: [{windows}]}}")).unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    Desk::new(&config, "n".parse().unwrap(), spool, Vec::new(), Timestamp::UNIX_EPOCH)
}

/// What is answered at once; none where the answer is still to come.
fn ask(desk: &mut Desk, request: &str) -> Option<Answer> {
    let (answer, mut answered) = oneshot::channel();
    desk.serve(Ask { request: serde_json::from_str(request).unwrap(), by: "test", answer }, Timestamp::UNIX_EPOCH);
    answered.try_recv().ok()
}

const PLAIN: &str = "{name: w, on_demand: true, duration: 1h, interfaces: [any]}";

#[test]
fn what_was_asked_for_and_has_not_begun_at_the_stop_never_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder, PLAIN);
    let answer = ask(&mut desk, "{\"command\":\"start\",\"window\":\"w\"}");
    assert!(matches!(answer, Some(Answer::Done { .. })), "{answer:?}");
    assert!(!desk.is_idle());
    desk.end_all();
    assert!(desk.is_idle());
}

#[test]
fn who_ends_as_another_begins_waits_until_that_one_has_its_rings() {
    let folder = tempfile::tempdir().unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
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
    desk.reload(Config::from_yaml(changed), at(4000));
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
fn a_file_waits_until_its_window_is_ready_and_goes_once_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("now");
    std::fs::write(&file, b"").unwrap();
    let path = file.display();
    let window =
        format!("{{name: w, on_demand: true, duration: 1h, pre_trigger: 5m, trigger_file: {path}, interfaces: [any]}}");
    let mut desk = desk(&folder, &window);
    assert!(desk.awaits_files());
    let at = Timestamp::UNIX_EPOCH;
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
    let ends = Timestamp::from_second(1000).unwrap();
    desk.rests = vec![Rest { window: "w".parse().unwrap(), ends }];
    let begun = desk.begin_due(Timestamp::UNIX_EPOCH);
    let triggers: Vec<_> = begun.iter().map(|begin| begin.orders.take_triggers()).collect();
    assert_eq!(triggers.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(triggers[0][0].ends, ends);
    assert!(desk.rests.is_empty());
    // What comes as a recording ends is for the next.
    let trigger = Trigger { at: ends, by: "late".to_owned(), ends, told: Box::new(|_| {}) };
    begun[1].orders.trigger(trigger);
    desk.ended(&begun[1].recording.id, Ending::Over, ends);
    let [again] = &desk.begin_due(ends)[..] else { panic!("it is kept ready again") };
    assert_eq!((again.recording.id.window.as_str(), again.orders.take_triggers().len()), ("x", 1));
    // What another configuration ends goes on, too.
    begun[0].orders.tell_past(Past { since: Some(ends), triggered: Some((begun[0].recording.id.clone(), ends)) });
    begun[0].orders.end(EndReason::WindowChanged);
    desk.ended(&begun[0].recording.id, Ending::Over, Timestamp::UNIX_EPOCH);
    assert_eq!(desk.rests.iter().map(|rest| rest.ends).collect::<Vec<_>>(), [ends]);
}

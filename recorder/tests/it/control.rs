//! What people and signals tell a recorder that runs.

use crate::net::{Cable, wait_until};
use formats::seal::EndReason;
use std::os::unix::fs::PermissionsExt;

const HEAD: &str = "
cluster: prod
node: node-1
store: STORE
spool: {folder: SPOOL}
windows:
";

/// A window as all of these tests have it.
fn window(name: &str, more: &str) -> String {
    format!("  - {{name: {name}, interfaces: [eth], filter: udp port 9999, segment: {{age: 1s}}, {more}}}\n")
}

#[test]
fn a_window_on_demand_is_started_and_stopped() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.run(&format!("{HEAD}{}", window("incident", "on_demand: true, duration: 1h")));
    let socket = cable.spool().join("control.sock");
    wait_until("the recorder can be asked", || socket.exists());
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let status = cable.ctl(&["status"]).unwrap();
    assert!(status.contains("on node-1 of prod") && status.ends_with("window incident: on demand\n"), "{status}");
    let error = cable.ctl(&["start", "accident"]).unwrap_err();
    assert_eq!(error, "remora-recorder: there is no window accident; there are: incident\n");

    let said = cable.ctl(&["start", "incident"]).unwrap();
    let recording = said.lines().last().unwrap();
    assert!(recording.starts_with("prod/incident/") && recording.ends_with("/node-1"), "{said}");
    let error = cable.ctl(&["start", "incident"]).unwrap_err();
    assert!(error.contains("incident is being recorded"), "{error}");
    wait_until("packets are recorded", || {
        cable.send(10, 100, 9999, 0.01);
        !cable.ctl(&["status"]).unwrap().contains(": 0 packets")
    });
    assert_eq!(cable.ctl(&["stop", "incident"]).unwrap(), format!("recording ends\n{recording}\n"));
    wait_until("it is stored", || !cable.stored().is_empty());
    assert_eq!(cable.ctl(&["stop", "incident"]).unwrap_err(), "remora-recorder: incident is not being recorded\n");
    let stored = cable.only_stored();
    assert_eq!((stored.close.reason, stored.close.recording.folder().as_str()), (EndReason::Stopped, recording));
    assert!(stored.close.counts.written.packets >= 10);
    recorder.stop();
    assert!(!socket.exists());
    let error = cable.ctl(&["status"]).unwrap_err();
    assert!(error.contains("is a recorder running there?"), "{error}");
}

#[test]
fn what_is_no_request_is_refused_and_a_socket_left_behind_is_replaced() {
    use std::io::{BufRead, BufReader, Write};
    let Some(cable) = Cable::new() else { return };
    let socket = cable.spool().join("control.sock");
    std::fs::create_dir_all(cable.spool()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let recorder = cable.run(&format!("{HEAD}{}", window("incident", "on_demand: true, duration: 1h")));
    wait_until("the recorder can be asked", || cable.ctl(&["status"]).is_ok());
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for (request, want) in [
        ("{}\n", "missing field `command`"),
        ("{\"command\":\"dance\"}\n", "unknown variant `dance`"),
        ("{\"command\":\"start\",\"window\":\"../x\"}\n", "cannot be a name"),
        ("{\"command\":\"status\"}\n", "\"answer\":\"status\""),
        (&"x".repeat(5000), "no request"),
    ] {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert!(answer.contains(want), "{answer}");
    }
    // After a line that is none, the connection ends, however it does.
    let mut rest = String::new();
    assert_eq!(answers.read_line(&mut rest).unwrap_or(0), 0, "{rest}");
    recorder.stop();
}

#[test]
fn windows_are_read_anew_and_those_that_are_the_same_go_on() {
    let Some(cable) = Cable::new() else { return };
    let (same, changed, gone) =
        (window("same", "always: true"), window("changed", "always: true"), window("gone", "always: true"));
    let recorder = cable.run(&format!("{HEAD}{same}{changed}{gone}"));
    let runs = |window: &str| {
        let status = cable.ctl(&["status"]).unwrap_or_default();
        status.lines().filter(|line| line.contains(&format!("prod/{window}/")) && !line.contains(": 0 packets")).count()
    };
    let recorded = |window: &str| {
        wait_until(&format!("{window} is recorded"), || {
            cable.send(5, 100, 9999, 0.01);
            runs(window) == 1
        });
    };
    ["same", "changed", "gone"].into_iter().for_each(recorded);

    cable.configure(&format!("{HEAD}{same}  - {{name: changed, interfaces: [eth], always: perhaps}}\n"));
    recorder.signal("HUP");
    wait_until("the error is told", || cable.ctl(&["status"]).unwrap().contains("not read anew"));
    let status = cable.ctl(&["status"]).unwrap();
    assert!(status.contains("recorder.yaml: error: line 8 column 48: invalid boolean"), "{status}");
    cable.configure(&format!("{}{same}", HEAD.replace("prod", "test")));
    recorder.signal("HUP");
    wait_until("the error is told", || cable.ctl(&["status"]).unwrap().contains("cluster is another one"));
    assert_eq!(["same", "changed", "gone"].map(runs), [1, 1, 1]);

    let changed = window("changed", "always: true, snap_length: 64");
    cable.configure(&format!("{HEAD}{}{changed}{same}", window("new", "always: true")));
    recorder.signal("HUP");
    wait_until("what ended is stored", || cable.stored().len() == 2);
    ["same", "changed", "new"].into_iter().for_each(recorded);
    assert!(!cable.ctl(&["status"]).unwrap().contains("gone"));
    recorder.stop();
    let mut ended: Vec<_> = cable
        .stored()
        .into_iter()
        .map(|stored| (stored.close.recording.window.to_string(), stored.close.reason))
        .collect();
    ended.sort_by_key(|(window, reason)| (window.clone(), *reason == EndReason::Stopped));
    let want = [
        ("changed", EndReason::WindowChanged),
        ("changed", EndReason::Stopped),
        ("gone", EndReason::WindowChanged),
        ("new", EndReason::Stopped),
        ("same", EndReason::Stopped),
    ];
    assert_eq!(ended, want.map(|(window, reason)| (window.to_owned(), reason)));
}

/// The numbers in packets of all recordings that are stored, in order of recordings, segments and packets.
fn numbers(cable: &Cable) -> Vec<u64> {
    let payloads = cable.stored().into_iter().flat_map(|stored| stored.tshark("udp.dstport == 9999", &["udp.payload"]));
    payloads.map(|payload| u64::from_str_radix(&payload[..16], 16).expect("hexadecimal")).collect()
}

/// How many packets the finished segments hold that a window keeps ready.
fn kept_packets(cable: &Cable, window: &str) -> u64 {
    let folder = cable.spool().join(".ready").join(window);
    let files = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let kept = files.filter(|path| path.to_string_lossy().ends_with(".kept.json"));
    let read = |path| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok();
    kept.filter_map(read).filter_map(|kept| kept["counts"]["written"]["packets"].as_u64()).sum()
}

#[test]
fn what_was_kept_ready_is_recorded_once_triggered() {
    let Some(cable) = Cable::new() else { return };
    let window = window("incident", "on_demand: true, duration: 1h, pre_trigger: 1h");
    let recorder = cable.run(&format!("{HEAD}{window}"));
    wait_until("it is ready", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since ")));
    cable.send(30, 100, 9999, 0.0);
    wait_until("a segment is kept", || kept_packets(&cable, "incident") == 30);
    cable.send(30, 100, 9999, 0.0);
    wait_until("another is kept", || kept_packets(&cable, "incident") == 60);
    let error = cable.ctl(&["stop", "incident"]).unwrap_err();
    assert_eq!(error, "remora-recorder: incident is not being recorded\n");
    assert!(!cable.store().exists(), "nothing is stored before the trigger");

    let said = cable.ctl(&["trigger", "incident"]).unwrap();
    let recording = said.lines().last().unwrap().to_owned();
    assert!(said.starts_with("triggered\nprod/incident/"), "{said}");
    // A second trigger is of the same recording.
    assert_eq!(cable.ctl(&["trigger", "incident"]).unwrap(), said);
    wait_until("the past is stored", || cable.store().join(&recording).join("000002.seal.json").exists());
    cable.send(30, 100, 9999, 0.0);
    wait_until("it is recorded", || cable.ctl(&["status"]).unwrap().contains(": 90 packets"));
    assert_eq!(cable.ctl(&["stop", "incident"]).unwrap(), format!("recording ends\n{recording}\n"));
    wait_until("it is stored, and the window ready again", || {
        !cable.stored().is_empty() && cable.ctl(&["status"]).unwrap().contains("  ready, since ")
    });
    recorder.stop();
    let stored = cable.only_stored();
    let trigger = stored.close.trigger.as_ref().unwrap();
    assert_eq!((trigger.by.as_str(), trigger.expired.packets), ("control socket", 0));
    assert_eq!((&stored.close.reason, stored.close.counts.written.packets), (&EndReason::Stopped, 90));
    assert_eq!(stored.close.recording.folder(), recording);
    assert!(stored.close.recording.start.time() <= stored.close.first_packet.unwrap());
    assert_eq!(numbers(&cable), (0..30).chain(0..30).chain(0..30).collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_is_removed_and_counted_and_a_file_triggers_the_rest() {
    let Some(cable) = Cable::new() else { return };
    let file = cable.folder.path().join("now");
    let more = format!("on_demand: true, duration: 1h, pre_trigger: 4s, trigger_file: {}", file.display());
    let recorder = cable.run(&format!("{HEAD}{}", window("incident", &more)));
    wait_until("it is ready", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since ")));
    cable.send(30, 100, 9999, 0.0);
    wait_until("a segment is kept", || kept_packets(&cable, "incident") == 30);
    wait_until("it is removed", || kept_packets(&cable, "incident") == 0);
    cable.send(20, 100, 9999, 0.0);
    std::fs::write(&file, b"").unwrap();
    wait_until("the file is taken", || !file.exists());
    recorder.stop();
    let close = cable.only_stored().close;
    let trigger = close.trigger.unwrap();
    assert_eq!(trigger.by, format!("file {}", file.display()));
    assert!(trigger.expired.packets >= 30 && trigger.expired_segments >= 1, "{trigger:?}");
    assert_eq!(trigger.expired.packets + close.counts.written.packets, 50);
}

#[test]
fn what_was_kept_ready_survives_a_kill_and_so_does_its_trigger() {
    let Some(cable) = Cable::new() else { return };
    let window = window("incident", "on_demand: true, duration: 1h, pre_trigger: 1h");
    let configuration = format!("{HEAD}{window}");
    let ready =
        || wait_until("it is ready", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since ")));
    let recorder = cable.run(&configuration);
    ready();
    cable.send(30, 100, 9999, 0.0);
    wait_until("a segment is kept", || kept_packets(&cable, "incident") == 30);
    cable.send(30, 100, 9999, 0.0);
    let open = || {
        std::fs::read_dir(cable.spool().join(".ready/incident")).unwrap().flatten().any(|file| {
            file.path().to_string_lossy().ends_with("pcapng.open")
                && file.metadata().is_ok_and(|file| file.len() > 3000)
        })
    };
    wait_until("the rest is written, or kept", || open() || kept_packets(&cable, "incident") == 60);
    recorder.kill();
    let recorder = cable.run(&configuration);
    ready();
    assert_eq!(kept_packets(&cable, "incident"), 60, "what was open is kept too");
    cable.ctl(&["trigger", "incident"]).unwrap();
    recorder.kill();
    // Whatever was done by then of making a recording, the next start does the rest.
    let recorder = cable.run(&configuration);
    wait_until("what was triggered is stored", || cable.stored().len() == 1);
    wait_until("it goes on", || cable.ctl(&["status"]).is_ok_and(|status| status.contains(" until ")));
    cable.send(30, 100, 9999, 0.0);
    recorder.stop();
    let stored = cable.stored();
    let reasons: Vec<_> = stored.iter().map(|stored| &stored.close.reason).collect();
    assert_eq!(reasons, [&EndReason::Crash, &EndReason::Stopped]);
    let by: Vec<_> = stored.iter().map(|stored| stored.close.trigger.as_ref().unwrap().by.as_str()).collect();
    assert_eq!(by, ["control socket", "the trigger of before, to record the rest"]);
    assert_eq!(numbers(&cable), (0..30).chain(0..30).chain(0..30).collect::<Vec<_>>());
}

#[test]
fn what_is_pinned_stays_until_it_is_unpinned() {
    let Some(cable) = Cable::new() else { return };
    let window = window("incident", "on_demand: true, duration: 1h");
    let recorder = cable.run(&format!("{HEAD}{window}"));
    wait_until("the recorder can be asked", || cable.ctl(&["status"]).is_ok());
    let error = cable.ctl(&["pin", "prod/incident/20200101T000000Z/node-1"]).unwrap_err();
    assert!(error.contains("is not in the spool"), "{error}");
    assert!(cable.ctl(&["pin", "../../x"]).unwrap_err().contains("is no recording"));
    let said = cable.ctl(&["start", "incident"]).unwrap();
    let recording = said.lines().last().unwrap().to_owned();
    let folder = cable.spool().join(&recording);
    wait_until("it begins", || folder.join("store.json").exists());
    cable.ctl(&["pin", &recording]).unwrap();
    cable.send(30, 100, 9999, 0.0);
    wait_until("it is recorded", || cable.ctl(&["status"]).unwrap().contains(": 30 packets"));
    cable.ctl(&["stop", "incident"]).unwrap();
    wait_until("it is stored", || folder.join("stored.json").exists());
    recorder.kill();
    let stored = cable.only_stored();
    for name in stored.seals.iter().flat_map(|seal| &seal.files).map(|file| file.name.to_string()) {
        assert_eq!(std::fs::read(folder.join(&name)).unwrap(), std::fs::read(stored.folder.join(&name)).unwrap());
    }
    let recorder = cable.run(&format!("{HEAD}{window}"));
    wait_until("the pin is known", || {
        cable.ctl(&["status"]).is_ok_and(|status| status.ends_with(&format!("pinned {recording}\n")))
    });
    cable.ctl(&["unpin", &recording]).unwrap();
    assert!(!folder.exists());
    assert_eq!(cable.ctl(&["unpin", &recording]).unwrap_err(), format!("remora-recorder: {recording} is not pinned\n"));
    recorder.stop();
}

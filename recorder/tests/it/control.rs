//! What people and signals tell a recorder that runs.

use crate::net::{Cable, must, wait_until};
use formats::seal::EndReason;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub const HEAD: &str = "
cluster: prod
node: node-1
store: STORE
spool: {folder: SPOOL}
windows:
";

/// A window as all of these tests have it.
pub fn window(name: &str, more: &str) -> String {
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
    // At once: it is there.
    cable.ctl(&["pin", recording]).unwrap();
    cable.ctl(&["unpin", recording]).unwrap();
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
    assert!(status.contains("recorder.yaml: line 8 column 48: invalid boolean"), "{status}");
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

#[test]
fn a_run_takes_the_place_of_the_one_before_where_that_is_the_policy() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.run(&format!("{HEAD}{}", window("shift", "on_demand: true, duration: 1h, overlap: replace")));
    wait_until("the first begins", || cable.ctl(&["start", "shift"]).is_ok());
    wait_until("packets are recorded", || {
        cable.send(10, 100, 9999, 0.01);
        !cable.ctl(&["status"]).unwrap().contains(": 0 packets")
    });
    cable.ctl(&["start", "shift"]).unwrap();
    wait_until("the first is stored", || !cable.stored().is_empty());
    recorder.stop();
    let reasons: Vec<_> = cable.stored().into_iter().map(|stored| stored.close.reason).collect();
    assert_eq!(reasons, [EndReason::Replaced, EndReason::Stopped]);
}

#[test]
fn a_signal_triggers_every_window_on_demand() {
    let Some(cable) = Cable::new() else { return };
    let windows = [
        window("all-day", "always: true"),
        window("plain", "on_demand: true, duration: 1h"),
        window("ready", "on_demand: true, duration: 1h, pre_trigger: 1h"),
    ];
    let recorder = cable.run(&format!("{HEAD}{}", windows.concat()));
    let runs = || cable.ctl(&["status"]).unwrap_or_default().matches(" until ").count();
    wait_until("it is ready", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since ")));
    assert_eq!(runs(), 1);
    recorder.signal("USR1");
    wait_until("both are recorded", || runs() == 3);
    recorder.stop();
    let stored: Vec<_> = cable.stored().into_iter().map(|stored| stored.close).collect();
    let by: Vec<_> = stored.iter().map(|close| close.trigger.as_ref().map(|trigger| trigger.by.as_str())).collect();
    assert_eq!(by, [None, None, Some("signal")]);
}

#[test]
fn who_is_told_something_while_it_starts_does_it_then() {
    let Some(cable) = Cable::new() else { return };
    // It waits for what is remembered of a window.
    let starts = cable.spool().join(".starts");
    std::fs::create_dir_all(&starts).unwrap();
    let pipe = starts.join("plain");
    must(Command::new("mkfifo").arg(&pipe));
    let recorder = cable.run(&format!("{HEAD}{}", window("plain", "on_demand: true, duration: 1h")));
    let mut remembered = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    recorder.signal("HUP");
    recorder.signal("USR1");
    std::fs::remove_file(&pipe).unwrap();
    remembered.write_all(b"[]").unwrap();
    drop(remembered);
    let is_done = |status: String| status.contains("  read anew ") && status.contains(" until ");
    wait_until("both are done", || cable.ctl(&["status"]).is_ok_and(is_done));
    recorder.stop();
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

/// Status and body of a POST to the recorder of a cable.
fn post(cable: &Cable, path: &str, headers: &[&str]) -> (u32, String) {
    let url = format!("http://127.0.0.1:9477{path}");
    let mut arguments = vec!["-s", "-m", "20", "-X", "POST", "-w", "\n%{http_code}", &url];
    arguments.extend(headers.iter().flat_map(|header| ["-H", *header]));
    let out = cable.in_b("curl", &arguments).output().expect("curl starts");
    let said = String::from_utf8(out.stdout).expect("text");
    let (body, status) = said.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

#[test]
fn whoever_knows_the_secret_triggers_over_http() {
    let Some(cable) = Cable::new() else { return };
    let token = cable.folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let ready =
        window("incident", "on_demand: true, duration: 1h, pre_trigger: 1h") + &window("nightly", "always: true");
    let head = HEAD.replace("windows:", &format!("observe: {{trigger_token: {}}}\nwindows:", token.display()));
    let recorder = cable.run_with(&format!("{head}{ready}"), &["--listen", "127.0.0.1:9477"]);
    wait_until("it is ready", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since ")));
    let secret = "Authorization: Bearer 0123456789abcdef";
    for (path, headers, want) in [
        ("/trigger/incident", &[][..], 401),
        ("/trigger/incident", &["Authorization: Bearer 0123456789abcdeg"], 401),
        ("/trigger/incident", &["Authorization: Basic 0123456789abcdef"], 401),
        ("/trigger/", &[secret], 404),
        ("/trigger/../incident", &[secret], 404),
        ("/trigger/accident", &[secret], 409),
        ("/trigger/nightly", &[secret], 409),
        ("/metrics", &[secret], 405),
    ] {
        let (status, said) = post(&cable, path, headers);
        assert_eq!(status, want, "{path} {headers:?}: {said}");
    }
    assert!(!cable.ctl(&["status"]).unwrap().contains("prod/incident/"), "nothing is triggered yet");
    let asked = |arguments: &[&str]| {
        let out =
            cable.in_b("curl", &[&["-s", "-D", "-", "http://127.0.0.1:9477/metrics"], arguments].concat()).output();
        String::from_utf8(out.unwrap().stdout).unwrap()
    };
    assert!(asked(&["-X", "POST"]).contains("allow: GET, HEAD\r\n"));
    assert!(asked(&[]).contains("remora_observe_refused_triggers_total 3\n"));
    let (status, said) = post(&cable, "/trigger/incident", &[secret]);
    assert!(status == 200 && said.starts_with("triggered\nprod/incident/"), "{status} {said}");
    // Another secret takes its place.
    std::fs::write(&token, "fedcba9876543210").unwrap();
    recorder.signal("HUP");
    wait_until("the secret is another", || post(&cable, "/trigger/incident", &[secret]).0 == 401);
    assert_eq!(post(&cable, "/trigger/incident", &["Authorization: Bearer fedcba9876543210"]).0, 200);
    recorder.stop();
    let stored = cable.stored();
    let triggered = stored.iter().find_map(|stored| stored.close.trigger.as_ref()).expect("it was triggered");
    assert_eq!(triggered.by, "HTTP");
}

#[test]
fn nobody_triggers_over_http_where_there_is_no_secret() {
    let Some(cable) = Cable::new() else { return };
    let configuration = format!("{HEAD}{}", window("incident", "on_demand: true, duration: 1h"));
    let recorder = cable.run_with(&configuration, &["--listen", "127.0.0.1:9477"]);
    wait_until("it answers", || cable.ctl(&["status"]).is_ok() && post(&cable, "/metrics", &[]).0 == 405);
    assert_eq!(post(&cable, "/trigger/incident", &["Authorization: Bearer "]).0, 404);
    recorder.stop();
    let short = cable.folder.path().join("token");
    std::fs::write(&short, "too short").unwrap();
    let said = cable.run_with(&configuration, &["--trigger-token", short.to_str().unwrap()]).failure();
    assert!(said.contains("has 9 characters; a secret has 16 to 1024"), "{said}");
}

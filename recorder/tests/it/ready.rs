//! The past, kept ready for a trigger, by recorders that live and that are killed.

use crate::control::{HEAD, window};
use crate::net::{Cable, wait_until};
use formats::seal::EndReason;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Rounds of killing, unless the environment wants more.
const ROUNDS: u64 = 2;

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

/// A disk of its own, gone when dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "remora-test"]).arg(&at).status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_the_oldest_makes_room_for_the_newest() {
    let Some(cable) = Cable::new() else { return };
    // The bound is of another disk: this one is full long before.
    let disk = Disk::mount(cable.spool(), "size=3m");
    let recorder =
        cable.run(&format!("{HEAD}{}", window("incident", "on_demand: true, duration: 1h, pre_trigger: 1h")));
    let ready = || cable.ctl(&["status"]).is_ok_and(|status| status.contains("  ready, since "));
    wait_until("it is ready", ready);
    let expired = cable.spool().join(".ready/incident/expired.json");
    wait_until("the oldest was removed", || {
        cable.send(200, 1000, 9999, 0.0005);
        expired.exists()
    });
    wait_until("it is ready", ready);
    cable.ctl(&["trigger", "incident"]).unwrap();
    wait_until("the past is stored", || kept_packets(&cable, "incident") == 0);
    cable.send(20, 1000, 9999, 0.0005);
    recorder.stop();
    let stored = cable.stored();
    let close = &stored.last().unwrap().close;
    assert!(close.trigger.as_ref().unwrap().expired.packets > 0, "{close:?}");
    let counts = close.counts;
    assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets + counts.dropped.disk.packets);
    drop(disk);
}

#[test]
fn killed_around_its_trigger_it_never_loses_one_that_was_answered() {
    let Some(cable) = Cable::new() else { return };
    let rounds = std::env::var("REMORA_TEST_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        one_round(
            &cable,
            Duration::from_millis((random >> 33) % 2500),
            Duration::from_micros((random >> 13) % 500_000),
        );
        for folder in [cable.store(), cable.spool()] {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// Triggers after `ready`, and kills `later`.
fn one_round(cable: &Cable, ready: Duration, later: Duration) {
    let configuration = format!("{HEAD}{}", window("incident", "on_demand: true, duration: 1h, pre_trigger: 1h"));
    let status = || cable.ctl(&["status"]).unwrap_or_default();
    let recorder = cable.run(&configuration);
    wait_until("it is ready", || status().contains("  ready, since "));
    let send = "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
i = 0
while True:
    s.sendto(i.to_bytes(8, 'big') + bytes(400), ('10.77.0.2', 9999)); i += 1
    time.sleep(0.001)
";
    let mut sender = cable.in_a("python3", &["-c", send]).stdout(Stdio::null()).spawn().expect("python starts");
    wait_until("a segment is kept", || kept_packets(cable, "incident") > 0);
    std::thread::sleep(ready);
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| cable.ctl(&["trigger", "incident"]));
        std::thread::sleep(later);
        recorder.kill();
        told.join().unwrap()
    });
    let recorder = cable.run(&configuration);
    wait_until("it goes on", || [" until ", "  ready, since "].iter().any(|state| status().contains(state)));
    let triggered = told.is_ok() || status().contains(" until ");
    // A trigger that was not answered may have come too late.
    if !triggered {
        cable.ctl(&["trigger", "incident"]).unwrap();
    }
    wait_until("it is recorded", || status().contains(" until "));
    sender.kill().unwrap();
    sender.wait().unwrap();
    recorder.stop();
    let stored = cable.stored();
    assert_eq!(stored.len(), 1 + usize::from(triggered), "triggered: {triggered}, {told:?}");
    let numbers = numbers(cable);
    let missing: Vec<u64> =
        numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|missing| *missing > 0).collect();
    eprintln!(
        "{} recordings, {} packets, {missing:?} missing, killed {later:?} after its trigger",
        stored.len(),
        numbers.len()
    );
    assert_eq!(numbers.first(), Some(&0));
    assert!(missing.len() <= 1, "packets are missing in one place: {missing:?}");
}

//! `remora-recorder run`: windows of a configuration, in a network namespace.

use crate::net::{Cable, wait_until};
use formats::seal::EndReason;
use jiff::{SignedDuration, Timestamp};

const HEAD: &str = "
cluster: prod
node: node-1
store: STORE
spool: {folder: SPOOL, bytes_max: 96KiB, full: FULL}
windows:
";

#[test]
fn windows_begin_and_end_and_everything_is_stored_at_the_end() {
    let Some(cable) = Cable::new() else { return };
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    let recorder = cable.run(&format!(
        "{}
  - {{name: all-day, always: true, interfaces: [eth], filter: udp port 9999, segment: {{age: 1s}}}}
  - {{name: once, at: '{soon:.0}', duration: 2s, interfaces: [eth], filter: udp port 9999}}
  - {{name: over, at: '2020-01-01T00:00:00Z', duration: 2s, interfaces: [eth]}}
",
        HEAD.replace("FULL", "stop")
    ));
    wait_until("the run of 'once' is stored", || {
        cable.send(10, 100, 9999, 0.01);
        cable.store().join("prod/once").read_dir().is_ok() && cable.stored().len() == 1
    });
    recorder.stop();
    let mut stored = cable.stored();
    stored.sort_by_key(|stored| stored.close.recording.window.clone());
    let [all_day, once] = &stored[..] else { panic!("{} recordings", stored.len()) };
    assert_eq!((&all_day.close.reason, &once.close.reason), (&EndReason::Stopped, &EndReason::Duration));
    assert!(all_day.sound.counts.written.packets > once.sound.counts.written.packets);
    assert!(all_day.sound.segments > 1 && once.sound.counts.written.packets > 0);
    assert_eq!(size(&cable.spool()), 0);
    // The scheduled time is the recording's, to the second, whenever it woke.
    assert_eq!(once.close.recording.start.time(), format!("{soon:.0}").parse().unwrap());
}

#[test]
fn through_an_outage_the_oldest_is_given_up_and_the_ledger_says_so() {
    let Some(cable) = Cable::new() else { return };
    // Where the store should be, something else is.
    std::fs::write(cable.store(), b"").unwrap();
    let recorder = cable.run(&format!(
        "{}  - {{name: all-day, always: true, interfaces: [eth], filter: udp port 9999, segment: {{bytes: 16KiB, age: 1s}}}}",
        HEAD.replace("FULL", "drop_oldest")
    ));
    let spooled = || -> u64 { size(&cable.spool()) };
    wait_until("the recorder begins", || spooled() > 0);
    // Twice what the spool holds.
    for _ in 0..20 {
        cable.send(10, 1000, 9999, 0.005);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(spooled() < 200 << 10, "{} bytes in the spool", spooled());
    }
    std::fs::remove_file(cable.store()).unwrap();
    wait_until("segments are stored", || cable.store().is_dir() && spooled() < 40 << 10);
    cable.send(10, 1000, 9999, 0.005);
    recorder.stop();
    let stored = cable.only_stored();
    let sound = &stored.sound;
    assert!(!sound.forgotten.is_empty() && sound.files > 0, "{sound:?}");
    let given_up = sound.counts.dropped.spool.packets + sound.forgotten_at_close.packets;
    let lost = stored.seals.iter().filter(|seal| sound.forgotten.contains(&seal.sequence));
    assert_eq!(given_up, lost.map(|seal| seal.counts.written.packets).sum::<u64>());
    assert_eq!(sound.counts.written.packets, 210, "counted, though not all kept");
}

#[test]
fn a_full_spool_ends_recordings_where_that_is_the_policy() {
    let Some(cable) = Cable::new() else { return };
    std::fs::write(cable.store(), b"").unwrap();
    let recorder = cable.run(&format!(
        "{}  - {{name: all-day, always: true, interfaces: [eth], filter: udp port 9999, segment: {{bytes: 16KiB, age: 1s}}}}",
        HEAD.replace("FULL", "stop")
    ));
    wait_until("the recorder begins", || size(&cable.spool()) > 0);
    cable.send(150, 1000, 9999, 0.005);
    std::fs::remove_file(cable.store()).unwrap();
    wait_until("it is stored", || cable.store().is_dir() && !cable.stored().is_empty());
    recorder.stop();
    let stored = cable.stored();
    assert_eq!(stored[0].close.reason, EndReason::SpoolFull);
    assert!(stored[0].sound.forgotten.is_empty() && stored[0].sound.counts.written.packets > 50);
}

#[test]
fn a_window_that_has_used_up_its_share_of_the_spool_ends_and_others_go_on() {
    let Some(cable) = Cable::new() else { return };
    std::fs::write(cable.store(), b"").unwrap();
    let head = HEAD.replace("FULL", "stop").replace("96KiB", "1MiB");
    let window = "always: true, interfaces: [eth], filter: udp port 9999, segment: {bytes: 16KiB, age: 1s}";
    let recorder =
        cable.run(&format!("{head}  - {{name: all, {window}}}\n  - {{name: part, {window}, budget: {{spool: 5%}}}}"));
    wait_until("the recordings begin", || size(&cable.spool().join("prod/part")) > 0);
    let ended = || cable.ctl(&["status"]).is_ok_and(|status| !status.contains("prod/part/"));
    wait_until("its share is used up", || {
        cable.send(50, 1000, 9999, 0.001);
        ended()
    });
    std::fs::remove_file(cable.store()).unwrap();
    wait_until("it is stored", || cable.store().is_dir() && !cable.stored().is_empty());
    recorder.stop();
    let reasons: Vec<_> = cable
        .stored()
        .into_iter()
        .map(|stored| (stored.close.recording.window.to_string(), stored.close.reason))
        .take(2)
        .collect();
    assert_eq!(reasons, [("all".to_owned(), EndReason::Stopped), ("part".to_owned(), EndReason::SpoolBudget)]);
}

#[test]
fn a_window_that_takes_too_much_of_a_processor_leaves_out_flows() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.run(&format!(
        "{}  - {{name: all, always: true, interfaces: [eth], budget: {{cpu: 1%}}}}",
        HEAD.replace("FULL", "drop_oldest").replace("96KiB", "64MiB")
    ));
    wait_until("its share is used up", || {
        // Each time another flow.
        (0..8).for_each(|_| cable.send(2_000, 1000, 9999, 0.0));
        let seals = crate::net::find(&cable.store(), &|path| path.to_string_lossy().ends_with(".seal.json"));
        let read = |path| formats::seal::Seal::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        seals.into_iter().map(read).any(|seal| seal.counts.sampled.packets > 0)
    });
    recorder.stop();
    let stored = cable.only_stored();
    let counts = stored.close.counts;
    assert_eq!(stored.close.reason, EndReason::Stopped);
    assert!(counts.written.packets > 0 && counts.sampled.packets > 0, "{counts:?}");
    let lost = counts.dropped.kernel_packets + counts.dropped.ring.packets + counts.dropped.disk.packets;
    assert_eq!(counts.seen.packets, counts.written.packets + counts.sampled.packets + lost);
}

#[test]
fn no_packet_falls_between_two_runs() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.run(&format!(
        "{}  - {{name: all-day, always: true, duration: 2s, interfaces: [eth], filter: udp port 9999}}",
        HEAD.replace("FULL", "stop").replace("96KiB", "64MiB")
    ));
    wait_until("the recorder begins", || size(&cable.spool()) > 0);
    wait_until("it records", || {
        cable.send(1, 100, 9999, 0.0);
        cable.ctl(&["status"]).is_ok_and(|status| !status.contains(": 0 packets"))
    });
    cable.send(2500, 100, 9999, 0.002);
    recorder.stop();
    let stored = cable.stored();
    assert!(stored.len() > 2, "{} recordings", stored.len());
    let payloads = stored.iter().flat_map(|stored| stored.tshark("udp.dstport == 9999", &["data.data"]));
    let numbers: std::collections::BTreeSet<_> = payloads.map(|data| data[..16].to_owned()).collect();
    let missing: Vec<_> = (0..2500_u64).filter(|number| !numbers.contains(&format!("{number:016x}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Bytes of all files below a folder.
fn size(folder: &std::path::Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    // What outlives recordings begins with a dot.
    let entries = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |file| file.len()) }
            },
        )
        .sum()
}

#[test]
fn a_budget_that_is_spent_in_part_is_not_whole_again_after_a_restart() {
    let Some(cable) = Cable::new() else { return };
    let begun = Timestamp::now();
    let configuration = format!(
        "{}  - {{name: w, at: '{begun:.0}', duration: 1h, interfaces: [eth], filter: udp port 9999, \
         segment: {{age: 1s}}, budget: {{packets: 100}}}}",
        HEAD.replace("FULL", "stop")
    );
    let runs =
        |packets: &str| cable.ctl(&["status"]).is_ok_and(|status| status.contains(&format!(": {packets} packets")));
    for round in 0..2 {
        let recorder = cable.run(&configuration);
        wait_until("it is recorded", || runs("0"));
        cable.send(40, 100, 9999, 0.0);
        wait_until("they are recorded", || runs("40"));
        // Let the block be written: what a kill takes along is not spent.
        std::thread::sleep(std::time::Duration::from_secs(2));
        if round == 0 { recorder.kill() } else { drop(recorder.stop()) }
    }
    let recorder = cable.run(&configuration);
    wait_until("the rest is recorded", || runs("0"));
    cable.send(40, 100, 9999, 0.0);
    wait_until("all three are stored", || cable.stored().len() == 3);
    recorder.stop();
    let mut stored = cable.stored();
    stored.sort_by_key(|stored| stored.close.recording.start.time());
    let told: Vec<_> =
        stored.into_iter().map(|stored| (stored.close.reason, stored.sound.counts.written.packets)).collect();
    let want = [(EndReason::Crash, 40), (EndReason::Stopped, 40), (EndReason::PacketBudget, 20)];
    assert_eq!(told, want);
}

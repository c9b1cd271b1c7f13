//! A disk that is full and is freed, and one that nobody may write to.

use crate::control::{HEAD, window};
use crate::net::{Cable, find, wait_until};
use formats::seal::{Close, Counts, EndReason};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A small file system where the spool is. Gone when dropped.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(place: &Path, options: &str) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "remora-test"]).arg(place).status();
        assert!(mount.unwrap().success(), "root mounts");
        Self(place.to_owned())
    }

    /// Takes all the room there is.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while something in it is still open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_the_next_begins_when_there_is_room() {
    let Some(cable) = Cable::new() else { return };
    let disk = Disk::mount(&cable.spool(), "size=1m");
    let recorder = cable.run(
        "
cluster: prod
node: node-1
store: STORE
spool: {folder: SPOOL}
windows:
  - {name: all-day, always: true, interfaces: [eth], filter: udp port 9999, segment: {age: 1s}}
",
    );
    wait_until("a segment is stored", || {
        cable.send(10, 100, 9999, 0.01);
        !cable.files("000001.seal.json").is_empty()
    });
    let ballast = fill_wholly(&cable, &disk);
    // Longer than a segment, so that it has to be sealed, and cannot.
    cable.send(300, 1000, 9999, 0.01);
    std::fs::remove_file(ballast).unwrap();
    wait_until("it is closed, and another is begun", || {
        cable.send(10, 100, 9999, 0.01);
        let begun = cable.files("000001.seal.json");
        begun.len() > 1 && !cable.files("close.json").is_empty()
    });
    recorder.stop();
    let stored = cable.stored();
    assert!(stored.len() >= 2, "{} recordings", stored.len());
    let (last, failed) = stored.split_last().unwrap();
    assert_eq!(last.close.reason, EndReason::Stopped);
    assert!(last.close.counts.written.packets > 0);
    for failed in failed {
        assert_eq!(failed.close.reason, EndReason::Failure, "{}", failed.folder.display());
    }
    for stored in &stored {
        let counts = stored.close.counts;
        let lost = counts.dropped.disk.packets + counts.dropped.ring.packets + counts.dropped.kernel_packets;
        assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets + lost);
        assert_eq!(stored.tshark("udp.dstport == 9999", &["frame.number"]).len() as u64, counts.written.packets);
    }
}

/// Also with the room that a recording has for its end.
fn fill_wholly(cable: &Cable, disk: &Disk) -> PathBuf {
    let room = find(&cable.spool(), &|path| path.extension().is_some_and(|extension| extension == "room"));
    room.iter().for_each(|room| std::fs::remove_file(room).unwrap());
    disk.fill()
}

fn balances(counts: &Counts) -> bool {
    let lost = counts.dropped.disk.packets + counts.dropped.ring.packets + counts.dropped.kernel_packets;
    counts.dropped.disk.packets > 0 && counts.seen.packets == counts.written.packets + counts.filtered.packets + lost
}

#[test]
fn what_a_full_disk_took_is_told_although_it_stays_full() {
    let Some(cable) = Cable::new() else { return };
    let disk = Disk::mount(&cable.spool(), "size=1m");
    // No store, so that nothing makes room.
    std::fs::write(cable.store(), b"").unwrap();
    let recorder = cable.record(&["-i", "eth", "-f", "udp port 9999", "--segment-age", "1s"]);
    let in_spool = |name: &str| find(&cable.spool(), &|path| path.ends_with(name));
    wait_until("a segment is sealed", || {
        cable.send(10, 100, 9999, 0.01);
        !in_spool("000001.seal.json").is_empty()
    });
    disk.fill();
    cable.send(800, 1000, 9999, 0.01);
    let out = recorder.0.wait_with_output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let close = Close::from_bytes(&std::fs::read(&in_spool("close.json")[0]).unwrap()).unwrap();
    assert!(balances(&close.counts), "{:?}", close.counts);
    let lost = format!(", {} on the disk,", close.counts.dropped.disk.packets);
    assert!(said.contains(&lost), "{said}");
}

#[test]
fn what_could_not_be_closed_is_once_there_is_room() {
    let Some(cable) = Cable::new() else { return };
    let disk = Disk::mount(&cable.spool(), "size=1m");
    let recorder = cable.run(&format!("{HEAD}{}", window("once", "on_demand: true, duration: 8s")));
    wait_until("the recorder can be asked", || cable.ctl(&["status"]).is_ok());
    cable.ctl(&["start", "once"]).unwrap();
    let begun = Instant::now();
    wait_until("a segment is stored", || {
        cable.send(10, 100, 9999, 0.01);
        !cable.files("000001.seal.json").is_empty()
    });
    let ballast = fill_wholly(&cable, &disk);
    cable.send(300, 1000, 9999, 0.01);
    // Nothing begins any more that would try again.
    wait_until("its time is over", || {
        begun.elapsed() > Duration::from_secs(9) && cable.ctl(&["stop", "once"]).is_err()
    });
    assert!(cable.files("close.json").is_empty(), "the disk was not full");
    std::fs::remove_file(ballast).unwrap();
    wait_until("it is closed", || !cable.files("close.json").is_empty());
    recorder.stop();
    let close = &cable.stored()[0].close;
    assert!(close.reason == EndReason::Failure && balances(&close.counts), "{close:?}");
}

#[test]
fn a_disk_that_nobody_may_write_to_is_named() {
    let Some(cable) = Cable::new() else { return };
    let _disk = Disk::mount(&cable.spool(), "size=1m,ro");
    let said = cable.spawn_recorder(&["-i", "eth", "--duration", "1s"]).failure();
    assert!(said.contains("Read-only file system") && said.contains("spool"), "{said}");
    assert!(!cable.store().exists());
}

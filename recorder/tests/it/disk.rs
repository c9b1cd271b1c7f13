//! A disk that is full and is freed, and one that nobody may write to.

use crate::net::{Cable, wait_until};
use formats::seal::EndReason;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let ballast = disk.fill();
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

#[test]
fn a_disk_that_nobody_may_write_to_is_named() {
    let Some(cable) = Cable::new() else { return };
    let _disk = Disk::mount(&cable.spool(), "size=1m,ro");
    let said = cable.spawn_recorder(&["-i", "eth", "--duration", "1s"]).failure();
    assert!(said.contains("Read-only file system") && said.contains("spool"), "{said}");
    assert!(!cable.store().exists());
}

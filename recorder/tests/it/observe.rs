//! What a recorder tells of itself while it runs.

use crate::made;
use crate::net::{Cable, Recorder, wait_until};
use recorder::schedule::StoreTarget;
use recorder::spool::Spool;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every cable has its own namespaces, and its own ports in them.
pub const LISTEN: &str = "127.0.0.1:9477";

/// Status and body of an answer; none while nobody listens.
fn get(cable: &Cable, path: &str) -> Option<(u32, String)> {
    let url = format!("http://{LISTEN}{path}");
    let out = cable.in_b("curl", &["-s", "-m", "5", "-w", "\n%{http_code}", &url]).output().expect("curl starts");
    let said = String::from_utf8(out.stdout).expect("text");
    let (body, status) = said.rsplit_once('\n')?;
    status.parse().ok().filter(|status| *status > 0).map(|status| (status, body.to_owned()))
}

fn status(cable: &Cable, path: &str) -> u32 {
    get(cable, path).map_or(0, |(status, _)| status)
}

/// The value of a number, by its name with labels.
fn number(cable: &Cable, name: &str) -> Option<f64> {
    let (_, text) = get(cable, "/metrics")?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

const WINDOW: &str = "{window=\"manual\"}";

fn of_window(cable: &Cable, name: &str) -> f64 {
    number(cable, &format!("{name}{WINDOW}")).unwrap_or(-1.0)
}

/// Packets that the recorder has written.
fn written(cable: &Cable) -> f64 {
    of_window(cable, "remora_rotate_written_packets_total")
}

/// Has so many packets sent, and waits until they are written.
pub fn until_written(cable: &Cable, count: usize, send: impl FnOnce(usize)) {
    let before = written(cable);
    send(count);
    wait_until("what was sent is written", || written(cable) >= before + count as f64);
}

/// Waits until the recorder hears the interface: sends packets to port 9998, one by one, until one is written.
pub fn until_heard(cable: &Cable) {
    let before = written(cable);
    wait_until("the interface is heard", || {
        cable.send(1, 100, 9998, 0.0);
        // A batch is written within a second.
        (0..30).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            written(cable) > before
        })
    });
}

#[test]
fn metrics_say_what_the_seals_will() {
    let Some(cable) = Cable::new() else { return };
    let arguments = ["-i", "eth", "--filter", "udp dst port 9999", "--segment-age", "1s", "--listen", LISTEN];
    let recorder = cable.record(&arguments);
    wait_until("it is ready", || status(&cable, "/readyz") == 200);
    assert_eq!(get(&cable, "/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!((status(&cable, "/"), number(&cable, "remora_capture_captures")), (404, Some(1.0)));
    cable.send(100, 200, 9999, 0.0);
    cable.send(30, 200, 9998, 0.0);
    wait_until("the filter's count is told", || of_window(&cable, "remora_capture_filtered_packets_total") >= 30.0);
    wait_until("all are written", || of_window(&cable, "remora_rotate_written_packets_total") == 100.0);
    // Nobody listens there, of which the other end is told: those packets are refused too.
    assert!(of_window(&cable, "remora_capture_seen_packets_total") >= 130.0);
    assert_eq!(of_window(&cable, "remora_rotate_written_bytes_total"), 24_200.0);
    let dropped = "remora_capture_dropped_packets_total{window=\"manual\",stage=\"kernel\"}";
    assert_eq!(number(&cable, dropped), Some(0.0));
    let passed = "remora_capture_ring_passed_packets_total{window=\"manual\",target=\"host\"}";
    // Rings are asked now and then, segments tell at once.
    wait_until("the ring's count is told", || number(&cable, passed) == Some(100.0));
    wait_until("the segment is stored", || number(&cable, "remora_upload_stored_segments_total") == Some(1.0));
    assert!(of_window(&cable, "remora_capture_turn_age_seconds") < 10.0);
    assert!(number(&cable, "remora_clock_error_max_seconds").is_some());
    // Hangs about without a word: others are answered all the same.
    let mut silent = cable.in_b("python3", &["-c", "import socket, time\ns = [socket.create_connection(('127.0.0.1', 9477)) for _ in range(5)]\ntime.sleep(100)"]).spawn().unwrap();
    assert_eq!(status(&cable, "/healthz"), 200);
    silent.kill().unwrap();
    silent.wait().unwrap();
    recorder.stop();
    let counts = cable.only_stored().close.counts;
    assert_eq!((counts.written.packets, counts.written.bytes), (100, 24_200));
    assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets);
}

#[test]
fn ready_only_with_a_ring() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.run(
        "{cluster: c, node: n, store: STORE, spool: {folder: SPOOL}, observe: {listen: '127.0.0.1:9477'}, \
         windows: [{name: later, always: true, interfaces: [later]}]}",
    );
    wait_until("it is not ready", || status(&cable, "/readyz") == 503);
    let (_, missing) = get(&cable, "/readyz").unwrap();
    assert!(missing.contains("window later: a recording is due, and has no ring yet"), "{missing}");
    assert_eq!(status(&cable, "/healthz"), 200, "it is well all the same");
    recorder.stop();
}

#[test]
fn not_ready_while_a_full_spool_lets_nothing_begin() {
    let Some(cable) = Cable::new() else { return };
    // Where the store should be, something else is.
    std::fs::write(cable.store(), b"").unwrap();
    let recorder = cable.run_with(
        "{cluster: c, node: n, store: STORE, spool: {folder: SPOOL, bytes_max: 96KiB, full: stop}, \
         observe: {listen: '127.0.0.1:9477'}, windows: [{name: all, always: true, interfaces: [eth], \
         filter: udp port 9999, segment: {bytes: 16KiB, age: 1s}}]}",
        &["--grace-s", "0"],
    );
    wait_until("it is ready", || status(&cable, "/readyz") == 200);
    cable.send(150, 1000, 9999, 0.001);
    wait_until("the recording is over, for the spool is full", || {
        cable
            .ctl(&["status"])
            .is_ok_and(|status| status.contains("window all: always, next") && status.contains(", failed, again "))
    });
    let (code, missing) = get(&cable, "/readyz").unwrap();
    assert_eq!((code, missing.as_str()), (503, "window all: a recording is due, and has no ring yet\n"));
    assert_eq!(cable.ctl(&["stop", "all"]).unwrap(), "what is left of a run that failed is not recorded\n");
    wait_until("nobody waits for it", || status(&cable, "/readyz") == 200);
    recorder.signal("TERM");
    recorder.log();
}

/// A file system of its own for the spool, gone when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// With ext4 in a file, which can be frozen; mounted at `folder`.
    fn ext4(file: &Path, folder: &'a Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::File::create(file).unwrap().set_len(64 << 20).unwrap();
        sh(Command::new("mkfs.ext4").arg("-q").arg(file));
        sh(Command::new("mount").args(["-o", "loop"]).arg(file).arg(folder));
        Self(folder)
    }

    fn freeze(&self) {
        sh(Command::new("fsfreeze").arg("-f").arg(self.0));
    }

    fn thaw(&self) {
        sh(Command::new("fsfreeze").arg("-u").arg(self.0));
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0).output();
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

fn sh(command: &mut Command) {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_disk_that_does_not_answer_is_told_of_and_not_waited_for() {
    let Some(cable) = Cable::new() else { return };
    let spool = cable.spool();
    let disk = Disk::ext4(&cable.folder.path().join("disk"), &spool);
    let arguments = ["-i", "eth", "--filter", "udp", "--listen", LISTEN, "--stall", "2s", "--log-format", "json"];
    let recorder = cable.record(&arguments);
    assert_eq!(status(&cable, "/healthz"), 200);
    disk.freeze();
    wait_until("it is not well", || status(&cable, "/healthz") == 503);
    wait_until("the capture has stalled", || {
        cable.send(10, 1000, 9999, 0.0);
        get(&cable, "/healthz").is_some_and(|(_, said)| said.contains("the capture has not turned for"))
    });
    wait_until("it is counted", || number(&cable, "remora_capture_stalled_times_total") == Some(1.0));
    disk.thaw();
    wait_until("it is well again", || status(&cable, "/healthz") == 200);
    recorder.signal("TERM");
    let log = log(recorder);
    let told =
        |message: &str| log.iter().any(|line| line["message"].as_str().is_some_and(|told| told.contains(message)));
    assert!(told("capture stalled"), "{log:?}");
    let counts = cable.only_stored().close.counts;
    let told = counts.written.packets + counts.filtered.packets + counts.dropped.kernel_packets;
    assert_eq!(counts.seen.packets, told);
}

#[test]
fn stopped_with_a_disk_that_does_not_answer_it_ends_after_its_grace() {
    let Some(cable) = Cable::new() else { return };
    let spool = cable.spool();
    let disk = Disk::ext4(&cable.folder.path().join("disk"), &spool);
    let recorder = cable.run_with(
        "{cluster: c, node: n, store: STORE, spool: {folder: SPOOL}, observe: {listen: '127.0.0.1:9477', stall: 1s}, \
         windows: [{name: all, always: true, interfaces: [eth]}]}",
        &["--grace-s", "1"],
    );
    wait_until("it is ready", || status(&cable, "/readyz") == 200);
    disk.freeze();
    wait_until("the capture has stalled", || {
        get(&cable, "/healthz").is_some_and(|(_, said)| said.contains("has not turned"))
    });
    recorder.signal("TERM");
    // The kernel keeps a process until its calls return; it has said that it goes by then.
    let thaw = std::thread::scope(|scope| {
        let ended = scope.spawn(|| recorder.failure());
        std::thread::sleep(std::time::Duration::from_secs(3));
        disk.thaw();
        ended.join().unwrap()
    });
    assert!(thaw.contains("its disk does not answer, or it has very many rings"), "{thaw}");
}

#[test]
fn a_full_disk_is_told_of_until_it_has_room_again() {
    let Some(cable) = Cable::new() else { return };
    let spool = cable.spool();
    std::fs::create_dir_all(&spool).unwrap();
    let disk = Disk(&spool);
    sh(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&spool));
    let recorder = cable.record(&["-i", "eth", "--filter", "udp", "--listen", LISTEN]);
    assert_eq!(status(&cable, "/healthz"), 200);
    let _ =
        Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", spool.join("fill").display())).output();
    wait_until("it is not well", || status(&cable, "/healthz") == 503);
    let (_, said) = get(&cable, "/healthz").unwrap();
    assert!(said.contains("the spool cannot be written: No space left on device"), "{said}");
    assert_eq!(number(&cable, "remora_spool_writable"), Some(0.0));
    std::fs::remove_file(spool.join("fill")).unwrap();
    wait_until("it is well again", || status(&cable, "/healthz") == 200);
    recorder.stop();
    drop(disk);
}

/// Every line of the log of a recorder that has ended: all of them JSON.
fn log(recorder: Recorder) -> Vec<serde_json::Value> {
    recorder.log().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

#[test]
fn the_log_is_json_to_its_last_line() {
    let Some(cable) = Cable::new() else { return };
    let json = ["--log-format", "json"];
    let recorder = cable.record(&[&["-i", "eth", "--duration", "1s"][..], &json].concat());
    let lines = log(recorder);
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{lines:?}");
    assert!(
        lines.iter().any(|line| line["message"] == "memory is bounded" && line["memory_max_mib"].is_u64()),
        "{lines:?}"
    );
    let failed = log(cable.spawn_recorder(&[&["-i", "eth7"][..], &json].concat()));
    let last = failed.last().expect("it says why");
    assert_eq!((&last["level"], &last["message"]), (&"ERROR".into(), &"failed".into()));
    assert!(last["error"].as_str().unwrap().contains("there is no interface eth7"), "{last}");
}

#[test]
fn a_log_that_nobody_takes_is_not_waited_for() {
    let Some(cable) = Cable::new() else { return };
    // A disk that is full, a pipe whose reader went, and one whose reader stands still.
    let full = || (std::fs::File::options().write(true).open("/dev/full").unwrap().into(), None);
    let broken = || (Stdio::from(std::io::pipe().unwrap().1), None);
    let still = || {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // A page at a time, until another would have to wait.
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        (Stdio::from(writer), Some(reader))
    };
    let logs: [&dyn Fn() -> (Stdio, Option<std::io::PipeReader>); 3] = [&full, &broken, &still];
    for (format, log) in ["json", "text"].iter().flat_map(|format| logs.map(|log| (format, log))) {
        let (stderr, _reader) = log();
        let mut command =
            cable.in_b(env!("CARGO_BIN_EXE_remora-recorder"), &["record", "-i", "eth", "--duration", "1s"]);
        command.arg("--store").arg(cable.store()).arg("--spool").arg(cable.spool()).args(["--log-format", format]);
        let ended = command.stdout(Stdio::null()).stderr(stderr).status().unwrap();
        assert!(ended.success(), "{format}: {ended}");
    }
    assert_eq!(cable.stored().len(), 6);
}

#[test]
fn signals_count_from_the_start_and_twice_at_once_is_once() {
    let Some(cable) = Cable::new() else { return };
    // Recovery waits for what it can read of that segment, for as long as nobody writes there.
    let spool = Spool::open(&cable.spool()).unwrap();
    let id = made::id("all");
    let target =
        StoreTarget { url: "/nowhere".parse().unwrap(), write_only: false, encrypt_to: Vec::new(), object_lock: None };
    spool.begin(&id, &target).unwrap();
    let open = spool.folder(&id).join("000001.pcapng.zst.open");
    sh(Command::new("mkfifo").arg(&open));
    let recorder = cable.run(
        "{cluster: c, node: n, store: STORE, spool: {folder: SPOOL}, windows: [{name: all, always: true, interfaces: [eth]}]}",
    );
    let mut segment = std::fs::File::options().write(true).open(open).unwrap();
    wait_until("signals are heeded", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", recorder.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        // SIGHUP, SIGUSR1 and SIGTERM.
        [1, 10, 15].iter().all(|signal| u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (signal - 1) != 0)
    });
    ["HUP", "USR1", "TERM", "TERM", "INT"].iter().for_each(|signal| recorder.signal(signal));
    std::fs::remove_dir_all(spool.folder(&id)).unwrap();
    while segment.write_all(&[0; 4096]).is_ok() {}
    recorder.end();
    assert!(cable.stored().is_empty(), "it was told to stop before anything began");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let Some(cable) = Cable::new() else { return };
    let arguments = ["-i", "eth", "--listen", LISTEN];
    let recorder = cable.record(&arguments);
    let failure = cable.spawn_recorder(&arguments).failure();
    assert!(failure.contains("cannot listen on 127.0.0.1:9477: Address already in use"), "{failure}");
    recorder.stop();
}

//! A bad day, end to end: the disk fills up and is freed, the store is down, the clock is set back. What `close.json`,
//! `remora snapshot verify` and `select * from coverage` say of it is exactly what happened.

use crate::disk::Disk;
use crate::net::{Cable, Recorder, must, unique_name, wait_until};
use crate::seaweed::{Ordeal, Seaweed};
use formats::seal::{Close, EndReason};
use formats::store::Start;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the store is down [s], unless the environment wants it longer: ten minutes are an outage.
const OUTAGE_S: u64 = 4;

/// The analyzer, which stands beside the recorder in a build of the workspace.
struct Analyzer {
    program: PathBuf,
    options: Vec<(String, String)>,
    cache: tempfile::TempDir,
}

impl Analyzer {
    /// With what it has to know of a store; none where it was not built, which is said aloud.
    fn new(options: Vec<(String, String)>) -> Option<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_remora-recorder")).with_file_name("remora");
        if !program.exists() {
            let how = "no `remora` beside the recorder: build the workspace";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
            eprintln!("SKIPPED: {how}");
            return None;
        }
        Some(Self { program, options, cache: tempfile::tempdir().expect("a folder") })
    }

    fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--format", "json"]).env("REMORA_CACHE", self.cache.path());
        command.envs(self.options.iter().map(|(name, value)| (name, value)));
        let said = must(&mut command).stdout;
        match serde_json::from_slice(&said).expect("JSON") {
            Value::Array(rows) => rows,
            other => panic!("no rows: {other}"),
        }
    }

    /// What `snapshot verify` says of every recording of a store, by recording; all of them are sound.
    fn verify(&self, store: &str) -> BTreeMap<String, Value> {
        let rows = self.ask(&["snapshot", "verify", store]);
        let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let name = |row: &Value| {
            let start = serde_json::from_value::<Start>(row["start"].clone()).expect("a start");
            [word(row, "cluster"), word(row, "window"), start.to_string(), word(row, "node")].join("/")
        };
        rows.into_iter().map(|row| (name(&row), row)).collect()
    }

    /// Packets in `coverage` by recording and stage; those of the analyzer's stages together as `read`.
    fn coverage(&self, store: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut coverage: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for row in self.ask(&["sql", store, "select recording, stage, packets from coverage"]) {
            let stage = row["stage"].as_str().expect("a stage");
            let is_recorders = ["kernel", "ring", "filter", "disk", "upload"].contains(&stage);
            let stage = if is_recorders { stage } else { "read" };
            let stages = coverage.entry(row["recording"].as_str().expect("a recording").to_owned()).or_default();
            *stages.entry(stage.to_owned()).or_default() += row["packets"].as_u64().expect("a count");
        }
        coverage
    }

    /// All three say the same of every recording, of which these are the closes.
    fn agrees(&self, store: &str, closes: &[Close]) {
        let (verified, coverage) = (self.verify(store), self.coverage(store));
        assert_eq!(verified.len(), closes.len(), "{verified:?}");
        for close in closes {
            let name = close.recording.folder();
            let said = &verified[&name];
            assert_eq!((&said["state"], &said["counts"]), (&json!("ok"), &json!(close.counts)), "{name}");
            assert_eq!(said["clock"], json!(close.clock), "{name}");
            let (counts, dropped) = (&close.counts, &close.counts.dropped);
            let Some(rows) = coverage.get(&name) else {
                assert_eq!(said["files"], json!(0), "{name}: nothing of it in coverage");
                continue;
            };
            let given_up = dropped.spool.packets + close.forgotten_volume.packets;
            for (stage, packets) in [
                ("kernel", dropped.kernel_packets),
                ("ring", dropped.ring.packets),
                ("filter", counts.filtered.packets + counts.sampled.packets),
                ("disk", dropped.disk.packets),
                ("upload", given_up),
                ("read", counts.written.packets - given_up),
            ] {
                assert_eq!(rows.get(stage).copied().unwrap_or(0), packets, "{name}: {stage} of {rows:?}");
            }
        }
    }
}

/// Sends numbered datagrams from `a` to port 9999 of `b`, about two hundred a second.
struct Traffic(Child);

impl Traffic {
    fn begin(cable: &Cable) -> Self {
        let send = "
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
i = 0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    s.sendto(i.to_bytes(8, 'big') + bytes(600), ('10.77.0.2', 9999)); i += 1
print(i)
";
        let mut python = cable.in_a("python3", &["-c", send]);
        Self(python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts"))
    }

    /// How many were sent.
    fn end(mut self) -> u64 {
        self.0.stdin.take().expect("it is piped").write_all(b"\n").expect("it reads");
        let mut said = String::new();
        self.0.stdout.take().expect("it is piped").read_to_string(&mut said).expect("text");
        self.0.wait().expect("it ends");
        said.trim().parse().expect("a number")
    }
}

fn numbers(stored: &crate::net::Stored) -> Vec<u64> {
    let payloads = stored.tshark("udp.dstport == 9999", &["udp.payload"]);
    payloads.iter().map(|payload| u64::from_str_radix(&payload[..16], 16).expect("hexadecimal")).collect()
}

const ALL_DAY: &str = "
cluster: prod
node: node-1
store: STORE
spool: {folder: SPOOL}
windows:
  - {name: all-day, always: true, interfaces: [eth], filter: udp dst port 9999, segment: {age: 1s}}
";

#[test]
fn the_disk_is_full_and_is_freed() {
    let (Some(cable), Some(analyzer)) = (Cable::new(), Analyzer::new(Vec::new())) else { return };
    let disk = Disk::mount(&cable.spool(), "size=1m");
    let recorder = cable.run(ALL_DAY);
    let traffic = Traffic::begin(&cable);
    wait_until("a segment is stored", || !cable.files("000001.seal.json").is_empty());
    let ballast = disk.fill();
    // A segment has to be sealed, and cannot.
    wait_until("the recording fails", || cable.ctl(&["status"]).is_ok_and(|status| status.contains("failed, again")));
    std::fs::remove_file(ballast).unwrap();
    wait_until("it is closed, and another is begun", || {
        cable.files("000001.seal.json").len() > 1 && !cable.files("close.json").is_empty()
    });
    let sent = traffic.end();
    recorder.stop();

    let stored = cable.stored();
    let (last, failed) = stored.split_last().expect("some");
    assert!(!failed.is_empty() && failed.iter().all(|failed| failed.close.reason == EndReason::Failure));
    assert_eq!(last.close.reason, EndReason::Stopped);
    let (mut next, mut written) = (0, 0);
    for stored in &stored {
        let (numbers, counts) = (numbers(stored), &stored.close.counts);
        assert!(numbers.is_sorted() && numbers.first().is_none_or(|first| *first >= next), "twice, or in disorder");
        assert_eq!(numbers.len() as u64, counts.written.packets);
        let lost = counts.dropped.kernel_packets + counts.dropped.ring.packets + counts.dropped.disk.packets;
        if let [first, .., last] = numbers[..] {
            // What is missing inside of it is counted.
            assert!(last - first + 1 - numbers.len() as u64 <= lost, "{first}..={last}, {counts:?}");
            next = last + 1;
        }
        written += counts.written.packets;
    }
    assert!(written < sent, "nothing was lost: the disk was not full");
    let closes: Vec<Close> = stored.iter().map(|stored| stored.close.clone()).collect();
    analyzer.agrees(cable.store().to_str().unwrap(), &closes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_down() {
    let Some(_root) = unique_name() else { return };
    let Some(mut server) = Seaweed::start() else { return };
    let Some(analyzer) = Analyzer::new(server.options("all")) else { return };
    let outage = std::env::var("REMORA_TEST_OUTAGE_S").ok().and_then(|seconds| seconds.parse().ok());
    let outage = Duration::from_secs(outage.unwrap_or(OUTAGE_S));
    // As many segments, however long it is.
    let age = (outage / 60).max(Duration::from_secs(1));
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let sink = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = sink.local_addr().unwrap().port();
    let config = folder.path().join("recorder.yaml");
    let configuration = format!(
        "cluster: prod\nnode: node-1\nstore: s3://captures/outage\nspool: {{folder: {}}}\nwindows:\n  \
         - {{name: all-day, always: true, interfaces: [lo], filter: udp dst port {port}, segment: {{age: {}s}}}}\n",
        spool.display(),
        age.as_secs()
    );
    std::fs::write(&config, configuration).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
    command.args(["run", "--grace-s", "60", "--config"]).arg(&config);
    command.envs(server.options("all")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut recorder = Recorder(command.spawn().expect("the recorder starts"));
    wait_until("the recorder begins", || {
        assert!(recorder.0.try_wait().expect("it is ours").is_none(), "the recorder has ended");
        !crate::net::find(&spool, &crate::net::is_open_segment).is_empty()
    });
    let waiting = || crate::net::find(&spool, &|path| path.to_string_lossy().ends_with(".seal.json")).len();

    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            let mut sent = 0u64;
            while !over.load(Ordering::Relaxed) {
                sent += u64::from(socket.send_to(&[7; 200], ("127.0.0.1", port)).is_ok());
                std::thread::sleep(Duration::from_millis(5));
            }
            sent
        });
        std::thread::sleep(2 * age);
        server.suffer(Ordeal::Dead);
        std::thread::sleep(outage);
        assert!(waiting() as u64 >= outage.as_secs() / age.as_secs() / 2, "{} segments wait", waiting());
        server.suffer(Ordeal::Well);
        server.wait_until_up();
        // The sender looks again after a minute at most, and object_store tries for three before it says that it failed.
        let patience = Instant::now() + Duration::from_secs(300);
        while waiting() > 1 {
            assert!(Instant::now() < patience, "{} segments still wait", waiting());
            std::thread::sleep(Duration::from_millis(200));
        }
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    recorder.stop();
    assert!(crate::net::find(&spool, &|path| path.ends_with("close.json")).is_empty(), "left in the spool");

    let url = url::Url::parse("s3://captures/outage").unwrap();
    let (objects, prefix) = object_store::parse_url_opts(&url, server.options("all")).unwrap();
    let [close] = &crate::made::closes(objects.as_ref(), &prefix).await[..] else { panic!("one recording") };
    assert_eq!((&close.reason, &close.forgotten), (&EndReason::Stopped, &Vec::new()));
    let counts = &close.counts;
    assert_eq!((counts.written.packets, counts.seen.packets), (sent, sent + counts.filtered.packets), "{counts:?}");
    analyzer.agrees("s3://captures/outage", std::slice::from_ref(close));
}

/// Sets the time of day of this machine by so many seconds, to the microsecond.
fn set_clock_by(seconds: i64) {
    let set = format!(
        "import time; c = time.CLOCK_REALTIME; time.clock_settime_ns(c, time.clock_gettime_ns(c) + {seconds} * 10**9)"
    );
    must(Command::new("python3").args(["-c", &set]));
}

/// The clock is an hour slow until this is dropped.
struct HourSlow;

impl HourSlow {
    fn begin() -> Self {
        set_clock_by(-3600);
        Self
    }
}

impl Drop for HourSlow {
    fn drop(&mut self) {
        set_clock_by(3600);
    }
}

/// Everything on this machine lives through it: only where `REMORA_TEST_SET_CLOCK` says that it may.
#[test]
fn the_clock_is_set_back_an_hour() {
    if std::env::var("REMORA_TEST_SET_CLOCK").as_deref() != Ok("1") {
        return eprintln!("SKIPPED: sets the machine's clock; REMORA_TEST_SET_CLOCK=1 allows it");
    }
    let (Some(cable), Some(analyzer)) = (Cable::new(), Analyzer::new(Vec::new())) else { return };
    let recorder = cable.record(&["-i", "eth", "--filter", "udp dst port 9999", "--segment-age", "1s"]);
    let traffic = Traffic::begin(&cable);
    std::thread::sleep(Duration::from_millis(1500));
    let slow = HourSlow::begin();
    std::thread::sleep(Duration::from_millis(2500));
    drop(slow);
    std::thread::sleep(Duration::from_millis(1500));
    let sent = traffic.end();
    recorder.stop();

    let stored = cable.only_stored();
    let close = &stored.close;
    assert_eq!(close.reason, EndReason::Stopped);
    let steps = &close.clock.as_ref().expect("the kernel tells").steps;
    let [back, forth] = &steps[..] else { panic!("two steps: {steps:?}") };
    for (step, want_s) in [(back, -3600), (forth, 3600)] {
        assert!((step.by_ns - want_s * 1_000_000_000).abs() < 50_000_000, "{step:?}");
    }
    assert!(forth.at.duration_since(back.at).as_secs() >= 3600, "{steps:?}");
    // Before tshark gets files of its own in there.
    analyzer.agrees(cable.store().to_str().unwrap(), std::slice::from_ref(close));
    // No packet is missing, none is twice, and segments went on at their pace.
    assert_eq!(numbers(&stored), (0..sent).collect::<Vec<_>>());
    assert!((4..=10).contains(&stored.sound.segments), "{} segments", stored.sound.segments);
    let times = [close.first_packet, close.last_packet].map(|time| time.expect("there are packets"));
    assert!(times[1].duration_since(times[0]).as_secs() > 3590, "the earliest is an hour before the latest: {times:?}");
}

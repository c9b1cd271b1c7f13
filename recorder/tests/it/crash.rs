//! `kill -9` under traffic: what was sealed verifies, what was open is recovered, and little is missing.

use crate::made;
use crate::net::{Cable, wait_until};
use crate::proxy::{Line, Proxy};
use crate::seaweed::{ORDEALS, Ordeal, Seaweed};
use formats::seal::EndReason;
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use object_store::path::Path as StorePath;
use recorder::schedule::StoreTarget;
use recorder::spool::Spool;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rounds, unless the environment wants more.
const ROUNDS: u64 = 3;

/// Recorders that may empty the spool in the end.
const ATTEMPTS: u64 = 50;

fn rounds() -> u64 {
    std::env::var("REMORA_TEST_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

#[test]
fn killed_at_any_moment_it_loses_at_most_a_second() {
    let Some(cable) = Cable::new() else { return };
    let rounds = rounds();
    // Numbers that can be found again; the moments differ from run to run anyway, with the machine.
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let compress = if round % 2 == 0 { "zstd" } else { "none" };
        // Fast, batches are full before their time; slowly, they wait for it.
        let burst = if round % 4 < 2 { 20 } else { 1 };
        one_round(&cable, Duration::from_millis((random >> 33) % 3500), compress, burst);
        std::fs::remove_dir_all(cable.store()).unwrap();
    }
}

fn one_round(cable: &Cable, lives: Duration, compress: &str, burst: u32) {
    let arguments = ["-i", "eth", "--filter", "udp dst port 9999", "--segment-age", "1s", "--compress", compress];
    let recorder = cable.record(&arguments);
    let send = format!(
        "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
i = 0
while True:
    for _ in range({burst}):
        s.sendto(i.to_bytes(8, 'big') + bytes(400), ('10.77.0.2', 9999)); i += 1
    time.sleep(0.001)
"
    );
    let mut sender = cable.in_a("python3", &["-c", &send]);
    let mut sender = sender.stdout(Stdio::null()).spawn().expect("python starts");
    std::thread::sleep(lives);
    let killed = Timestamp::now();
    recorder.kill();
    sender.kill().unwrap();
    sender.wait().unwrap();

    // The next start finds it, whatever it is started for.
    cable.spawn_recorder(&["-i", "eth", "--duration", "1s", "--window", "next"]).end();
    wait_until("both are stored", || cable.stored().len() == 2);
    let stored = cable.stored();
    let crashed = stored.iter().find(|stored| stored.close.reason == EndReason::Crash).expect("it was left behind");

    let last = crashed.seals.last().expect("a segment");
    let recovered = last.recovered.as_ref().expect("it was open");
    let known_until = recovered.nothing_after.expect("it had begun");
    let missing = killed.duration_since(known_until).as_secs_f64();
    let packets = crashed.tshark("udp.dstport == 9999", &["udp.payload"]);
    eprintln!(
        "killed after {:.2} s: {} segments sealed before, {} packets, {} bytes cut off, {missing:.3} s missing",
        lives.as_secs_f64(),
        crashed.sound.segments - crashed.sound.recovered.len() as u32,
        packets.len(),
        recovered.cut_bytes
    );
    assert!(missing < 1.0, "more than a second is missing: {missing}");
    let numbers: Vec<u64> = packets.iter().map(|payload| u64::from_str_radix(&payload[..16], 16).unwrap()).collect();
    let counts = crashed.close.counts;
    assert_eq!(numbers.len() as u64, counts.written.packets);
    if counts.dropped.kernel_packets == 0 {
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "packets are missing before the end");
    }
}

/// A recorder on loopback, and what it may know of the store.
fn record_loopback(spool: &Path, port: u16, options: &[(String, String)], arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
    command.args(["record", "-i", "lo", "--store", "s3://captures/killed", "--segment-age", "1s", "--filter"]);
    command.arg(format!("udp dst port {port}")).arg("--spool").arg(spool).args(arguments);
    command.envs(options.iter().map(|(name, value)| (name, value))).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the recorder starts")
}

/// Every seal there is, sent or not.
fn seals(spool: &Spool) -> BTreeSet<(RecordingId, u32)> {
    let mut found = BTreeSet::new();
    for id in spool.recordings().unwrap_or_default() {
        for entry in spool.folder(&id).read_dir().into_iter().flatten().flatten() {
            match entry.file_name().to_str().map(str::parse) {
                Some(Ok(FileName::Segment { sequence, suffix })) if suffix == "seal.json" || suffix == "sent.json" => {
                    found.insert((id.clone(), sequence));
                }
                _ => {}
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_its_store_fails_it_loses_nothing_that_was_sealed() {
    if Cable::new().is_none() {
        return; // Not root: said aloud there.
    }
    let Some(mut server) = Seaweed::start() else { return };
    let proxy = Proxy::start(server.port());
    let folder = tempfile::tempdir().unwrap();
    let spool_folder = folder.path().join("spool");
    let spool = Spool::open(&spool_folder).unwrap();
    let sink = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = sink.local_addr().unwrap().port();
    let mut options = server.options("all");
    let endpoint = options.iter_mut().find(|(name, _)| name == "AWS_ENDPOINT").unwrap();
    endpoint.1 = format!("http://127.0.0.1:{}", proxy.port);

    let over = AtomicBool::new(false);
    let mut sealed = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            while !over.load(Ordering::Relaxed) {
                socket.send_to(&[7; 200], ("127.0.0.1", port)).ok();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let mut random = 0x2545_f491_4f6c_dd1du64;
        for round in 0..rounds() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (line, ordeal) = (Proxy::line(random >> 40), ORDEALS[(round % ORDEALS.len() as u64) as usize]);
            proxy.set(line);
            let mut recorder = record_loopback(&spool_folder, port, &options, &[]);
            // In the middle of what goes on, for the server too.
            std::thread::sleep(Duration::from_millis(500 + (random >> 33) % 2000));
            server.suffer(ordeal);
            std::thread::sleep(Duration::from_millis((random >> 45) % 2000));
            // Those of recordings that are stored by then are gone from here.
            sealed.extend(seals(&spool));
            recorder.kill().unwrap();
            recorder.wait().unwrap();
            sealed.extend(seals(&spool));
            eprintln!("round {round}: line {line:?}, server {ordeal:?}, {} seals so far", sealed.len());
        }
        proxy.set(Line::Good);
        server.suffer(Ordeal::Well);
        server.wait_until_up();
        // Each stores also what the ones before left, for as long as it is given.
        for _ in 0..ATTEMPTS {
            let mut last = record_loopback(&spool_folder, port, &options, &["--duration", "1s"]);
            last.wait().unwrap();
            if spool.recordings().unwrap().is_empty() {
                break;
            }
        }
        assert!(spool.recordings().unwrap().is_empty(), "not everything is stored");
        over.store(true, Ordering::Relaxed);
    });

    let target = StoreTarget {
        url: "s3://captures/killed".parse().unwrap(),
        write_only: false,
        encrypt_to: Vec::new(),
        object_lock: None,
    };
    let (objects, prefix): (_, StorePath) =
        object_store::parse_url_opts(target.url.url(), server.options("all")).unwrap();
    let recordings: BTreeSet<&RecordingId> = sealed.iter().map(|(id, _)| id).collect();
    let (mut packets, mut recovered) = (0, 0);
    for id in recordings {
        let sound = made::verify(objects.as_ref(), &prefix, id).await.unwrap_or_else(|fault| panic!("{id}: {fault}"));
        let last = sealed.iter().filter(|(of, _)| of == id).map(|(_, sequence)| *sequence).max();
        assert!(last <= Some(sound.segments), "{id}: {last:?} was sealed, {} are stored", sound.segments);
        let (counts, dropped) = (&sound.counts, &sound.counts.dropped);
        let lost = dropped.kernel_packets + dropped.ring.packets + dropped.disk.packets;
        assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets + lost, "{id}");
        assert!(sound.forgotten.is_empty(), "{id}");
        packets += counts.written.packets;
        recovered += sound.recovered.len();
    }
    eprintln!("{} segments sealed before a kill, {recovered} recovered, {packets} packets", sealed.len());
}

//! `kill -9` under traffic: what was sealed verifies, what was open is recovered, and little is missing.

use crate::net::{Cable, wait_until};
use formats::seal::EndReason;
use jiff::Timestamp;
use std::process::Stdio;
use std::time::Duration;

/// Rounds, unless the environment wants more.
const ROUNDS: u64 = 3;

#[test]
fn killed_at_any_moment_it_loses_at_most_a_second() {
    let Some(cable) = Cable::new() else { return };
    let rounds = std::env::var("REMORA_TEST_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
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

//! Recording real traffic, beside tcpdump, read back with tshark.

use crate::net::{Cable, Recorder, Tcpdump, find, tshark, wait_until};
use crate::observe::{LISTEN, until_heard, until_written};
use formats::seal::EndReason;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// 20 MB over TCP from `a` to `b`, and 10 MB back: in frames that the kernel cuts late, or never.
fn bulk(cable: &Cable) {
    let serve = "
import socket
l = socket.create_server(('10.77.0.2', 5001))
print('ready', flush=True)
peer, _ = l.accept()
total = 0
while total < 20000000:
    total += len(peer.recv(1 << 20))
peer.sendall(bytes(10000000))
";
    let mut server = cable.in_b("python3", &["-c", serve]);
    let mut server = server.stdout(std::process::Stdio::piped()).spawn().expect("python starts");
    let mut ready = [0; 6];
    std::io::Read::read_exact(server.stdout.as_mut().expect("it is piped"), &mut ready).expect("it is ready");
    cable.python_in_a(
        "
import socket
s = socket.create_connection(('10.77.0.2', 5001))
s.sendall(bytes(20000000))
total = 0
while total < 10000000:
    total += len(s.recv(1 << 20))
",
    );
    assert!(server.wait().expect("it ends").success());
}

#[test]
fn what_tcpdump_sees_is_recorded_byte_for_byte() {
    let Some(cable) = Cable::new() else { return };
    for compress in ["zstd", "none"] {
        let recorder =
            cable.record(&["-i", "eth", "--segment-bytes", "4MiB", "--compress", compress, "--window", compress]);
        let tcpdump = Tcpdump::start(&cable, "eth");
        cable.send(2000, 300, 9999, 0.0);
        bulk(&cable);
        cable.send(100, 1400, 9999, 0.002);
        let theirs = tcpdump.stop(&cable);
        let summary = recorder.stop();
        let ours =
            cable.stored().into_iter().find(|stored| stored.close.recording.window.as_str() == compress).unwrap();

        let fields = ["frame.md5_hash", "frame.len", "frame.cap_len"];
        let (mut ours_read, mut theirs_read) = (ours.tshark("frame", &fields), tshark(&theirs, "frame", &fields));
        ours_read.sort();
        theirs_read.sort();
        assert_eq!(ours_read.len(), theirs_read.len());
        assert!(ours_read == theirs_read, "other packets");
        let lengths: Vec<Vec<usize>> = ours_read
            .iter()
            .map(|line| line.split('\t').skip(1).map(|length| length.parse().unwrap()).collect())
            .collect();
        assert!(lengths.iter().all(|length| length[0] == length[1]), "a packet was cut");
        assert!(lengths.iter().any(|length| length[0] > 9000), "no frame is longer than a cable lets through");

        let counts = ours.close.counts;
        assert_eq!((counts.written.packets, counts.seen.packets), (ours_read.len() as u64, ours_read.len() as u64));
        assert_eq!(counts.written.bytes, lengths.iter().map(|length| length[0] as u64).sum::<u64>());
        assert_eq!((counts.seen.bytes, counts.snapped_bytes), (counts.written.bytes, 0));
        assert_eq!(ours.close.reason, EndReason::Stopped);
        assert!(
            summary.contains(&format!("{} written of {} seen", counts.written.packets, counts.seen.packets)),
            "{summary}"
        );
        if compress == "none" {
            assert!(ours.sound.segments > 5, "segments of 4 MiB of at least 30 MB");
            let sizes = ours.seals.iter().map(|seal| seal.files[0].bytes);
            assert!(sizes.max() < Some(6 << 20), "a segment is hardly larger than its bound");
        }
        let directions = ours.tshark("udp.port == 9999 and !icmp", &["frame.packet_flags_direction"]);
        assert!(directions.iter().all(|direction| direction == "0x00000001"), "what comes in is inbound");
        let directions = ours.tshark("tcp.srcport == 5001", &["frame.packet_flags_direction"]);
        assert!(directions.iter().all(|direction| direction == "0x00000002"), "what goes out is outbound");
    }
    let left = find(&cable.spool().join("local"), &|_| true);
    assert!(left.is_empty(), "in the spool: {left:?}");
}

#[test]
fn what_the_filter_refuses_is_counted() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--filter", "udp dst port 53 or 9999", "--snaplen", "100"]);
    for (count, port) in [(300, 53), (200, 9999), (400, 80)] {
        cable.send(count, 300, port, 0.0001);
    }
    recorder.stop();
    let stored = cable.only_stored();
    assert_eq!(stored.tshark("udp.dstport == 53 or udp.dstport == 9999", &["frame.cap_len"]), vec!["100"; 500]);
    let counts = stored.close.counts;
    assert_eq!((counts.written.packets, counts.written.bytes, counts.snapped_bytes), (500, 50_000, 500 * 242));
    // Nobody listens: b may answer each datagram, at its own pace, that there is no such port.
    assert!((400..=1300).contains(&counts.filtered.packets), "{counts:?}");
    assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets);
    assert_eq!(stored.tshark("frame", &["frame.interface_name"]), vec!["eth"; 500]);
}

#[test]
fn loopback_is_seen_once_and_any_sees_all() {
    let Some(cable) = Cable::new() else { return };
    let talk = "
import socket
l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind(('127.0.0.1', 7000))
for i in range(100): l.sendto(b'x' * 100, ('127.0.0.1', 7000)); l.recv(200)
";
    for (interfaces, on_lo, on_eth) in [("lo", 100, 0), ("any", 100, 50), ("lo,eth", 100, 50), ("eth", 0, 50)] {
        let recorder = cable.record(&["-i", interfaces, "--filter", "udp", "--window", &interfaces.replace(',', "-")]);
        assert!(cable.in_b("python3", &["-c", talk]).status().unwrap().success());
        cable.send(50, 64, 7000, 0.0);
        recorder.stop();
        let stored = cable
            .stored()
            .into_iter()
            .find(|stored| stored.close.recording.window.as_str() == interfaces.replace(',', "-"));
        let stored = stored.unwrap();
        let names = stored.tshark("udp.port == 7000", &["frame.interface_name"]);
        let on = |name: &str| names.iter().filter(|seen| *seen == name).count();
        assert_eq!((on("lo"), on("eth"), names.len()), (on_lo, on_eth, on_lo + on_eth), "{interfaces}");
        assert_eq!(stored.close.counts.written.packets, names.len() as u64);
    }
}

#[test]
fn vlan_tags_are_put_back() {
    let Some(cable) = Cable::new() else { return };
    let tagged = "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth', 0))
inner = bytes.fromhex('0800' '4500002400000000401100000a4d00010a4d0002' '0007270f00100000') + b'12345678'
for i in range(20):
    macs = bytes.fromhex('020000000002020000000001')
    s.send(macs + bytes.fromhex('81006%03x' % (100 + i)) + inner)
    s.send(macs + bytes.fromhex('88a80005' '81006%03x' % (100 + i)) + inner)
    s.send(macs + inner)
";
    for (filter, want) in [
        ("", vec!["vlan.id == 103 and !ieee8021ad", "ieee8021ad.id == 5 and vlan.id == 103"]),
        (
            "vlan 103 and udp dst port 9999",
            vec!["vlan.id == 103 and !ieee8021ad", "ieee8021ad.id == 5 and vlan.id == 103"],
        ),
    ] {
        let recorder = cable.record(&["-i", "eth", "--filter", filter]);
        cable.python_in_a(tagged);
        recorder.stop();
        let stored = cable.only_stored();
        let all = if filter.is_empty() { 60 } else { 2 };
        assert_eq!(stored.tshark("udp.dstport == 9999", &["frame.number"]).len(), all, "{filter}");
        for want in want {
            assert_eq!(stored.tshark(want, &["udp.dstport"]), ["9999"], "{filter:?} {want}");
        }
        std::fs::remove_dir_all(cable.store()).unwrap();
    }
}

#[test]
fn a_tunnel_without_links_is_raw_ip() {
    let Some(cable) = Cable::new() else { return };
    // A process that is the other side of a tunnel, and sends two packets into it once told to.
    let tunnel = "
import fcntl, struct, subprocess, sys
tun = open('/dev/net/tun', 'r+b', buffering=0)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22s', b'tun7', 0x1001, b''))
subprocess.run('ip addr add 10.78.0.1/24 dev tun7; ip link set tun7 up', shell=True, check=True)
print('ready', flush=True)
sys.stdin.readline()
for _ in range(2):
    tun.write(bytes.fromhex('4500002400000000401100000a4e00020a4e0001' '0007270f00100000') + b'12345678')
";
    let mut tunnel = cable.in_b("python3", &["-c", tunnel]);
    let mut tunnel = tunnel.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    if std::io::Read::read_exact(tunnel.stdout.as_mut().unwrap(), &mut ready).is_err() {
        tunnel.wait().unwrap();
        eprintln!("SKIPPED: this kernel has no tunnels");
        return;
    }
    let recorder = cable.record(&["-i", "any", "--filter", "udp port 9999 and host 10.78.0.2"]);
    std::io::Write::write_all(tunnel.stdin.as_mut().unwrap(), b"go\n").unwrap();
    tunnel.wait().unwrap(); // And the tunnel is gone with it, before its packets are read.
    recorder.stop();
    let seen = cable.only_stored().tshark("udp.dstport == 9999", &["frame.interface_name", "frame.protocols"]);
    assert_eq!(seen, vec!["tun7\traw:ip:udp:echo"; 2]);
}

#[test]
fn what_the_ring_could_not_hold_is_counted() {
    let Some(cable) = Cable::new() else { return };
    let filter = "udp dst port 9999";
    let recorder = cable.record(&["-i", "eth", "--filter", filter, "--ring", "8MiB"]);
    cable.send(100, 1000, 9999, 0.0);
    // The recorder is off its processor for long: 40 MB do not fit into 8.
    recorder.signal("STOP");
    cable.send(40_000, 1000, 9999, 0.0);
    recorder.signal("CONT");
    std::thread::sleep(Duration::from_millis(300));
    cable.send(100, 1000, 9999, 0.0);
    recorder.stop();
    let stored = cable.only_stored();
    let counts = stored.close.counts;
    assert!(counts.dropped.kernel_packets > 20_000, "{counts:?}");
    assert_eq!(counts.written.packets + counts.dropped.kernel_packets, 40_200, "{counts:?}");
    assert_eq!(counts.seen.packets, 40_200 + counts.filtered.packets);

    // Each datagram begins with its number in its run. A packet that tells drops stands behind a hole; where the ring
    // found room for a moment there are several, and the kernel has one count for all of them.
    let read = stored.tshark("udp.dstport == 9999", &["udp.payload", "frame.drop_count"]);
    let runs = [(0, 100), (100, read.len() - 200), (40_100, 100)];
    let starts = runs.iter().flat_map(|&(start, count)| std::iter::repeat_n(start, count));
    let (mut next, mut told_packets) = (0, 0);
    for (line, start) in read.iter().zip(starts) {
        let (payload, told) = line.split_once('\t').expect("two fields");
        let number = start + u64::from_str_radix(&payload[..16], 16).expect("hexadecimal");
        assert!(told.is_empty() || number > next, "{told} told before {number}, where nothing is missing");
        told_packets += told.parse::<u64>().unwrap_or_default();
        next = number + 1;
    }
    assert_eq!((next, told_packets), (40_200, counts.dropped.kernel_packets));
}

#[test]
fn an_interface_that_goes_and_comes_is_recorded_again() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--filter", "udp dst portrange 9998-9999", "--listen", LISTEN]);
    let send = |count| until_written(&cable, count, |count| cable.send(count, 100, 9999, 0.0));
    send(10);
    // Down and up again: the kernel goes on by itself.
    let link =
        |arguments: &[&str]| assert!(cable.in_b("ip", &[&["link"], arguments].concat()).status().unwrap().success());
    link(&["set", "eth", "down"]);
    link(&["set", "eth", "up"]);
    wait_until("the cable carries", || {
        cable.in_b("cat", &["/sys/class/net/eth/operstate"]).output().unwrap().stdout == b"up\n"
    });
    assert!(
        cable
            .in_b(
                "ip",
                &["neigh", "replace", "10.77.0.1", "lladdr", "02:00:00:00:00:01", "dev", "eth", "nud", "permanent"]
            )
            .status()
            .unwrap()
            .success()
    );
    until_heard(&cable);
    send(20);
    // Gone, and another of the same name.
    link(&["del", "eth"]);
    cable.plug();
    until_heard(&cable);
    send(30);
    // By another name it is none that was asked for.
    cable.rename_in_b("eth", "other");
    cable.send(15, 100, 9999, 0.0);
    cable.rename_in_b("other", "eth");
    until_heard(&cable);
    send(40);
    recorder.stop();
    let stored = cable.only_stored();
    assert_eq!(stored.tshark("udp.dstport == 9999", &["frame.interface_name"]), vec!["eth"; 100]);
}

#[test]
fn budgets_and_time_end_a_recording() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--packets-max", "50", "--window", "packets"]);
    cable.send(2000, 100, 9999, 0.0);
    let said = recorder.end();
    assert!(said.contains("until its packets were used up") && said.contains("packets    50 written"), "{said}");
    let recorder = cable.record(&["-i", "eth", "--duration", "1s", "--window", "time"]);
    assert!(recorder.end().contains("until its time was over"));
    let reasons: Vec<_> =
        cable.stored().into_iter().map(|stored| (stored.close.reason, stored.sound.segments)).collect();
    assert_eq!(reasons, [(EndReason::PacketBudget, 1), (EndReason::Duration, 1)]);
}

#[test]
fn what_is_missing_is_named() {
    let Some(cable) = Cable::new() else { return };
    let failure = cable.spawn_recorder(&["-i", "eth7"]).failure();
    assert!(failure.contains("there is no interface eth7; there are: eth, lo"), "{failure}");
    let failure = cable.spawn_recorder(&["-i", "eth", "--filter", "port http"]).failure();
    assert!(failure.contains("--filter: \"http\" at byte 5, where the number of a port"), "{failure}");
    let recorder = env!("CARGO_BIN_EXE_remora-recorder");
    let (store, spool) = (cable.store(), cable.spool());
    let mut command = cable.in_b("setpriv", &["--bounding-set=-net_raw", recorder, "record", "-i", "eth"]);
    let out = command.arg("--store").arg(store).arg("--spool").arg(&spool).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2));
    assert!(said.contains("CAP_NET_RAW"), "{said}");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_is_not_stored_is_not_said_to_be() {
    let Some(cable) = Cable::new() else { return };
    // Where the store should be, something else is.
    std::fs::write(cable.store(), b"").unwrap();
    let out = cable.spawn_recorder(&["-i", "eth", "--duration", "1s", "--grace-s", "1"]).0.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, error) = (text(&out.stdout), text(&out.stderr));
    assert!(said.contains("recorded ") && !said.contains("stored in"), "{said}");
    assert!(error.contains("not stored yet, and left in "), "{error}");
}

#[test]
fn nobody_has_to_wait_for_a_store_that_does_not_answer() {
    let Some(cable) = Cable::new() else { return };
    // Whoever connects is never heard.
    let store = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
    command.args(["record", "-i", "lo", "--duration", "1s", "--store", "s3://bucket", "--spool"]).arg(cable.spool());
    command.env("AWS_ENDPOINT", format!("http://{}", store.local_addr().unwrap()));
    command.envs([("AWS_ALLOW_HTTP", "1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
    let mut recorder = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It says at once how the recording was.
    let mut said = BufReader::new(recorder.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().starts_with("segments ")));
    let recorder = Recorder(recorder);
    recorder.signal("INT");
    let failure = recorder.failure();
    assert!(failure.contains("not stored yet, and left in "), "{failure}");
    assert!(find(&cable.spool(), &|path| path.ends_with("close.json")).len() == 1);
}

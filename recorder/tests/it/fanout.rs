//! Several rings that share the packets of one network namespace.

use crate::net::{Cable, Tcpdump, tshark};
use crate::observe::{LISTEN, until_heard, until_written};
use recorder::capture::{Ends, Ring, RingOptions, Selection, enter_network};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

/// Asks `b` from `a` in 300 connections of TCP and from 300 ports of UDP, and is answered.
fn many_flows(cable: &Cable) {
    let serve = "
import socket, threading
l = socket.create_server(('10.77.0.2', 5001), backlog=512)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('10.77.0.2', 5002))
def echo():
    for _ in range(600):
        data, who = u.recvfrom(2000)
        u.sendto(data, who)
t = threading.Thread(target=echo); t.start()
print('ready', flush=True)
for _ in range(300):
    peer, _ = l.accept()
    peer.sendall(peer.recv(100))
    peer.recv(1)
    peer.close()
t.join()
";
    let mut server = cable.in_b("python3", &["-c", serve]).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut ready = String::new();
    BufReader::new(server.stdout.as_mut().expect("it is piped")).read_line(&mut ready).expect("it is ready");
    cable.python_in_a(
        "
import socket
for i in range(300):
    s = socket.create_connection(('10.77.0.2', 5001))
    s.sendall(b'question')
    assert s.recv(100) == b'question'
    s.close()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('10.77.0.1', 20000 + i)); u.settimeout(10)
    for _ in range(2):
        u.sendto(b'question', ('10.77.0.2', 5002))
        assert u.recv(100) == b'question'
    u.close()
",
    );
    assert!(server.wait().expect("it ends").success());
}

/// Rings inside of `b`.
fn open_in_b(cable: &Cable, rings: usize, selection: Selection) -> Vec<Ring> {
    let door = File::open(format!("/run/netns/{}", cable.name_of_b())).expect("it is there");
    let options = RingOptions {
        selection,
        filter: None,
        snap_bytes: 2000,
        ring_bytes: 8 << 20,
        rings,
        promiscuous: false,
        must_exist: true,
    };
    std::thread::scope(|scope| {
        let open = || {
            enter_network(&door).expect("we are root");
            Ring::open(options)
        };
        scope.spawn(open).join().expect("no panic").expect("rings")
    })
}

/// Adds who sent packets to whom, of all blocks that are filled.
fn read(ring: &mut Ring, ends: &mut Vec<(u8, SocketAddr, SocketAddr)>) {
    ring.notice(Duration::ZERO);
    for _ in 0..ring.filled_blocks() {
        ring.begin_block();
        let packets = ring.packets().expect("it was noticed");
        ends.extend(packets.filter_map(|packet| Ends::of(&packet)).map(|ends| (ends.protocol, ends.from, ends.to)));
        ring.end_block();
    }
}

#[test]
fn both_directions_of_a_flow_are_in_one_ring() {
    let Some(cable) = Cable::new() else { return };
    for selection in [Selection::Any, Selection::new(&["eth".into()]).expect("one name")] {
        let mut rings = open_in_b(&cable, 4, selection);
        assert_eq!(rings.len(), 4);
        let mut read_of_each = vec![Vec::new(); 4];
        std::thread::scope(|scope| {
            let flows = scope.spawn(|| many_flows(&cable));
            let mut left = |ring: &mut Ring| ring.left_packets().expect("it counts") > 0;
            while !flows.is_finished() || rings.iter_mut().any(&mut left) {
                std::iter::zip(&mut rings, &mut read_of_each).for_each(|(ring, ends)| read(ring, ends));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        for (ring, ends) in std::iter::zip(&mut rings, &read_of_each) {
            assert_eq!(ring.tally().expect("it counts").dropped_packets, 0);
            assert!(ends.len() > 200, "one ring has next to nothing");
        }

        let mut flows: BTreeMap<_, (BTreeSet<usize>, BTreeSet<SocketAddr>)> = BTreeMap::new();
        for (ring, &(protocol, from, to)) in
            read_of_each.iter().enumerate().flat_map(|(ring, ends)| ends.iter().map(move |ends| (ring, ends)))
        {
            let (rings, senders) = flows.entry((protocol, from.min(to), from.max(to))).or_default();
            rings.insert(ring);
            senders.insert(from);
        }
        assert_eq!(flows.len(), 600);
        assert!(flows.values().all(|(rings, senders)| (rings.len(), senders.len()) == (1, 2)), "{flows:?}");
    }
}

#[test]
fn several_rings_record_what_tcpdump_sees() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--rings", "4"]);
    let tcpdump = Tcpdump::start(&cable, "eth");
    many_flows(&cable);
    // A datagram in fragments, which have no ports, amid others of the same flow.
    for bytes in [300, 9000, 300] {
        cable.send(20, bytes, 9999, 0.001);
    }
    let theirs = tcpdump.stop(&cable);
    let summary = recorder.stop();
    let stored = cable.only_stored();
    let fields = ["frame.md5_hash", "frame.len"];
    let [mut ours, mut theirs] = [stored.tshark("frame", &fields), tshark(&theirs, "frame", &fields)];
    ours.sort();
    theirs.sort();
    assert!(ours == theirs, "{} packets, tcpdump has {}", ours.len(), theirs.len());
    let counts = stored.close.counts;
    assert_eq!((counts.written.packets, counts.seen.packets), (ours.len() as u64, ours.len() as u64), "{summary}");
    // Rings are merged by time. Within a ring times go back a little where two processors fill it.
    let times = stored.tshark("frame", &["frame.time_epoch"]);
    let times: Vec<f64> = times.iter().map(|time| time.parse().expect("seconds")).collect();
    let back = times.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
    assert!(back < 0.03, "times go back by {back} s");
    let names: BTreeSet<_> = stored.tshark("frame", &["frame.interface_name"]).into_iter().collect();
    assert_eq!(names, BTreeSet::from(["eth".to_owned()]), "an interface is described once");
}

#[test]
fn what_several_rings_could_not_hold_is_counted_once() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--filter", "udp dst port 9999", "--ring", "8MiB", "--rings", "3"]);
    recorder.signal("STOP");
    // From many ports, so that all rings are filled; and as many again that the filter refuses.
    cable.python_in_a(
        "
import socket
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
for i in range(20000):
    s[i % 100].sendto(i.to_bytes(4, 'big') + bytes(1000), ('10.77.0.2', 9999))
    i % 10 or s[i % 100].sendto(bytes(10), ('10.77.0.2', 80))
",
    );
    recorder.signal("CONT");
    std::thread::sleep(Duration::from_millis(300));
    recorder.stop();
    let stored = cable.only_stored();
    let counts = &stored.close.counts;
    assert!(counts.dropped.kernel_packets > 5_000, "{counts:?}");
    assert_eq!(counts.written.packets + counts.dropped.kernel_packets, 20_000, "{counts:?}");
    assert_eq!(counts.seen.packets, 20_000 + counts.filtered.packets, "{counts:?}");
    // And what `b` answers to some of them, that there is no such port.
    assert!((2_000..3_500).contains(&counts.filtered.packets), "{counts:?}");
    let told: u64 = stored.seals.iter().map(|seal| seal.targets.sum().kernel_packets).sum();
    assert_eq!(told, counts.dropped.kernel_packets);
    // What one ring had no room for went to another; where it is read it stands where it belongs.
    let numbers = stored.tshark("udp.dstport == 9999", &["udp.payload"]);
    assert!(numbers.is_sorted_by_key(|payload| payload.get(..8)), "in disorder");
    // Packets in the file tell of the same drops, each ring of its own.
    let told = stored.tshark("frame.drop_count", &["frame.drop_count"]);
    let told: u64 = told.iter().map(|count| count.parse::<u64>().expect("a number")).sum();
    assert!(told <= counts.dropped.kernel_packets, "{told} of {}", counts.dropped.kernel_packets);
}

#[test]
fn interfaces_that_come_and_go_are_heard_of_by_all_rings() {
    let Some(cable) = Cable::new() else { return };
    let filter = "udp dst portrange 9998-9999";
    let recorder = cable.record(&["-i", "eth", "--filter", filter, "--rings", "4", "--listen", LISTEN]);
    let send = |count: usize| {
        cable.python_in_a(&format!(
            "
import socket
for _ in range({count}):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.77.0.2', 9999))
"
        ));
    };
    until_written(&cable, 100, send);
    assert!(cable.in_b("ip", &["link", "del", "eth"]).status().expect("it runs").success());
    cable.plug();
    until_heard(&cable);
    until_written(&cable, 100, send);
    cable.rename_in_b("eth", "other");
    send(50);
    cable.rename_in_b("other", "eth");
    until_heard(&cable);
    until_written(&cable, 100, send);
    recorder.stop();
    let stored = cable.only_stored();
    assert_eq!(stored.tshark("udp.dstport == 9999", &["frame.interface_name"]), vec!["eth"; 300]);
}

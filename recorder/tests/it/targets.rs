//! Network namespaces as pods over a bridge, that come and go while they are recorded.

use crate::net::{Stored, must, wait_until};
use crate::node::{Node, add_namespace};
use formats::pcapng::Point;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How often packets that match were seen at each point: by the target without the node's name, and the interface.
fn points(stored: &Stored, node: &str, filter: &str) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for name in stored.tshark(filter, &["frame.interface_name"]) {
        *seen.entry(name.replace(&format!("{node}-"), "")).or_default() += 1;
    }
    seen
}

#[test]
fn pods_that_come_and_go_are_recorded_from_inside() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(1);
    node.add_pod(2);
    node.serve_all(2);
    let every_pod = format!("netns:{}-p*", node.name);
    let recorder = node.record(&["--target", "host", "--target", &every_pod]);
    node.get(1, "http://10.88.0.2:8080/?one");
    must(&mut node.in_pod(1, "redis-cli", &["-h", "10.88.0.2", "set", "key", "one"]));
    must(&mut node.in_pod(1, "dig", &["@10.88.0.2", "shop.test"]));
    node.get(2, "http://127.0.0.1:8080/?within");
    node.add_pod(3);
    node.wait_for("rings opened", &node.pod_name(3));
    node.get(3, "http://10.88.0.2:8080/?three");
    node.get(1, "http://10.88.0.2:8080/?last");
    node.remove_pod(1);
    node.wait_for("ring closed", &node.pod_name(1));
    node.get(3, "http://10.88.0.2:8080/?after");
    recorder.stop();

    let stored = node.stored();
    let seen = |filter: &str| {
        let seen = points(&stored, &node.name, filter);
        seen.into_iter().map(|(point, count)| format!("{point} {count}")).collect::<Vec<_>>().join(", ")
    };
    let get = |query: &str| seen(&format!("tcp contains \"GET /?{query}\""));
    // On both ends of both cables.
    let between = |pod: u8| {
        let [low, high] = [pod.min(2), pod.max(2)];
        format!("p{low}/eth0 1, p{high}/eth0 1, veth{low} 1, veth{high} 1")
    };
    assert_eq!(get("one"), between(1));
    assert_eq!(get("three"), between(3));
    assert_eq!(get("last"), between(1));
    assert_eq!(get("after"), between(3));
    assert_eq!(get("within"), "p2/lo 1");
    assert_eq!(seen("tcp.dstport == 6379 and tcp contains \"key\""), between(1));
    assert_eq!(seen("udp.dstport == 53"), between(1));

    // It is the same packet at all of them, and no other is.
    let ids = stored.tshark("tcp contains \"GET /?one\"", &["frame.packet_id"]);
    assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{ids:?}");
    assert_eq!(stored.tshark(&format!("frame.packet_id == {}", ids[0]), &["frame.number"]).len(), 4);

    let counts = stored.close.counts;
    assert_eq!(counts.written.packets, stored.tshark("frame", &["frame.number"]).len() as u64);
    assert_eq!(counts.seen.packets, counts.written.packets);
    let descriptions = stored.tshark("frame", &["frame.interface_description"]);
    let points: Vec<_> = descriptions.iter().map(|text| Point::from_description(text).expect("ours")).collect();
    assert!(points.iter().any(|point| point.target.host && point.interface == "veth2"));
    assert!(points.iter().any(|point| point.target.name == Some(node.pod_name(3)) && point.interface == "eth0"));
}

#[test]
fn a_process_is_found_by_its_pod_and_recorded_to_its_last_packet() {
    const CONTAINER: &str = "7c5a1f0e9b8d7c6b5a49382716059f8e7d6c5b4a39281706f5e4d3c2b1a09f8e";
    let Some(node) = Node::new() else { return };
    // A group as containerd makes it, below one that is ours.
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
    let pod_uid = format!("{:08x}-8d7b-4a65-9c3e-{:012x}", std::process::id(), node.name.len());
    let Some(ours) = mount.map(|mount| mount.join(&node.name)).filter(|ours| std::fs::create_dir(ours).is_ok()) else {
        eprintln!("SKIPPED: no control group can be made");
        return;
    };
    let pod = ours.join(format!("kubepods-pod{}.slice", pod_uid.replace('-', "_")));
    let group = pod.join(format!("cri-containerd-{CONTAINER}.scope"));
    std::fs::create_dir_all(&group).expect("a group");

    // Several rings, which are all read to their ends.
    let recorder = node.record(&["--target", &format!("pod_uid:{pod_uid}"), "--rings", "3"]);
    // A process that goes into a namespace of its own, sends when told to, and is gone at once.
    let talk = "
import socket, subprocess, sys
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
sys.stdin.readline()
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]; s[0].bind(('127.0.0.1', 7000))
for i in range(200): s[i % 50].sendto(b'x' * 100, ('127.0.0.1', 7000))
";
    let group_file = group.join("cgroup.procs");
    let join = format!("echo $$ > {} && exec unshare --net python3 -c \"$0\"", group_file.display());
    let mut process = Command::new("sh").args(["-c", &join, talk]).stdin(Stdio::piped()).spawn().expect("it starts");
    let target = format!("pod-{pod_uid}");
    node.wait_for("rings opened", &target);
    drop(process.stdin.take());
    assert!(process.wait().expect("it ends").success());
    let closed = || node.said().lines().filter(|line| line.contains("ring closed") && line.contains(&target)).count();
    wait_until("its rings are closed", || closed() == 3);
    recorder.stop();
    for group in [&group, &pod, &ours] {
        std::fs::remove_dir(group).expect("nobody is in it");
    }

    let stored = node.stored();
    let interface = format!("{target}/lo");
    assert_eq!(stored.tshark("udp.dstport == 7000", &["frame.interface_name"]), vec![interface; 200]);
    let description = stored.tshark("udp.dstport == 7000", &["frame.interface_description"]).remove(0);
    let point = Point::from_description(&description).expect("ours");
    assert_eq!((point.target.container.as_deref(), point.target.pod_uid), (Some(CONTAINER), Some(pod_uid)));
    let counts = stored.close.counts;
    assert_eq!((counts.written.packets, counts.seen.packets), (200, 200));
}

#[test]
fn what_is_chosen_and_left_out() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(1);
    node.add_pod(2);
    let window =
        "targets: [{netns: 'NODE-p*', interfaces: [eth0]}], exclude: ['netns:NODE-p2'], filter: udp dst port 9999";
    let recorder = node.run(window, &[]);
    node.wait_for("rings opened", &node.pod_name(1));
    for (pod, count, to) in [(1, 3, "10.88.0.2"), (1, 2, "127.0.0.1"), (2, 1, "10.88.0.254")] {
        let send = format!(
            "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range({count}): s.sendto(b'x', ('{to}', 9999))"
        );
        must(&mut node.in_pod(pod, "python3", &["-c", &send]));
    }
    recorder.stop();
    let stored = node.stored();
    assert_eq!(points(&stored, &node.name, "frame"), [("p1/eth0".to_owned(), 3)].into());
    assert!(!node.said().contains(&node.pod_name(2)), "{}", node.said());
}

#[test]
fn targets_for_which_no_memory_is_left_are_told_of() {
    let Some(mut node) = Node::new() else { return };
    // The smallest rings there are, half a megabyte each.
    for pod in 1..=20 {
        add_namespace(&node.pod_name(pod));
        node.pods.push(pod);
    }
    let recorder = node.run("targets: ['netns:NODE-p*']", &["--ring", "8MiB", "--listen", "127.0.0.1:9477"]);
    let said = |node: &Node| {
        let socket = node.folder.path().join("spool/control.sock");
        let mut command = node.in_node(env!("CARGO_BIN_EXE_remora-recorder"), &["ctl", "status", "--control"]);
        let status = command.arg(socket).output().expect("it starts").stdout;
        let metrics =
            node.in_node("curl", &["-s", "http://127.0.0.1:9477/metrics"]).output().expect("it starts").stdout;
        [status, metrics].map(|text| String::from_utf8(text).expect("text"))
    };
    let tells = |node: &Node, targets: usize| {
        let [status, metrics] = said(node);
        status.matches("no memory is left").count() == targets
            && metrics.contains(&format!("remora_capture_unrecorded_targets{{window=\"pods\"}} {targets}.0\n"))
    };
    wait_until("four are told of", || tells(&node, 4));
    let [status, _] = said(&node);
    let is_recorded = |pod: &u8| !status.contains(&format!("not recorded: {}:", node.pod_name(*pod)));
    let recorded: Vec<u8> = node.pods.iter().copied().filter(is_recorded).collect();
    assert_eq!(recorded.len(), 16, "{status}");
    node.remove_pod(recorded[0]);
    wait_until("three are told of", || tells(&node, 3));
    recorder.stop();
}

#[test]
fn flows_beyond_the_rate_are_counted() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(1);
    let recorder =
        node.record(&["--target", "host", "-i", "veth1", "--filter", "udp dst port 9999", "--rate-max", "500"]);
    // At once: on a machine that is busy pauses last, and behind a quiet second flows come back.
    let talk = "
import socket
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
for i in range(100):
    for one in s: one.sendto(i.to_bytes(8, 'big'), ('10.88.0.254', 9999))
";
    must(&mut node.in_pod(1, "python3", &["-c", talk]));
    recorder.stop();
    let stored = node.stored();
    let counts = stored.close.counts;
    assert!(counts.sampled.packets > 1000 && counts.written.packets > 0, "{counts:?}");
    assert_eq!(counts.written.packets + counts.sampled.packets, 6400);
    assert_eq!(counts.seen.packets, 6400 + counts.filtered.packets);
    // A flow is there from its begin up to the moment when it was too much, without a hole.
    let mut flows = BTreeMap::<String, Vec<u64>>::new();
    for line in stored.tshark("udp", &["udp.srcport", "udp.payload"]) {
        let (port, payload) = line.split_once('\t').expect("two fields");
        let number = u64::from_str_radix(&payload[..16], 16).expect("hexadecimal");
        flows.entry(port.to_owned()).or_default().push(number);
    }
    let holes = flows.values().filter(|numbers| numbers.windows(2).any(|pair| pair[1] != pair[0] + 1)).count();
    assert_eq!(holes, 0, "of {} flows", flows.len());
}

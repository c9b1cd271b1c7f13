//! Network namespaces as pods over a bridge, that come and go while they are recorded.

use crate::net::{Recorder, Stored, find, inside, is_open_segment, must, unique_name, wait_until};
use formats::pcapng::Point;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A node with a bridge (10.88.0.254), and pods behind it: pod N is `<node>-pN`, at 10.88.0.N. Gone when dropped.
struct Node {
    folder: tempfile::TempDir,
    name: String,
    pods: Vec<u8>,
    servers: Vec<Child>,
}

impl Node {
    fn new() -> Option<Self> {
        let name = unique_name()?;
        let node = Self { folder: tempfile::tempdir().expect("a folder"), name, pods: vec![], servers: vec![] };
        add_namespace(&node.name);
        node.ip("link add br0 type bridge");
        node.ip("addr add 10.88.0.254/24 dev br0");
        node.ip("link set br0 up");
        Some(node)
    }

    fn ip(&self, arguments: &str) {
        must(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    fn pod_name(&self, pod: u8) -> String {
        format!("{}-p{pod}", self.name)
    }

    fn add_pod(&mut self, pod: u8) {
        let name = self.pod_name(pod);
        add_namespace(&name);
        self.pods.push(pod);
        self.ip(&format!("link add veth{pod} type veth peer name eth0 netns {name}"));
        self.ip(&format!("link set veth{pod} master br0 up"));
        for arguments in [format!("addr add 10.88.0.{pod}/24 dev eth0"), "link set eth0 up".into()] {
            must(Command::new("ip").args(["-n", &name]).args(arguments.split(' ')));
        }
    }

    fn remove_pod(&mut self, pod: u8) {
        must(Command::new("ip").args(["netns", "del", &self.pod_name(pod)]));
        self.pods.retain(|&other| other != pod);
    }

    fn in_pod(&self, pod: u8, program: &str, arguments: &[&str]) -> Command {
        inside(&self.pod_name(pod), program, arguments)
    }

    fn in_node(&self, program: &str, arguments: &[&str]) -> Command {
        inside(&self.name, program, arguments)
    }

    fn serve(&mut self, pod: u8, program: &str, arguments: &[&str]) {
        let mut command = self.in_pod(pod, program, arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn().expect("the server starts"));
    }

    /// A web server, Redis and DNS in a pod, that answer.
    fn serve_all(&mut self, pod: u8) {
        self.serve(pod, "python3", &["-m", "http.server", "8080"]);
        self.serve(pod, "redis-server", &["--port", "6379", "--save", "", "--protected-mode", "no"]);
        let record = "--address=/shop.test/10.88.0.2";
        self.serve(
            pod,
            "dnsmasq",
            &["-k", "-C", "/dev/null", "--pid-file", "--no-resolv", "--no-hosts", "-p", "53", record],
        );
        let answers = |program: &str, arguments: &[&str]| {
            let mut command = self.in_pod(pod, program, arguments);
            command.stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        wait_until("servers answer", || {
            answers("curl", &["-s", "http://127.0.0.1:8080/"])
                && answers("redis-cli", &["ping"])
                && answers("dig", &["@127.0.0.1", "+tries=1", "+time=1", "shop.test"])
        });
    }

    fn get(&self, pod: u8, url: &str) {
        must(&mut self.in_pod(pod, "curl", &["-s", "-o", "/dev/null", url]));
    }

    /// A recorder in the node, with its log in a file.
    fn record(&self, arguments: &[&str]) -> Recorder {
        let mut command = self.in_node(env!("CARGO_BIN_EXE_remora-recorder"), &["record", "--log-format", "json"]);
        let folder = self.folder.path();
        command.arg("--spool").arg(folder.join("spool")).args(arguments);
        let s3 = [
            ("ENDPOINT", "http://10.88.0.2:9000"),
            ("ALLOW_HTTP", "true"),
            ("ACCESS_KEY_ID", "a"),
            ("SECRET_ACCESS_KEY", "b"),
        ];
        command.envs(s3.map(|(name, value)| (format!("AWS_{name}"), value))).env("AWS_REGION", "us-east-1");
        if !arguments.contains(&"--store") {
            command.arg("--store").arg(folder.join("store"));
        }
        let log = std::fs::File::create(self.log()).expect("it can be written");
        let mut recorder = Recorder(command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts"));
        wait_until("the recorder begins", || {
            assert!(recorder.0.try_wait().expect("it is ours").is_none(), "it has ended: {}", self.said());
            !find(&folder.join("spool"), &is_open_segment).is_empty()
        });
        recorder
    }

    /// A recorder in the node that follows a configuration with one window, `NODE` in which is the node's name.
    fn run(&self, window: &str, arguments: &[&str]) -> Recorder {
        let folder = self.folder.path().display();
        let window = window.replace("NODE", &self.name);
        let configuration = format!(
            "{{cluster: prod, node: node-1, store: {folder}/store, spool: {{folder: {folder}/spool}}, \
             windows: [{{name: pods, always: true, {window}}}]}}"
        );
        let file = self.folder.path().join("recorder.yaml");
        std::fs::write(&file, configuration).expect("it can be written");
        let log = std::fs::File::create(self.log()).expect("it can be written");
        let mut command = self.in_node(env!("CARGO_BIN_EXE_remora-recorder"), &["run", "--log-format", "json"]);
        command.arg("--config").arg(file).args(arguments);
        Recorder(command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts"))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn wait_for(&self, message: &str, target: &str) {
        let target = format!("\"target\":\"{target}\"");
        wait_until(&format!("{message} of {target}: {}", self.log().display()), || {
            self.said().lines().any(|line| line.contains(message) && line.contains(&target))
        });
    }

    fn stored(&self) -> Stored {
        let store = self.folder.path().join("store");
        let closes = find(&store, &|path| path.ends_with("close.json"));
        assert_eq!(closes.len(), 1, "one recording is stored");
        Stored::read(&store, closes[0].parent().expect("a folder"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.kill().ok();
            server.wait().ok();
        }
        for name in self.pods.iter().map(|&pod| self.pod_name(pod)).chain([self.name.clone()]) {
            Command::new("ip").args(["netns", "del", &name]).output().ok();
        }
    }
}

fn add_namespace(name: &str) {
    must(Command::new("ip").args(["netns", "add", name]));
    must(&mut inside(name, "sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]));
    must(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"]));
}

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
fn its_own_uploads_are_not_recorded_and_others_to_the_same_store_are() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(2);
    // As much of S3 as uploads need; it keeps its files where ours are looked for, and closes connections behind half of its
    // answers.
    let store = "
import http.server, os
class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, status, body=b''):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Last-Modified', 'Thu, 26 Nov 2026 10:00:00 GMT')
        self.send_header('ETag', '1')
        if self.command != 'GET': self.send_header('Connection', 'close')
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def do_PUT(self):
        path = self.path.removeprefix('/captures/')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'wb').write(self.rfile.read(int(self.headers.get('Content-Length', 0))))
        self.answer(200)
    def do_GET(self):
        try: self.answer(200, open(self.path.removeprefix('/captures/'), 'rb').read())
        except OSError: self.answer(404)
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(('10.88.0.2', 9000), Store).serve_forever()
";
    let targets = ["--target", "host", "--target", &format!("netns:{}", node.pod_name(2))];
    let recorder = node.record(&[&targets[..], &["--store", "s3://captures/store", "--segment-age", "1s"]].concat());
    node.wait_for("rings opened", &node.pod_name(2));
    let refused = "awk '/^Tcp: [0-9]/ {print $15}' /proc/net/snmp";
    wait_until("uploads are refused", || must(&mut node.in_pod(2, "sh", &["-c", refused])).stdout > b"0\n".to_vec());
    node.serve(2, "python3", &["-c", store]);
    wait_until("the store listens", || !must(&mut node.in_pod(2, "ss", &["-Hltn", "sport = :9000"])).stdout.is_empty());
    for _ in 0..4 {
        must(&mut node.in_node("curl", &["-s", "-o", "/dev/null", "http://10.88.0.2:9000/other"]));
        std::thread::sleep(std::time::Duration::from_millis(700));
    }
    recorder.stop();
    let stored = node.stored();
    assert!(stored.sound.segments > 1, "some were stored while others were recorded");
    // On the bridge, at its port, and inside.
    assert_eq!(stored.tshark("tcp contains \"GET /other\"", &["frame.number"]).len(), 12, "at three interfaces");
    let others = stored.tshark("tcp.flags.syn == 1 && tcp.flags.ack == 0", &["tcp.srcport"]);
    assert_eq!(others.len(), 12, "at three interfaces");
    // Whether it was refused, answered or closed.
    for ports in stored.tshark("tcp", &["tcp.srcport", "tcp.dstport"]) {
        assert!(ports.split('\t').any(|port| others.iter().any(|other| other == port)), "{ports}");
    }
    let counts = stored.close.counts;
    assert!(counts.filtered.packets > 20 && counts.filtered.bytes > 1000, "{counts:?}");
    assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets);
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

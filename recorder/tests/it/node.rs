//! A node with pods: network namespaces, of a bridge and behind it.

use crate::net::{Recorder, Stored, find, inside, is_open_segment, must, unique_name, wait_until};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A node with a bridge (10.88.0.254), and pods behind it: pod N is `<node>-pN`, at 10.88.0.N. Gone when dropped.
pub struct Node {
    pub folder: tempfile::TempDir,
    pub name: String,
    pub pods: Vec<u8>,
    servers: Vec<Child>,
}

impl Node {
    pub fn new() -> Option<Self> {
        let name = unique_name()?;
        let node = Self { folder: tempfile::tempdir().expect("a folder"), name, pods: vec![], servers: vec![] };
        add_namespace(&node.name);
        node.ip("link add br0 type bridge");
        node.ip("addr add 10.88.0.254/24 dev br0");
        node.ip("link set br0 up");
        Some(node)
    }

    pub fn ip(&self, arguments: &str) {
        must(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    pub fn pod_name(&self, pod: u8) -> String {
        format!("{}-p{pod}", self.name)
    }

    pub fn add_pod(&mut self, pod: u8) {
        let name = self.pod_name(pod);
        add_namespace(&name);
        self.pods.push(pod);
        self.ip(&format!("link add veth{pod} type veth peer name eth0 netns {name}"));
        self.ip(&format!("link set veth{pod} master br0 up"));
        for arguments in [format!("addr add 10.88.0.{pod}/24 dev eth0"), "link set eth0 up".into()] {
            must(Command::new("ip").args(["-n", &name]).args(arguments.split(' ')));
        }
    }

    pub fn remove_pod(&mut self, pod: u8) {
        must(Command::new("ip").args(["netns", "del", &self.pod_name(pod)]));
        self.pods.retain(|&other| other != pod);
    }

    pub fn in_pod(&self, pod: u8, program: &str, arguments: &[&str]) -> Command {
        inside(&self.pod_name(pod), program, arguments)
    }

    pub fn in_node(&self, program: &str, arguments: &[&str]) -> Command {
        inside(&self.name, program, arguments)
    }

    pub fn serve(&mut self, pod: u8, program: &str, arguments: &[&str]) {
        let mut command = self.in_pod(pod, program, arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn().expect("the server starts"));
    }

    /// A web server, Redis and DNS in a pod, that answer.
    pub fn serve_all(&mut self, pod: u8) {
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

    pub fn get(&self, pod: u8, url: &str) {
        must(&mut self.in_pod(pod, "curl", &["-s", "-o", "/dev/null", url]));
    }

    /// A recorder in the node, with its log in a file.
    pub fn record(&self, arguments: &[&str]) -> Recorder {
        self.record_to("http://10.88.0.2:9000", arguments)
    }

    /// As [`Node::record`], with S3 there.
    pub fn record_to(&self, endpoint: &str, arguments: &[&str]) -> Recorder {
        let mut command = self.in_node(env!("CARGO_BIN_EXE_remora-recorder"), &["record", "--log-format", "json"]);
        let folder = self.folder.path();
        command.arg("--spool").arg(folder.join("spool")).args(arguments);
        let s3 = [("ENDPOINT", endpoint), ("ALLOW_HTTP", "true"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")];
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
    pub fn run(&self, window: &str, arguments: &[&str]) -> Recorder {
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

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn wait_for(&self, message: &str, target: &str) {
        let target = format!("\"target\":\"{target}\"");
        wait_until(&format!("{message} of {target}: {}", self.log().display()), || {
            self.said().lines().any(|line| line.contains(message) && line.contains(&target))
        });
    }

    pub fn stored(&self) -> Stored {
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

pub fn add_namespace(name: &str) {
    must(Command::new("ip").args(["netns", "add", name]));
    must(&mut inside(name, "sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]));
    must(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"]));
}

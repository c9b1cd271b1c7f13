//! Two network namespaces joined by a cable, traffic between them, and a recorder that listens.

use formats::chain::{self, Content, Found, Sound};
use formats::hash::Hash256;
use formats::seal::{Close, Seal};
use formats::store::RecordingId;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything here may take; on a quiet machine nearly all of it takes milliseconds, and a recording that failed is begun
/// again after half a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done`, or fails.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command, which has to succeed.
pub fn must(command: &mut Command) -> Output {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// A name for namespaces that no other test has; none without root, which is said aloud.
pub fn unique_name() -> Option<String> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    if std::fs::metadata("/proc/self").map(|process| process.uid()).unwrap_or(1) != 0 {
        eprintln!("SKIPPED: only root can make network namespaces");
        return None;
    }
    Some(format!("remora-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)))
}

/// Namespaces `a` (10.77.0.1) and `b` (10.77.0.2), each with one end of a cable named `eth`. Gone when dropped.
pub struct Cable {
    pub folder: tempfile::TempDir,
    names: [String; 2],
}

impl Cable {
    /// A cable; none without root, which is said aloud. As root it has to be there.
    pub fn new() -> Option<Self> {
        let unique = unique_name()?;
        let cable = Self {
            folder: tempfile::tempdir().expect("a folder"),
            names: ["a", "b"].map(|end| format!("{unique}-{end}")),
        };
        for name in &cable.names {
            must(Command::new("ip").args(["netns", "add", name]));
            // No packets but ours: no neighbour discovery.
            must(&mut inside(name, "sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]));
            must(&mut inside(name, "ip", &["link", "set", "lo", "up"]));
        }
        cable.plug();
        Some(cable)
    }

    /// Makes the cable and its addresses.
    pub fn plug(&self) {
        let [a, b] = &self.names;
        must(
            Command::new("ip")
                .args(["link", "add", "eth", "netns", a, "type", "veth", "peer", "name", "eth", "netns", b]),
        );
        for (name, end, other) in [(a, 1, 2), (b, 2, 1)] {
            let run = |arguments: &str| must(Command::new("ip").args(["-n", name]).args(arguments.split(' ')));
            run(&format!("link set eth address 02:00:00:00:00:0{end} up"));
            run(&format!("addr add 10.77.0.{end}/24 dev eth"));
            // Known neighbours ask nobody.
            run(&format!("neigh replace 10.77.0.{other} lladdr 02:00:00:00:00:0{other} dev eth nud permanent"));
        }
    }

    /// Gives the end of the cable in `b` another name; back when it carries, and everybody heard of it.
    pub fn rename_in_b(&self, old: &str, new: &str) {
        for arguments in [[old, "down", ""], [old, "name", new], [new, "up", ""]] {
            let arguments = arguments.iter().filter(|argument| !argument.is_empty());
            must(self.in_b("ip", &["link", "set"]).args(arguments));
        }
        let state = format!("/sys/class/net/{new}/operstate");
        wait_until("the cable carries", || must(&mut self.in_b("cat", &[&state])).stdout == b"up\n");
        std::thread::sleep(Duration::from_millis(500));
    }

    /// What `ip netns` calls namespace `a`.
    pub fn name_of_a(&self) -> &str {
        &self.names[0]
    }

    /// What `ip netns` calls namespace `b`.
    pub fn name_of_b(&self) -> &str {
        &self.names[1]
    }

    /// A command in namespace `a`.
    pub fn in_a(&self, program: &str, arguments: &[&str]) -> Command {
        inside(&self.names[0], program, arguments)
    }

    /// A command in namespace `b`.
    pub fn in_b(&self, program: &str, arguments: &[&str]) -> Command {
        inside(&self.names[1], program, arguments)
    }

    /// Runs a Python program in `a`, to its end.
    pub fn python_in_a(&self, program: &str) {
        must(&mut self.in_a("python3", &["-c", program]));
    }

    /// Sends `count` datagrams of `bytes` bytes from `a` to port `port` of `b`, each with its number in front.
    pub fn send(&self, count: usize, bytes: usize, port: u16, pause_s: f64) {
        self.python_in_a(&format!(
            "import socket, time\n\
             s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             for i in range({count}):\n    \
                 s.sendto(i.to_bytes(8, 'big') + bytes({bytes} - 8), ('10.77.0.2', {port}))\n    \
                 {pause_s} and time.sleep({pause_s})\n"
        ));
    }

    /// A recorder that has begun to listen in `b`.
    pub fn record(&self, arguments: &[&str]) -> Recorder {
        self.begun(self.spawn_recorder(arguments))
    }

    fn begun(&self, mut recorder: Recorder) -> Recorder {
        let spool = self.spool();
        wait_until("the recorder begins", || {
            assert!(recorder.0.try_wait().expect("it is ours").is_none(), "the recorder has ended");
            !find(&spool, &is_open_segment).is_empty()
        });
        recorder
    }

    /// A recorder in `b`.
    pub fn spawn_recorder(&self, arguments: &[&str]) -> Recorder {
        let mut command = self.in_b(env!("CARGO_BIN_EXE_remora-recorder"), &["record"]);
        command.arg("--store").arg(self.store()).arg("--spool").arg(self.spool()).args(arguments);
        Recorder(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the recorder starts"))
    }

    /// A recorder in `b` that follows a configuration; `SPOOL` and `STORE` in it become our folders.
    pub fn run(&self, configuration: &str) -> Recorder {
        self.run_with(configuration, &[])
    }

    /// The same with further arguments.
    pub fn run_with(&self, configuration: &str, arguments: &[&str]) -> Recorder {
        let file = self.configure(configuration);
        let mut command = self.in_b(env!("CARGO_BIN_EXE_remora-recorder"), &["run", "--compress", "none"]);
        command.arg("--config").arg(file).args(arguments);
        Recorder(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the recorder starts"))
    }

    /// Writes the configuration that recorders of this cable follow.
    pub fn configure(&self, configuration: &str) -> PathBuf {
        let file = self.folder.path().join("recorder.yaml");
        let text = |path: PathBuf| path.to_str().expect("text").to_owned();
        let configuration = configuration.replace("SPOOL", &text(self.spool())).replace("STORE", &text(self.store()));
        std::fs::write(&file, configuration).expect("it can be written");
        file
    }

    /// Asks the recorder that runs; what it said, or the error.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
        command.arg("ctl").arg("--control").arg(self.spool().join("control.sock")).args(arguments);
        let out = command.output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
    }

    /// Where recordings wait.
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Where recordings are stored.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// All recordings that are stored, oldest first, each verified.
    pub fn stored(&self) -> Vec<Stored> {
        let folders = find(&self.store(), &|path| path.ends_with("close.json"));
        folders.iter().filter_map(|close| close.parent()).map(|folder| Stored::read(&self.store(), folder)).collect()
    }

    /// Files of that name that are stored.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        find(&self.store(), &|path| path.ends_with(name))
    }

    /// The one recording that is stored, verified.
    pub fn only_stored(&self) -> Stored {
        let mut stored = self.stored();
        assert_eq!(stored.len(), 1, "one recording is stored");
        stored.remove(0)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// A command in a network namespace.
pub fn inside(namespace: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]).args(arguments);
    command
}

pub fn is_open_segment(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains(".pcapng") && name.ends_with(".open")
}

/// Every file below `folder` that is wanted, in order of paths.
pub fn find(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(find(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A recorder that runs.
pub struct Recorder(pub Child);

impl Recorder {
    /// Sends it a signal: `ip netns exec` became what it runs.
    pub fn signal(&self, name: &str) {
        must(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]));
    }

    /// Tells it to stop, and waits; what it said on standard output.
    pub fn stop(self) -> String {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end, which has to be a good one; what it said on standard output.
    pub fn end(self) -> String {
        let out = self.0.wait_with_output().expect("the recorder ends");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    }

    /// Waits for its end, which has to be a bad one; what it said on standard error.
    pub fn failure(self) -> String {
        let out = self.0.wait_with_output().expect("the recorder ends");
        assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stderr).expect("text")
    }

    /// Waits for its end; what it said on standard error.
    pub fn log(self) -> String {
        let out = self.0.wait_with_output().expect("the recorder ends");
        String::from_utf8(out.stderr).expect("text")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as nothing can be prevented from ending it.
    pub fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it has ended");
    }
}

/// tcpdump beside the recorder.
pub struct Tcpdump {
    process: Child,
    pub file: PathBuf,
}

impl Tcpdump {
    /// Begins to listen.
    pub fn start(cable: &Cable, interface: &str) -> Self {
        let file = cable.folder.path().join("tcpdump.pcap");
        let mut command =
            cable.in_b("tcpdump", &["-i", interface, "-U", "-n", "-s", "0", "-B", "65536", "-Z", "root", "-w"]);
        let mut process = command.arg(&file).stderr(Stdio::piped()).spawn().expect("tcpdump starts");
        let mut said = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(said.read_line(&mut line).expect("text") > 0, "tcpdump does not listen");
        }
        process.stderr = Some(said.into_inner());
        Self { process, file }
    }

    /// Ends it; it has to have lost nothing.
    pub fn stop(mut self, cable: &Cable) -> PathBuf {
        // It gets a block that is not full after a second, and writes nothing more once it is told to stop: so the last
        // packet has to be in its file. An echo that nobody asked for (RFC 792) is answered by nobody.
        const LAST: &str = "the last packet that tcpdump waits for";
        cable.python_in_a(&format!(
            "import socket\n\
             s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n\
             s.sendto(bytes(8) + b'{LAST}', ('10.77.0.2', 0))\n"
        ));
        wait_until("tcpdump has the last packet", || {
            let bytes = std::fs::read(&self.file).expect("it is there");
            let end = &bytes[bytes.len().saturating_sub(4096)..];
            end.windows(LAST.len()).any(|window| window == LAST.as_bytes())
        });
        must(Command::new("kill").args(["-INT", &self.process.id().to_string()]));
        let mut said = String::new();
        self.process.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
        self.process.wait().expect("it ends");
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        self.file
    }
}

/// A recording as stored, and found to be sound.
pub struct Stored {
    pub folder: PathBuf,
    pub seals: Vec<Seal>,
    pub close: Close,
    pub sound: Sound,
}

impl Stored {
    /// Reads a recording in `store`.
    pub fn read(store: &Path, folder: &Path) -> Self {
        let inside = folder.strip_prefix(store).expect("it is inside").to_str().expect("text");
        let id = RecordingId::parse_folder(inside).expect("a recording");
        let mut found = Vec::new();
        for path in find(folder, &|_| true) {
            let name = path.file_name().expect("a file").to_str().expect("text").to_owned();
            let bytes = std::fs::read(&path).expect("it can be read");
            let content = match Found::is_ledger(&name) {
                true => Content::Ledger(bytes),
                false => Content::Hashed { bytes: bytes.len() as u64, sha256: Hash256::of(&bytes) },
            };
            found.push(Found { name, content });
        }
        let sound = chain::verify(&id, &found).unwrap_or_else(|fault| panic!("{inside}: {fault}"));
        let read = |path: PathBuf| std::fs::read(path).expect("it can be read");
        let seal = |sequence| Seal::from_bytes(&read(folder.join(format!("{sequence:06}.seal.json")))).expect("a seal");
        Self {
            seals: (1..=sound.segments).map(seal).collect(),
            close: Close::from_bytes(&read(folder.join("close.json"))).expect("a close"),
            folder: folder.to_owned(),
            sound,
        }
    }

    /// The segments, decompressed, in order.
    pub fn segments(&self) -> Vec<PathBuf> {
        let names = self.seals.iter().flat_map(|seal| &seal.files).map(|file| file.name.to_string());
        names
            .map(|name| {
                let path = self.folder.join(&name);
                let Some(plain) = name.strip_suffix(".zst") else { return path };
                let plain = self.folder.with_extension(plain);
                let compressed = std::fs::read(&path).expect("it can be read");
                std::fs::write(&plain, zstd::decode_all(&compressed[..]).expect("whole frames"))
                    .expect("it can be written");
                plain
            })
            .collect()
    }

    /// What tshark reads of `fields` in all segments: a line for each packet that matches `filter`.
    pub fn tshark(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        self.segments().iter().flat_map(|segment| tshark(segment, filter, fields)).collect()
    }
}

/// What tshark reads of `fields` in a capture: a line for each packet that matches `filter`.
pub fn tshark(capture: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-n", "-o", "frame.generate_md5_hash:TRUE", "-T", "fields", "-Y", filter]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let out = must(&mut command);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!said.contains("damaged") && !said.contains("cut short"), "{said}");
    String::from_utf8(out.stdout).expect("text").lines().map(str::to_owned).collect()
}

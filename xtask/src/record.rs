//! Capture cases, made again: real servers and clients on loopback, recorded by our own recorder.
//!
//! A case is a folder of `testdata/pcaps` with a `case.yaml` that says what runs. Its client writes what it did to
//! the file that REMORA_CASE_LOG names, a row a line: `{"table":"http","method":"GET",…}`. Tests hold the rows of
//! the tables against it.

use crate::run::{cargo, run};
use crate::setup;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time a server has to listen, and the recorder to begin.
const START: Duration = Duration::from_secs(60);

/// What runs for a case. In all words `{tmp}` is a folder of its own, `{case}` the case's, `{venv}` and `{node}` where
/// packages are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the recorder keeps, in the language of tcpdump.
    filter: String,
    /// Packages of Debian.
    #[serde(default)]
    debian: Vec<String>,
    /// Packages of PyPI, with their versions.
    #[serde(default)]
    pypi: Vec<String>,
    /// Packages of npm, with their versions.
    #[serde(default)]
    npm: Vec<String>,
    /// Commands that run once, before the servers.
    #[serde(default)]
    prepare: Vec<Vec<String>>,
    /// Servers, in the order they are started.
    #[serde(default)]
    servers: Vec<Server>,
    /// Clients, one after the other; the recording ends when the last is done.
    clients: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    run: Vec<String>,
    /// Port of 127.0.0.1 it listens on over TCP, once it is ready.
    port: u16,
}

/// Where things are while a case is recorded.
struct Stage {
    case: PathBuf,
    tmp: tempfile::TempDir,
    tools: PathBuf,
}

/// A program that is ended with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Servers of several processes end them when they are told; what does not is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Records the cases of those names, or all.
pub fn cases(names: &[String]) -> anyhow::Result<()> {
    let folder = Path::new("testdata/pcaps");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    cases.retain(|case| case.join("case.yaml").is_file());
    cases.sort();
    if let Some(unknown) = names.iter().find(|name| !cases.contains(&folder.join(name))) {
        bail!("there is no case {unknown} with a case.yaml in {}", folder.display());
    }
    run(cargo().args(["build", "--package", "recorder"]))?;
    for path in cases {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if names.is_empty() || names.contains(&name) {
            record(&path).with_context(|| format!("case {name}"))?;
        }
    }
    Ok(())
}

fn record(path: &Path) -> anyhow::Result<()> {
    let case: Case = serde_saphyr::from_str(&fs::read_to_string(path.join("case.yaml"))?)?;
    setup::debian(&case.debian)?;
    let tools = Path::new("target/tools").canonicalize().or_else(|_| {
        fs::create_dir_all("target/tools")?;
        Path::new("target/tools").canonicalize()
    })?;
    setup::pypi(&tools.join("venv"), &case.pypi)?;
    setup::npm(&tools.join("node"), &case.npm)?;
    let stage = Stage { case: path.canonicalize()?, tmp: tempfile::tempdir()?, tools };
    for words in &case.prepare {
        run(&mut stage.command(words)?)?;
    }
    let servers = case.servers.iter().map(|server| stage.serve(server)).collect::<anyhow::Result<Vec<_>>>()?;
    let recorder = stage.recorder(&case.filter)?;
    let log = stage.tmp.path().join("client.jsonl");
    fs::write(&log, "")?;
    for words in &case.clients {
        run(stage.command(words)?.env("REMORA_CASE_LOG", &log))?;
    }
    // What the servers still send is part of it.
    std::thread::sleep(Duration::from_millis(500));
    drop(recorder);
    drop(servers);
    fs::copy(stage.segment()?, stage.case.join("input.pcapng.zst"))?;
    fs::copy(&log, stage.case.join("client.jsonl"))?;
    Ok(())
}

impl Stage {
    fn word(&self, word: &str) -> String {
        [
            ("{tmp}", self.tmp.path()),
            ("{case}", &self.case),
            ("{venv}", &self.tools.join("venv")),
            ("{node}", &self.tools.join("node")),
        ]
        .iter()
        .fold(word.to_owned(), |word, (name, path)| word.replace(name, &path.to_string_lossy()))
    }

    fn command(&self, words: &[String]) -> anyhow::Result<Command> {
        let (program, arguments) = words.split_first().context("a command has at least one word")?;
        let mut command = Command::new(self.word(program));
        command.args(arguments.iter().map(|word| self.word(word))).current_dir(self.tmp.path()).stdin(Stdio::null());
        command.env("NODE_PATH", self.tools.join("node/node_modules"));
        Ok(command)
    }

    fn serve(&self, server: &Server) -> anyhow::Result<Running> {
        if TcpStream::connect(("127.0.0.1", server.port)).is_ok() {
            bail!("port {} is taken", server.port);
        }
        let mut running = Running(
            self.command(&server.run)?
                .stdout(Stdio::null())
                .spawn()
                .with_context(|| format!("{} could not be started", server.run[0]))?,
        );
        wait_until(&mut running, || TcpStream::connect(("127.0.0.1", server.port)).is_ok())
            .with_context(|| format!("{}, port {}", server.run.join(" "), server.port))?;
        Ok(running)
    }

    /// Our recorder, once it listens.
    fn recorder(&self, filter: &str) -> anyhow::Result<Running> {
        let (store, spool) = (self.tmp.path().join("store"), self.tmp.path().join("spool"));
        fs::create_dir_all(&spool)?;
        let mut command = Command::new(Path::new("target/debug/remora-recorder").canonicalize()?);
        command.args([
            "record",
            "--interface",
            "lo",
            "--segment-age",
            "1h",
            "--filter",
            filter,
            "--node",
            "laboratory",
        ]);
        command.arg("--store").arg(&store).arg("--spool").arg(&spool).stdout(Stdio::null());
        let mut running = Running(command.spawn()?);
        wait_until(&mut running, || find(&spool, "000001.pcapng").is_some()).context("the recorder")?;
        Ok(running)
    }

    fn segment(&self) -> anyhow::Result<PathBuf> {
        let store = self.tmp.path().join("store");
        if find(&store, "000002.pcapng").is_some() {
            bail!("the recording has more than one segment: a case is small");
        }
        find(&store, "000001.pcapng.zst").context("nothing was recorded")
    }
}

fn wait_until(running: &mut Running, mut done: impl FnMut() -> bool) -> anyhow::Result<()> {
    let until = Instant::now() + START;
    while !done() {
        if let Some(status) = running.0.try_wait()? {
            bail!("it ended with {status}");
        }
        if Instant::now() > until {
            bail!("it was not ready after {START:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The first file below `folder` whose name begins so.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return find(&path, name);
        }
        path.file_name()?.to_str()?.starts_with(name).then_some(path)
    })
}

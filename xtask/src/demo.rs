//! `cargo xtask demo`: from packets to answers, on this machine, in a minute.

use crate::run::{self, cargo, is_root};
use crate::setup;
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Programs that talk to each other, and the Debian packages that have them.
const NEEDED: [(&str, &str); 4] =
    [("nginx", "nginx-light"), ("dnsmasq", "dnsmasq-base"), ("curl", "curl"), ("dig", "bind9-dnsutils")];

/// Everything made here; begun anew each time.
const FOLDER: &str = "target/demo";

/// Shown where nothing can be recorded: HTTP and DNS over loopback, by the same servers.
const CAPTURE: &str = "testdata/pcaps/http1-dns-loopback/input.pcapng.zst";

/// How long a server may take to come up.
const START_MAX: Duration = Duration::from_secs(20);

/// Three questions, and what they show.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "Who asked for what, what came of it, and how long it took:",
        "select method, path, status, count(*) as calls, round(min(latency_ms), 3) as fastest_ms, \
         round(max(latency_ms), 3) as slowest_ms from http group by 1, 2, 3 order by calls desc, path",
    ),
    (
        "Which names were asked for, and the answers:",
        "select qname, qtype, rcode, answers[1]['data'] as answer, count(*) as queries from dns \
         group by 1, 2, 3, 4 order by qname, qtype",
    ),
    (
        "Where every packet went, from the kernel to the rows:",
        "select stage, reason, sum(packets) as packets, sum(bytes) as bytes from coverage group by 1, 2 \
         order by array_position(['kernel', 'ring', 'filter', 'disk', 'upload', 'store', 'read', 'decode', 'flow', \
         'stream', 'protocol'], stage), reason",
    ),
];

/// Record real traffic on loopback, prove it, turn it into tables, ask it.
#[derive(Args)]
pub struct DemoArgs {
    /// How long to record [s].
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    seconds: u64,
    /// Folder with remora and remora-recorder, built before [default: build them].
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let bin = match &args.bin {
        Some(bin) => bin.canonicalize().with_context(|| format!("{} is not there", bin.display()))?,
        None => {
            say("building remora and remora-recorder: some minutes the first time");
            run::run(cargo().args(["build", "--release", "--locked", "-p", "recorder", "-p", "remora"]))?;
            target_folder()?.join("release")
        }
    };
    let _ = fs::remove_dir_all(FOLDER);
    fs::create_dir_all(FOLDER)?;
    let recorded = if is_root() {
        setup::install(&NEEDED)?;
        record(&bin, args.seconds)
    } else {
        Err(anyhow::anyhow!("recording needs root (CAP_NET_RAW), which this is not"))
    };
    let remora = || Command::new(bin.join("remora"));
    let snapshot = format!("{FOLDER}/snapshot");
    let input = match recorded {
        Ok(store) => {
            say("what the store holds");
            run::run(remora().args(["snapshot", "list", &store]))?;
            say("a copy of it, proved on the way; then proved once more where it lies");
            run::run(remora().args(["snapshot", "download", &store, "-o", &snapshot]))?;
            run::run(remora().args(["snapshot", "verify", &snapshot]))?;
            snapshot
        }
        Err(error) => {
            say(&format!("{error:#}; so the rest is shown on a capture that was recorded before"));
            CAPTURE.to_owned()
        }
    };
    let dataset = format!("{FOLDER}/dataset");
    say("the capture as tables");
    run::run(remora().args(["dissect", &input, "-o", &dataset]))?;
    for (what, sql) in QUESTIONS {
        say(what);
        run::run(remora().args(["sql", &dataset, sql]))?;
    }
    say("all of it is below target/demo; go on with");
    for more in [
        format!("calls {input}"),
        format!("sql {dataset}"),
        format!("carve {input} --where 'ok is false' -o failed.pcapng"),
    ] {
        eprintln!("    {} {more}", bin.join("remora").display());
    }
    Ok(())
}

/// Where cargo puts what it builds.
fn target_folder() -> anyhow::Result<PathBuf> {
    let output = cargo().args(["metadata", "--format-version", "1", "--no-deps", "--locked"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(metadata["target_directory"].as_str().context("cargo metadata names no target folder")?.into())
}

/// Records the talk of servers and clients; returns the URL of the store.
fn record(bin: &Path, seconds: u64) -> anyhow::Result<String> {
    let folder = Path::new(FOLDER).canonicalize()?;
    let (web, names) = (free_port()?, free_port()?);
    let _servers = [start_nginx(&folder, web)?, start_dnsmasq(names)?];
    let store = format!("file://{}/store", folder.display());
    fs::create_dir_all(folder.join("store"))?;
    say(&format!("recording loopback for {seconds} s, while curl asks nginx and dig asks dnsmasq"));
    let mut record = Command::new(bin.join("remora-recorder"));
    record
        .args(["record", "--interface", "lo", "--window", "demo", "--store", &store])
        .args(["--duration", &format!("{seconds}s"), "--filter", &format!("port {web} or port {names}")])
        .arg("--spool")
        .arg(folder.join("spool"));
    run::say(&record);
    let mut recorder = Server(record.spawn().context("remora-recorder could not be started")?);
    let until = Instant::now() + Duration::from_secs(seconds);
    // The ring is there long before; whoever asks earlier is not recorded.
    sleep(Duration::from_secs(1));
    while Instant::now() + Duration::from_secs(1) < until {
        talk(web, names);
        sleep(Duration::from_millis(200));
    }
    let status = recorder.0.wait()?;
    if !status.success() {
        bail!("the recorder ended with {status}");
    }
    Ok(store)
}

/// One round of questions; answers of all kinds.
fn talk(web: u16, names: u16) {
    let at = |path: &str| format!("http://127.0.0.1:{web}{path}");
    let quietly = |command: &mut Command| {
        // What is refused is an answer too.
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    };
    quietly(Command::new("curl").arg("-s").args([at("/"), at("/cart?user=1"), at("/missing")]));
    quietly(Command::new("curl").args(["-s", "--compressed"]).arg(at("/catalogue")));
    quietly(Command::new("curl").args(["-s", "-d", "item=7&count=2"]).arg(at("/orders")));
    for (name, kind) in [("shop.test", "A"), ("note.test", "TXT"), ("nothing.test", "A"), ("shop.test", "AAAA")] {
        let port = names.to_string();
        quietly(Command::new("dig").args(["@127.0.0.1", "-p", &port, "+tries=1", "+timeout=2", name, kind]));
    }
}

fn start_nginx(folder: &Path, port: u16) -> anyhow::Result<Server> {
    let catalogue = "one of many things in the catalogue, ".repeat(80);
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr crit;\nevents {{}}\nhttp {{\n\
         access_log off;\ngzip on;\ngzip_types *;\nclient_body_temp_path body;\nproxy_temp_path proxy;\n\
         fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ndefault_type text/plain;\n\
         server {{\nlisten 127.0.0.1:{port};\nlocation = / {{ return 200 \"hello\\n\"; }}\n\
         location = /cart {{ return 200 \"two apples\\n\"; }}\nlocation = /catalogue {{ return 200 \"{catalogue}\"; }}\n\
         location = /orders {{ return 503 \"no stock\\n\"; }}\nlocation / {{ return 404 \"no such page\\n\"; }}\n}}\n}}\n"
    );
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let server =
        Server::start(Command::new("nginx").arg("-p").arg(&folder).arg("-c").arg(file).args(["-e", "stderr"]))?;
    server.wait_for(port)
}

fn start_dnsmasq(port: u16) -> anyhow::Result<Server> {
    let server = Server::start(
        Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file", "--user=root"])
            .args(["--host-record=shop.test,192.0.2.7", "--txt-record=note.test,kept"])
            .arg(format!("--port={port}")),
    )?;
    server.wait_for(port)
}

/// A program of ours that ends with us.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        run::say(command);
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(started.with_context(|| format!("{} could not be started", command.get_program().display()))?))
    }

    fn wait_for(mut self, port: u16) -> anyhow::Result<Self> {
        let up_by = Instant::now() + START_MAX;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("the server for port {port} ended with {status}");
            }
            if Instant::now() > up_by {
                bail!("nobody listens on port {port} after {START_MAX:?}");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(self)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn say(what: &str) {
    eprintln!("\n== {what}");
}

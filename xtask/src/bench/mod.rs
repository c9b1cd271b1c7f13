//! `cargo xtask bench`: every room by itself, then the whole beside its peers on one capture.

mod mix;

use crate::run::{self, cargo, is_there};
use anyhow::{Context, bail};
use clap::Args;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

const FOLDER: &str = "target/bench";

/// What `tshark -T fields` is asked for: about what our tables hold of HTTP, DNS and TCP.
const FIELDS: [&str; 24] = [
    "frame.time_epoch",
    "frame.len",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.stream",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq",
    "tcp.flags",
    "tcp.analysis.retransmission",
    "udp.srcport",
    "udp.dstport",
    "http.request.method",
    "http.request.uri",
    "http.host",
    "http.response.code",
    "http.time",
    "dns.id",
    "dns.qry.name",
    "dns.flags.rcode",
    "dns.a",
    "dns.time",
];

/// Measure the rooms, then remora beside tshark, tcpdump, ndpiReader and Suricata, as far as they are installed.
#[derive(Args)]
pub struct BenchArgs {
    /// The capture all of them read, plain pcap or pcapng [default: the committed cases, repeated with other addresses].
    capture: Option<PathBuf>,
    /// Size of that mix [MiB].
    #[arg(long, default_value_t = 64, value_name = "MIB", conflicts_with = "capture")]
    mib: u64,
    /// Runs of each program, of which the one with the least CPU counts.
    #[arg(long, default_value_t = 3, value_name = "N")]
    times: u32,
    /// Leave the benches of the rooms out.
    #[arg(long)]
    peers_only: bool,
    /// Folder with a remora that was built before [default: build it].
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// One way to read the capture.
struct Peer {
    name: &'static str,
    what: &'static str,
    command: Command,
}

/// Runs it.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    if !args.peers_only {
        run::run(cargo().args(["bench", "--locked", "-p", "benches"]))?;
    }
    let remora = match &args.bin {
        Some(bin) => bin.join("remora"),
        None => {
            // As the demo builds it, so that neither makes the other build anew.
            run::run(cargo().args(["build", "--release", "--locked", "-p", "recorder", "-p", "remora"]))?;
            PathBuf::from("target/release/remora")
        }
    };
    let remora = remora.canonicalize().with_context(|| format!("{} is not there", remora.display()))?;
    fs::create_dir_all(FOLDER)?;
    let capture = match &args.capture {
        Some(capture) => capture.clone(),
        None => mix::write(&remora, args.mib)?,
    };
    let bytes = fs::metadata(&capture).with_context(|| format!("{} is not there", capture.display()))?.len();
    // Everybody finds it in memory; not in ours, which would count as theirs until they begin.
    io::copy(&mut File::open(&capture)?, &mut io::sink())?;
    let mut measured = Vec::new();
    for mut peer in peers(&remora, &capture) {
        let program = peer.command.get_program().to_owned();
        if !Path::new(&program).is_absolute() && !is_there(&program.to_string_lossy()) {
            println!("{:24} not installed", peer.name);
            continue;
        }
        let runs = (0..args.times.max(1)).map(|_| time(&mut peer)).collect::<anyhow::Result<Vec<_>>>()?;
        let quickest = runs.into_iter().min_by_key(|run| run.cpu);
        measured.extend(quickest.map(|quickest| (peer.name, peer.what, quickest)));
    }
    show(&measured, bytes);
    Ok(())
}

/// Ours first: the others are told as multiples of it.
fn peers(remora: &Path, capture: &Path) -> Vec<Peer> {
    let with = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let dissect = |arguments: &[&str]| {
        let mut command = with(remora, &["dissect", "--quiet", "-o", &format!("{FOLDER}/dataset")]);
        command.args(arguments).arg(capture);
        command
    };
    let reading = |program: &str, arguments: &[&str]| {
        let mut command = with(Path::new(program), arguments);
        command.arg(capture);
        command
    };
    let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
    let fields: Vec<&str> = ["-n", "-2", "-T", "fields"].into_iter().chain(fields).chain(["-r"]).collect();
    vec![
        Peer { name: "remora", what: "all tables, one core", command: dissect(&["--threads", "1"]) },
        Peer {
            name: "remora, no bodies",
            what: "all tables, one core",
            command: dissect(&["--threads", "1", "--body-limit", "0"]),
        },
        Peer { name: "remora, all cores", what: "all tables", command: dissect(&[]) },
        Peer {
            name: "remora, dns alone",
            what: "one table, one core",
            command: dissect(&["--threads", "1", "--tables", "dns"]),
        },
        Peer { name: "tcpdump", what: "a line per packet", command: reading("tcpdump", &["-nn", "-r"]) },
        Peer { name: "ndpiReader", what: "a label per flow", command: reading("ndpiReader", &["-q", "-i"]) },
        Peer {
            name: "suricata",
            what: "eve.json, one thread",
            command: reading("suricata", &["-k", "none", "--runmode", "single", "-l", FOLDER, "-r"]),
        },
        Peer {
            name: "tshark, one pass",
            what: "counters per protocol",
            command: reading("tshark", &["-n", "-q", "-z", "io,phs", "-r"]),
        },
        Peer { name: "tshark, two passes", what: "fields as text", command: reading("tshark", &fields) },
    ]
}

/// What a run took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    /// In the program and in the kernel for it.
    cpu: Duration,
    /// Most memory it held at once.
    resident_mib: u64,
}

fn time(peer: &mut Peer) -> anyhow::Result<Took> {
    // What the run before left is not read, but takes time to replace.
    let _ = fs::remove_dir_all(format!("{FOLDER}/dataset"));
    let began = Instant::now();
    let child = peer.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let ended = child.wait4()?;
    if !ended.status.success() {
        bail!("{} ended with {}", peer.name, ended.status);
    }
    let usage = ended.rusage;
    Ok(Took { wall: began.elapsed(), cpu: usage.utime + usage.stime, resident_mib: usage.maxrss >> 20 })
}

fn show(measured: &[(&str, &str, Took)], bytes: u64) {
    let Some((_, _, ours)) = measured.first() else { return };
    let megabytes = bytes as f64 / 1e6;
    println!(
        "\n{:24} {:>8} {:>8} {:>8} {:>8} {:>9}  {megabytes:.1} MB in",
        "", "wall s", "CPU s", "MB/CPU s", "MiB", "CPU"
    );
    for (name, what, took) in measured {
        let Took { wall, cpu, resident_mib } = took;
        let (cpu, ratio) = (cpu.as_secs_f64(), cpu.as_secs_f64() / ours.cpu.as_secs_f64());
        let (wall, speed) = (wall.as_secs_f64(), megabytes / cpu);
        println!("{name:24} {wall:8.2} {cpu:8.2} {speed:8.1} {resident_mib:8} {ratio:8.2}×  {what}");
    }
    println!("\nRatios hold within this run only; above 1 costs more than remora on one core.");
}

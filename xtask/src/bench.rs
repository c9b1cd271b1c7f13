//! `cargo xtask bench`: every room by itself, then the whole beside its peers on one capture.

use crate::run::{self, cargo, is_there};
use anyhow::{Context, bail};
use clap::Args;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "target/bench";

/// What is repeated where no capture is given.
const CASE: &str = "testdata/pcaps/http1-dns-loopback/input.pcapng.zst";

/// Repeats of the case: about 15 MB, enough that starting a program does not count.
const REPEATS: u32 = 1500;

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
    /// The capture all of them read, plain pcap or pcapng [default: a committed case, repeated with other addresses].
    capture: Option<PathBuf>,
    /// Runs of each program, of which the quickest counts.
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
            run::run(cargo().args(["build", "--release", "--locked", "-p", "remora"]))?;
            PathBuf::from("target/release/remora")
        }
    };
    let remora = remora.canonicalize().with_context(|| format!("{} is not there", remora.display()))?;
    fs::create_dir_all(FOLDER)?;
    let capture = match &args.capture {
        Some(capture) => capture.clone(),
        None => {
            eprintln!("xtask: no capture given: a small case repeated says less than traffic of your own");
            repeated(&remora)?
        }
    };
    let bytes = fs::metadata(&capture).with_context(|| format!("{} is not there", capture.display()))?.len();
    // Everybody finds it in memory.
    fs::read(&capture)?;
    let mut measured = Vec::new();
    for mut peer in peers(&remora, &capture) {
        let program = peer.command.get_program().to_owned();
        if !Path::new(&program).is_absolute() && !is_there(&program.to_string_lossy()) {
            println!("{:24} not installed", peer.name);
            continue;
        }
        let quickest = (0..args.times.max(1)).map(|_| time(&mut peer)).collect::<anyhow::Result<Vec<_>>>()?;
        measured.extend(quickest.into_iter().min().map(|quickest| (peer.name, peer.what, quickest)));
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

fn time(peer: &mut Peer) -> anyhow::Result<Duration> {
    // What the run before left is not read, but takes time to replace.
    let _ = fs::remove_dir_all(format!("{FOLDER}/dataset"));
    let began = Instant::now();
    let status = peer.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = began.elapsed();
    if !status.success() {
        bail!("{} ended with {status}", peer.name);
    }
    Ok(took)
}

fn show(measured: &[(&str, &str, Duration)], bytes: u64) {
    let Some((_, _, ours)) = measured.first() else { return };
    println!("\n{:24} {:>9} {:>9} {:>9}  {:.1} MB in", "", "s", "MB/s", "ratio", bytes as f64 / 1e6);
    for (name, what, took) in measured {
        let seconds = took.as_secs_f64();
        let (speed, ratio) = (bytes as f64 / 1e6 / seconds, seconds / ours.as_secs_f64());
        println!("{name:24} {seconds:9.3} {speed:9.1} {ratio:8.2}×  {what}");
    }
    println!("\nRatios hold within this run only; above 1 is slower than remora on one core.");
}

/// The committed case, again and again between other addresses, one second after the other.
fn repeated(remora: &Path) -> anyhow::Result<PathBuf> {
    let (once, path) = (format!("{FOLDER}/once.pcapng"), PathBuf::from(format!("{FOLDER}/repeated.pcapng")));
    run::run(Command::new(remora).args(["carve", CASE, "--table", "packets", "--where", "true", "-o", &once]))?;
    let once = fs::read(once)?;
    let mut out = BufWriter::new(File::create(&path)?);
    for repeat in 0..REPEATS {
        let mut left = once.as_slice();
        while let Some(length) = left.get(4..8).and_then(|length| length.first_chunk()).copied().map(u32::from_le_bytes)
        {
            let Some((block, rest)) = left.split_at_checked(length as usize) else { break };
            left = rest;
            // Section and interfaces stand once at the front.
            let is_packet = block.starts_with(&6_u32.to_le_bytes());
            if is_packet {
                out.write_all(&moved(block.to_vec(), repeat))?;
            } else if repeat == 0 {
                out.write_all(block)?;
            }
        }
    }
    out.flush()?;
    Ok(path)
}

/// A packet block of an Ethernet frame with IPv4 between 127.0.0.1 and itself, as another host sent it later.
fn moved(mut block: Vec<u8>, repeat: u32) -> Vec<u8> {
    let time_at = |block: &[u8], at: usize| {
        block.get(at..at + 4).and_then(|word| word.first_chunk()).copied().map(u32::from_le_bytes)
    };
    if let Some((high, low)) = time_at(&block, 12).zip(time_at(&block, 16)) {
        let ns = (u64::from(high) << 32 | u64::from(low)) + u64::from(repeat) * 1_000_000_000;
        block[12..16].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
        block[16..20].copy_from_slice(&(ns as u32).to_le_bytes());
    }
    // Frame from byte 28; addresses at 26 and 30 of it (RFC 791 §3.1).
    for at in [28 + 26, 28 + 30] {
        if let Some(middle) = block.get_mut(at + 1..at + 3) {
            middle.copy_from_slice(&(repeat as u16).to_be_bytes());
        }
    }
    block
}

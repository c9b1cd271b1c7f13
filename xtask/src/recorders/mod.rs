//! `cargo xtask bench-recorders`: recorders of packets beside one another, each on the same frames over a veth.

mod sender;
mod tools;
mod usage;

pub use sender::{SendArgs, send};

use crate::run::{self, cargo, is_root};
use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tools::Tool;
use usage::Usage;

/// Measure remora-recorder beside tcpdump, netsniff-ng and dumpcap, as far as they are installed. Needs root.
#[derive(Args)]
pub struct RecordersArgs {
    /// Lengths of frames [bytes].
    #[arg(long, value_delimiter = ',', default_values_t = [64, 300, 512, 1500], value_name = "BYTES")]
    bytes: Vec<u16>,
    /// Frames per second; 0 for as many as the sender can.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How many frames [default: 2 million, or 1 GiB if those are fewer].
    #[arg(long)]
    count: Option<u64>,
    /// Rounds of all tools; of each the one with the least time per packet counts, and the most drops.
    #[arg(long, default_value_t = 3, value_name = "N")]
    times: u32,
    /// Capture with real-time priority.
    #[arg(long)]
    realtime: bool,
    /// Ours also with so many rings that share the packets.
    #[arg(long, value_name = "N")]
    rings: Option<u8>,
    /// Folder with a remora-recorder that was built before [default: build it].
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// What one run of a tool came to.
struct Run {
    kept: u64,
    sent: u64,
    sent_in: Duration,
    usage: Usage,
}

/// Measures.
pub fn bench(args: &RecordersArgs) -> anyhow::Result<()> {
    if !is_root() {
        bail!("network namespaces and packet sockets need root");
    }
    let bin = match &args.bin {
        Some(bin) => bin.clone(),
        None => {
            run::run(cargo().args(["build", "--profile", "dist", "--locked", "-p", "recorder"]))?;
            PathBuf::from("target/dist")
        }
    };
    let remora = bin.join("remora-recorder");
    let remora = remora.canonicalize().with_context(|| format!("{} is not there", remora.display()))?;
    println!("binary {:.1} MiB", std::fs::metadata(&remora)?.len() as f64 / f64::from(1 << 20));
    let place = Place::new()?;
    let tools: Vec<Tool> = tools::all(&remora, args.rings).into_iter().filter(Tool::is_there).collect();
    let idle = idle(&place, &tools[0])?;
    println!("idle {:.2} % of a processor", idle * 100.0);
    for &bytes in &args.bytes {
        let count = args.count.unwrap_or_else(|| 2_000_000.min((1 << 30) / u64::from(bytes)));
        let mut runs: Vec<Vec<Run>> = tools.iter().map(|_| Vec::new()).collect();
        for _ in 0..args.times.max(1) {
            // In turn, so that a loud neighbour is heard by all.
            for (tool, runs) in tools.iter().zip(&mut runs) {
                runs.push(measure(&place, tool, args, bytes, count).with_context(|| tool.name)?);
            }
        }
        show(bytes, &tools, &runs);
    }
    println!(
        "\nRatios hold within this run only. CPU is of the recorder; what the kernel does for it while sending is the sender's."
    );
    Ok(())
}

/// One tool, one load of frames.
fn measure(place: &Place, tool: &Tool, args: &RecordersArgs, bytes: u16, count: u64) -> anyhow::Result<Run> {
    let out = place.empty()?;
    let child = place.start(tool, &out, args.realtime)?;
    let this = std::env::current_exe()?;
    let words = [
        ["--interface", "eth"].map(str::to_owned),
        ["--bytes".to_owned(), bytes.to_string()],
        ["--count".to_owned(), count.to_string()],
        ["--rate".to_owned(), args.rate.to_string()],
    ];
    let sender = place.in_a(&this).arg("send-frames").args(words.as_flattened()).output()?;
    let said = String::from_utf8_lossy(&sender.stdout);
    let said = said.trim().split_once(' ').with_context(|| String::from_utf8_lossy(&sender.stderr).into_owned())?;
    // What is on its way arrives, and buffers are written out.
    std::thread::sleep(Duration::from_millis(1500));
    let usage = Usage::of(child.id());
    let kept = stop(child, tool, &out)?;
    Ok(Run { kept, sent: said.0.parse()?, sent_in: Duration::from_secs_f64(said.1.parse()?), usage })
}

/// Share of a processor that ours takes without packets.
fn idle(place: &Place, tool: &Tool) -> anyhow::Result<f64> {
    const TIME: Duration = Duration::from_secs(20);
    let out = place.empty()?;
    let child = place.start(tool, &out, false)?;
    std::thread::sleep(Duration::from_secs(1));
    let before = Usage::of(child.id()).total();
    std::thread::sleep(TIME);
    let after = Usage::of(child.id()).total();
    stop(child, tool, &out)?;
    Ok((after - before).as_secs_f64() / TIME.as_secs_f64())
}

/// Ends a tool as its user would; what it kept.
fn stop(child: Child, tool: &Tool, out: &Path) -> anyhow::Result<u64> {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    let said = child.wait_with_output()?;
    tool.kept(out, &String::from_utf8_lossy(&said.stdout))
        .with_context(|| std::fs::read_to_string(out.join("log")).unwrap_or_default())
}

fn show(bytes: u16, tools: &[Tool], runs: &[Vec<Run>]) {
    println!("\n{bytes}-byte frames");
    println!(
        "{:18} {:>9} {:>9} {:>8} {:>10} {:>10} {:>9} {:>7} {:>7}",
        "", "kept", "lost", "Mpps", "µs/packet", "capturing", "s/GB", "ratio", "MiB"
    );
    let least = |runs: &[Run], time: fn(&Usage) -> Duration| {
        runs.iter().map(|run| time(&run.usage).as_secs_f64() / run.kept.max(1) as f64).fold(f64::INFINITY, f64::min)
    };
    let ours = runs.first().map_or(0.0, |runs| least(runs, Usage::total));
    for (tool, runs) in tools.iter().zip(runs) {
        let Some(worst) = runs.iter().max_by_key(|run| run.sent.saturating_sub(run.kept)) else { continue };
        let (all, capture) = (least(runs, Usage::total), least(runs, Usage::capture));
        let resident = runs.iter().map(|run| run.usage.resident_bytes).max().unwrap_or_default();
        println!(
            "{:18} {:9} {:9} {:8.3} {:10.3} {:10.3} {:9.3} {:6.2}× {:7.1}",
            tool.name,
            worst.kept,
            worst.sent.saturating_sub(worst.kept),
            worst.sent as f64 / worst.sent_in.as_secs_f64() / 1e6,
            all * 1e6,
            capture * 1e6,
            all / f64::from(bytes) * 1e9,
            all / ours,
            resident as f64 / f64::from(1 << 20),
        );
    }
}

/// Two network namespaces with a cable between them, and a folder in memory. Gone when dropped.
struct Place {
    folder: tempfile::TempDir,
    names: [String; 2],
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let names = ["a", "b"].map(|end| format!("remora-bench-{}-{end}", std::process::id()));
        let place = Self { folder: tempfile::tempdir()?, names };
        let [a, b] = &place.names;
        quietly("mount", &format!("-t tmpfs tmpfs {}", place.folder.path().display()))?;
        for name in &place.names {
            quietly("ip", &format!("netns add {name}"))?;
            // No packets but the sender's.
            quietly("ip", &format!("netns exec {name} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"))?;
        }
        quietly("ip", &format!("link add eth netns {a} type veth peer name eth netns {b}"))?;
        for name in &place.names {
            quietly("ip", &format!("-n {name} link set eth mtu 9000 up"))?;
        }
        Ok(place)
    }

    fn in_a(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[0]]).arg(program);
        command
    }

    /// An empty folder in memory.
    fn empty(&self) -> anyhow::Result<PathBuf> {
        let out = self.folder.path().join("out");
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir(&out)?;
        Ok(out)
    }

    /// Starts a tool; returns when it listens.
    fn start(&self, tool: &Tool, out: &Path, realtime: bool) -> anyhow::Result<Child> {
        let mut child = tool.start(&self.names[1], out, realtime)?;
        let began = Instant::now();
        loop {
            // Protocol 0003: it receives everything.
            let sockets = std::fs::read_to_string(format!("/proc/{}/net/packet", child.id())).unwrap_or_default();
            if sockets.lines().skip(1).any(|line| line.split_whitespace().nth(3) == Some("0003")) {
                std::thread::sleep(Duration::from_millis(500));
                return Ok(child);
            }
            if let Some(status) = child.try_wait()? {
                bail!("ended with {status}: {}", std::fs::read_to_string(out.join("log"))?);
            }
            if began.elapsed() > Duration::from_secs(20) {
                child.kill()?;
                bail!("does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = quietly("ip", &format!("netns del {name}"));
        }
        let _ = quietly("umount", &format!("-l {}", self.folder.path().display()));
    }
}

fn quietly(program: &str, arguments: &str) -> anyhow::Result<()> {
    let out = Command::new(program).args(arguments.split(' ')).output().with_context(|| program.to_owned())?;
    if !out.status.success() {
        bail!("{program} {arguments}: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

//! What was typed becomes what is meant, then it runs: one file per subcommand.

mod check;
mod config;
mod ctl;
mod keygen;
mod record;
mod rights;
mod run;
mod stop;
mod summary;
mod told;

use anyhow::Context;
use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};
use formats::said::once;
use recorder::capture::Urgency;
use recorder::limits;
use recorder::log::{Flush, LOG};
use recorder::observe::{self, Door, Observer, Observing};
use recorder::pipeline::Settings;
use recorder::rotate::Compression;
use recorder::schedule::{ByteSize, Observe, Period, Place, Selector, Window};
use recorder::spool::Spool;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// A flight recorder for Kubernetes network traffic: the part that runs on a node.
///
/// Records what happens on network interfaces during windows, seals it, and stores it.
#[derive(Parser)]
#[command(
    name = "remora-recorder",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
struct Common {
    /// Say nothing but errors on standard error.
    #[arg(long, short, global = true, env = "REMORA_QUIET", value_parser = BoolishValueParser::new())]
    quiet: bool,
    /// How messages are written on standard error.
    #[arg(long, global = true, env = "REMORA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
}

/// How messages are written.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Flags of the commands that capture.
#[derive(Args, Debug, Clone)]
struct CaptureArgs {
    /// Memory shared with the kernel, where packets wait for us, of all targets of a recording [bytes, 8MiB to 1GiB].
    #[arg(long, env = "REMORA_RING", default_value = "32MiB", value_name = "SIZE", value_parser = ring_size)]
    ring: ByteSize,
    /// Ask interfaces also for frames that are not addressed to them.
    #[arg(long, env = "REMORA_PROMISCUOUS", value_parser = BoolishValueParser::new())]
    promiscuous: bool,
    /// How segments are compressed.
    #[arg(long, env = "REMORA_COMPRESS", value_enum, default_value_t = Compress::Zstd, value_name = "HOW")]
    compress: Compress,
    /// How urgent the capture thread is; what is not allowed is done without.
    #[arg(long, env = "REMORA_PRIORITY", value_enum, default_value_t = Priority::Nice, value_name = "HOW")]
    priority: Priority,
    /// Processors the capture thread may run on, by number [default: any].
    #[arg(long, env = "REMORA_CPUS", value_delimiter = ',', value_name = "N", value_parser = processor)]
    cpus: Vec<usize>,
    /// Answer /metrics, /healthz and /readyz there, such as 127.0.0.1:9477 [default: nowhere].
    #[arg(long, env = "REMORA_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Tell of a capture that has not turned for that long: it has stalled [default: 10s].
    #[arg(long, env = "REMORA_STALL", value_name = "TIME")]
    stall: Option<Period>,
}

/// How urgent the capture thread is.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    /// More than others (nice -10), where that is allowed.
    Nice,
    /// As any other.
    Normal,
    /// Before everything else (SCHED_RR); needs CAP_SYS_NICE.
    Realtime,
}

/// A size that all rings together may have.
fn ring_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    let may_be = limits::RING_BYTES_MIN as u64..=limits::RING_BYTES_MAX as u64;
    if may_be.contains(&size.0) { Ok(size) } else { Err("rings have 8MiB to 1GiB".to_owned()) }
}

/// A processor that this process may run on.
fn processor(text: &str) -> Result<usize, String> {
    let may_run_on = rustix::thread::sched_getaffinity(None).map_err(|error| error.to_string())?;
    let all: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| may_run_on.is_set(cpu)).collect();
    match text.trim().parse() {
        Ok(cpu) if all.contains(&cpu) => Ok(cpu),
        _ => Err(format!("this process may run on processors {all:?}")),
    }
}

/// How segments are compressed.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Compress {
    /// Not at all: least work on the node.
    None,
    /// zstd, readable up to the last whole second whatever happens.
    Zstd,
}

impl CaptureArgs {
    /// What is meant, where the configuration says `observe`.
    fn resolve(self, observe: &Observe) -> CapturePlan {
        let stall = self.stall.or(observe.stall).map_or(limits::STALL_DEFAULT, |stall| stall.0);
        let settings = Settings {
            ring_bytes: usize::try_from(self.ring.0).unwrap_or(usize::MAX),
            promiscuous: self.promiscuous,
            compression: match self.compress {
                Compress::None => Compression::None,
                Compress::Zstd => Compression::Zstd,
            },
            urgency: match self.priority {
                Priority::Nice => Urgency::Nice,
                Priority::Normal => Urgency::Normal,
                Priority::Realtime => Urgency::RealTime,
            },
            cpus: self.cpus,
            observer: Observer::new(stall),
        };
        CapturePlan { settings, listen: self.listen.or(observe.listen) }
    }
}

/// How packets are captured, and who may ask how it goes.
struct CapturePlan {
    settings: Settings,
    listen: Option<SocketAddr>,
}

impl CapturePlan {
    /// Takes the rights that this needs, says how much memory for so many recordings at once, and lets other rights go. Before
    /// any thread is begun.
    fn settle(&self, spool: &std::path::Path, windows: &[Arc<Window>], recordings: usize) -> anyhow::Result<()> {
        let folders = windows.iter().filter_map(|window| window.store.url.url().to_file_path().ok());
        let places = || windows.iter().flat_map(|window| window.targets.iter().chain(&window.exclude));
        rights::settle(&rights::Tasks {
            namespaces: places().any(|selector| selector.place() != Place::Host),
            processes: places().any(Selector::looks_at_processes),
            realtime: self.settings.urgency == Urgency::RealTime,
            low_port: self.listen.is_some_and(|address| (1..1024).contains(&address.port())),
            writes: std::iter::once(spool.to_owned()).chain(folders).collect(),
        })?;
        LOG.begin().context("begin to write the log")?;
        say_memory(windows, recordings, self.settings.ring_bytes);
        Ok(())
    }

    /// Begins to tell how it goes, of that spool too; windows can be triggered through `door`.
    fn observe(&self, spool: Option<(&Spool, u64)>, door: Option<Door>) -> anyhow::Result<Observing> {
        observe::start(&self.settings.observer, self.listen, spool, door).map_err(|error| {
            let address = self.listen.map(|address| address.to_string()).unwrap_or_default();
            let right = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ", which below 1024 needs the capability CAP_NET_BIND_SERVICE",
                _ => "",
            };
            anyhow::Error::new(error).context(format!("cannot listen on {address}{right}"))
        })
    }
}

/// Says how much memory so many recordings of these windows take at most.
fn say_memory(windows: &[Arc<Window>], recordings: usize, ring_bytes: usize) {
    let kept_ready = windows.iter().filter(|window| window.pre_trigger.is_some()).count();
    let memory_max_mib = limits::memory_bytes_max(recordings, kept_ready, ring_bytes) >> 20;
    tracing::info!(recordings, memory_max_mib, "memory is bounded");
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Config(config::ConfigArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    Ctl(ctl::CtlArgs),
    Keygen(keygen::KeygenArgs),
    Record(Box<record::RecordArgs>),
    Run(run::RunArgs),
}

/// Exit code of everything that failed.
const FAILED: u8 = 2;

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let log_format = cli.common.log_format;
    let _flush = start_log(&cli.common);
    let out = &mut std::io::stdout();
    let result = match cli.command {
        Command::Check(args) => args.resolve().and_then(|plan| check::run(&plan, out)),
        Command::Completions { shell } => completions(shell, out),
        Command::Config(args) => config::run(&args, out),
        Command::Ctl(args) => ctl::run(&args.resolve(), out),
        Command::Keygen(args) => keygen::run(&args, out),
        Command::Record(args) => args.resolve().and_then(|plan| record::run(plan, out)),
        Command::Run(args) => args.resolve().and_then(run::run),
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        if is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        match log_format {
            LogFormat::Json => tracing::error!(error = once(error.chain()), "failed"),
            LogFormat::Text => LOG.line(format!("remora-recorder: {}\n", once(error.chain())).as_bytes()),
        }
        ExitCode::from(FAILED)
    })
}

fn completions(shell: clap_complete::Shell, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "remora-recorder", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever read our output had enough: no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| io_error(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// object_store tells of each of its retries; what came of them is told once, by who sends.
const DEFAULT_LOG: &str = "info,object_store=warn";

/// Sends messages to the log, those of bugs too; what is left of it is written when the answer is dropped.
fn start_log(common: &Common) -> Flush {
    let filter = tracing_subscriber::EnvFilter::try_from_env("REMORA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if common.quiet { "error" } else { DEFAULT_LOG }));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| &LOG).with_target(false);
    // What reads them from a pipe or the journal wants no colours. What cannot be written is counted by the log.
    let log = log.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    match common.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
    // Whoever reads the log reads lines of its format, also of a bug; and a reader that stands still is not waited for.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let calls = Backtrace::capture();
        let calls = (calls.status() == BacktraceStatus::Captured).then(|| calls.to_string());
        tracing::error!(place, calls, what = panic.payload_as_str().unwrap_or("no text"), "bug");
    }));
    Flush
}

/// This node's own name: what Kubernetes calls it if it says so, else the host's name.
fn node_name() -> anyhow::Result<formats::store::Name> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    host.trim().parse().map_err(|error| anyhow::anyhow!("{error}; give --node"))
}

/// The runtime that uploads: packets never go through it.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    #[test]
    fn a_ring_that_would_have_another_size_is_refused() {
        let is_taken = ["8MiB", "1GiB", "1MiB", "8GiB", "32"].map(|size| ring_size(size).is_ok());
        assert_eq!(is_taken, [true, true, false, false, false]);
    }

    #[test]
    fn every_flag_has_help_and_every_option_a_variable() {
        let mut cli = Cli::command();
        cli.build();
        for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
            for argument in
                command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
            {
                let name = format!("{} {}", command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some() || command.get_name() == "help", "{name} has no help");
                let variable = argument.get_env().map(|variable| variable.to_string_lossy().into_owned());
                let values = argument.get_value_parser().possible_values();
                let takes_one = values.is_some_and(|mut values| values.any(|value| value.matches("1", false)));
                let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
                assert!(!is_switch || takes_one, "{name} does not take 1 from its variable");
                assert!(
                    argument.is_positional() || variable.is_some_and(|variable| variable.starts_with("REMORA_")),
                    "{name} has no variable"
                );
            }
        }
    }
}

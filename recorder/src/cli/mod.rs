//! What was typed becomes what is meant, then it runs: one file per subcommand.

mod check;
mod ctl;
mod keygen;
mod record;
mod run;
mod stop;

use clap::{Args, CommandFactory, Parser, Subcommand};
use recorder::pipeline::Settings;
use recorder::rotate::Compression;
use recorder::schedule::ByteSize;
use std::io::Write;
use std::process::ExitCode;

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
    #[arg(long, short, global = true, env = "REMORA_QUIET")]
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
    #[arg(long, env = "REMORA_RING", default_value = "32MiB", value_name = "SIZE")]
    ring: ByteSize,
    /// Ask interfaces also for frames that are not addressed to them.
    #[arg(long, env = "REMORA_PROMISCUOUS")]
    promiscuous: bool,
    /// How segments are compressed.
    #[arg(long, env = "REMORA_COMPRESS", value_enum, default_value_t = Compress::Zstd, value_name = "HOW")]
    compress: Compress,
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
    fn resolve(&self) -> Settings {
        Settings {
            ring_bytes: usize::try_from(self.ring.0).unwrap_or(usize::MAX),
            promiscuous: self.promiscuous,
            compression: match self.compress {
                Compress::None => Compression::None,
                Compress::Zstd => Compression::Zstd,
            },
        }
    }
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
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
    start_log(&cli.common);
    let out = &mut std::io::stdout();
    let result = match cli.command {
        Command::Check(args) => args.resolve().and_then(|plan| check::run(&plan, out)),
        Command::Completions { shell } => completions(shell, out),
        Command::Ctl(args) => ctl::run(&args.resolve(), out),
        Command::Keygen(args) => keygen::run(&args, out),
        Command::Record(args) => args.resolve().and_then(|plan| record::run(plan, out)),
        Command::Run(args) => args.resolve().and_then(run::run),
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        if is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("remora-recorder: {error:#}");
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

fn start_log(common: &Common) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("REMORA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if common.quiet { "error" } else { "info" }));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match common.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
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
                assert!(
                    argument.is_positional() || variable.is_some_and(|variable| variable.starts_with("REMORA_")),
                    "{name} has no variable"
                );
            }
        }
    }
}

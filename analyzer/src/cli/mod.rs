//! What was typed becomes what is meant, then it runs: one file per subcommand.

mod answer;
mod bar;
mod calls;
mod carve;
mod dissect;
mod flows;
mod listing;
mod prompt;
mod redact;
mod schema;
mod snapshot;
mod sql;

pub use self::dissect::protos;
use ::dissect::redact::Redaction;

use crate::inputs::Keys;
use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use formats::said::once;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// A flight recorder for Kubernetes network traffic: the part that works offline.
#[derive(Parser)]
#[command(
    name = "remora",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
pub struct Common {
    /// Worker threads [default: all cores].
    #[arg(long, global = true, env = "REMORA_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Most memory a query may hold [MiB].
    #[arg(long, global = true, env = "REMORA_MEMORY_MAX_MIB", default_value_t = 512, value_name = "MIB")]
    pub memory_max_mib: u64,
    /// Folder for tables made on the fly [default: remora in the user's cache folder].
    #[arg(long, global = true, env = "REMORA_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Most the tables made on the fly may take on disk [MiB]; those used longest ago leave first.
    #[arg(long, global = true, env = "REMORA_CACHE_MAX_MIB", default_value_t = 4096, value_name = "MIB")]
    pub cache_max_mib: u64,
    /// Descriptor set or .proto file that names the fields of gRPC messages; may be given several times.
    #[arg(long, global = true, env = "REMORA_PROTOS", value_delimiter = ',', value_name = "FILE")]
    pub protos: Vec<PathBuf>,
    /// File with a secret key of age, as `age-keygen` writes it, that decrypts captures; may be given several times.
    #[arg(long, global = true, env = "REMORA_IDENTITY", value_delimiter = ',', value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// The rules of '--redact', which the commands that make rows take.
    #[arg(skip)]
    pub redaction: Option<Arc<Redaction>>,
    /// Say nothing but errors on standard error.
    #[arg(long, short, global = true, env = "REMORA_QUIET")]
    pub quiet: bool,
    /// How messages are written on standard error.
    #[arg(long, global = true, env = "REMORA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How messages are written.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Common {
    /// What decrypts captures.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        Keys::read(&self.identity).context("--identity")
    }

    /// Worker threads to use.
    pub fn threads(&self) -> usize {
        self.threads
            .filter(|&threads| threads > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

#[derive(Subcommand)]
enum Command {
    Calls(calls::CallsArgs),
    Carve(carve::CarveArgs),
    Dissect(dissect::DissectArgs),
    Flows(flows::FlowsArgs),
    Schema(schema::SchemaArgs),
    Sql(sql::SqlArgs),
    Snapshot(snapshot::SnapshotArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  remora completions bash > /etc/bash_completion.d/remora
  remora completions zsh > ~/.zfunc/_remora
  remora completions fish > ~/.config/fish/completions/remora.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Exit code of everything that failed; 0 means rows (or done), 1 none.
const FAILED: u8 = 2;

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli.common);
    let out = &mut std::io::stdout();
    let result = match cli.command {
        Command::Calls(args) => args.resolve(&cli.common).and_then(|plan| listing::run(plan, out)),
        Command::Carve(args) => args.resolve(&cli.common).and_then(|plan| carve::run(plan, out)),
        Command::Flows(args) => args.resolve(&cli.common).and_then(|plan| listing::run(plan, out)),
        Command::Dissect(args) => args.resolve(&cli.common).and_then(|plan| dissect::run(plan, out)),
        Command::Schema(args) => schema::run(args, out),
        Command::Sql(args) => args.resolve(&cli.common).and_then(|plan| sql::run(plan, out)),
        Command::Snapshot(args) => args.resolve(&cli.common).and_then(|plan| snapshot::run(plan, out)),
        Command::Completions { shell } => {
            // Into memory first: the generator does not survive a closed pipe.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "remora", &mut script);
            out.write_all(&script).map(|()| ExitCode::SUCCESS).map_err(anyhow::Error::from)
        }
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        if is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("remora: {}", once(error.chain()));
        ExitCode::from(FAILED)
    })
}

/// Whoever read our output had enough: no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| io_error(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

fn start_log(common: &Common) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("REMORA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if common.quiet { "error" } else { "warn" }));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match common.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.without_time().init(),
    }
}

//! What every command shares: flags, what they mean, and the exit code of what failed.

use crate::keys::Keys;
use anyhow::Context;
use clap::Args;
use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use dissect::Protos;
use dissect::redact::Redaction;
use std::path::PathBuf;
use std::sync::Arc;

/// Exit code of everything that failed; 0 means rows (or done), 1 none.
pub const FAILED: u8 = 2;

/// Worker threads past which no machine is quicker, and some cannot start them.
const THREADS_MAX: u64 = 1024;

/// A PiB: more in bytes could not be told from less.
const MIB_MAX: u64 = 1 << 30;

/// Flags of every command.
#[derive(Args, Debug, Clone)]
pub struct Common {
    /// Worker threads, at most 1024 [default: all cores].
    #[arg(long, global = true, env = "REMORA_THREADS", value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=THREADS_MAX))]
    pub threads: Option<usize>,
    /// Most memory a query may hold [MiB].
    #[arg(long, global = true, env = "REMORA_MEMORY_MAX_MIB", default_value_t = 512, value_name = "MIB",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=MIB_MAX))]
    pub memory_max_mib: u64,
    /// Folder for tables made on the fly [default: remora in the user's cache folder].
    #[arg(long, global = true, env = "REMORA_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Most the tables made on the fly may take on disk [MiB]; those used longest ago leave first.
    #[arg(long, global = true, env = "REMORA_CACHE_MAX_MIB", default_value_t = 4096, value_name = "MIB",
        value_parser = RangedU64ValueParser::<u64>::new().range(0..=MIB_MAX))]
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
    #[arg(long, short, global = true, env = "REMORA_QUIET", value_parser = BoolishValueParser::new())]
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

    /// What files say of gRPC services; nothing without files.
    pub fn protos(&self) -> anyhow::Result<Option<Protos>> {
        Ok(if self.protos.is_empty() { None } else { Some(Protos::load(&self.protos)?) })
    }

    /// Worker threads to use.
    pub fn threads(&self) -> usize {
        self.threads
            .filter(|&threads| threads > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

//! `remora-recorder check`: reads a configuration and says what it means.

use formats::store::Name;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use recorder::schedule::{ByteSize, Config, View, explain};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration and say what it means: windows, their next runs and sizes, where recordings go.
#[derive(clap::Args)]
pub struct CheckArgs {
    /// The configuration: a YAML file, or a folder of them.
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Name of the node it is for, which decides when runs with jitter begin [default: the configuration's].
    #[arg(long, env = "REMORA_NODE", value_name = "NAME")]
    node: Option<Name>,
    /// What the interfaces of a window carry in a second, to tell how large runs are [bytes].
    #[arg(long, env = "REMORA_BYTES_PER_SECOND", value_name = "SIZE")]
    bytes_per_second: Option<ByteSize>,
}

/// What is meant.
pub struct CheckPlan {
    config: Config,
    view: View,
}

impl CheckArgs {
    pub fn resolve(self) -> anyhow::Result<CheckPlan> {
        let view = View {
            now: Timestamp::now(),
            node: self.node,
            local: TimeZone::system(),
            bytes_per_second: self.bytes_per_second,
        };
        let config = Config::read(&self.config)?;
        config.observe.trigger_token.as_deref().map(super::run::token).transpose()?;
        Ok(CheckPlan { config, view })
    }
}

/// Prints what the configuration means.
pub fn run(plan: &CheckPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    out.write_all(explain(&plan.config, &plan.view).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

//! `remora-recorder check`: reads a configuration and says what it means.

use anyhow::Context;
use jiff::Timestamp;
use recorder::filter::Expression;
use recorder::schedule::Config;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check a configuration and say what it means: windows, their next runs, where recordings go.
#[derive(clap::Args)]
pub struct CheckArgs {
    /// The configuration (YAML).
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

/// What is meant.
pub struct CheckPlan {
    config: Config,
}

impl CheckArgs {
    pub fn resolve(self) -> anyhow::Result<CheckPlan> {
        Ok(CheckPlan { config: read(&self.config)? })
    }
}

/// Reads a configuration, filters included.
pub fn read(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let config = Config::from_yaml(&text).with_context(|| path.display().to_string())?;
    for window in &config.windows {
        if let Some(filter) = &window.filter {
            filter
                .parse::<Expression>()
                .with_context(|| format!("{}: filter of window {}", path.display(), window.name))?;
        }
    }
    Ok(config)
}

/// Prints what the configuration means.
pub fn run(plan: &CheckPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    out.write_all(recorder::schedule::explain(&plan.config, Timestamp::now()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

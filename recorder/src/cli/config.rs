//! `remora-recorder config`: what a configuration may say.

use clap::builder::BoolishValueParser;
use recorder::schedule::{EXAMPLE, explain_keys};
use std::io::Write;
use std::process::ExitCode;

/// Print a configuration to begin with, or all that one may say.
#[derive(clap::Args)]
pub struct ConfigArgs {
    /// Explain every key: type, unit, default, meaning.
    #[arg(long, env = "REMORA_EXPLAIN", value_parser = BoolishValueParser::new())]
    explain: bool,
}

/// Prints it.
pub fn run(args: &ConfigArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let text = if args.explain { explain_keys() } else { EXAMPLE.to_owned() };
    out.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

//! What was typed becomes what is meant, then it runs: one file per subcommand.

mod answer;
mod bar;
mod calls;
mod carve;
mod dissect;
mod flows;
mod interrupt;
mod listing;
mod place;
mod prompt;
mod redact;
mod schema;
mod snapshot;
mod sql;

use crate::common::{Common, FAILED, LogFormat};
use crate::say;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use formats::said::once;
use std::io::Write;
use std::process::ExitCode;

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

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    say::begin(&cli.common);
    start_log(&cli.common);
    let out = &mut std::io::stdout();
    let result = match cli.command {
        Command::Calls(args) => args.resolve(&cli.common).and_then(|plan| listing::run(plan, out)),
        Command::Carve(args) => args.resolve(&cli.common).and_then(|plan| carve::run(plan, out)),
        Command::Flows(args) => args.resolve(&cli.common).and_then(|plan| listing::run(plan, out)),
        Command::Dissect(args) => args.resolve(&cli.common).and_then(|plan| dissect::run(plan, out)),
        Command::Schema(args) => schema::run(args, out),
        Command::Sql(args) => args.resolve(&cli.common, sql::typed(&matches)).and_then(|plan| sql::run(plan, out)),
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
        say::error(once(error.chain()));
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
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.without_time().init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What is set once for all commands must not be nonsense to one of them.
    #[test]
    fn a_variable_means_the_same_to_every_command() {
        fn look(command: &clap::Command, known: &mut BTreeMap<String, String>) {
            for argument in command.get_arguments() {
                let Some(variable) = argument.get_env() else { continue };
                let values: Vec<_> =
                    argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
                let means = format!("--{} {values:?} {:?}", argument.get_id(), argument.get_value_delimiter());
                let name = variable.to_string_lossy().into_owned();
                assert!(name.starts_with("REMORA_"), "{name}");
                assert_eq!(
                    known.entry(name.clone()).or_insert(means.clone()),
                    &means,
                    "{name} of {}",
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(|command| look(command, known));
        }
        let mut cli = Cli::command();
        cli.build();
        let mut known = BTreeMap::new();
        look(&cli, &mut known);
        // The recorder's, of what is recorded.
        for name in ["REMORA_CLUSTER", "REMORA_NODE", "REMORA_STORE", "REMORA_WINDOW"] {
            assert!(!known.contains_key(name), "{name}");
        }
    }
}

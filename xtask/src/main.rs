//! Chores in Rust: `cargo xtask test` runs everything CI runs.

mod licences;
mod record;
mod run;
mod setup;
mod test;

use clap::{Parser, Subcommand};

/// Set-up and chores.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what tests need and run everything CI runs: format, lints, licences, tests.
    Test,
    /// Record capture cases again, from real servers and clients: those named, or all.
    RecordCases {
        /// Folders of testdata/pcaps.
        cases: Vec<String>,
    },
    /// Check licences and duplicates of the dependencies, without a network.
    Licences,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Test => test::run(),
        Command::RecordCases { cases } => record::cases(&cases),
        Command::Licences => licences::check(),
    }
}

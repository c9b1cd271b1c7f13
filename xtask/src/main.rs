//! Chores in Rust: `cargo xtask demo` shows what there is, `test` runs everything CI runs, `bench` measures.

mod bench;
mod demo;
mod licences;
mod record;
mod recorders;
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
    Bench(bench::BenchArgs),
    BenchRecorders(recorders::RecordersArgs),
    Demo(demo::DemoArgs),
    SendFrames(recorders::SendArgs),
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
        Command::Bench(args) => bench::run(&args),
        Command::BenchRecorders(args) => recorders::bench(&args),
        Command::SendFrames(args) => recorders::send(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test => test::run(),
        Command::RecordCases { cases } => record::cases(&cases),
        Command::Licences => licences::check(),
    }
}

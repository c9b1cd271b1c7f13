//! `remora`: everything that happens after the recording.

mod cli;
mod inputs;
mod snapshot;

fn main() -> std::process::ExitCode {
    cli::main()
}

//! `remora`: everything that happens after the recording.

mod cache;
mod carve;
mod cli;
mod inputs;
mod snapshot;

fn main() -> std::process::ExitCode {
    cli::main()
}

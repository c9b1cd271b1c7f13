//! `remora`: everything that happens after the recording.

mod cache;
mod cli;
mod inputs;

fn main() -> std::process::ExitCode {
    cli::main()
}

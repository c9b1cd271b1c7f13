//! `remora`: everything that happens after the recording.

mod cli;
mod inputs;

fn main() -> std::process::ExitCode {
    cli::main()
}

//! `remora`: everything that happens after the recording.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

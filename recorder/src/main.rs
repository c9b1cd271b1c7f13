//! `remora-recorder`: the part of Remora that runs on a node.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

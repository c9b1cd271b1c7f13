//! `remora`: everything that happens after the recording.

mod cache;
mod carve;
mod cli;
mod common;
mod inputs;
mod keys;
mod say;
mod snapshot;

/// Rows come and go by the million, on all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}

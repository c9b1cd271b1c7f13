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
    let large = std::thread::Builder::new().name("main".to_owned()).stack_size(query::STACK_BYTES);
    match large.spawn(cli::main).map(std::thread::JoinHandle::join) {
        Ok(ended) => ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        // Enough for all but very long conditions.
        Err(_) => cli::main(),
    }
}

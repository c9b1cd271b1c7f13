//! The command line's one test binary: linking is what costs.

mod client_log;
#[path = "../../../recorder/tests/it/seaweed.rs"]
mod seaweed;
mod slt;
mod snapshot;

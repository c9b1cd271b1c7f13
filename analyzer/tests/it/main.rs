//! The command line's one test binary: linking is what costs.

#[path = "../../../recorder/tests/it/seaweed.rs"]
mod seaweed;
mod slt;
mod snapshot;

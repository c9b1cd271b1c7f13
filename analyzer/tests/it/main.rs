//! The command line's one test binary: linking is what costs.

mod client_log;
#[allow(dead_code, reason = "the recorder's tests ask more of it")]
#[path = "../../../recorder/tests/it/seaweed.rs"]
#[expect(dead_code, reason = "its ordeals are for the recorder")]
mod seaweed;

mod asked;
mod carve;
mod encrypted;
mod missing;
mod peers;
mod redact;
mod run;
mod said;
mod slt;
mod snapshot;
mod stored;

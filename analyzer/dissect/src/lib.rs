//! Captures in, table rows out. Start reading at `pipeline.rs`.
//!
//! Rooms, in the order data takes; each imports only from `formats` and from rooms before it:
//! `read` → `decode` → `flow` → `stream` → `protocols` → `redact` → `table`.

pub mod decode;
pub mod flow;
pub mod limits;
pub mod pipeline;
mod plan;
pub mod protocols;
pub mod read;
pub mod redact;
mod shard;
pub mod stream;
pub mod table;
pub mod tally;

pub use pipeline::DissectError;
pub use plan::{CaptureReport, Input, NotKept, Open, Origin, Plan, Progress, Report, Unit};
pub use protocols::grpc::{Protos, ProtosError};

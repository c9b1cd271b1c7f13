//! Captures in, table rows out. Start reading at `pipeline.rs`.
//!
//! Rooms, in the order data takes; each imports only from `formats` and from rooms before it:
//! `read` → `decode` → `flow` → `stream` → `protocols` → `correlate` → `table`.

pub mod decode;
pub mod limits;
pub mod protocols;
pub mod read;
pub mod tally;

//! Segments become streams: bytes in order, or a gap of known size.
//!
//! Enters: TCP payload with its sequence numbers. Leaves: [`Chunk`]s, in an order both sides agree with: what
//! a segment acknowledges is handed on before the segment itself, however the capture mixed them up.
//! Refused: what brings nothing new; it is counted with a reason.

#[doc(hidden)]
pub mod fuzz;
mod half;
mod jump;
mod pair;
mod recent;
mod segment;
#[cfg(test)]
mod tests;

pub use pair::StreamPair;
pub use segment::{Chunk, Outcome, Segment};

/// What became of payload that is not handed on.
pub mod reason {
    #![allow(missing_docs, reason = "they are phrases of the coverage table")]
    pub const RETRANSMITTED: &str = "retransmitted";
    pub const KEEP_ALIVE: &str = "keep-alive probe";
    pub const BEFORE_START: &str = "before the first segment seen";
    pub const AFTER_END: &str = "after the end of the stream";
    pub const IMPLAUSIBLE: &str = "sequence number out of any window";
    pub const LATE: &str = "came after its gap was given up";
}

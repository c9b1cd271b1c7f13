//! Packets become files of a bounded size and age.
//!
//! Enters: [`Packets`](crate::capture::Packets) of the ring's blocks. Leaves: a [`Finished`] segment, complete on
//! disk and hashed, to be sealed. Refused: nothing; what the disk does not take is counted.
//!
//!     capture thread                     writer thread
//!     ring ──▶ Filling ──▶ Batch ─ ─ ─ ▶ OpenSegment ──▶ Finished
//!                ▲─ ─ ─ ─ ─ buffer ─ ─ ─ ┘
//!
//! There are [`BATCHES`](crate::limits::BATCHES) buffers. When the disk is slow they all wait there, the ring
//! fills, and the kernel counts what it drops: nothing grows.

mod batch;
pub mod blocks;
mod identity;
mod pump;
mod segment;
mod sieve;
mod station;
#[cfg(test)]
pub(crate) mod tests;
mod untold;
mod writer;

pub use batch::{Batch, Filling, Took};
pub use identity::Identities;
pub use pump::Pump;
pub use segment::{Compression, Finished, OPEN, OpenSegment, SegmentOptions};
pub use sieve::{Passed, Sieve, UNBOUNDED};
pub use station::RingNews;
pub use untold::Untold;
pub use writer::Writer;

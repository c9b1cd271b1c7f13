//! Bytes of a capture become frames: bytes with a time and an interface.
//!
//! Enters: anything that reads, by content: pcap, pcapng, plain or compressed. Leaves: [`Stretch`]es of
//! [`Frame`]s, without a copy of their bytes. Refused: what begins like no capture. What is damaged is
//! counted, resynchronised where the format allows it, and the rest is read.

mod damage;
mod stretch;

pub use damage::Damage;
pub use stretch::{Frame, LinkType, Stretch};

//! What the formats make of a record or block, whichever they are.

use super::{Heard, LinkType};

/// What stands at the front of some bytes.
pub enum Step<T> {
    /// Nothing that can be; and why.
    Bad(&'static str, String),
    /// Too little to tell.
    Short,
    /// A whole one.
    Whole(T),
}

impl<T> Step<T> {
    /// The same, with what `then` makes of a whole one.
    pub fn map<U>(self, then: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Step::Bad(kind, detail) => Step::Bad(kind, detail),
            Step::Short => Step::Short,
            Step::Whole(whole) => Step::Whole(then(whole)),
        }
    }
}

/// What a record or block says of the frame in it.
pub struct Packet {
    pub ts_ns: Option<i64>,
    pub captured_bytes: u32,
    pub wire_bytes: u32,
    pub link: LinkType,
    pub interface: u32,
    /// Whether the interface sent or received it.
    pub heard: Heard,
    /// Where the frame begins in the record or block.
    pub at: usize,
}

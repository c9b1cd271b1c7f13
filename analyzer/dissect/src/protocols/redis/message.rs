//! What a side sent, and why others before it may be missing.

use crate::protocols::Stamp;

/// Why messages before another may not have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// We joined in the middle, or cannot tell where a message ends.
    Unseen,
    /// A gap.
    Lost,
}

/// Some message, as far as it was seen.
pub struct Message<T> {
    pub content: T,
    pub stamp: Stamp,
    /// Its length, with what is missing of it.
    pub bytes: u64,
    /// Whether its end was not seen.
    pub cut: bool,
}

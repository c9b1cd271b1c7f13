//! What was wrong with a capture and could be stepped over.

/// A place in a capture that is not as its format says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What it is: lower case with underscores.
    pub kind: &'static str,
    /// Where, in the decompressed capture.
    pub at_byte: u64,
    /// Bytes that gave no frame because of it; of a compressed input that breaks off, its rest as stored.
    pub bytes: u64,
    /// What exactly was seen; empty where the kind says it all.
    pub detail: String,
}

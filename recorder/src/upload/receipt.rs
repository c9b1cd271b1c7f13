//! That a file is in the store, and how we know.

use formats::hash::Hash256;

/// A file is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its path in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash256,
    /// How we know.
    pub proof: Proof,
}

/// How we know that a file is in the store as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was read back: same size, same SHA-256.
    ReadBack,
    /// The credentials cannot read. The store compared every part with the SHA-256 we sent along before it said
    /// yes (`x-amz-checksum-sha256`), for it refuses what has another.
    StoreCompared,
    /// The credentials cannot read, and the store does not compare. The ETag that it gave is that of what was sent: it has the
    /// same MD5.
    ETag,
}

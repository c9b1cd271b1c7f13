//! The size and hash of what goes by, as seals have them.

use formats::hash::Hash256;
use sha2::{Digest, Sha256};

/// Size and hash.
pub type Sealed = (u64, Hash256);

/// Bytes that went by.
#[derive(Clone, Default)]
pub struct Hashed {
    /// How many.
    pub bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    /// The next of them.
    pub fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece);
    }

    /// Of all so far.
    pub fn sum(&self) -> Sealed {
        (self.bytes, Hash256(self.hasher.clone().finalize().into()))
    }
}

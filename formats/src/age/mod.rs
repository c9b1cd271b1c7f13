//! Files that only the owners of some keys can read: those of `age`.
//!
//!     age-encryption.org/v1
//!     -> X25519 <share>                 for each recipient: the file's key, sealed to theirs
//!     <32 bytes>
//!     --- <MAC>                         of all above, with the file's key
//!     16 bytes, then pieces of 64 KiB, each sealed with 16 bytes more
//!
//! `age -d` reads what is written here, and what `age -r` writes is read. A file does not say whose keys it is for;
//! seals do. Nobody can change, cut or reorder it unseen, but whoever has a public key can make another.
//!
//! The crate of that name would do the same, and brings eighty others into the recorder.
//!
//! # Source
//! <https://c2sp.org/age> (v1), without passphrases, SSH keys and plugins. X25519: RFC 7748. HKDF: RFC 5869.
//! ChaCha20-Poly1305: RFC 8439. STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015.

mod decrypt;
mod encrypt;
mod header;
mod keys;
mod payload;
#[cfg(test)]
mod tests;

pub use decrypt::Decrypt;
pub use encrypt::Encrypt;
pub use header::{HEADER_BYTES_MAX, INTRO};
pub use keys::{Identity, KEY_FILE_BYTES_MAX, KeyError, Recipient, identities, recipients};
pub use payload::{PIECE_BYTES, Payload, SEALED_PIECE_BYTES};

use std::io;

/// Ending of the name of an encrypted file.
pub const ENDING: &str = ".age";

/// Recipients of one file: each is a hundred bytes of its header, and a tenth of a millisecond.
pub const RECIPIENTS_MAX: usize = 64;

/// Why a file cannot be read, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgeError {
    /// Its bytes are not those that were encrypted.
    #[error("was changed, or damaged: piece {piece} is not as it was encrypted")]
    Changed {
        /// Which piece of [`PIECE_BYTES`], from 0.
        piece: u64,
    },
    /// It ends too early.
    #[error("ends too early: piece {piece} is not the last, or not whole")]
    Cut {
        /// The last piece that is there, from 0.
        piece: u64,
    },
    /// It begins like one, and goes on otherwise.
    #[error("has a header that age does not write: {what}")]
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The header was changed.
    #[error("has a header that was changed: it does not have the MAC it ends with")]
    HeaderChanged,
    /// Encrypted, and nobody gave a key.
    #[error("is encrypted to {recipients} keys, and none was given")]
    NoKey {
        /// How many keys it is for.
        recipients: usize,
    },
    /// Encrypted to others.
    #[error("is encrypted to {recipients} keys, and those given are none of them")]
    NotOurs {
        /// How many keys it is for.
        recipients: usize,
    },
}

impl From<AgeError> for io::Error {
    fn from(error: AgeError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Whether a file that begins so is one of age.
pub fn is_age(front: &[u8]) -> bool {
    front.starts_with(INTRO.as_bytes())
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    use super::{Decrypt, Identity};
    use std::io::Read;

    /// Whatever the bytes are, reading them ends, with no more than there were.
    pub fn fuzz_age(data: &[u8]) {
        let keys = [Identity::from_bytes([7; 32])];
        for bytes in [data.to_vec(), [super::INTRO.as_bytes(), data].concat()] {
            if let Ok(mut plain) = Decrypt::open(&bytes[..], &keys) {
                let mut all = Vec::new();
                plain.read_to_end(&mut all).ok();
                assert!(all.len() <= bytes.len());
            }
        }
    }
}

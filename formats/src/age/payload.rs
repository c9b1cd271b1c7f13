//! What follows the header: pieces of 64 KiB, each sealed under its number, and whether it is the last.

use super::AgeError;
use super::header::{self, FileKey};
use super::keys::Identity;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::io;

/// Bytes of a piece; the last has fewer, and is empty only where it is the first.
pub const PIECE_BYTES: usize = 64 << 10;

/// Bytes that sealing adds to a piece.
const TAG_BYTES: usize = 16;

/// Bytes of a piece as stored.
pub const SEALED_PIECE_BYTES: usize = PIECE_BYTES + TAG_BYTES;

/// Bytes between the header and the first piece.
pub(super) const NONCE_BYTES: usize = 16;

/// The key of a file's pieces, and where they begin.
pub struct Payload {
    key: LessSafeKey,
    begins_at: u64,
}

impl Payload {
    pub(super) fn new(key: &FileKey, nonce: &[u8; NONCE_BYTES], begins_at: u64) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.derive(nonce, b"payload")).expect("32 bytes are a key");
        Self { key: LessSafeKey::new(key), begins_at }
    }

    /// Reads the header of a file, of which `front` are the first bytes: [`HEADER_BYTES_MAX`](super::HEADER_BYTES_MAX) and
    /// [`SEALED_PIECE_BYTES`], or all.
    ///
    /// # Errors
    /// [`AgeError`].
    pub fn open(front: &[u8], identities: &[Identity]) -> Result<Self, AgeError> {
        let (key, header_bytes) = header::open(front, identities)?;
        let nonce = front.get(header_bytes..).and_then(|rest| rest.first_chunk());
        let nonce = nonce.ok_or(AgeError::Cut { piece: 0 })?;
        Ok(Self::new(&key, nonce, (header_bytes + NONCE_BYTES) as u64))
    }

    /// Where the first piece begins in the file.
    pub fn begins_at(&self) -> u64 {
        self.begins_at
    }

    /// Seals what is in `piece`.
    pub(super) fn seal(&self, number: u64, is_last: bool, piece: &mut Vec<u8>) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(nonce(number, is_last), Aad::empty(), piece);
        sealed.map_err(|_| io::Error::other("a piece could not be sealed"))
    }

    /// Opens the piece of that number: `sealed` are its bytes as stored.
    ///
    /// # Errors
    /// [`AgeError::Changed`], or [`AgeError::Cut`] where it is whole and was not the last, though nothing follows.
    pub fn unseal<'a>(&self, number: u64, is_last: bool, sealed: &'a mut [u8]) -> Result<&'a [u8], AgeError> {
        // Only the file of nothing ends with an empty piece.
        if sealed.len() < TAG_BYTES || (sealed.len() == TAG_BYTES && number > 0) {
            return Err(AgeError::Cut { piece: number });
        }
        let before = if is_last { sealed.to_vec() } else { Vec::new() };
        match self.key.open_in_place(nonce(number, is_last), Aad::empty(), sealed) {
            Ok(plain) => Ok(plain),
            Err(_)
                if is_last && self.key.open_in_place(nonce(number, false), Aad::empty(), &mut { before }).is_ok() =>
            {
                Err(AgeError::Cut { piece: number })
            }
            Err(_) => Err(AgeError::Changed { piece: number }),
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload(from byte {})", self.begins_at)
    }
}

/// Number in eleven bytes, and whether it is the last.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

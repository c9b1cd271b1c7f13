//! Decrypts what is read through it.

use super::header::HEADER_BYTES_MAX;
use super::keys::Identity;
use super::payload::{Payload, SEALED_PIECE_BYTES};
use std::io::{self, Cursor, Read};

/// The plain bytes of a file, each piece proved before any of it is given out. What follows a piece that was changed, or a
/// cut, is an error of kind [`io::ErrorKind::InvalidData`].
///
/// # Bounds
/// A header and two pieces in memory.
pub struct Decrypt<R> {
    sealed: io::Chain<Cursor<Vec<u8>>, R>,
    payload: Payload,
    number: u64,
    /// As stored, and one byte of what follows: whether there is something.
    ahead: Vec<u8>,
    plain: Cursor<Vec<u8>>,
    is_over: bool,
}

impl<R: Read> Decrypt<R> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// [`AgeError`](super::AgeError) within, where none of the identities can read it or it is none of age's.
    pub fn open(mut file: R, identities: &[Identity]) -> io::Result<Self> {
        let mut front = Vec::new();
        file.by_ref().take((HEADER_BYTES_MAX + SEALED_PIECE_BYTES) as u64).read_to_end(&mut front)?;
        let payload = Payload::open(&front, identities)?;
        let mut front = Cursor::new(front);
        front.set_position(payload.begins_at());
        let (ahead, plain) = (Vec::new(), Cursor::default());
        Ok(Self { sealed: front.chain(file), payload, number: 0, ahead, plain, is_over: false })
    }

    /// The next piece.
    fn next(&mut self) -> io::Result<()> {
        let missing = (SEALED_PIECE_BYTES + 1 - self.ahead.len()) as u64;
        self.sealed.by_ref().take(missing).read_to_end(&mut self.ahead)?;
        let is_last = self.ahead.len() <= SEALED_PIECE_BYTES;
        let follows = if is_last { Vec::new() } else { self.ahead.split_off(SEALED_PIECE_BYTES) };
        // After an error too there is nothing more.
        self.is_over = true;
        let plain = self.payload.unseal(self.number, is_last, &mut self.ahead)?.to_vec();
        self.plain = Cursor::new(plain);
        self.is_over = is_last;
        self.number += 1;
        self.ahead = follows;
        Ok(())
    }
}

impl<R: Read> Read for Decrypt<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.plain.read(to)?;
            if read > 0 || to.is_empty() || self.is_over {
                return Ok(read);
            }
            self.next()?;
        }
    }
}

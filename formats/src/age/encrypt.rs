//! Encrypts what is written to it.

use super::header::{self, FileKey, random};
use super::keys::Recipient;
use super::payload::{NONCE_BYTES, PIECE_BYTES, Payload, SEALED_PIECE_BYTES};
use std::io::{self, Write};

/// Encrypts what is written to it; [`Encrypt::finish`] is what makes it whole.
///
/// # Bounds
/// One piece in memory, 64 KiB.
pub struct Encrypt<W> {
    out: W,
    payload: Payload,
    number: u64,
    /// The piece that is being filled: it is sealed once it is known whether it is the last.
    piece: Vec<u8>,
}

impl<W: Write> Encrypt<W> {
    /// Begins a file for these recipients, with its header.
    ///
    /// # Errors
    /// Those of `out`; none or too many recipients.
    pub fn new(mut out: W, recipients: &[Recipient]) -> io::Result<Self> {
        let key = FileKey::random()?;
        let header = header::write(&key, recipients)?;
        let nonce = random::<NONCE_BYTES>()?;
        out.write_all(&header)?;
        out.write_all(&nonce)?;
        let payload = Payload::new(&key, &nonce, (header.len() + NONCE_BYTES) as u64);
        Ok(Self { out, payload, number: 0, piece: Vec::with_capacity(SEALED_PIECE_BYTES) })
    }

    fn put(&mut self, is_last: bool) -> io::Result<()> {
        self.payload.seal(self.number, is_last, &mut self.piece)?;
        self.out.write_all(&self.piece)?;
        self.number += 1;
        self.piece.clear();
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encrypt<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES && !bytes.is_empty() {
            self.put(false)?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

//! Bytes taken from what reads, as many as are wanted, or as there are.

use std::io::{self, Read};

/// Fills `to` as far as the input goes.
pub fn read_full(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Steps over so many bytes.
pub fn skip(from: &mut impl Read, bytes: u32) -> io::Result<()> {
    let skipped = io::copy(&mut from.take(bytes.into()), &mut io::sink())?;
    if skipped < bytes.into() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

//! Bytes to borrowed message: pure and total.

use formats::bytes::Reader;

/// A message and the length before it: the most we ever ask to see at once.
pub const MESSAGE_BYTES_MAX: usize = 2 + u16::MAX as usize;

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The text.
    pub text: &'a str,
    /// Bytes with the length in front.
    pub bytes: usize,
}

/// Why there is no message at the front.
#[derive(Debug, PartialEq, Eq)]
pub enum NotWhole {
    /// It is not text; the length is as said, where one can step over it.
    Malformed,
    /// So many bytes are needed.
    Wanted(usize),
}

/// The message at the front of `bytes`.
pub fn message(bytes: &[u8]) -> Result<Message<'_>, NotWhole> {
    let mut input = Reader::new(bytes);
    let length = input.u16_be().map_err(|_| NotWhole::Wanted(2))?;
    let text = input.take(length.into()).map_err(|_| NotWhole::Wanted(2 + usize::from(length)))?;
    let text = str::from_utf8(text).map_err(|_| NotWhole::Malformed)?;
    Ok(Message { text, bytes: input.at() })
}

//! The one cursor over untrusted bytes.
//!
//! A [`Reader`] is `Copy`: look ahead with a copy, keep it when the whole message was there.

/// The bytes end before what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missing_bytes} more bytes are needed")]
pub struct Short {
    /// How many more bytes would have been needed.
    pub missing_bytes: usize,
}

/// A position in borrowed bytes; every step is checked.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes lie behind.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes lie ahead.
    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether nothing lies ahead.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// All that lies ahead.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Everything, also what lies behind: for formats whose pointers lead back (DNS names).
    #[inline]
    pub fn whole(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        match self.rest().get(..count) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(Short { missing_bytes: count - self.left() }),
        }
    }

    /// A reader over the next `count` bytes alone.
    #[inline]
    pub fn sub(&mut self, count: usize) -> Result<Reader<'a>, Short> {
        self.take(count).map(Reader::new)
    }

    /// Steps over `count` bytes.
    #[inline]
    pub fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.take(count).map(drop)
    }

    /// Steps over at most `count` bytes and says how many.
    #[inline]
    pub fn skip_up_to(&mut self, count: u64) -> u64 {
        let step = count.min(self.left() as u64);
        self.at += step as usize;
        step
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, most significant first.
    #[inline]
    pub fn u16_be(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes, most significant first.
    #[inline]
    pub fn u24_be(&mut self) -> Result<u32, Short> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, most significant first.
    #[inline]
    pub fn u32_be(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, most significant first.
    #[inline]
    pub fn u64_be(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    /// Two bytes, least significant first.
    #[inline]
    pub fn u16_le(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, least significant first.
    #[inline]
    pub fn u32_le(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, least significant first.
    #[inline]
    pub fn u64_le(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_says_how_much_is_missing_and_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16_be(), Ok(0x0102));
        assert_eq!(reader.u32_be(), Err(Short { missing_bytes: 3 }));
        assert_eq!((reader.at(), reader.u8(), reader.is_empty()), (2, Ok(3), true));
    }

    #[test]
    fn a_copy_looks_ahead() {
        let reader = Reader::new(&[0, 0, 5, 9]);
        let mut ahead = reader;
        assert_eq!(ahead.u24_be(), Ok(5));
        assert_eq!((reader.at(), ahead.skip_up_to(7), ahead.left()), (0, 1, 0));
    }
}

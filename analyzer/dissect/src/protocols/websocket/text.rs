//! The texts of one side, put together from frames, unmasked and inflated (RFC 6455 §5.4, RFC 7692).

use super::wire;
use crate::limits::GRAPHQL_BYTES_MAX;
use crate::protocols::Stamp;
use flate2::{Decompress, FlushDecompress, Status};

/// What an encoder leaves away at the end of each message (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Inflated at a time.
const PIECE_BYTES: usize = 4 << 10;

/// Memory of a decoder: a window of 32 KiB, and tables.
const INFLATE_BYTES: usize = 48 << 10;

/// Which messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Texts, and what they are compressed with.
    All,
    /// None.
    None,
    /// Texts that are not compressed.
    Plain,
}

/// What is made of the message that passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Passing {
    /// It is kept.
    Kept,
    /// It is inflated for what may refer back to it, and not kept.
    Inflated,
    /// It is not looked at.
    #[default]
    Skipped,
}

/// The message of one side that passes.
pub struct Texts {
    wanted: Wanted,
    passing: Passing,
    compressed: bool,
    kept: Vec<u8>,
    stamp: Option<Stamp>,
    /// What compressed messages were inflated with so far. A window is kept whatever was agreed on: who resets his
    /// never refers back. After a loss an empty one fails at what refers to it, and is right about all else.
    inflate: Option<Box<Decompress>>,
}

impl Texts {
    /// Of a side from which `wanted` is read.
    pub fn new(wanted: Wanted) -> Self {
        let (passing, kept) = (Passing::Skipped, Vec::new());
        Self { wanted, passing, compressed: false, kept, stamp: None, inflate: None }
    }

    /// A message begins with a frame of that head, seen there and then.
    pub fn begin(&mut self, head: &wire::Head, stamp: Stamp) {
        self.kept.clear();
        self.compressed = head.reserved & 4 != 0;
        self.passing = match self.wanted {
            Wanted::None => Passing::Skipped,
            Wanted::Plain if self.compressed => Passing::Skipped,
            _ if head.opcode == wire::TEXT => Passing::Kept,
            _ if self.compressed => Passing::Inflated,
            _ => Passing::Skipped,
        };
        self.stamp = (self.passing == Passing::Kept).then_some(stamp);
    }

    /// Whether bytes of the message are of any use.
    pub fn passes(&self) -> bool {
        self.passing != Passing::Skipped
    }

    /// Bytes of the message, unmasked.
    pub fn write(&mut self, bytes: &[u8], stamp: Option<Stamp>) {
        if let (Some(all), Some(more)) = (&mut self.stamp, stamp) {
            all.extend(more);
        }
        match self.passing {
            Passing::Skipped => {}
            _ if self.compressed => self.inflate(bytes),
            _ if self.kept.len() + bytes.len() <= GRAPHQL_BYTES_MAX => self.kept.extend_from_slice(bytes),
            _ => self.skip(),
        }
    }

    /// The message is at its end: what it says, if it is a text that was seen whole.
    pub fn end(&mut self) -> Option<(&[u8], Stamp)> {
        if self.compressed && self.passes() {
            self.inflate(&TAIL);
        }
        let kept = std::mem::take(&mut self.passing) == Passing::Kept;
        let stamp = self.stamp.take().filter(|_| kept)?;
        Some((&self.kept, stamp))
    }

    /// Bytes are missing: of a message that passes, or whole ones.
    pub fn lose(&mut self) {
        self.skip();
        self.inflate = None;
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity() + if self.inflate.is_some() { INFLATE_BYTES } else { 0 }
    }

    fn skip(&mut self) {
        self.passing = Passing::Skipped;
        self.stamp = None;
        self.kept = Vec::new();
    }

    /// Inflates a piece of the message. What is too long is given up, and what follows can not refer back to it.
    fn inflate(&mut self, mut bytes: &[u8]) {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let inflate = self.inflate.get_or_insert_with(|| Box::new(Decompress::new(false)));
            let (taken, given) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(bytes, &mut piece, FlushDecompress::Sync);
            let (taken, given) = ((inflate.total_in() - taken) as usize, (inflate.total_out() - given) as usize);
            bytes = bytes.get(taken..).unwrap_or_default();
            let room = GRAPHQL_BYTES_MAX.saturating_sub(self.kept.len());
            match status {
                Ok(_) if given > room => return self.lose(),
                Ok(status) => {
                    // Counted even where it is not kept: the bound is also one of time.
                    self.kept.extend_from_slice(piece.get(..given).unwrap_or_default());
                    if status == Status::StreamEnd {
                        // A last block may end a message, and a stream begins anew (RFC 7692 §7.2.3.4).
                        self.inflate = None;
                    }
                    if bytes.is_empty() && given < PIECE_BYTES || taken + given == 0 {
                        return;
                    }
                }
                Err(_) => return self.lose(),
            }
        }
    }
}

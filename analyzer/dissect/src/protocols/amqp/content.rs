//! Content as it passes: a method, a header, bodies until they are as long as the header said (AMQP 0-9-1 §4.2.6).

use super::Message;
use super::waiting::Key;
use super::wire::ContentHeader;
use crate::protocols::value::Value;
use crate::protocols::{Pair, Stamp};

/// What becomes of a row once its content is whole.
pub enum Fate {
    /// Nothing answers it, or nobody knows what.
    Emit(Pair),
    /// It waits.
    Await(Key),
}

/// A method whose content is not whole yet.
pub struct Content {
    pub message: Message,
    pub stamp: Stamp,
    pub fate: Fate,
    /// Bytes of the body to come; not known before the header.
    left: Option<u64>,
    /// Bytes of it are missing: what follows them is not kept.
    hole: bool,
}

impl Content {
    /// Behind its method.
    pub fn new(message: Message, stamp: Stamp, fate: Fate) -> Self {
        Self { message, stamp, fate, left: None, hole: false }
    }

    /// Takes the header; false where it had one.
    pub fn header(&mut self, stamp: Stamp, header: ContentHeader<'_>, keep: bool) -> bool {
        if self.left.is_some() {
            return false;
        }
        self.stamp.extend(stamp);
        self.left = Some(header.body_bytes);
        self.message.body_bytes = Some(header.body_bytes);
        self.message.properties = Some(Value::Map(header.properties).json());
        self.message.body = keep.then(Vec::new);
        true
    }

    /// Takes bytes of the body and keeps up to `room` of them; false where they are more than the header said.
    pub fn body(&mut self, stamp: Stamp, piece: &[u8], room: usize) -> bool {
        self.stamp.extend(stamp);
        let Some(left) = self.left.as_mut() else { return false };
        let fits = piece.get(..(*left).min(piece.len() as u64) as usize).unwrap_or(piece);
        *left -= fits.len() as u64;
        let kept = if self.hole { &[] } else { fits.get(..room).unwrap_or(fits) };
        if let Some(body) = &mut self.message.body {
            body.extend_from_slice(kept);
        }
        fits.len() == piece.len()
    }

    /// Takes note of bytes of the body that are lost.
    pub fn lose(&mut self, bytes: u64) {
        self.hole = true;
        self.stamp.lose();
        self.left = self.left.map(|left| left.saturating_sub(bytes));
    }

    /// Whether it had its header.
    pub fn has_header(&self) -> bool {
        self.left.is_some()
    }

    /// Whether nothing more belongs to it.
    pub fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    /// Bytes of its body that are kept.
    pub fn kept_bytes(&self) -> usize {
        self.message.body.as_ref().map_or(0, Vec::len)
    }
}

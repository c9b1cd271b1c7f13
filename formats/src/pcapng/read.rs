//! Blocks in hostile bytes: framed, and their parts that have the same shape for every reader.

use super::kind;
use crate::bytes::{Reader, Short};

/// Bytes around the body of a block: type and length in front, the length again behind (§3.1).
const AROUND_BYTES: usize = 12;

/// The longest text of an option that is kept.
const TEXT_BYTES_MAX: usize = 4096;

/// In which order the bytes of a section's numbers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Least significant first.
    #[default]
    Little,
    /// Most significant first.
    Big,
}

impl Order {
    /// What the section header at the front says; none where there is no section header.
    pub fn of_section(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u32_be().ok()? == kind::SECTION_HEADER).then_some(())?;
        reader.skip(4).ok()?;
        match reader.u32_be().ok()? {
            0x1a2b_3c4d => Some(Self::Big),
            0x4d3c_2b1a => Some(Self::Little),
            _ => None,
        }
    }
}

/// A cursor over numbers in the order of their section.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The bytes.
    pub reader: Reader<'a>,
    /// Their order.
    pub order: Order,
}

impl<'a> Fields<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { reader: Reader::new(bytes), order }
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Short> {
        match self.order {
            Order::Little => self.reader.u16_le(),
            Order::Big => self.reader.u16_be(),
        }
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Short> {
        match self.order {
            Order::Little => self.reader.u32_le(),
            Order::Big => self.reader.u32_be(),
        }
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Short> {
        match self.order {
            Order::Little => self.reader.u64_le(),
            Order::Big => self.reader.u64_be(),
        }
    }

    /// A time, in the interface's unit: its upper half comes first in either order (§4.3).
    pub fn ticks(&mut self) -> Result<u64, Short> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// The options ahead, until their end or the first that is cut: codes and values (§3.5).
    pub fn options(mut self) -> impl Iterator<Item = (u16, Fields<'a>)> {
        std::iter::from_fn(move || {
            let code = self.u16().ok().filter(|&code| code != super::option::END)?;
            let length = self.u16().ok()?;
            let value = self.reader.sub(length.into()).ok()?;
            self.reader.skip_up_to(u64::from(length.wrapping_neg() % 4));
            Some((code, Fields { reader: value, ..self }))
        })
    }

    /// All that lies ahead as text, at most 4096 bytes of it.
    pub fn text(&self) -> String {
        let bytes = self.reader.rest();
        String::from_utf8_lossy(bytes.get(..bytes.len().min(TEXT_BYTES_MAX)).unwrap_or_default())
            .trim_end_matches('\0')
            .to_owned()
    }
}

/// A whole block.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Its type.
    pub kind: u32,
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// What stands between its lengths.
    pub body: Fields<'a>,
}

/// Why there is no whole block at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// Not even its head is there.
    #[error("the head of a block is cut")]
    Short,
    /// Its head is there, and not all of its bytes.
    #[error("a block of type {kind:#x} claims {bytes} bytes, more than there are")]
    Partly {
        /// Its type.
        kind: u32,
        /// How long it would be.
        bytes: u32,
    },
    /// A section whose numbers nobody can read.
    #[error("section header without a byte order")]
    NoOrder,
    /// A length that no block has.
    #[error("block of type {kind:#x} claims {said} bytes")]
    Length {
        /// Its type.
        kind: u32,
        /// What stands there.
        said: u32,
    },
    /// The length behind is not that in front.
    #[error("block of type {kind:#x} says {said} bytes and ends with another length")]
    OtherLength {
        /// Its type.
        kind: u32,
        /// What stands in front.
        said: u32,
    },
}

impl<'a> Block<'a> {
    /// The block at the front, in a section of that order unless it begins another. Both of its lengths are checked.
    ///
    /// # Errors
    /// Where the bytes end too early or are no block.
    pub fn read(bytes: &'a [u8], order: Order) -> Result<Self, NotWhole> {
        let order = Order::of_section(bytes).unwrap_or(order);
        let mut fields = Fields::new(bytes, order);
        let (Ok(kind), Ok(said)) = (fields.u32(), fields.u32()) else { return Err(NotWhole::Short) };
        if kind == kind::SECTION_HEADER && bytes.len() >= AROUND_BYTES && Order::of_section(bytes).is_none() {
            return Err(NotWhole::NoOrder);
        }
        // Some writers forgot the padding in the length (and wrote it): up to the next word, as other readers do.
        let length = said.checked_next_multiple_of(4).unwrap_or(0);
        let Some(body_bytes) = (length as usize).checked_sub(AROUND_BYTES) else {
            return Err(NotWhole::Length { kind, said });
        };
        let Some(block) = bytes.get(..length as usize) else { return Err(NotWhole::Partly { kind, bytes: length }) };
        let Ok(body) = fields.reader.sub(body_bytes) else { return Err(NotWhole::Short) };
        if fields.u32() != Ok(said) {
            return Err(NotWhole::OtherLength { kind, said });
        }
        Ok(Self { kind, bytes: block, body: Fields { reader: body, order } })
    }

    /// The next position, by words, where a whole block of a known type stands.
    pub fn find(bytes: &[u8], order: Order) -> Option<usize> {
        (4..bytes.len().saturating_sub(AROUND_BYTES))
            .step_by(4)
            .find(|&at| Block::read(bytes.get(at..).unwrap_or_default(), order).is_ok_and(|it| kind::is_known(it.kind)))
    }
}

/// An enhanced packet block (§4.3).
#[derive(Debug, Clone, Copy)]
pub struct EnhancedPacket<'a> {
    /// Number of its interface in the section.
    pub interface: u32,
    /// Its time, in the interface's unit.
    pub ticks: u64,
    /// Its length on the wire.
    pub wire_bytes: u32,
    /// What was kept of it.
    pub data: &'a [u8],
    /// Its options lie ahead.
    pub options: Fields<'a>,
}

impl<'a> EnhancedPacket<'a> {
    /// From the begin of the block to the data.
    pub const DATA_AT: usize = 28;

    /// Reads the body of such a block.
    ///
    /// # Errors
    /// Where it ends before its packet.
    pub fn read(mut body: Fields<'a>) -> Result<Self, Short> {
        let (interface, ticks) = (body.u32()?, body.ticks()?);
        let (captured_bytes, wire_bytes) = (body.u32()?, body.u32()?);
        let data = body.reader.take(captured_bytes as usize)?;
        body.reader.skip_up_to(u64::from(captured_bytes.wrapping_neg() % 4));
        Ok(Self { interface, ticks, wire_bytes, data, options: body })
    }
}

/// An interface statistics block (§4.6).
#[derive(Debug, Clone, Copy)]
pub struct Statistics<'a> {
    /// Number of the interface in the section.
    pub interface: u32,
    /// When they were written, in its unit.
    pub ticks: u64,
    /// The counts lie ahead.
    pub options: Fields<'a>,
}

impl<'a> Statistics<'a> {
    /// Reads the body of such a block.
    ///
    /// # Errors
    /// Where it ends before its counts.
    pub fn read(mut body: Fields<'a>) -> Result<Self, Short> {
        Ok(Self { interface: body.u32()?, ticks: body.ticks()?, options: body })
    }
}

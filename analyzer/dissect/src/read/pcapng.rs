//! pcapng blocks, as far as reading frames needs them (draft-ietf-opsawg-pcapng).

use super::capture::Step;
use super::{Heard, Interface, LinkType, Summary};
use formats::bytes::{Reader, Short};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const SYSTEMD_JOURNAL: u32 = 9;
const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: u32 = 0xbad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// Interfaces a capture may have: a hostile one names millions in a few bytes each.
const INTERFACES_MAX: usize = 1 << 16;

/// The longest option text kept.
const TEXT_BYTES_MAX: usize = 4096;

/// Bytes around the body of a block.
const FRAME_BYTES: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Clock {
    link: LinkType,
    snap_bytes: u32,
    /// `if_tsresol`: as in the file.
    resolution: u8,
    offset_s: i64,
}

/// State of the section being read.
#[derive(Debug, Default)]
pub struct Section {
    big_endian: bool,
    interfaces: Vec<Clock>,
    /// Interfaces of the sections before.
    earlier: u32,
    /// Drops per interface that its statistics tell, the latest each.
    drops: std::collections::BTreeMap<u32, u64>,
}

/// A block with a frame.
pub struct Packet {
    pub ts_ns: Option<i64>,
    pub captured_bytes: u32,
    pub wire_bytes: u32,
    pub link: LinkType,
    pub interface: u32,
    /// Whether the interface sent or received it.
    pub heard: Heard,
    /// Where the frame begins in the block.
    pub at: usize,
}

/// What a block was.
pub enum Block {
    Packet(Packet),
    Other,
    /// A block of a type we do not read.
    Unknown,
}

/// A cursor in the byte order of the section.
#[derive(Clone, Copy)]
struct Fields<'a> {
    reader: Reader<'a>,
    big_endian: bool,
}

impl<'a> Fields<'a> {
    fn u16(&mut self) -> Result<u16, Short> {
        if self.big_endian { self.reader.u16_be() } else { self.reader.u16_le() }
    }
    fn u32(&mut self) -> Result<u32, Short> {
        if self.big_endian { self.reader.u32_be() } else { self.reader.u32_le() }
    }
    fn u64(&mut self) -> Result<u64, Short> {
        if self.big_endian { self.reader.u64_be() } else { self.reader.u64_le() }
    }

    /// The options, until their end or the first that is cut.
    fn options(mut self) -> impl Iterator<Item = (u16, Fields<'a>)> {
        std::iter::from_fn(move || {
            let code = self.u16().ok().filter(|&code| code != 0)?;
            let length = self.u16().ok()?;
            let value = self.reader.sub(length.into()).ok()?;
            self.reader.skip_up_to(u64::from(length.wrapping_neg() % 4));
            Some((code, Fields { reader: value, ..self }))
        })
    }

    fn text(&self) -> String {
        let bytes = self.reader.rest();
        String::from_utf8_lossy(bytes.get(..bytes.len().min(TEXT_BYTES_MAX)).unwrap_or_default())
            .trim_end_matches('\0')
            .to_owned()
    }
}

/// `epb_flags`: direction in its lowest two bits, and how it was addressed in the three above.
fn of_flags(flags: u32) -> Heard {
    const DIRECTION: u32 = 0b11;
    match (flags & DIRECTION, flags >> 2 & 0b111) {
        (1, 1) => Heard::Received, // Inbound, unicast.
        (2, _) => Heard::Sent,
        _ => Heard::Unknown,
    }
}

/// Whether a capture that begins so is pcapng.
pub fn is_pcapng(bytes: &[u8]) -> bool {
    byte_order(bytes).is_some()
}

/// The byte order of the section header at the front, where there is one.
fn byte_order(bytes: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    (reader.u32_be().ok()? == SECTION_HEADER).then_some(())?;
    reader.skip(4).ok()?;
    match reader.u32_be().ok()? {
        0x1a2b_3c4d => Some(true),
        0x4d3c_2b1a => Some(false),
        _ => None,
    }
}

impl Section {
    /// Kind and length of the block at the front; the length is checked, its second copy too where it is there.
    pub fn frame(&self, bytes: &[u8]) -> Step<(u32, u32)> {
        let big_endian = byte_order(bytes).unwrap_or(self.big_endian);
        let mut fields = Fields { reader: Reader::new(bytes), big_endian };
        let (Ok(kind), Ok(length)) = (fields.u32(), fields.u32()) else { return Step::Short };
        if kind == SECTION_HEADER && bytes.len() >= FRAME_BYTES && byte_order(bytes).is_none() {
            return Step::Bad("block_bad", "section header without a byte order".into());
        }
        // Some writers forgot the padding in the length (and wrote it): up to the next word, as other readers do.
        let said = length;
        let length = length.checked_next_multiple_of(4).unwrap_or(0);
        if (length as usize) < FRAME_BYTES {
            return Step::Bad("block_bad", format!("block of type {kind:#x} claims {said} bytes"));
        }
        let Some(block) = bytes.get(..length as usize) else { return Step::Partly((kind, length)) };
        let mut last = Fields { reader: Reader::new(block), big_endian };
        if last.reader.skip(block.len() - 4).is_err() || last.u32() != Ok(said) {
            return Step::Bad(
                "block_bad",
                format!("block of type {kind:#x} says {said} bytes and ends with another length"),
            );
        }
        Step::Whole((kind, length))
    }

    /// Whether a block of this kind may be dropped unread when it is longer than a stretch.
    pub fn is_known(kind: u32) -> bool {
        (INTERFACE..=ENHANCED_PACKET).contains(&kind)
            || [SECTION_HEADER, SYSTEMD_JOURNAL, DECRYPTION_SECRETS, CUSTOM, CUSTOM_NOT_COPIED].contains(&kind)
    }

    /// Whether blocks of this kind carry frames.
    pub fn has_frames(kind: u32) -> bool {
        [PACKET, SIMPLE_PACKET, ENHANCED_PACKET].contains(&kind)
    }

    /// The next position, by words, where a whole block of a known kind stands.
    pub fn resync(&self, bytes: &[u8]) -> Option<usize> {
        (4..bytes.len().saturating_sub(FRAME_BYTES)).step_by(4).find(|&at| {
            let rest = bytes.get(at..).unwrap_or_default();
            matches!(self.frame(rest), Step::Whole((kind, _)) if Self::is_known(kind))
        })
    }

    /// Reads a whole block.
    pub fn block(&mut self, kind: u32, block: &[u8], summary: &mut Summary) -> Result<Block, Short> {
        if kind == SECTION_HEADER {
            self.big_endian = byte_order(block).unwrap_or(self.big_endian);
            self.earlier += self.interfaces.len() as u32;
            self.interfaces.clear();
        }
        let mut reader = Reader::new(block);
        reader.skip(8)?;
        let body = reader.sub(block.len().saturating_sub(FRAME_BYTES))?;
        let fields = Fields { reader: body, big_endian: self.big_endian };
        match kind {
            SECTION_HEADER => self.section_header(fields, summary)?,
            INTERFACE => self.interface(fields, summary)?,
            ENHANCED_PACKET => return self.enhanced(fields, summary),
            PACKET => return self.old_packet(fields),
            SIMPLE_PACKET => return self.simple(fields),
            INTERFACE_STATISTICS => self.statistics(fields, summary)?,
            NAME_RESOLUTION | SYSTEMD_JOURNAL | DECRYPTION_SECRETS | CUSTOM | CUSTOM_NOT_COPIED => {}
            _ => return Ok(Block::Unknown),
        }
        Ok(Block::Other)
    }

    fn section_header(&mut self, mut fields: Fields<'_>, summary: &mut Summary) -> Result<(), Short> {
        fields.reader.skip(16)?;
        let said: Vec<String> =
            fields.options().filter(|(code, _)| (2..=4).contains(code)).map(|(_, value)| value.text()).collect();
        if summary.source.is_none() && !said.is_empty() {
            summary.source = Some(said.join(", "));
        }
        Ok(())
    }

    fn interface(&mut self, mut fields: Fields<'_>, summary: &mut Summary) -> Result<(), Short> {
        let link = LinkType(fields.u16()?);
        fields.reader.skip(2)?;
        let mut clock = Clock { link, snap_bytes: fields.u32()?, resolution: 6, offset_s: 0 };
        let mut interface = Interface { link: Some(link), ..Interface::default() };
        for (code, mut value) in fields.options() {
            match code {
                2 => interface.name = Some(value.text()),
                3 => interface.description = Some(value.text()),
                9 => clock.resolution = value.reader.u8().unwrap_or(6),
                14 => clock.offset_s = value.u64().unwrap_or_default() as i64,
                _ => {}
            }
        }
        if summary.interfaces.len() < INTERFACES_MAX {
            self.interfaces.push(clock);
            summary.interfaces.push(interface);
        }
        Ok(())
    }

    fn enhanced(&mut self, mut fields: Fields<'_>, summary: &mut Summary) -> Result<Block, Short> {
        let interface = fields.u32()?;
        let ticks = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
        let (captured_bytes, wire_bytes) = (fields.u32()?, fields.u32()?);
        fields.reader.skip(captured_bytes as usize)?;
        fields.reader.skip_up_to(u64::from(captured_bytes.wrapping_neg() % 4));
        let mut heard = Heard::Unknown;
        for (code, mut value) in fields.options() {
            match code {
                2 => heard = value.u32().map_or(heard, of_flags),
                4 => *summary.dropped.get_or_insert(0) += value.u64().unwrap_or_default(),
                _ => {}
            }
        }
        let mut block = self.packet(interface, Some(ticks), captured_bytes, wire_bytes, 28);
        if let Block::Packet(packet) = &mut block {
            packet.heard = heard;
        }
        Ok(block)
    }

    fn old_packet(&self, mut fields: Fields<'_>) -> Result<Block, Short> {
        let interface = u32::from(fields.u16()?);
        fields.reader.skip(2)?;
        let ticks = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
        let (captured_bytes, wire_bytes) = (fields.u32()?, fields.u32()?);
        fields.reader.skip(captured_bytes as usize)?;
        Ok(self.packet(interface, Some(ticks), captured_bytes, wire_bytes, 28))
    }

    fn simple(&self, mut fields: Fields<'_>) -> Result<Block, Short> {
        let wire_bytes = fields.u32()?;
        let snap_bytes = self.interfaces.first().map_or(0, |clock| clock.snap_bytes);
        let limit = if snap_bytes == 0 { u32::MAX } else { snap_bytes };
        let captured_bytes = wire_bytes.min(limit).min(fields.reader.left() as u32);
        Ok(self.packet(0, None, captured_bytes, wire_bytes, 12))
    }

    /// A frame of an interface nobody described is refused: its link type and clock are not known.
    fn packet(&self, interface: u32, ticks: Option<u64>, captured_bytes: u32, wire_bytes: u32, at: usize) -> Block {
        let Some(clock) = self.interfaces.get(interface as usize) else { return Block::Unknown };
        let ts_ns = ticks.map(|ticks| clock.ns(ticks));
        Block::Packet(Packet {
            ts_ns,
            captured_bytes,
            wire_bytes,
            link: clock.link,
            interface: self.earlier + interface,
            heard: Heard::Unknown,
            at,
        })
    }

    fn statistics(&mut self, mut fields: Fields<'_>, summary: &mut Summary) -> Result<(), Short> {
        let interface = self.earlier + fields.u32()?;
        fields.reader.skip(8)?;
        let drops: Vec<u64> = fields
            .options()
            .filter(|(code, _)| matches!(code, 5 | 7))
            .filter_map(|(_, mut value)| value.u64().ok())
            .collect();
        if !drops.is_empty() && (self.drops.len() < INTERFACES_MAX || self.drops.contains_key(&interface)) {
            // Counters run on: the latest of each interface counts.
            self.drops.insert(interface, drops.iter().fold(0, |sum, drop| sum.saturating_add(*drop)));
            summary.dropped = Some(self.drops.values().fold(0, |sum, drop| sum.saturating_add(*drop)));
        }
        Ok(())
    }
}

impl Clock {
    /// Ticks to nanoseconds since the Unix epoch; what does not fit stands at the end of time.
    fn ns(&self, ticks: u64) -> i64 {
        let exponent = u32::from(self.resolution & 0x7f);
        let ns = if self.resolution & 0x80 != 0 {
            (u128::from(ticks) * 1_000_000_000).checked_shr(exponent).unwrap_or(0)
        } else if exponent <= 9 {
            u128::from(ticks) * 10u128.pow(9 - exponent)
        } else {
            10u128.checked_pow(exponent - 9).map_or(0, |unit| u128::from(ticks) / unit)
        };
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        ns.saturating_add(self.offset_s.saturating_mul(1_000_000_000))
    }
}

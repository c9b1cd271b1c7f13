//! pcapng blocks, as far as reading frames needs them (draft-ietf-opsawg-pcapng).

use super::record::Packet;
use super::{Heard, Interface, LinkType, Summary};
use crate::limits::BLOCK_BYTES_MAX;
use formats::bytes::Short;
use formats::pcapng::read::{self, EnhancedPacket, Fields, NotWhole, Order, Statistics};
use formats::pcapng::{kind, option};

/// How far from the Unix epoch a packet may be [ns], 146 years: no difference of two overflows. Other formats reach to 2106.
const TIME_NS_MAX: i64 = (1 << 62) - 1;

/// Interfaces a capture may have: a hostile one names millions in a few bytes each.
pub const INTERFACES_MAX: usize = 1 << 16;

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
    order: Order,
    interfaces: Vec<Clock>,
    /// Interfaces of the sections before.
    earlier: u32,
    /// Drops per interface that its statistics tell, the latest each.
    drops: std::collections::BTreeMap<u32, u64>,
}

/// What a block was.
pub enum Block {
    Packet(Packet),
    Other,
    /// A block of a type we do not read.
    Unknown,
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

/// Whether blocks of that type are known, and nothing is read of them.
pub fn is_passed_by(kind: u32) -> bool {
    let is_read = matches!(kind, kind::SECTION_HEADER | kind::INTERFACE | kind::INTERFACE_STATISTICS);
    kind::is_known(kind) && !kind::has_packet(kind) && !is_read
}

/// Whether a capture that begins so is pcapng.
pub fn is_pcapng(bytes: &[u8]) -> bool {
    Order::of_section(bytes).is_some()
}

impl Section {
    /// The block at the front.
    pub fn frame<'a>(&self, bytes: &'a [u8]) -> Result<read::Block<'a>, NotWhole> {
        read::Block::read(bytes, self.order)
    }

    /// The next position, by words, where a whole block of a known type stands.
    pub fn resync(&self, bytes: &[u8]) -> Option<usize> {
        read::Block::find(bytes, self.order)
    }

    /// The same within what claims to be a block: two stand one behind the other, or as much of the second as there is.
    pub fn resync_within(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let ahead = bytes.get(at..)?;
            let next = read::Block::find(ahead, self.order)?;
            let ahead = ahead.get(next..)?;
            at += next;
            let behind = self.frame(ahead).ok().and_then(|block| ahead.get(block.bytes.len()..))?;
            match self.frame(behind) {
                Ok(block) if kind::is_known(block.kind) => return Some(at),
                Err(NotWhole::Partly { kind, bytes }) if kind::is_known(kind) && bytes as usize <= BLOCK_BYTES_MAX => {
                    return Some(at);
                }
                Err(NotWhole::Short) => return Some(at),
                _ => {}
            }
        }
    }

    /// Whether the word at the end of a block is the length it claims.
    pub fn is_length(&self, word: &[u8], bytes: u32) -> bool {
        Fields::new(word, self.order).u32().is_ok_and(|said| said.checked_next_multiple_of(4) == Some(bytes))
    }

    /// Reads a whole block.
    pub fn block(&mut self, block: &read::Block<'_>, summary: &mut Summary) -> Result<Block, Short> {
        let fields = block.body;
        match block.kind {
            kind::SECTION_HEADER => self.section_header(fields, summary)?,
            kind::INTERFACE => self.interface(fields, summary)?,
            kind::ENHANCED_PACKET => return self.enhanced(fields, summary),
            kind::PACKET => return self.old_packet(fields),
            kind::SIMPLE_PACKET => return self.simple(fields),
            kind::INTERFACE_STATISTICS => self.statistics(fields, summary)?,
            other if kind::is_known(other) => {}
            _ => return Ok(Block::Unknown),
        }
        Ok(Block::Other)
    }

    fn section_header(&mut self, mut fields: Fields<'_>, summary: &mut Summary) -> Result<(), Short> {
        self.order = fields.order;
        self.earlier += self.interfaces.len() as u32;
        self.interfaces.clear();
        fields.reader.skip(16)?;
        let said: Vec<String> = fields
            .options()
            .filter(|(code, _)| (option::SHB_HARDWARE..=option::SHB_USERAPPL).contains(code))
            .map(|(_, value)| value.text())
            .collect();
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
                option::IF_NAME => interface.name = Some(value.text()),
                option::IF_DESCRIPTION => interface.description = Some(value.text()),
                option::IF_TSRESOL => clock.resolution = value.reader.u8().unwrap_or(6),
                option::IF_TSOFFSET => clock.offset_s = value.u64().unwrap_or_default() as i64,
                _ => {}
            }
        }
        if summary.interfaces.len() < INTERFACES_MAX {
            self.interfaces.push(clock);
            summary.interfaces.push(interface);
        }
        Ok(())
    }

    fn enhanced(&mut self, fields: Fields<'_>, summary: &mut Summary) -> Result<Block, Short> {
        let packet = EnhancedPacket::read(fields)?;
        let mut heard = Heard::Unknown;
        for (code, mut value) in packet.options.options() {
            match code {
                option::EPB_FLAGS => heard = value.u32().map_or(heard, of_flags),
                option::EPB_DROPCOUNT => {
                    if let Ok(drops) = value.u64() {
                        summary.dropped = Some(summary.dropped.unwrap_or_default().saturating_add(drops));
                    }
                }
                _ => {}
            }
        }
        let captured_bytes = packet.data.len() as u32;
        let at = EnhancedPacket::DATA_AT;
        let mut block = self.packet(packet.interface, Some(packet.ticks), captured_bytes, packet.wire_bytes, at);
        if let Block::Packet(packet) = &mut block {
            packet.heard = heard;
        }
        Ok(block)
    }

    fn old_packet(&self, mut fields: Fields<'_>) -> Result<Block, Short> {
        let interface = u32::from(fields.u16()?);
        fields.reader.skip(2)?;
        let ticks = fields.ticks()?;
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

    fn statistics(&mut self, fields: Fields<'_>, summary: &mut Summary) -> Result<(), Short> {
        let statistics = Statistics::read(fields)?;
        let interface = self.earlier.saturating_add(statistics.interface);
        let drops: Vec<u64> = statistics
            .options
            .options()
            .filter(|(code, _)| matches!(*code, option::ISB_IFDROP | option::ISB_OSDROP))
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
    /// Ticks to nanoseconds since the Unix epoch; what does not fit stands at the end of time, or at its begin.
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
        let ns = ns.saturating_add(self.offset_s.saturating_mul(1_000_000_000));
        ns.clamp(-TIME_NS_MAX, TIME_NS_MAX)
    }
}

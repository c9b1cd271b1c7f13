//! ERF records, as Endace's capture cards write them ("ERF Types Reference Guide", Endace). There is no file header.

use super::LinkType;
use super::pcap::{Record, resync};
use super::record::Step;
use formats::bytes::{Reader, Short};

/// Bytes of a record's header without extensions.
const RECORD_BYTES: usize = 16;

/// Records at the front of a file that must be good to believe in the format, unless it ends before.
const BELIEVED_RECORDS: usize = 4;

/// Extension headers that a record may have: cards write seven at most.
const EXTENSIONS_MAX: usize = 16;

/// Time between a record and the one before it, in either direction, that is believed at the front [s].
const NEAR_S: u64 = 7 * 86_400;

/// What a record is.
pub enum Content {
    /// A packet.
    Packet {
        /// Where it lies.
        record: Record,
        /// Its link.
        link: LinkType,
        /// The card's interface that saw it, 0 to 3.
        interface: u32,
        /// Packets lost between this one and the one before.
        lost: u32,
    },
    /// No packet; its length.
    Other(usize),
}

struct Head {
    /// Seconds since 1970 in the upper half, and the fraction of one in the lower.
    time: u64,
    kind: u8,
    extended: bool,
    flags: u8,
    record_bytes: usize,
    lost: u16,
    wire_bytes: u16,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(bytes);
        let (time, kind, flags) = (reader.u64_le()?, reader.u8()?, reader.u8()?);
        let (record_bytes, lost, wire_bytes) = (reader.u16_be()?.into(), reader.u16_be()?, reader.u16_be()?);
        Ok(Self { time, kind: kind & 0x7f, extended: kind & 0x80 != 0, flags, record_bytes, lost, wire_bytes })
    }

    /// Link of its packet, and the bytes in front of the packet that belong to the record.
    fn link(&self) -> (LinkType, usize) {
        match self.kind {
            2 | 11 | 16 | 20 => (LinkType(1), 2), // Ethernet: an offset and a byte of padding.
            1 | 10 | 15 | 19 => (LinkType(104), 0), // HDLC of Cisco, over SONET.
            22 | 23 => (LinkType(101), 0),        // IPv4, IPv6.
            _ => (LinkType(u16::MAX), 0),         // Cells, channels and others that are counted only.
        }
    }

    fn is_possible(&self) -> bool {
        (1..=28).contains(&self.kind) && self.record_bytes >= RECORD_BYTES || self.kind == 48
    }
}

/// Whether a file that begins so has such records, and goes on with them.
pub fn is_erf(front: &[u8]) -> bool {
    // Since there are such cards; nothing of them was seen before 1995.
    const SECONDS: std::ops::Range<i64> = 800_000_000..4_000_000_000;
    let (mut at, mut before_s, mut seen) = (0, None, 0);
    while seen < BELIEVED_RECORDS {
        match record(front.get(at..).unwrap_or_default()) {
            Step::Whole(Content::Packet { record, .. }) => {
                let second = record.ts_ns / 1_000_000_000;
                let near = before_s.is_none_or(|before: i64| before.abs_diff(second) <= NEAR_S);
                if !near || !SECONDS.contains(&second) || record.captured_bytes == 0 {
                    return false;
                }
                (at, before_s, seen) = (at + record.bytes, Some(second), seen + 1);
            }
            Step::Whole(Content::Other(bytes)) => at += bytes,
            Step::Bad(..) => return false,
            Step::Short => break,
        }
    }
    seen > 0
}

/// The record at the front of `bytes`.
pub fn record(bytes: &[u8]) -> Step<Content> {
    const META: u8 = 27;
    const PADDING: u8 = 48;
    let Ok(head) = Head::read(bytes) else { return Step::Short };
    if !head.is_possible() {
        let (kind, claimed) = (head.kind, head.record_bytes);
        return Step::Bad("record_bad", format!("record of type {kind} claims {claimed} bytes"));
    }
    let Some(whole) = bytes.get(..head.record_bytes.max(RECORD_BYTES)) else { return Step::Short };
    if [META, PADDING].contains(&head.kind) {
        return Step::Whole(Content::Other(whole.len()));
    }
    let (link, front_bytes) = head.link();
    let Some(header_bytes) = header_bytes(whole, head.extended).map(|bytes| bytes + front_bytes) else {
        return Step::Bad("record_bad", "its extensions do not end".into());
    };
    // The record is filled up to eight bytes behind its packet.
    let captured_bytes = whole.len().saturating_sub(header_bytes).min(head.wire_bytes.into()) as u32;
    let ns = ((head.time & 0xffff_ffff) * 1_000_000_000) >> 32;
    let record = Record {
        ts_ns: (head.time >> 32) as i64 * 1_000_000_000 + ns as i64,
        captured_bytes,
        wire_bytes: head.wire_bytes.into(),
        header_bytes: header_bytes.min(whole.len()),
        bytes: whole.len(),
    };
    // Where a record is coloured, its colour stands in place of the loss.
    let is_coloured = [10, 11, 15, 16, 17, 19, 20].contains(&head.kind);
    let lost = if is_coloured { 0 } else { head.lost.into() };
    Step::Whole(Content::Packet { record, link, interface: u32::from(head.flags & 3), lost })
}

/// The next position where two records stand one behind the other, near the time of the last good one.
pub fn resync_to(bytes: &[u8], last_ns: Option<i64>) -> Option<usize> {
    resync(bytes, |bytes| match record(bytes) {
        Step::Whole(Content::Packet { record, .. }) if record.is_likely(last_ns) => Some(record.bytes),
        _ => None,
    })
}

/// Bytes of a record's header with its extensions, of eight bytes each: each says whether another follows.
fn header_bytes(record: &[u8], extended: bool) -> Option<usize> {
    let (mut bytes, mut more) = (RECORD_BYTES, extended);
    while more {
        more = record.get(bytes)? & 0x80 != 0;
        bytes += 8;
        (bytes <= RECORD_BYTES + 8 * EXTENSIONS_MAX).then_some(())?;
    }
    Some(bytes)
}

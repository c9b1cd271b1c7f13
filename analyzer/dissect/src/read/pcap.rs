//! pcap records: µs and ns, both byte orders, Kuznetsov's modified form (draft-ietf-opsawg-pcap).

use super::record::{Packet, Step};
use super::{Heard, LinkType};
use formats::bytes::Reader;

/// Longest record by libpcap's own bound (MAXIMUM_SNAPLEN), where the header does not allow more.
const CAPTURED_BYTES_MAX: u32 = 256 << 10;

/// How far from the record before it a record may be, to be believed after damage: a year.
const NEAR_S: i64 = 366 * 86_400;

/// The file header.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    big_endian: bool,
    nanoseconds: bool,
    /// Bytes of a record's header: 24 in the modified form, else 16.
    record_bytes: usize,
    captured_bytes_max: u32,
    lengths: Lengths,
    /// Link type of every frame.
    pub link: LinkType,
}

/// In which order a record's two lengths stand: before version 2.3 the length on the wire came first, and 2.3 was
/// written both ways (libpcap, sf-pcap.c); so did one vendor's 543.0.
#[derive(Debug, Clone, Copy)]
enum Lengths {
    CapturedFirst,
    SmallerIsCaptured,
    WireFirst,
}

/// Bytes of the file header.
pub const HEADER_BYTES: usize = 24;

/// What stands behind the file header.
pub enum Content {
    /// The header of a further file: captures may stand end to end.
    Header(Header),
    /// A record.
    Record(Record),
}

/// One record.
pub struct Record {
    pub ts_ns: i64,
    pub captured_bytes: u32,
    pub wire_bytes: u32,
    /// Bytes of its header.
    pub header_bytes: usize,
    /// All of its bytes.
    pub bytes: usize,
}

impl Record {
    /// Its frame, of an interface of that link.
    pub fn packet(&self, link: LinkType) -> Packet {
        Packet {
            ts_ns: Some(self.ts_ns),
            captured_bytes: self.captured_bytes,
            wire_bytes: self.wire_bytes,
            link,
            interface: 0,
            heard: Heard::Unknown,
            at: self.header_bytes,
        }
    }

    /// Whether it is near the time of the one before, and has a frame with a length that frames have.
    pub fn is_likely(&self, last_ns: Option<i64>) -> bool {
        let near = last_ns.is_none_or(|last| (self.ts_ns - last).abs() / 1_000_000_000 <= NEAR_S);
        near && self.captured_bytes >= 14 && self.wire_bytes >= self.captured_bytes
    }
}

/// The first position from 1 on where two records stand one behind the other; how long one is that can be believed,
/// `believable` says.
pub fn resync(bytes: &[u8], believable: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    (1..bytes.len()).find(|&at| two_stand(bytes.get(at..).unwrap_or_default(), &believable))
}

/// Whether two records stand at the front, or one and nothing behind it.
fn two_stand(bytes: &[u8], believable: impl Fn(&[u8]) -> Option<usize>) -> bool {
    believable(bytes).is_some_and(|length| {
        let next = bytes.get(length..).unwrap_or_default();
        next.is_empty() || believable(next).is_some()
    })
}

impl Header {
    /// The header at the front, where there is one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (big_endian, nanoseconds, record_bytes) = magic(bytes)?;
        let word = |at: usize| word(bytes, at, big_endian);
        let (snap_bytes, network) = (word(16)?, word(20)?);
        // The upper bits tell of a frame check sequence.
        let link = LinkType(network as u16);
        let captured_bytes_max = snap_bytes.clamp(CAPTURED_BYTES_MAX, crate::limits::BLOCK_BYTES_MAX as u32 / 2);
        let lengths = match (half(bytes, 4, big_endian)?, half(bytes, 6, big_endian)?) {
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, 0..3) | (543, 0) => Lengths::WireFirst,
            _ => Lengths::CapturedFirst,
        };
        Some(Self { big_endian, nanoseconds, record_bytes, captured_bytes_max, lengths, link })
    }

    /// What stands at the front of `bytes`.
    pub fn content(&self, bytes: &[u8]) -> Step<Content> {
        if begins_another(bytes) {
            return Self::parse(bytes).map_or(Step::Short, |header| Step::Whole(Content::Header(header)));
        }
        self.record(bytes).map(Content::Record)
    }

    fn record(&self, bytes: &[u8]) -> Step<Record> {
        let Some(header) = bytes.get(..self.record_bytes) else { return Step::Short };
        if bytes.get(..BLANK_BYTES).is_some_and(|blank| blank.iter().all(|byte| *byte == 0)) {
            return Step::Bad("record_bad", "no time and no bytes".into());
        }
        let word = |at: usize| word(header, at, self.big_endian).unwrap_or_default();
        let (seconds, fraction) = (word(0), word(4));
        let (captured_bytes, wire_bytes) = match (self.lengths, word(8), word(12)) {
            (Lengths::WireFirst, first, second) => (second, first),
            (Lengths::SmallerIsCaptured, first, second) => (first.min(second), first.max(second)),
            (Lengths::CapturedFirst, first, second) => (first, second),
        };
        if captured_bytes > self.captured_bytes_max {
            return Step::Bad("record_too_long", format!("claims {captured_bytes} bytes"));
        }
        if bytes.len() - self.record_bytes < captured_bytes as usize {
            return Step::Short;
        }
        let unit_ns = if self.nanoseconds { 1 } else { 1000 };
        let ts_ns = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * unit_ns;
        let header_bytes = self.record_bytes;
        let bytes = header_bytes + captured_bytes as usize;
        Step::Whole(Record { ts_ns, captured_bytes, wire_bytes, header_bytes, bytes })
    }

    /// The first position from 1 on where two records stand one behind the other, near the time of the last good one, or
    /// behind the header of a further file.
    pub fn resync(&self, bytes: &[u8], last_ns: Option<i64>) -> Option<usize> {
        (1..bytes.len()).find(|&at| {
            let rest = bytes.get(at..).unwrap_or_default();
            match Self::parse(rest).filter(|_| begins_another(rest)) {
                Some(other) => {
                    let records = rest.get(HEADER_BYTES..).unwrap_or_default();
                    two_stand(records, |bytes| other.believable(bytes, None))
                }
                None => two_stand(rest, |bytes| self.believable(bytes, last_ns)),
            }
        })
    }

    fn believable(&self, bytes: &[u8], last_ns: Option<i64>) -> Option<usize> {
        let Step::Whole(record) = self.record(bytes) else { return None };
        let fraction = word(bytes, 4, self.big_endian)?;
        let fraction_max = if self.nanoseconds { 1_000_000_000 } else { 1_000_000 };
        let sized = record.wire_bytes <= self.captured_bytes_max;
        (record.is_likely(last_ns) && sized && fraction < fraction_max).then_some(record.bytes)
    }
}

/// So many zeros are what a file system leaves behind a power cut; fewer are empty packets, as all others read them.
const BLANK_BYTES: usize = 4096;

/// What a magic number says: big endian, nanoseconds, bytes of a record's header.
fn magic(bytes: &[u8]) -> Option<(bool, bool, usize)> {
    match Reader::new(bytes).u32_be().ok()? {
        0xa1b2_c3d4 => Some((true, false, 16)),
        0xd4c3_b2a1 => Some((false, false, 16)),
        0xa1b2_3c4d => Some((true, true, 16)),
        0x4d3c_b2a1 => Some((false, true, 16)),
        0xa1b2_cd34 => Some((true, false, 24)),
        0x34cd_b2a1 => Some((false, false, 24)),
        _ => None,
    }
}

/// Whether a further file begins where a record would. A magic number alone may be a record's time, of 2011 to 2083: the
/// version has to be that of all files since 1998.
fn begins_another(bytes: &[u8]) -> bool {
    magic(bytes)
        .is_some_and(|(big_endian, ..)| (half(bytes, 4, big_endian), half(bytes, 6, big_endian)) == (Some(2), Some(4)))
}

fn half(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let mut reader = Reader::new(bytes.get(at..)?);
    if big_endian { reader.u16_be().ok() } else { reader.u16_le().ok() }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let mut reader = Reader::new(bytes.get(at..)?);
    if big_endian { reader.u32_be().ok() } else { reader.u32_le().ok() }
}

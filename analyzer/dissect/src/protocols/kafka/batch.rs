//! Record batches: from bytes to records, pure and total.
//!
//! Format 2 holds records, formats 0 and 1 messages, each of which may hold compressed messages
//! (<https://kafka.apache.org/documentation/#messageformat>). Every format has its length and its number at the same place.

use super::Header;
use super::codec::{self, Codec};
use formats::bytes::{Reader, Short};

/// Bytes that say how long a batch is and of which format.
pub const FRONT_BYTES: usize = 17;

/// Offset and length, which the length does not count.
const BEFORE_LENGTH_BYTES: u64 = 12;

/// The shortest message of format 0 behind its length.
const LENGTH_MIN: u32 = 14;

/// Records of one batch that become rows: of a crafted one, 16 MiB could hold millions.
const RECORDS_MAX: u64 = 128 << 10;

/// The same, of a byte of it as sent: each has another number, of which no compression leaves less than a bit.
const RECORDS_PER_BYTE_MAX: u64 = 8;

/// Bits of the attributes of format 2, and of format 1 for the first.
const LOG_APPEND_TIME: u16 = 1 << 3;
const CONTROL: u16 = 1 << 5;

/// One record.
#[derive(Debug, PartialEq)]
pub struct Record<'a> {
    /// Offset on the wire: what a producer sends begins at 0.
    pub offset: i64,
    /// Milliseconds since the Unix epoch; format 0 has none.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Length of the value, of which `value` may be the begin.
    pub value_bytes: Option<u64>,
    /// The headers as they are, to be read with [`headers`]; formats 0 and 1 have none.
    pub headers: Option<&'a [u8]>,
    pub codec: Codec,
    /// Of an idempotent or transactional producer.
    pub producer_id: Option<i64>,
    /// Whether it is a marker that brokers write, of a transaction for example.
    pub control: bool,
}

/// How long a batch is by its first bytes, offset and length included; nothing where it is none.
pub fn bytes(front: &[u8; FRONT_BYTES]) -> Option<u64> {
    let [.., a, b, c, d, _, _, _, _, magic] = *front;
    let length = u32::from_be_bytes([a, b, c, d]);
    (magic <= 2 && (LENGTH_MIN..1 << 31).contains(&length)).then(|| BEFORE_LENGTH_BYTES + u64::from(length))
}

/// What came of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records that are whole.
    pub records: u64,
    /// Why not every record was handed on.
    pub problem: Option<&'static str>,
}

/// Hands on the records of a batch, or, of a part of one, those that are whole.
pub fn records(batch: &[u8], to: &mut dyn FnMut(&Record<'_>)) -> Outcome {
    let most = RECORDS_MAX.min(batch.len() as u64 * RECORDS_PER_BYTE_MAX);
    let mut given = 0;
    let mut take = |record: &Record<'_>| {
        given += 1;
        if given <= most {
            to(record);
        }
    };
    let mut problem = match batch.get(FRONT_BYTES - 1) {
        Some(2) => second(batch, &mut take).unwrap_or(Some("ends inside of its header")),
        Some(_) => messages(batch, None, &mut take).err(),
        None => Some("ends inside of its header"),
    };
    if given > most {
        problem = Some("too many records");
    }
    Outcome { records: given, problem }
}

/// The header of a batch of format 2.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    base_offset: i64,
    attributes: u16,
    base_ms: i64,
    max_ms: i64,
    producer_id: i64,
    /// Records it says it has.
    pub count: u32,
}

impl Head {
    /// Bytes of it.
    pub const BYTES: usize = 61;

    /// Reads it.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, Short> {
        let base_offset = input.u64_be()? as i64;
        // Length, epoch of the leader, format, checksum.
        input.skip(4 + 4 + 1 + 4)?;
        let attributes = input.u16_be()?;
        input.skip(4)?;
        let (base_ms, max_ms) = (input.u64_be()? as i64, input.u64_be()? as i64);
        let producer_id = input.u64_be()? as i64;
        input.skip(2 + 4)?;
        Ok(Self { base_offset, attributes, base_ms, max_ms, producer_id, count: input.u32_be()? })
    }

    /// How its records are compressed.
    pub fn codec(&self) -> Codec {
        Codec::of(self.attributes as u8)
    }

    /// A record without the length in front. Of one that is not the whole the value is cut, and headers are not known.
    pub fn record<'a>(&self, body: &'a [u8], whole: bool) -> Option<Record<'a>> {
        let mut body = Reader::new(body);
        // Attributes of a record are not used yet.
        body.skip(1).ok()?;
        let (ms_delta, offset_delta) = (varint(&mut body)?, varint(&mut body)?);
        let key = nullable(&mut body)?;
        let value_bytes = u64::try_from(varint(&mut body)?).ok();
        let here = value_bytes.map_or(0, |bytes| bytes.min(body.left() as u64));
        let value = body.take(here as usize).ok().filter(|_| value_bytes.is_some());
        if whole && value_bytes.is_some_and(|bytes| bytes > here) {
            return None;
        }
        Some(Record {
            offset: self.base_offset.wrapping_add(offset_delta),
            timestamp_ms: Some(match self.attributes & LOG_APPEND_TIME {
                0 => self.base_ms.wrapping_add(ms_delta),
                _ => self.max_ms,
            }),
            key,
            value,
            value_bytes,
            headers: whole.then_some(body.rest()),
            codec: self.codec(),
            producer_id: (self.producer_id >= 0).then_some(self.producer_id),
            control: self.attributes & CONTROL != 0,
        })
    }
}

/// A batch of format 2; says what is wrong with it.
fn second(batch: &[u8], to: &mut dyn FnMut(&Record<'_>)) -> Result<Option<&'static str>, Short> {
    let mut input = Reader::new(batch);
    let head = Head::read(&mut input)?;
    let decoded = match head.codec() {
        Codec::None => None,
        codec => Some(codec::decode(codec, input.rest())),
    };
    let mut records = Reader::new(decoded.as_ref().map_or(input.rest(), |decoded| &decoded.bytes));
    for _ in 0..head.count {
        let length = varint(&mut records).and_then(|length| usize::try_from(length).ok());
        let Some(body) = length.and_then(|length| records.take(length).ok()) else {
            let cut = decoded.is_some_and(|decoded| decoded.cut);
            return Ok(Some(if cut { "not decompressed to its end" } else { "ends inside of a record" }));
        };
        match head.record(body, true) {
            Some(record) => to(&record),
            None => return Ok(Some("holds what is no record")),
        }
    }
    Ok(None)
}

/// Bytes of the record at the front, with its length in front, and how many of them that is; nothing where it is none
/// or its length is not whole.
pub fn record_bytes(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut input = Reader::new(bytes);
    let length = u64::try_from(varint(&mut input)?).ok()?;
    Some((length + input.at() as u64, input.at()))
}

/// The headers of a record, as many as there are whole.
pub fn headers(bytes: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let mut input = Reader::new(bytes);
    let count = varint(&mut input).unwrap_or_default();
    let mut left = u64::try_from(count).unwrap_or_default();
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some((nullable(&mut input)?, nullable(&mut input)?))
    })
}

/// Headers as format 2 has them.
pub fn write_headers<'a>(headers: impl ExactSizeIterator<Item = Header<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_varint(&mut bytes, headers.len() as i64);
    for text in headers.flat_map(|(name, value)| [name, value]) {
        write_varint(&mut bytes, text.map_or(-1, |text| text.len() as i64));
        bytes.extend_from_slice(text.unwrap_or_default());
    }
    bytes
}

fn write_varint(to: &mut Vec<u8>, value: i64) {
    let mut left = (value << 1 ^ value >> 63) as u64;
    while left >= 0x80 {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

/// Messages of format 0 or 1, inside of a compressed one where there is one.
fn messages(set: &[u8], outer: Option<&Message<'_>>, to: &mut dyn FnMut(&Record<'_>)) -> Result<(), &'static str> {
    // Inside of format 1 offsets count from the first message; the outer one has the last's (KIP-31).
    let base = match outer {
        Some(outer) if outer.magic == 1 => last_offset(set).map_or(0, |last| outer.offset.wrapping_sub(last)),
        _ => 0,
    };
    // Where the broker stamped, it stamped the outer one (KIP-32).
    let stamped_ms = outer.filter(|outer| u16::from(outer.attributes) & LOG_APPEND_TIME != 0);
    let stamped_ms = stamped_ms.and_then(|outer| outer.timestamp_ms);
    let mut input = Reader::new(set);
    while !input.is_empty() {
        let Ok(message) = Message::read(&mut input) else { return Err("ends inside of a message") };
        let codec = Codec::of(message.attributes);
        match (codec, outer) {
            (Codec::None, _) => to(&Record {
                offset: message.offset.wrapping_add(base),
                timestamp_ms: stamped_ms.or(message.timestamp_ms),
                key: message.key,
                value: message.value,
                value_bytes: message.value.map(|value| value.len() as u64),
                headers: None,
                codec: outer.map_or(Codec::None, |outer| Codec::of(outer.attributes)),
                producer_id: None,
                control: false,
            }),
            (_, Some(_)) => return Err("compressed twice"),
            (codec, None) => {
                let decoded = codec::decode(codec, message.value.unwrap_or_default());
                messages(&decoded.bytes, Some(&message), to)?;
                if decoded.cut {
                    return Err("not decompressed to its end");
                }
            }
        }
    }
    Ok(())
}

fn last_offset(set: &[u8]) -> Option<i64> {
    let mut input = Reader::new(set);
    let mut last = None;
    while let Ok(message) = Message::read(&mut input) {
        last = Some(message.offset);
    }
    last
}

struct Message<'a> {
    offset: i64,
    magic: u8,
    attributes: u8,
    timestamp_ms: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    fn read(input: &mut Reader<'a>) -> Result<Self, Short> {
        let offset = input.u64_be()? as i64;
        let length = input.u32_be()? as usize;
        let mut body = input.sub(length)?;
        body.skip(4)?;
        let (magic, attributes) = (body.u8()?, body.u8()?);
        let timestamp_ms = if magic == 0 { None } else { Some(body.u64_be()? as i64) };
        let mut bytes = || match body.u32_be()? {
            u32::MAX => Ok(None),
            length => body.take(length as usize).map(Some),
        };
        Ok(Self { offset, magic, attributes, timestamp_ms, key: bytes()?, value: bytes()? })
    }
}

/// A number in zigzag: at most ten bytes, least significant first.
fn varint(input: &mut Reader<'_>) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = input.u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// Bytes with their length in front, of which -1 is none.
fn nullable<'a>(input: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match varint(input)? {
        -1 => Some(None),
        length => input.take(usize::try_from(length).ok()?).ok().map(Some),
    }
}

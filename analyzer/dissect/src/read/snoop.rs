//! snoop records, as Solaris writes them (RFC 1761). Numbers stand most significant byte first.

use super::LinkType;
use super::pcap::{Record, resync};
use super::record::Step;
use formats::bytes::{Reader, Short};

/// Bytes of the file header.
const HEADER_BYTES: usize = 16;

/// Bytes of a record's header.
const RECORD_BYTES: usize = 24;

/// What a record may have behind its packet: it ends with a whole word, and some writers filled up further.
const PADDING_BYTES_MAX: usize = 64;

/// Longest packet that is believed, as with pcap.
const CAPTURED_BYTES_MAX: usize = 256 << 10;

/// A capture of this format.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Link type of every frame.
    pub link: LinkType,
}

impl Header {
    /// The header at the front, where there is one, and its length.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        (reader.take(8).ok()? == b"snoop\0\0\0" && reader.u32_be().ok()? == 2).then_some(())?;
        let link = match reader.u32_be().ok()? {
            0 | 4 => 1,    // IEEE 802.3 and Ethernet.
            2 => 6,        // Token ring.
            8 => 10,       // FDDI.
            26 => 226,     // Solaris' own header between zones.
            _ => u16::MAX, // None that libpcap has a number for.
        };
        Some((Self { link: LinkType(link) }, HEADER_BYTES))
    }

    /// The record at the front of `bytes`, and how many packets the system dropped before it since the capture began.
    pub fn record(self, bytes: &[u8]) -> Step<(Record, u32)> {
        let Ok(head) = head(bytes) else { return Step::Short };
        let [wire_bytes, captured_bytes, record_bytes, drops, seconds, us] = head;
        let behind = (record_bytes as usize).checked_sub(RECORD_BYTES + captured_bytes as usize);
        if captured_bytes as usize > CAPTURED_BYTES_MAX || behind.is_none_or(|bytes| bytes > PADDING_BYTES_MAX) {
            return Step::Bad(
                "record_too_long",
                format!("claims a packet of {captured_bytes} bytes in {record_bytes}"),
            );
        }
        if bytes.len() < record_bytes as usize {
            return Step::Short;
        }
        let ts_ns = i64::from(seconds) * 1_000_000_000 + i64::from(us) * 1000;
        let record =
            Record { ts_ns, captured_bytes, wire_bytes, header_bytes: RECORD_BYTES, bytes: record_bytes as usize };
        Step::Whole((record, drops))
    }

    /// The first position from 1 on where two records stand one behind the other, near the time of the last good one.
    pub fn resync(self, bytes: &[u8], last_ns: Option<i64>) -> Option<usize> {
        resync(bytes, |bytes| {
            let Step::Whole((record, _)) = self.record(bytes) else { return None };
            let [.., us] = head(bytes).ok()?;
            (record.is_likely(last_ns) && us < 1_000_000).then_some(record.bytes)
        })
    }
}

fn head(bytes: &[u8]) -> Result<[u32; 6], Short> {
    let mut reader = Reader::new(bytes);
    let mut head = [0; 6];
    for word in &mut head {
        *word = reader.u32_be()?;
    }
    Ok(head)
}

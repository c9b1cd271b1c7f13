//! The record of a packet in a pcap or pcapng, where one is known to begin.

use super::Wanted;
use dissect::limits::BLOCK_BYTES_MAX;
use formats::pcapng::kind;

/// Where the captured length stands in blocks that have one, and the data in blocks of each type
/// (draft-ietf-opsawg-pcapng §4.3, §4.4, A.1).
const CAPTURED_AT: usize = 20;
const BLOCKS: [(u32, usize); 3] = [(kind::SIMPLE_PACKET, 12), (kind::PACKET, 28), (kind::ENHANCED_PACKET, 28)];

/// The longest head of a record, its tail, and room for options: most packets have those of flags alone.
const OTHER_BYTES: u64 = 28 + 4 + 128;

/// The format of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Records with heads of so many bytes.
    Pcap { head_bytes: usize },
    /// Blocks.
    Pcapng,
}

/// Where a record is.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Where its data begins.
    pub data_at: u32,
    /// Its length.
    pub bytes: usize,
}

impl Format {
    /// The format of a capture that begins so.
    pub fn of(front: &[u8]) -> Self {
        match front {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Format::Pcapng,
            // Kuznetsov's modified form.
            [0xa1, 0xb2, 0xcd, 0x34, ..] | [0x34, 0xcd, 0xb2, 0xa1, ..] => Format::Pcap { head_bytes: 24 },
            _ => Format::Pcap { head_bytes: 16 },
        }
    }

    /// The record of a packet at the front of `bytes`; none where there is none with its length.
    pub fn record(self, bytes: &[u8], packet: &Wanted) -> Option<Record> {
        let word = |at: usize| bytes.get(at..)?.first_chunk().copied();
        let captured = packet.captured_bytes;
        let is = |at: usize, value: u32| {
            word(at).is_some_and(|word| word == value.to_le_bytes() || word == value.to_be_bytes())
        };
        match self {
            // The two lengths were written in either order once.
            Format::Pcap { head_bytes } => (is(8, captured) || is(12, captured))
                .then_some(Record { data_at: head_bytes as u32, bytes: head_bytes + captured as usize }),
            Format::Pcapng => {
                let &(kind, data_at) = BLOCKS.iter().find(|(kind, _)| is(0, *kind))?;
                let is_little = word(0) == Some(kind.to_le_bytes());
                let length = if is_little { u32::from_le_bytes(word(4)?) } else { u32::from_be_bytes(word(4)?) };
                let bytes = (length as usize).checked_next_multiple_of(4)?;
                let fits = (data_at + captured as usize..=BLOCK_BYTES_MAX).contains(&bytes);
                let same = kind == kind::SIMPLE_PACKET || is(CAPTURED_AT, captured);
                (fits && same).then_some(Record { data_at: data_at as u32, bytes })
            }
        }
    }
}

/// Bytes that a record most likely does not exceed.
pub fn likely_bytes(packet: &Wanted) -> u64 {
    u64::from(packet.captured_bytes) + OTHER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_believed_when_its_length_is_the_packets() {
        let packet = |captured_bytes| Wanted { captured_bytes, ..Wanted::default() };
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let swapped = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        let pcap = words(&[1, 2, 60, 80]);
        let block = [6, 96, 0, 1, 2, 60, 80];
        for (front, bytes, want) in [
            (&[0xd4, 0xc3, 0xb2, 0xa1], pcap.clone(), Some((16, 76))),
            (&[0x34, 0xcd, 0xb2, 0xa1], pcap, Some((24, 84))),
            (&[0xa1, 0xb2, 0xc3, 0xd4], swapped(&[1, 2, 60, 80]), Some((16, 76))),
            (&[0xd4, 0xc3, 0xb2, 0xa1], words(&[1, 2, 61, 80]), None),
            (&[0x0a, 0x0d, 0x0d, 0x0a], words(&block[..6]), Some((28, 96))),
            (&[0x0a, 0x0d, 0x0d, 0x0a], swapped(&block), Some((28, 96))),
            (&[0x0a, 0x0d, 0x0d, 0x0a], words(&[3, 76, 60]), Some((12, 76))),
            (&[0x0a, 0x0d, 0x0d, 0x0a], words(&[6, 80, 0, 1, 2, 60, 80]), None),
            (&[0x0a, 0x0d, 0x0d, 0x0a], words(&[6, u32::MAX, 0, 1, 2, 60, 80]), None),
            (&[0x0a, 0x0d, 0x0d, 0x0a], words(&[1, 96, 0, 1, 2, 60, 80]), None),
            (&[0x0a, 0x0d, 0x0d, 0x0a], Vec::new(), None),
        ] {
            let found = Format::of(front).record(&bytes, &packet(60));
            assert_eq!(found.map(|record| (record.data_at, record.bytes)), want, "{front:?} {bytes:?}");
        }
    }
}

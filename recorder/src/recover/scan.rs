//! Reads a segment that was left open, frame by frame, as far as it is whole.

use crate::limits;
use crate::rotate::Compression;
use formats::pcapng::read::{Block, EnhancedPacket, Fields, Order, Statistics};
use formats::pcapng::{kind, option};
use formats::seal::{Counts, Volume};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// What is whole of a segment.
#[derive(Debug, Default)]
pub struct Scanned {
    /// How many bytes, from the front.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// What became of packets: those in it, and what the last counts in it say.
    pub counts: Counts,
    /// Earliest packet.
    pub first_packet: Option<Timestamp>,
    /// Latest packet.
    pub last_packet: Option<Timestamp>,
    /// When the recorder last said that it was alive.
    pub alive_until: Option<Timestamp>,
}

/// Most bytes of the file that are held: the largest frame, should zstd not make it smaller.
const HELD_BYTES: usize = limits::FRAME_BYTES_MAX + limits::FRAME_BYTES_MAX / 128 + 1024;

/// Reads a segment from its front, up to the first thing that is not whole.
///
/// # Bounds
/// Twice a frame: [`limits::FRAME_BYTES_MAX`] compressed, and the same decompressed.
/// # Errors
/// Only those of reading: whatever the bytes are, some of them are whole, or none.
pub fn scan(mut file: impl Read, compression: Compression) -> io::Result<Scanned> {
    let mut found = Found::default();
    let mut sha256 = Sha256::new();
    // What is held, and how much of it, from the front, was read.
    let (mut held, mut read_bytes) = (Vec::new(), 0);
    let mut whole_bytes = 0;
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    loop {
        let unread = &held[read_bytes..];
        let whole = match compression {
            Compression::None => found.read(unread),
            Compression::Zstd => frame(&mut decompressor, unread, &mut found),
        };
        sha256.update(&unread[..whole]);
        whole_bytes += whole as u64;
        read_bytes += whole;
        if whole > 0 {
            continue;
        }
        // Its end may not be held yet.
        held.drain(..read_bytes);
        read_bytes = 0;
        let missing = (HELD_BYTES - held.len()) as u64;
        if file.by_ref().take(missing).read_to_end(&mut held)? == 0 {
            break;
        }
    }
    Ok(found.finish(whole_bytes, sha256.finalize().into()))
}

/// Reads the frame at the front of `held`; how long it is, or 0 if it is not whole.
fn frame(decompressor: &mut zstd::bulk::Decompressor<'_>, held: &[u8], found: &mut Found) -> usize {
    let Some(frame) = zstd::zstd_safe::find_frame_compressed_size(held).ok().and_then(|bytes| held.get(..bytes)) else {
        return 0;
    };
    // Ours say how long they are; a frame that claims more than we write is none of ours.
    let claimed = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().unwrap_or(u64::MAX);
    let Ok(capacity) = usize::try_from(claimed.min(limits::FRAME_BYTES_MAX as u64 + 1)) else { return 0 };
    if capacity > limits::FRAME_BYTES_MAX {
        return 0;
    }
    let before = found.clone();
    match decompressor.decompress(frame, capacity) {
        Ok(blocks) if found.read(&blocks) == blocks.len() => frame.len(),
        _ => {
            *found = before; // A frame counts whole or not at all.
            0
        }
    }
}

/// What was read so far.
#[derive(Debug, Clone, Default)]
struct Found {
    written: Volume,
    wire_bytes: u64,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    alive_until_ns: Option<u64>,
    seen: u64,
    passed: u64,
    dropped: u64,
    delivered: u64,
}

impl Found {
    /// Reads whole blocks; how many bytes they have.
    fn read(&mut self, blocks: &[u8]) -> usize {
        let mut at = 0;
        while let Ok(block) = Block::read(blocks.get(at..).unwrap_or_default(), Order::Little) {
            match block.kind {
                kind::ENHANCED_PACKET if self.packet(block.body).is_none() => break,
                kind::INTERFACE_STATISTICS => drop(self.statistics(block.body)),
                _ => {}
            }
            at += block.bytes.len();
        }
        at
    }

    fn packet(&mut self, body: Fields<'_>) -> Option<()> {
        let packet = EnhancedPacket::read(body).ok()?;
        let (time_ns, kept) = (packet.ticks, packet.data.len() as u64);
        self.written += Volume { packets: 1, bytes: kept };
        self.wire_bytes += u64::from(packet.wire_bytes).max(kept);
        self.first_ns = Some(self.first_ns.unwrap_or(time_ns).min(time_ns));
        self.last_ns = self.last_ns.max(Some(time_ns));
        Some(())
    }

    /// Counts since the segment began: the last ones hold.
    fn statistics(&mut self, body: Fields<'_>) -> Option<()> {
        let statistics = Statistics::read(body).ok()?;
        self.alive_until_ns = Some(statistics.ticks);
        for (code, mut value) in statistics.options.options() {
            match code {
                option::ISB_IFRECV => self.seen = value.u64().ok()?,
                option::ISB_FILTERACCEPT => self.passed = value.u64().ok()?,
                option::ISB_OSDROP => self.dropped = value.u64().ok()?,
                option::ISB_USRDELIV => self.delivered = value.u64().ok()?,
                _ => {}
            }
        }
        Some(())
    }

    fn finish(self, bytes: u64, sha256: [u8; 32]) -> Scanned {
        let filtered = self.seen.saturating_sub(self.passed);
        // Behind the ring or in writing: which of both, and how many bytes, the file does not say.
        let lost = self.passed.saturating_sub(self.dropped).saturating_sub(self.delivered);
        let parts = [self.written.packets, filtered, self.dropped, lost];
        let time = |ns: Option<u64>| ns.and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok());
        let mut counts = Counts {
            seen: Volume { packets: parts.into_iter().fold(0, u64::saturating_add), bytes: self.wire_bytes },
            written: self.written,
            snapped_bytes: self.wire_bytes - self.written.bytes,
            ..Counts::default()
        };
        counts.filtered.packets = filtered;
        counts.dropped.kernel_packets = self.dropped;
        counts.dropped.disk.packets = lost;
        Scanned {
            bytes,
            sha256,
            counts,
            first_packet: time(self.first_ns),
            last_packet: time(self.last_ns),
            alive_until: time(self.alive_until_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::pcapng::write;

    #[test]
    fn more_than_is_held_is_read_to_its_end() {
        let mut packets = Vec::new();
        for packet in 0..1000_u32 {
            let data: Vec<u8> =
                (0..1000).map(|at| (packet.wrapping_add(at).wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
            let at = write::PacketHead { interface: 0, time_ns: 7, wire_bytes: 1000 };
            write::enhanced_packet(&mut packets, at, [&[], &data], write::end_of_options);
        }
        let frame = zstd::bulk::compress(&packets, 1).unwrap();
        for (piece, compression) in [(packets, Compression::None), (frame, Compression::Zstd)] {
            let pieces = HELD_BYTES / piece.len() * 3;
            let mut segment = piece.repeat(pieces);
            let (bytes, sha256) = (segment.len() as u64, Sha256::digest(&segment).into());
            segment.extend_from_slice(&piece[..piece.len() - 7]);
            let scanned = scan(&segment[..], compression).unwrap();
            let whole =
                if compression == Compression::None { pieces as u64 * 1000 + 999 } else { pieces as u64 * 1000 };
            assert_eq!(scanned.counts.written.packets, whole);
            if compression == Compression::Zstd {
                assert_eq!((scanned.bytes, scanned.sha256), (bytes, sha256));
            }
        }
    }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    use crate::rotate::Compression;

    /// Whatever was left behind, reading it ends, within its bytes.
    pub fn fuzz_scan(data: &[u8]) {
        for compression in [Compression::None, Compression::Zstd] {
            let scanned = super::scan(data, compression).expect("reading from memory does not fail");
            assert!(scanned.bytes <= data.len() as u64);
            assert!(scanned.counts.seen.packets >= scanned.counts.written.packets);
        }
    }
}

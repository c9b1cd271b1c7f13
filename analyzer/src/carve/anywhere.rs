//! The decompressed bytes of a capture, from anywhere in it.
//!
//! Plain captures are read where they lie. Those in zstd frames that say how long they are, as our recorder writes
//! them, are decompressed a frame at a time. Others (gzip, lz4, one long frame) have no place to begin in but the first.

use crate::inputs::{Capture, Stored};
use formats::pcapng::kind;
use std::io::{self, Read};
use std::path::Path;

/// Longest frame that is decompressed into memory; those of a segment have 1 MiB at most.
const FRAME_BYTES_MAX: u64 = 64 << 20;

/// Frames of a capture: 32 bytes each, and a capture of 1 TiB in frames of 1 MiB.
const FRAMES_MAX: usize = 1 << 20;

const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// The longest header of a frame (RFC 8878 §3.1.1).
const FRAME_HEADER_BYTES_MAX: usize = 18;

/// A zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it is stored.
    stored_at: u64,
    stored_bytes: usize,
    /// Where its content begins.
    at: u64,
    bytes: usize,
}

/// A capture, opened.
pub enum Opened {
    /// It can be read from anywhere.
    Anywhere(Anywhere),
    /// It has to be read from its begin.
    FromBegin(Box<dyn Read + Send>),
}

/// A capture that can be read from anywhere.
pub enum Anywhere {
    /// As it is stored.
    Plain(Stored),
    /// In frames.
    Frames {
        stored: Stored,
        frames: Vec<Frame>,
        /// The last one read, by where it is stored.
        open: Option<(u64, Vec<u8>)>,
    },
}

impl Anywhere {
    /// Opens a capture. A compressed object is fetched into `spool`.
    ///
    /// # Errors
    /// What the disk or the store says.
    pub fn open(capture: &Capture, spool: &Path) -> io::Result<Opened> {
        let from_begin = || capture.open(spool).map(Opened::FromBegin);
        let Some(stored) = capture.stored()? else { return from_begin() };
        match stored.read(0, 4)?.as_slice() {
            front if is_capture(front) => return Ok(Opened::Anywhere(Anywhere::Plain(stored))),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {}
            front if front == ZSTD => {}
            _ => return from_begin(),
        }
        // Of an object, finding the frames would take a request for each block.
        let file = match stored {
            Stored::Object(object) => object.fetch(spool)?,
            Stored::File(file) => file,
        };
        // Reads at a place leave the file at its begin.
        let stored = Stored::File(file.try_clone()?);
        let Some(frames) = frames(&stored)? else { return Ok(Opened::FromBegin(Box::new(file))) };
        let mut anywhere = Anywhere::Frames { stored, frames, open: None };
        // What is compressed twice is none.
        match anywhere.read(0, 4) {
            Ok(front) if is_capture(&front) => Ok(Opened::Anywhere(anywhere)),
            _ => Ok(Opened::FromBegin(Box::new(file))),
        }
    }

    /// Bytes from `at` on, fewer where the capture ends before.
    ///
    /// # Errors
    /// What the disk or the store says, and a frame that is broken.
    pub fn read(&mut self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let (stored, frames, open) = match self {
            Anywhere::Plain(stored) => return stored.read(at, bytes),
            Anywhere::Frames { stored, frames, open } => (stored, frames, open),
        };
        let end = at.saturating_add(bytes as u64);
        let first = frames.partition_point(|frame| frame.at + frame.bytes as u64 <= at);
        let mut out = Vec::new();
        for frame in frames.iter().skip(first).take_while(|frame| frame.at < end) {
            if open.as_ref().is_none_or(|(known, _)| *known != frame.stored_at) {
                let packed = stored.read(frame.stored_at, frame.stored_bytes)?;
                *open = Some((frame.stored_at, zstd::bulk::decompress(&packed, frame.bytes)?));
            }
            let content = open.as_ref().map_or(&[][..], |(_, content)| content);
            let place = |at: u64| (at.saturating_sub(frame.at) as usize).min(content.len());
            out.extend_from_slice(content.get(place(at)..place(end)).unwrap_or_default());
        }
        Ok(out)
    }
}

/// pcap in any of its forms, or pcapng.
fn is_capture(front: &[u8]) -> bool {
    let pcap = [0xa1b2_c3d4_u32, 0xa1b2_3c4d, 0xa1b2_cd34];
    let magic = front.first_chunk().map(|magic| u32::from_be_bytes(*magic));
    magic.is_some_and(|magic| {
        pcap.contains(&magic) || pcap.contains(&magic.swap_bytes()) || magic == kind::SECTION_HEADER
    })
}

/// The frames of a file; none where one does not say how long it is, or is cut.
fn frames(stored: &Stored) -> io::Result<Option<Vec<Frame>>> {
    let (mut frames, mut stored_at, mut at) = (Vec::new(), 0, 0);
    loop {
        let head = stored.read(stored_at, FRAME_HEADER_BYTES_MAX)?;
        if head.is_empty() {
            return Ok(Some(frames));
        }
        if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] = *head.as_slice() {
            stored_at += 8 + u64::from(u32::from_le_bytes([a, b, c, d]));
            continue;
        }
        let Some((header_bytes, bytes, has_checksum)) = header(&head) else { return Ok(None) };
        let Some(blocks) = blocks_end(stored, stored_at + header_bytes as u64)? else { return Ok(None) };
        let end = blocks + if has_checksum { 4 } else { 0 };
        if stored.read(end - 1, 1)?.is_empty() {
            return Ok(None);
        }
        let stored_bytes = (end - stored_at) as usize;
        if bytes > FRAME_BYTES_MAX || stored_bytes as u64 > 2 * FRAME_BYTES_MAX || frames.len() >= FRAMES_MAX {
            return Ok(None);
        }
        frames.push(Frame { stored_at, stored_bytes, at, bytes: bytes as usize });
        (stored_at, at) = (end, at + bytes);
    }
}

/// Length of a frame's header, of its content, and whether a checksum follows (RFC 8878 §3.1.1.1).
fn header(head: &[u8]) -> Option<(usize, u64, bool)> {
    let (magic, rest) = head.split_first_chunk::<4>()?;
    let (&descriptor, rest) = rest.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    let window_bytes = usize::from(!single_segment);
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = match descriptor >> 6 {
        0 if single_segment => 1,
        0 => return None,
        flag => 1 << flag,
    };
    let begin = window_bytes + dictionary_bytes;
    let size = rest.get(begin..begin + size_bytes)?;
    let mut le = [0; 8];
    le.get_mut(..size_bytes)?.copy_from_slice(size);
    let bytes = u64::from_le_bytes(le) + if size_bytes == 2 { 256 } else { 0 };
    (*magic == ZSTD).then_some((5 + begin + size_bytes, bytes, descriptor & 4 != 0))
}

/// Where the blocks of a frame end (RFC 8878 §3.1.1.2); none where the file ends before, or they are no blocks.
fn blocks_end(stored: &Stored, mut at: u64) -> io::Result<Option<u64>> {
    loop {
        let [a, b, c] = stored.read(at, 3)?[..] else { return Ok(None) };
        let head = u32::from_le_bytes([a, b, c, 0]);
        let bytes = match head >> 1 & 3 {
            1 => 1,
            3 => return Ok(None),
            _ => head >> 3,
        };
        at += 3 + u64::from(bytes);
        if head & 1 != 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> Stored {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Stored::File(file)
    }

    #[test]
    fn every_place_of_every_frame_is_found() {
        let content: Vec<u8> = (0..400_000_u32).flat_map(|n| (n ^ n << 3).to_le_bytes()).collect();
        let pieces = [&content[..300], &content[300..300], &content[300..700_000], &content[700_000..]];
        let mut packed: Vec<u8> = pieces.iter().flat_map(|piece| zstd::bulk::compress(piece, 1).unwrap()).collect();
        packed.extend([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 1]);
        let stored = file(&packed);
        let frames = frames(&stored).unwrap().unwrap();
        assert_eq!(frames.iter().map(|frame| frame.bytes).sum::<usize>(), content.len());
        let mut anywhere = Anywhere::Frames { stored, frames, open: None };
        for at in [0, 1, 299, 300, 301, 699_999, 700_000, content.len() - 1, content.len(), content.len() + 5] {
            for bytes in [0, 1, 2, 1000, 800_000] {
                let want = content.get(at.min(content.len())..(at + bytes).min(content.len())).unwrap();
                assert!(anywhere.read(at as u64, bytes).unwrap() == want, "{at} {bytes}");
            }
        }
    }

    #[test]
    fn what_cannot_be_entered_in_the_middle_is_none() {
        let content = vec![7; 1 << 20];
        // A stream does not know how long it becomes.
        let unsized_frame = zstd::stream::encode_all(&content[..], 1).unwrap();
        assert_eq!(frames(&file(&unsized_frame)).unwrap(), None);
        let frame = zstd::bulk::compress(&content, 1).unwrap();
        assert_eq!(frames(&file(&frame[..frame.len() - 1])).unwrap().map(|frames| frames.len()), None);
        assert_eq!(frames(&file(&[&frame[..], b"what"].concat())).unwrap(), None);
    }
}

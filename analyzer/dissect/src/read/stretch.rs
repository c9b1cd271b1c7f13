//! What the read room hands forward.

use formats::pcapng::Point;
use std::sync::Arc;

/// The link-layer header type of an interface, by its registered number (LINKTYPE_…).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
pub struct LinkType(pub u16);

/// One captured frame; its bytes lie in the stretch it came with.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Number in the capture, from 1.
    pub number: u64,
    /// Capture time, ns since the Unix epoch. Where the record has none, of the frame before, or of the first behind it in
    /// its stretch that has one; else 0.
    pub ts_ns: i64,
    /// Where its bytes begin in [`Stretch::bytes`].
    pub at: u32,
    /// Bytes kept.
    pub captured_bytes: u32,
    /// Bytes on the wire.
    pub wire_bytes: u32,
    /// What its first header is.
    pub link: LinkType,
    /// Index of its interface, counted over all sections of the capture.
    pub interface: u32,
    /// Whether its interface sent or received it.
    pub heard: Heard,
    /// Where its record begins in the decompressed capture.
    pub file_offset: u64,
}

/// How an interface came to a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Heard {
    /// It was the one that the frame was for.
    Received,
    /// It was the one to send it.
    Sent,
    /// The capture does not say, or the frame was for many, or for others.
    #[default]
    Unknown,
}

/// The places where a recorder of ours saw frames, by interface; none of other captures.
#[derive(Debug, Clone, Default)]
pub struct Points(pub(super) Arc<Vec<Option<Arc<Point>>>>);

impl Points {
    /// Where the frames of an interface were seen.
    pub fn get(&self, interface: u32) -> Option<&Arc<Point>> {
        self.0.get(interface as usize)?.as_ref()
    }

    /// The network namespace they were seen in, 0 where that is not known: an inode of 32 bits.
    pub fn netns(&self, interface: u32) -> u32 {
        self.get(interface).map_or(0, |point| point.target.netns as u32)
    }
}

/// Some of a capture: bytes as they stand in it, and the frames among them.
///
/// Rooms after this one may append bytes (reassembled datagrams), so positions stay valid.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Raw bytes of the capture.
    pub bytes: Vec<u8>,
    /// The whole frames among them, in the order of the capture.
    pub frames: Vec<Frame>,
    /// Where they were seen.
    pub points: Points,
}

impl Stretch {
    /// The captured bytes of a frame of this stretch.
    pub fn data(&self, frame: &Frame) -> &[u8] {
        let at = frame.at as usize;
        self.bytes.get(at..at + frame.captured_bytes as usize).unwrap_or_default()
    }
}

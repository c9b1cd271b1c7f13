//! Blocks, appended to bytes; least significant byte first, times in nanoseconds since 1970.

use super::{kind, option};

/// Appends a block; its lengths stand around what `body` appends, which is whole words.
#[inline]
pub fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = ((out.len() + 4 - begin) as u32).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(place) = out.get_mut(begin + 4..begin + 8) {
        place.copy_from_slice(&length);
    }
}

/// Appends an option. A value that is longer than one can be is cut: names and filters are far shorter.
#[inline]
pub fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// Appends the end of options.
#[inline]
pub fn end_of_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

/// A time in the form of blocks: its upper half first (§4.3).
#[inline]
pub fn ticks(time_ns: u64) -> [u8; 8] {
    time_ns.rotate_left(32).to_le_bytes()
}

/// Appends a section header with those options: what follows, up to the next one, is one capture (§4.1).
pub fn section_header(out: &mut Vec<u8>, options: &[(u16, &[u8])]) {
    block(out, kind::SECTION_HEADER, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes()); // In which order our bytes are.
        out.extend_from_slice(&[1, 0, 0, 0]); // Version 1.0.
        out.extend_from_slice(&u64::MAX.to_le_bytes()); // Length of the section: not known.
        if !options.is_empty() {
            all(out, options);
        }
    });
}

/// Appends the description of an interface with those options, and that its times are nanoseconds (§4.2).
pub fn interface(out: &mut Vec<u8>, link_type: u16, snap_bytes: u32, options: &[(u16, &[u8])]) {
    block(out, kind::INTERFACE, |out| {
        out.extend_from_slice(&link_type.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&snap_bytes.to_le_bytes());
        option(out, option::IF_TSRESOL, &[9]);
        all(out, options);
    });
}

/// What the head of an enhanced packet block says beside the length that was kept.
#[derive(Debug, Clone, Copy)]
pub struct PacketHead {
    /// Number of the interface in the section.
    pub interface: u32,
    /// When it was seen.
    pub time_ns: u64,
    /// Its length on the wire.
    pub wire_bytes: u32,
}

/// Appends a packet, whose data lies in two pieces, with the options that `options` appends (§4.3).
#[inline]
pub fn enhanced_packet(out: &mut Vec<u8>, head: PacketHead, data: [&[u8]; 2], options: impl FnOnce(&mut Vec<u8>)) {
    let kept = data[0].len() + data[1].len();
    out.reserve(kept + 64);
    block(out, kind::ENHANCED_PACKET, |out| {
        out.extend_from_slice(&head.interface.to_le_bytes());
        out.extend_from_slice(&ticks(head.time_ns));
        out.extend_from_slice(&(kept as u32).to_le_bytes());
        out.extend_from_slice(&head.wire_bytes.to_le_bytes());
        out.extend_from_slice(data[0]);
        out.extend_from_slice(data[1]);
        pad(out, kept);
        options(out);
    });
}

/// Appends what an interface has counted by `time_ns` (§4.6).
pub fn statistics(out: &mut Vec<u8>, interface: u32, time_ns: u64, options: &[(u16, &[u8])]) {
    block(out, kind::INTERFACE_STATISTICS, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        out.extend_from_slice(&ticks(time_ns));
        all(out, options);
    });
}

fn all(out: &mut Vec<u8>, options: &[(u16, &[u8])]) {
    options.iter().for_each(|(code, value)| option(out, *code, value));
    end_of_options(out);
}

/// Fills up to the next word what has so many bytes.
#[inline]
fn pad(out: &mut Vec<u8>, bytes: usize) {
    out.extend_from_slice([0; 3].get(..bytes.wrapping_neg() % 4).unwrap_or_default());
}

//! The blocks of a pcapng that are written (draft-ietf-opsawg-pcapng), little-endian.

use dissect::read::{Frame, Interface, Stretch};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// From the begin of an enhanced packet block to the bytes of its packet (§4.3).
const ENHANCED_PACKET_HEAD_BYTES: usize = 28;

/// A section of unknown length, written by us.
pub fn section(to: &mut Vec<u8>) {
    block(to, SECTION_HEADER, |to| {
        to.extend(0x1a2b_3c4d_u32.to_le_bytes());
        to.extend(1_u16.to_le_bytes());
        to.extend(0_u16.to_le_bytes());
        to.extend((-1_i64).to_le_bytes());
        option(to, 4, concat!("remora ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(to, 0, &[]);
    });
}

/// An interface with nanosecond times and no snap length.
pub fn interface(to: &mut Vec<u8>, interface: &Interface, node: Option<&str>) {
    block(to, INTERFACE, |to| {
        to.extend(interface.link.map_or(0, |link| link.0).to_le_bytes());
        to.extend([0; 6]);
        if let Some(node) = node {
            option(to, 1, format!("node {node}").as_bytes());
        }
        interface.name.iter().for_each(|name| option(to, 2, name.as_bytes()));
        interface.description.iter().for_each(|description| option(to, 3, description.as_bytes()));
        option(to, 9, &[9]);
        option(to, 0, &[]);
    });
}

/// A packet with its bytes and options as they were.
pub fn packet(to: &mut Vec<u8>, interface: u32, frame: &Frame, stretch: &Stretch) {
    let data = stretch.data(frame);
    block(to, ENHANCED_PACKET, |to| {
        to.extend(interface.to_le_bytes());
        // Times before 1970 have no form: the field has no sign.
        let ts_ns = u64::try_from(frame.ts_ns).unwrap_or_default();
        to.extend(((ts_ns >> 32) as u32).to_le_bytes());
        to.extend((ts_ns as u32).to_le_bytes());
        to.extend((data.len() as u32).to_le_bytes());
        to.extend(frame.wire_bytes.to_le_bytes());
        padded(to, data);
        options(to, frame, stretch).unwrap_or_default();
    });
}

/// Copies the options behind a packet of a pcapng; none where there are none.
fn options(to: &mut Vec<u8>, frame: &Frame, stretch: &Stretch) -> Option<()> {
    let begin = (frame.at as usize).checked_sub(ENHANCED_PACKET_HEAD_BYTES)?;
    let head = stretch.bytes.get(begin..frame.at as usize)?;
    let is_little = head.starts_with(&ENHANCED_PACKET.to_le_bytes());
    if !is_little && !head.starts_with(&ENHANCED_PACKET.to_be_bytes()) {
        return None;
    }
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = stretch.bytes.get(at..)?.first_chunk().copied()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let end = begin.checked_add(u32_at(begin + 4)? as usize)?.checked_sub(4)?;
    // A record of another format may begin alike, but does not end with the same length.
    if u32_at(end)? != u32_at(begin + 4)? || u32_at(begin + 20)? != frame.captured_bytes {
        return None;
    }
    let mut left = stretch.bytes.get(frame.at as usize + padded_bytes(frame.captured_bytes as usize)..end)?;
    let begin = to.len();
    while let Some((&[a, b, c, d], rest)) = left.split_first_chunk::<4>() {
        let u16_of = |bytes| if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        let (code, bytes) = (u16_of([a, b]), usize::from(u16_of([c, d])));
        let (Some(value), Some(behind)) = (rest.get(..bytes), rest.get(padded_bytes(bytes).min(rest.len())..)) else {
            break;
        };
        if code == 0 {
            break;
        }
        let mut value = value.to_vec();
        // epb_flags, epb_dropcount, epb_packetid and epb_queue are numbers; the others are bytes (§4.3).
        if !is_little && matches!(code, 2 | 4 | 5 | 6) {
            value.reverse();
        }
        option(to, code, &value);
        left = behind;
    }
    if to.len() > begin {
        option(to, 0, &[]);
    }
    Some(())
}

fn block(to: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = to.len();
    to.extend(kind.to_le_bytes());
    to.extend([0; 4]);
    body(to);
    let bytes = ((to.len() - begin + 4) as u32).to_le_bytes();
    to.extend(bytes);
    if let Some(length) = to.get_mut(begin + 4..begin + 8) {
        length.copy_from_slice(&bytes);
    }
}

/// An option; a value that is too long for one is cut.
fn option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    to.extend(code.to_le_bytes());
    to.extend((value.len() as u16).to_le_bytes());
    padded(to, value);
}

fn padded(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(bytes);
    to.extend(std::iter::repeat_n(0, padded_bytes(bytes.len()) - bytes.len()));
}

fn padded_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(4)
}

//! IEEE 802.11: frames as they went through the air, and what capture programs put in front of them.
//!
//! Of what is not encrypted, data leads on. Frames in pieces and aggregates are counted: they are made where the air is
//! encrypted, all but always.

use super::walk::{Layer, Turn, Walk, u32_at};

const CUT: Turn = Turn::Refused("cut in a link header");

/// Radiotap (radiotap.org): a header that says its own length, and which fields it has.
pub fn radiotap(walk: &mut Walk<'_>) -> Turn {
    let rest = walk.rest();
    let &[_, _, low, high, ..] = rest else { return CUT };
    let padded = radiotap_flags(rest).is_some_and(|flags| flags & 0x20 != 0);
    walk.skip(u16::from_le_bytes([low, high]).into());
    frame(walk, padded)
}

/// The field of flags, which comes second, behind a time of eight bytes.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    const TIME: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    let words = header.get(4..)?.chunks_exact(4);
    let more = |word: &&[u8]| word.last().is_some_and(|byte| byte & 0x80 != 0);
    let fields_at = 8 + 4 * words.take_while(more).count();
    let present = u32_at(header, 4)?.swap_bytes();
    let flags_at = if present & TIME == 0 { fields_at } else { fields_at.next_multiple_of(8) + 8 };
    if present & FLAGS == 0 { None } else { header.get(flags_at).copied() }
}

/// Of the Prism and AVS drivers: four bytes, then their length, in the order of some machine.
pub fn of_driver(walk: &mut Walk<'_>) -> Turn {
    let Some(length) = u32_at(walk.rest(), 4) else { return CUT };
    walk.skip(length.min(length.swap_bytes()) as usize);
    frame(walk, false)
}

/// A frame from its frame control on (IEEE 802.11 §9.2.4, §9.3.2); `padded` where what follows its header begins at a
/// multiple of four bytes.
pub fn frame(walk: &mut Walk<'_>, padded: bool) -> Turn {
    const BETWEEN_STATIONS: u8 = 3;
    const MORE_FRAGMENTS: u8 = 4;
    const ENCRYPTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    let rest = walk.rest();
    let &[kind, flags, ..] = rest else { return CUT };
    // Version 0, of type data; the subtype may say that there is none.
    if kind & 0x0f != 8 || kind & 0x40 != 0 {
        return Turn::Refused("802.11, no data");
    }
    if flags & ENCRYPTED != 0 {
        return Turn::Refused("802.11, encrypted");
    }
    let mut header_bytes = if flags & BETWEEN_STATIONS == BETWEEN_STATIONS { 30 } else { 24 };
    let Some(sequence) = rest.get(22) else { return CUT };
    if flags & MORE_FRAGMENTS != 0 || sequence & 0x0f != 0 {
        return Turn::Refused("802.11, in pieces");
    }
    // Quality of service: two bytes, and four more where the order bit says so.
    if kind & 0x80 != 0 {
        if rest.get(header_bytes).is_some_and(|control| control & 0x80 != 0) {
            return Turn::Refused("802.11, aggregated");
        }
        header_bytes += if flags & ORDER != 0 { 6 } else { 2 };
    }
    walk.skip(if padded { header_bytes.next_multiple_of(4) } else { header_bytes });
    Turn::Next(Layer::Llc)
}

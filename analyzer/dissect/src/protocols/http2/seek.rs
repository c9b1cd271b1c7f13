//! Where a frame begins, when that is not known: joined in the middle, or after a loss.
//!
//! Any nine bytes might be the header of a frame. Each type weighs as much as it is unlikely by chance, and frames
//! that follow each other weigh together; a header block that names what only requests or responses have, or settings
//! that have values, are enough alone.

use super::hpack;
use super::wire::{self, Frame, HEADER_BYTES, PREFACE, flag, kind};
use crate::protocols::Side;

/// What frames in a row must weigh, and what is enough where the bytes end with a frame.
const WEIGHT_WANTED: u32 = 8;
const WEIGHT_AT_END: u32 = 5;

/// The most that is looked at to be sure: four frames of the usual length, and the header of another.
pub const SEEK_BYTES_MAX: usize = 4 * (HEADER_BYTES + wire::FRAME_BYTES_DEFAULT as usize) + HEADER_BYTES;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Frames, if more of them follow.
    More,
    /// No frames.
    No,
    /// Frames, sent by that side where one can tell.
    Yes(Option<Side>),
}

/// How much one frame tells.
enum Weight {
    /// All that is needed, and who sent it.
    Enough(Option<Side>),
    So(u32),
    /// It is none.
    None,
    /// Its payload is not there whole.
    Wanted,
}

/// Looks whether frames begin at the front of `bytes`. `ends` says that they may end with these bytes.
pub fn frames(bytes: &[u8], ends: bool) -> Verdict {
    let mut rest = bytes;
    let mut weight = 0;
    // The stream whose header block is not at its end.
    let mut open = None;
    if Frame::read(bytes).is_some_and(|frame| frame.kind == kind::DATA && !begins_row(&frame)) {
        return Verdict::No;
    }
    loop {
        if rest.is_empty() && ends && weight >= WEIGHT_AT_END {
            return Verdict::Yes(None);
        }
        let Some(frame) = Frame::read(rest) else {
            return if begins(rest) { Verdict::More } else { Verdict::No };
        };
        if !frame.plausible(rest.get(5).is_some_and(|byte| byte & 0x80 != 0)) {
            return Verdict::No;
        }
        if (frame.kind == kind::CONTINUATION) != open.is_some() || open.is_some_and(|stream| stream != frame.stream) {
            return Verdict::No;
        }
        let of_block = matches!(frame.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION);
        open = (of_block && !frame.has(flag::END_HEADERS)).then_some(frame.stream);
        let payload = rest.get(HEADER_BYTES..).unwrap_or_default();
        match weigh(&frame, payload) {
            Weight::Enough(side) => return Verdict::Yes(side),
            Weight::So(more) => weight += more,
            Weight::None => return Verdict::No,
            Weight::Wanted => return Verdict::More,
        }
        if weight >= WEIGHT_WANTED {
            return Verdict::Yes(None);
        }
        match payload.get(frame.length as usize..) {
            Some(behind) => rest = behind,
            None => return Verdict::More,
        }
    }
}

/// Frames begin at `Ok`; or none do before `Err`, and what follows is not decided. `ends` says that nothing follows.
pub fn next(bytes: &[u8], ends: bool) -> Result<usize, usize> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let preface = rest.len().min(PREFACE.len());
        if rest.get(..preface) == PREFACE.get(..preface) {
            return if preface == PREFACE.len() { Ok(at) } else { Err(at) };
        }
        match frames(rest, ends) {
            Verdict::Yes(_) => return Ok(at),
            Verdict::More if !ends => return Err(at),
            Verdict::More | Verdict::No => at += 1,
        }
    }
    Err(bytes.len())
}

/// Whether DATA may stand first. Four bytes into WINDOW_UPDATE or RST_STREAM begins what looks like an empty one, and
/// their end is where a frame begins indeed; streams of the server are rare, and so are a million of the client's.
fn begins_row(data: &Frame) -> bool {
    data.length > 0 && data.stream % 2 == 1 && data.stream < 1 << 24
}

/// Whether fewer bytes than a header can be the begin of one.
fn begins(front: &[u8]) -> bool {
    let mut padded = [0; HEADER_BYTES];
    padded.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
    let [_, _, _, kind, flags, stream, ..] = padded;
    match front.len() {
        0 => true,
        1..=2 => padded[0] == 0,
        3 => u32::from_be_bytes([0, padded[0], padded[1], padded[2]]) <= wire::FRAME_BYTES_DEFAULT,
        4 => padded[0] == 0 && kind <= kind::CONTINUATION,
        _ => padded[0] == 0 && kind <= kind::CONTINUATION && flags <= 0x2d && stream < 0x80,
    }
}

fn weigh(frame: &Frame, payload: &[u8]) -> Weight {
    let whole = payload.get(..frame.length as usize);
    let checked = |check: fn(&[u8]) -> bool, weight: u32| match whole {
        Some(payload) if check(payload) => Weight::So(weight),
        Some(_) => Weight::None,
        None => Weight::Wanted,
    };
    match frame.kind {
        kind::DATA | kind::CONTINUATION => Weight::So(2),
        kind::HEADERS => match whole {
            Some(payload) => block(wire::headers(frame, payload), frame.has(flag::END_HEADERS), None),
            None => Weight::Wanted,
        },
        kind::PUSH_PROMISE => match whole {
            Some(payload) => {
                let part = wire::promise(frame, payload).filter(|(stream, _)| stream % 2 == 0 && *stream > 0);
                block(part.map(|(_, part)| part), frame.has(flag::END_HEADERS), Some(Side::Server))
            }
            None => Weight::Wanted,
        },
        kind::SETTINGS if frame.length > 0 => match whole {
            Some(payload) if known_settings(wire::settings(payload)) => Weight::Enough(None),
            Some(_) => Weight::None,
            None => Weight::Wanted,
        },
        kind::RST_STREAM => checked(|payload| wire::error_code(payload).is_some_and(|code| code <= 0xd), 5),
        kind::GOAWAY => checked(|payload| wire::goaway(payload).is_some_and(|(_, code, _)| code <= 0xd), 5),
        // An increment of zero is an error (§6.9).
        kind::WINDOW_UPDATE => checked(|payload| matches!(wire::error_code(payload), Some(1..=0x7fff_ffff)), 5),
        _ if whole.is_none() => Weight::Wanted,
        _ => Weight::So(5),
    }
}

/// A header block, or the first part of one.
fn block(part: Option<&[u8]>, whole: bool, sender: Option<Side>) -> Weight {
    // A block without fields is none.
    let part = part.filter(|part| !part.is_empty());
    let Some(outline) = part.and_then(|part| hpack::outline(part, whole)) else { return Weight::None };
    if (outline.request || outline.response) && outline.several {
        return Weight::Enough(sender.or(Some(if outline.request { Side::Client } else { Side::Server })));
    }
    Weight::So(if outline.named || outline.response { 6 } else { 4 })
}

/// Whether these are settings: registered ones have values they may have (§6.5.2), and others, which anybody may add
/// (§6.5.2, RFC 8701), are fewer: gRPC sends 0xfe03.
fn known_settings(settings: impl Iterator<Item = (u16, u32)>) -> bool {
    let (mut known, mut others) = (0, 0);
    for (id, value) in settings {
        let valid = match id {
            2 | 8 | 9 => value <= 1,
            4 => value <= 0x7fff_ffff,
            5 => (wire::FRAME_BYTES_DEFAULT..1 << 24).contains(&value),
            1 | 3 | 6 => true,
            _ => {
                others += 1;
                continue;
            }
        };
        if !valid {
            return false;
        }
        known += 1;
    }
    known > others
}

//! Bytes to the head of a frame (RFC 6455 §5.2): pure and total.

use formats::bytes::Reader;

/// The longest payload of a frame that controls (RFC 6455 §5.5).
pub const CONTROL_BYTES_MAX: u64 = 125;

/// Text a frame needs to be known by it: that many printable letters where a length says so are no chance.
const EVIDENCE_BYTES_MIN: u64 = 8;

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PONG: u8 = 0xa;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whether it is the last frame of its message.
    pub last: bool,
    /// Reserved bits; the first says, where extensions were agreed on, that a message is compressed (RFC 7692 §6).
    pub reserved: u8,
    /// What it carries.
    pub opcode: u8,
    /// What its payload is masked with: of clients alone.
    pub mask: Option<[u8; 4]>,
    /// Length of its payload.
    pub payload_bytes: u64,
    /// Whether a shorter form of the length would have held it.
    pub long: bool,
    /// Bytes it took.
    pub bytes: usize,
}

impl Head {
    /// Whether it carries a message or a part of one.
    pub fn carries(&self) -> bool {
        self.opcode <= BINARY
    }

    /// Whether it controls instead of carrying a message.
    pub fn controls(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// The head at the front, or how many bytes are needed.
pub fn head(bytes: &[u8]) -> Result<Head, usize> {
    let mut input = Reader::new(bytes);
    let first = input.u8().map_err(|_| 2_usize)?;
    let second = input.u8().map_err(|_| 2_usize)?;
    let masked = second & 0x80 != 0;
    let mask_bytes = if masked { 4 } else { 0 };
    let (payload_bytes, long) = match second & 0x7f {
        126 => {
            let length = input.u16_be().map_err(|_| 4 + mask_bytes)?;
            (length.into(), length < 126)
        }
        127 => {
            let length = input.u64_be().map_err(|_| 10 + mask_bytes)?;
            (length, length <= u16::MAX.into())
        }
        length => (length.into(), false),
    };
    let mask = if masked {
        let wanted = input.at() + mask_bytes;
        Some(*input.take(4).ok().and_then(|mask| mask.first_chunk()).ok_or(wanted)?)
    } else {
        None
    };
    Ok(Head {
        last: first & 0x80 != 0,
        reserved: first >> 4 & 7,
        opcode: first & 0x0f,
        mask,
        payload_bytes,
        long,
        bytes: input.at(),
    })
}

/// Undoes the mask of `payload`, which begins `at` bytes into its frame's (RFC 6455 §5.3).
pub fn unmask(payload: &[u8], mask: Option<[u8; 4]>, at: u64) -> impl Iterator<Item = u8> {
    let mask = mask.unwrap_or_default();
    let keys = mask.into_iter().cycle().skip((at % 4) as usize);
    payload.iter().zip(keys).map(|(byte, key)| byte ^ key)
}

/// Whether a frame that nobody would take for anything else stands at the front: a whole text, unbroken, of printable
/// letters, at the end of what is there. Says whether it is masked, which clients alone do.
pub fn evidence(bytes: &[u8]) -> Option<bool> {
    let head = head(bytes).ok()?;
    let payload = bytes.get(head.bytes..)?;
    let usual = head.last && head.reserved == 0 && head.opcode == TEXT && !head.long;
    if !usual || head.payload_bytes < EVIDENCE_BYTES_MIN || head.payload_bytes != payload.len() as u64 {
        return None;
    }
    let text = String::from_utf8(unmask(payload, head.mask, 0).collect()).ok()?;
    let printable = |letter: char| !letter.is_control() || matches!(letter, '\t' | '\n' | '\r');
    text.chars().all(printable).then_some(head.mask.is_some())
}

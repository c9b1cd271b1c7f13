//! Compression of record batches, undone up to a bound.

use crate::limits;
use flate2::bufread::MultiGzDecoder;
use formats::bytes::Reader;
use std::cell::RefCell;
use std::io::Read;
use zstd::zstd_safe::DCtx;

/// Most bytes that come out of one batch. Brokers take batches of 1 MiB unless told otherwise, and text shrinks
/// about tenfold; of the largest that are read it is four times their size. Held for as long as records are read. Of small ones
/// it is what [`limits::unfolded_bytes_max`] says.
pub const DECODED_BYTES_MAX: usize = 16 << 20;

/// The largest window of zstd, 32 MiB: level 20. Past it a decoder would hold up to 2 GiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Memory that a thread keeps for the next batch.
const ZSTD_KEPT_BYTES_MAX: usize = 1 << 20;

/// Bytes there is room for at first, for each coded one.
const ROOM_PER_BYTE: usize = 4;

/// Begins each message of snappy-java's stream format, which Kafka's Java client writes.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";

/// Begins an LZ4 frame.
const LZ4_MAGIC: u32 = 0x184d_2204;

/// Most bytes a block of an LZ4 frame may refer back to.
const LZ4_WINDOW_BYTES: usize = 64 << 10;

/// How records are compressed, by the lowest bits of the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
    Unknown,
}

impl Codec {
    /// By the attributes of a batch or message.
    pub fn of(attributes: u8) -> Self {
        match attributes & 7 {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => Codec::Unknown,
        }
    }

    /// Its name in the configuration of producers.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
            Codec::Unknown => "unknown",
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Decoded {
    /// What was decoded, up to the bound.
    pub bytes: Vec<u8>,
    /// Whether the end was not reached: it failed, or there was more.
    pub cut: bool,
}

/// Undoes the compression of `coded` as far as it goes.
pub fn decode(codec: Codec, coded: &[u8]) -> Decoded {
    let bytes_max = DECODED_BYTES_MAX.min(limits::unfolded_bytes_max(coded.len()));
    match codec {
        Codec::None => Decoded { bytes: coded.to_vec(), cut: false },
        Codec::Gzip => read(MultiGzDecoder::new(coded), coded.len(), bytes_max),
        Codec::Lz4 => lz4(coded, bytes_max),
        Codec::Snappy => snappy(coded, bytes_max),
        Codec::Unknown => Decoded { bytes: Vec::new(), cut: true },
        Codec::Zstd => zstd(coded, bytes_max).unwrap_or(Decoded { bytes: Vec::new(), cut: true }),
    }
}

thread_local! {
    /// Kept from batch to batch: most are small, and to make it costs more than to use it.
    static ZSTD: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

fn zstd(coded: &[u8], bytes_max: usize) -> std::io::Result<Decoded> {
    ZSTD.with_borrow_mut(|context| {
        let mut decoder = zstd::stream::read::Decoder::with_context(coded, context);
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        let decoded = read(decoder, coded.len(), bytes_max);
        if context.sizeof() > ZSTD_KEPT_BYTES_MAX {
            *context = DCtx::create();
        }
        Ok(decoded)
    })
}

fn read(decoder: impl Read, coded_bytes: usize, bytes_max: usize) -> Decoded {
    // Growing copies what is there.
    let room = coded_bytes.saturating_mul(ROOM_PER_BYTE).min(bytes_max) + 1;
    let mut decoded = Decoded { bytes: Vec::with_capacity(room), cut: false };
    let read = decoder.take(bytes_max as u64 + 1).read_to_end(&mut decoded.bytes);
    decoded.cut = read.is_err() || decoded.bytes.len() > bytes_max;
    decoded.bytes.truncate(bytes_max);
    decoded
}

/// Raw, or in the pieces of snappy-java: 8 bytes of magic, two versions, then pieces with their lengths.
fn snappy(coded: &[u8], bytes_max: usize) -> Decoded {
    let mut decoded = Decoded::default();
    let Some(pieces) = coded.strip_prefix(XERIAL_MAGIC) else {
        decoded.cut = snappy_piece(coded, bytes_max, &mut decoded.bytes).is_none();
        return decoded;
    };
    let mut input = Reader::new(pieces);
    decoded.cut = input.skip(8).is_err();
    while !decoded.cut && !input.is_empty() {
        let piece = input.u32_be().and_then(|length| input.take(length as usize));
        let whole = piece.ok().and_then(|piece| snappy_piece(piece, bytes_max, &mut decoded.bytes));
        decoded.cut = whole.is_none();
    }
    decoded
}

fn snappy_piece(piece: &[u8], bytes_max: usize, to: &mut Vec<u8>) -> Option<()> {
    // The length in front is the sender's word: checked before anything is allocated.
    let length = snap::raw::decompress_len(piece).ok()?;
    let before = to.len();
    if length > bytes_max - before {
        return None;
    }
    to.resize(before + length, 0);
    let written = snap::raw::Decoder::new().decompress(piece, to.get_mut(before..)?);
    to.truncate(before + written.as_ref().copied().unwrap_or_default());
    written.ok().map(drop)
}

/// An LZ4 frame. Checksums are not looked at: Kafka's own of the header was wrong until message format 2 (KIP-57).
fn lz4(coded: &[u8], bytes_max: usize) -> Decoded {
    let mut decoded = Decoded::default();
    let mut input = Reader::new(coded);
    // More than one frame is allowed.
    while !input.is_empty() && !decoded.cut {
        decoded.cut = lz4_frame(&mut input, bytes_max, &mut decoded.bytes).is_none();
    }
    decoded
}

fn lz4_frame(input: &mut Reader<'_>, bytes_max: usize, to: &mut Vec<u8>) -> Option<()> {
    if input.u32_le().ok()? != LZ4_MAGIC {
        return None;
    }
    let (flags, descriptor) = (input.u8().ok()?, input.u8().ok()?);
    let has = |bit: u8| flags & 1 << bit != 0;
    input.skip(if has(3) { 8 } else { 0 } + if has(0) { 4 } else { 0 } + 1).ok()?;
    let block_bytes_max = 1usize << (8 + 2 * u32::from(descriptor >> 4 & 7).clamp(4, 7));
    let first = to.len();
    loop {
        let length = input.u32_le().ok()?;
        if length == 0 {
            break;
        }
        let block = input.take((length & 0x7fff_ffff) as usize).ok()?;
        input.skip(if has(4) { 4 } else { 0 }).ok()?;
        let before = to.len();
        let room = block_bytes_max.min(bytes_max - before);
        if length & 0x8000_0000 != 0 {
            to.extend_from_slice(block.get(..block.len().min(room))?);
            if block.len() > room {
                return None;
            }
            continue;
        }
        // Blocks that depend on each other refer to what was decoded of this frame before.
        let window = if has(5) { before } else { first.max(before.saturating_sub(LZ4_WINDOW_BYTES)) };
        let mut block_bytes = vec![0; room.min(unfolded_bytes_max(block.len()))];
        let written =
            lz4_flex::block::decompress_into_with_dict(block, &mut block_bytes, to.get(window..).unwrap_or_default());
        to.extend_from_slice(block_bytes.get(..written.ok()?)?);
    }
    input.skip(if has(2) { 4 } else { 0 }).ok()
}

/// Bytes that may come out of a block of LZ4: each of its own says at most 255 more of them.
fn unfolded_bytes_max(block_bytes: usize) -> usize {
    block_bytes.saturating_mul(255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn text() -> Vec<u8> {
        (0..30_000u32).flat_map(|n| format!("record {} of many;", n % 977).into_bytes()).collect()
    }

    fn coded() -> Vec<(&'static str, Codec, Vec<u8>)> {
        let text = text();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let mut xerial = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for piece in text.chunks(32 << 10) {
            let piece = snap::raw::Encoder::new().compress_vec(piece).unwrap();
            xerial.extend((piece.len() as u32).to_be_bytes());
            xerial.extend(piece);
        }
        let lz4 = |mode| {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_mode(mode)
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .content_checksum(true);
            let mut coder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            coder.write_all(&text).unwrap();
            coder.finish().unwrap()
        };
        let mut wrong_checksum = lz4(lz4_flex::frame::BlockMode::Independent);
        wrong_checksum[6] ^= 0xff;
        vec![
            ("none", Codec::None, text.clone()),
            ("gzip", Codec::Gzip, gzip.finish().unwrap()),
            ("snappy", Codec::Snappy, raw),
            ("snappy in pieces", Codec::Snappy, xerial),
            ("lz4", Codec::Lz4, lz4(lz4_flex::frame::BlockMode::Independent)),
            ("lz4 with linked blocks", Codec::Lz4, lz4(lz4_flex::frame::BlockMode::Linked)),
            ("lz4 of old clients", Codec::Lz4, wrong_checksum),
            ("zstd", Codec::Zstd, zstd::encode_all(text.as_slice(), 1).unwrap()),
        ]
    }

    #[test]
    fn every_codec_is_undone() {
        let text = text();
        for (name, codec, coded) in coded() {
            let decoded = decode(codec, &coded);
            assert!(decoded.bytes == text && !decoded.cut, "{name}: {} bytes", decoded.bytes.len());
        }
    }

    #[test]
    fn what_is_cut_gives_what_is_there() {
        let text = text();
        for (name, codec, coded) in coded() {
            for end in [0, 1, 5, 20, coded.len() / 2, coded.len() - 1] {
                let decoded = decode(codec, &coded[..end]);
                assert!(text.starts_with(&decoded.bytes), "{name} cut at {end}");
                assert!(end < 20 || codec == Codec::None || decoded.cut, "{name} cut at {end}");
            }
        }
    }

    #[test]
    fn what_failed_leaves_nothing_to_the_next() {
        let text = text();
        for (name, codec, coded) in coded() {
            let broken = coded.iter().enumerate().map(|(at, byte)| if at > 40 { !byte } else { *byte });
            decode(codec, &broken.collect::<Vec<_>>());
            decode(codec, &coded[..coded.len() / 2]);
            let decoded = decode(codec, &coded);
            assert!(decoded.bytes == text && !decoded.cut, "{name}");
        }
    }

    #[test]
    fn small_blocks_cost_as_little_as_they_are() {
        for (text, unfolds) in [(&b"a"[..], 1), (&b"abcd".repeat(1 << 20), 4 << 20)] {
            let block = lz4_flex::block::compress(text);
            let room = unfolded_bytes_max(block.len());
            assert!((unfolds..=255 * block.len()).contains(&room), "{room} bytes for {}", block.len());
            let frame = [&LZ4_MAGIC.to_le_bytes()[..], &[0x60, 0x70, 0], &(block.len() as u32).to_le_bytes(), &block];
            let decoded = decode(Codec::Lz4, &[&frame.concat()[..], &[0; 4]].concat());
            assert!(decoded.bytes == text && !decoded.cut);
        }
    }

    #[test]
    fn bombs_stop_at_the_bound() {
        let zeroes = vec![0; DECODED_BYTES_MAX + (1 << 20)];
        let bomb = zstd::encode_all(zeroes.as_slice(), 1).unwrap();
        let mut padded = bomb.clone();
        // A frame that is to be skipped (RFC 8878 §3.1.2).
        padded.extend([0x50, 0x2a, 0x4d, 0x18, 0, 64, 0, 0].into_iter().chain([0; 64 << 8]));
        for (coded, most) in [(&bomb, limits::unfolded_bytes_max(bomb.len())), (&padded, DECODED_BYTES_MAX)] {
            let decoded = decode(Codec::Zstd, coded);
            assert!(decoded.cut && decoded.bytes.len() == most);
        }
        let decoded = decode(Codec::Snappy, &snap::raw::Encoder::new().compress_vec(&zeroes).unwrap());
        assert!(decoded.cut && decoded.bytes.is_empty());
        assert!(decode(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f]).bytes.is_empty());
    }
}

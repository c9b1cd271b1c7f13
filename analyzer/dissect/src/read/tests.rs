mod blocks;

use super::*;
use crate::limits::{BLOCK_BYTES_MAX, STRETCH_BYTES};
use formats::pcapng::kind;
use formats::pcapng::read::{Block, Order};
use proptest::prelude::*;
use std::io::{Cursor, Read};

fn pcap(big_endian: bool, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let word = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut bytes =
        [0xa1b2_c3d4, if big_endian { 0x0002_0004 } else { 0x0004_0002 }, 0, 0, 65535, 1].map(word).concat();
    for (seconds, micros, data) in records {
        bytes.extend([*seconds, *micros, data.len() as u32, data.len() as u32].map(word).concat());
        bytes.extend_from_slice(data);
    }
    bytes
}

fn pcapng_writer(frames: &[Vec<u8>]) -> Vec<u8> {
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    writer
        .write_pcapng_block(InterfaceDescriptionBlock {
            linktype: pcap_file::DataLink::ETHERNET,
            snaplen: 0,
            options: vec![],
        })
        .unwrap();
    for (at, frame) in frames.iter().enumerate() {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: std::time::Duration::from_micros(at as u64 * 10),
            original_len: frame.len() as u32,
            data: frame.into(),
            options: vec![],
        };
        writer.write_pcapng_block(block).unwrap();
    }
    writer.into_inner()
}

/// Gives a byte at a time.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let first = to.len().min(1);
        self.0.read(&mut to[..first])
    }
}

/// A block of a section whose numbers are in little order; `length` where it claims another.
fn block(kind: u32, body: &[u8], length: Option<u32>) -> Vec<u8> {
    let whole = 12 + body.len() as u32;
    [&[kind, length.unwrap_or(whole)].map(u32::to_le_bytes).concat()[..], body, &whole.to_le_bytes()].concat()
}

/// All that is known of a capture.
fn summary(bytes: &[u8]) -> Summary {
    let mut reader = CaptureReader::new("test", Box::new(Cursor::new(bytes.to_vec()))).unwrap();
    while reader.fill(&mut Stretch::default()) {}
    reader.summary().clone()
}

/// Goes through a capture from frame to frame: what is no frame is damage, or a whole block that has none.
fn is_accounted_for(bytes: &[u8]) {
    let mut reader = CaptureReader::new("test", Box::new(Cursor::new(bytes.to_vec()))).unwrap();
    let (mut frames, mut stretch) = (Vec::new(), Stretch::default());
    while reader.fill(&mut stretch) {
        frames.extend(stretch.frames.iter().map(|frame| (frame.file_offset, frame.captured_bytes)));
    }
    let Summary { damage, tally, .. } = reader.summary();
    let is_pcapng = bytes.starts_with(&kind::SECTION_HEADER.to_le_bytes());
    let (mut frames, mut damage) = (frames.iter().peekable(), damage.iter().peekable());
    let (mut at, mut gave_none, mut order) = (if is_pcapng { 0 } else { 24 }, 0, Order::default());
    while at < bytes.len() {
        if let Some(damage) = damage.next_if(|damage| damage.at_byte == at as u64) {
            gave_none += damage.bytes;
            at += damage.bytes as usize;
            continue;
        }
        let frame = frames.next_if(|(offset, _)| *offset == at as u64);
        if !is_pcapng {
            let is_file = bytes[at..].starts_with(&bytes[..8]);
            at += frame.map_or(24, |(_, captured_bytes)| 16 + *captured_bytes as usize);
            assert!(frame.is_some() != is_file, "at byte {at}");
            continue;
        }
        let block = Block::read(&bytes[at..], order).expect("a whole block");
        order = block.body.order;
        assert_eq!(frame.is_some(), kind::has_packet(block.kind), "at byte {at}");
        gave_none += if kind::is_known(block.kind) { 0 } else { block.bytes.len() as u64 };
        at += block.bytes.len();
    }
    assert_eq!((at, frames.next(), damage.next()), (bytes.len(), None, None));
    assert_eq!(tally.total().bytes, gave_none as i64);
}

/// Frames as time and bytes, then the kinds of damage.
fn read(source: Box<dyn Read + Send>) -> (Vec<(i64, Vec<u8>)>, Vec<&'static str>) {
    let mut reader = CaptureReader::new("test", source).unwrap();
    let (mut frames, mut stretch) = (Vec::new(), Stretch::default());
    while reader.fill(&mut stretch) {
        frames.extend(stretch.frames.iter().map(|frame| (frame.ts_ns, stretch.data(frame).to_vec())));
    }
    assert_eq!(reader.summary().packets, frames.len() as u64);
    (frames, reader.summary().damage.iter().map(|damage| damage.kind).collect())
}

fn read_bytes(bytes: &[u8]) -> (Vec<(i64, Vec<u8>)>, Vec<&'static str>) {
    read(Box::new(Cursor::new(bytes.to_vec())))
}

const FRAMES: [&[u8]; 3] = [b"first frame, long enough", b"second frame, long enough", b"third frame, long enough!"];

fn three() -> Vec<u8> {
    pcap(false, &[(7, 1, FRAMES[0]), (8, 2, FRAMES[1]), (9, 3, FRAMES[2])])
}

#[test]
fn both_byte_orders_read_alike() {
    let little = read_bytes(&three());
    assert_eq!(little.0[1], (8_000_002_000, FRAMES[1].to_vec()));
    assert_eq!(little, read_bytes(&pcap(true, &[(7, 1, FRAMES[0]), (8, 2, FRAMES[1]), (9, 3, FRAMES[2])])));
}

#[test]
fn compression_is_told_by_content() {
    let plain = three();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let lz4 = |piece: &[u8]| {
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        std::io::Write::write_all(&mut frame, piece).unwrap();
        frame.finish().unwrap()
    };
    let zstd: Vec<u8> = plain.chunks(30).flat_map(|piece| zstd::encode_all(piece, 1).unwrap()).collect();
    // To be skipped, whatever it holds (RFC 8878 §3.1.2).
    let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let (one, empty, other) = (lz4(&plain[..70]), lz4(b""), lz4(&plain[70..]));
    let lz4s = [&skipped[..], &one, &skipped, &skipped, &empty, &other].concat();
    let skipped_zstd = [&skipped[..], &skipped, &zstd].concat();
    let gzip = gzip.finish().unwrap();
    let padded = [&gzip[..], &[0; 3000]].concat();
    assert_eq!(read_bytes(&[&padded[..], b"no member"].concat()), (read_bytes(&plain).0, vec!["input_broken"]));
    for packed in [gzip, padded, lz4(&plain), lz4s.clone(), zstd.clone(), skipped_zstd] {
        assert_eq!(read_bytes(&packed), read_bytes(&plain));
    }
    let (frames, damage) = read_bytes(&zstd[..zstd.len() - 5]);
    assert_eq!((frames.len(), damage.first()), (2, Some(&"input_broken")));
    // What is behind the break is counted, as it is stored.
    let last = zstd::encode_all(plain.chunks(30).next_back().unwrap(), 1).unwrap();
    let rest = [&vec![0xff; 2 << 20][..], &zstd].concat();
    for (front, skipped) in [(&skipped[..], true), (b"", false)] {
        let cut = rest_bytes([front, &zstd[..zstd.len() - last.len() + 8]].concat());
        assert_eq!(cut, 8, "cut, {skipped}");
        assert_eq!(rest_bytes([front, &zstd, &rest].concat()), rest.len() as u64, "no frame, {skipped}");
    }
    for (broken, frames) in [
        ([&lz4s[..], b"no frame"].concat(), 3),
        ([&lz4s[..], &skipped[..9]].concat(), 3),
        // Cut before the end mark: nothing else would tell of it.
        (lz4s[..lz4s.len() - 4].to_vec(), 3),
        (lz4s[..lz4s.len() - 9].to_vec(), 1),
    ] {
        let (read, damage) = read_bytes(&broken);
        assert_eq!((read.len(), damage.first()), (frames, Some(&"input_broken")));
    }
}

/// Bytes behind the break of a compressed capture.
fn rest_bytes(packed: Vec<u8>) -> u64 {
    let mut reader = CaptureReader::new("test", Box::new(Cursor::new(packed))).unwrap();
    let mut stretch = Stretch::default();
    while reader.fill(&mut stretch) {}
    let broken = reader.summary().damage.iter().find(|damage| damage.kind == "input_broken").unwrap();
    broken.bytes
}

#[test]
fn legacy_frames_of_lz4_are_read() {
    let (plain, magic) = (three(), [0x02, 0x21, 0x4c, 0x18]);
    let block = |piece: &[u8]| {
        let packed = lz4_flex::block::compress(piece);
        [&(packed.len() as u32).to_le_bytes()[..], &packed].concat()
    };
    let whole = [&magic[..], &block(&plain[..70]), &block(&plain[70..90]), &magic, &block(&plain[90..])].concat();
    assert_eq!(read_bytes(&whole), read_bytes(&plain));
    for (broken, frames) in [
        (whole[..whole.len() - 1].to_vec(), 1),
        ([&whole[..], &[1]].concat(), 3),
        ([&whole[..], &[0xff; 9]].concat(), 3),
        ([&whole[..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat(), 3),
    ] {
        let (read, damage) = read_bytes(&broken);
        assert_eq!((read.len(), damage.first()), (frames, Some(&"input_broken")));
    }
}

#[test]
fn damage_costs_what_it_hit() {
    let whole = three();
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 1);
    assert_eq!(read_bytes(&cut).1, ["record_cut"]);
    assert_eq!(read_bytes(&cut).0.len(), 2);
    let mut garbage = whole.clone();
    let second = 24 + 16 + FRAMES[0].len();
    garbage.splice(second..second, [0xff; 50]);
    let (frames, damage) = read_bytes(&garbage);
    assert_eq!((frames.len(), damage), (3, vec!["record_too_long"]));
}

#[test]
fn captures_may_stand_end_to_end() {
    let records = |second: u32| FRAMES.map(|frame| (second, 1, frame));
    let of_link = |link: u8, mut capture: Vec<u8>| {
        capture[20] = link;
        capture
    };
    // Decades apart, of another order of bytes and another link.
    let (first, second) = (three(), of_link(101, pcap(false, &records(1_700_000_000))));
    let third = pcap(true, &records(1_000_000_000));
    let [a, b, c] = [&first, &second, &third].map(|capture| read_bytes(capture).0);
    let three_frames = [&a[..], &b, &c].concat();
    for (name, capture, want) in [
        ("as they are", [&first[..], &second, &third].concat(), vec![]),
        ("behind zeros", [&first[..], &second, &[0; 5000], &third].concat(), vec!["record_bad"]),
        ("behind the begin of a record", [&first[..], &second, &[7; 9], &third].concat(), vec!["record_too_long"]),
    ] {
        let (frames, damage) = read_bytes(&capture);
        assert!(frames == three_frames && damage == want, "{name}: {} frames, {damage:?}", frames.len());
        let links = summary(&capture).interfaces.iter().map(|interface| interface.link).collect::<Vec<_>>();
        assert_eq!(links, [1, 101, 1].map(|link| Some(LinkType(link))), "{name}");
    }
    // Wherever the end of a stretch is within the header.
    for within in [3, 4, 9, 16, 23] {
        let long = vec![0; STRETCH_BYTES / 16 - 16];
        let mut records = [(7, 1, &long[..]); 16];
        records[15].2 = &long[within..];
        let (frames, damage) = read_bytes(&[pcap(false, &records), first.clone()].concat());
        assert!(frames[16..] == a && damage.is_empty(), "{within}: {} frames, {damage:?}", frames.len());
    }
}

#[test]
fn records_longer_than_a_stretch_are_read_whole() {
    let frames = [60, STRETCH_BYTES, 60, BLOCK_BYTES_MAX / 2, 1500, STRETCH_BYTES + 1, 60];
    let frames: Vec<_> = frames.into_iter().enumerate().map(|(at, bytes)| vec![at as u8; bytes]).collect();
    let records: Vec<_> = frames.iter().map(|frame| (7, 0, frame.as_slice())).collect();
    let mut pcap = pcap(false, &records);
    pcap.splice(16..20, (BLOCK_BYTES_MAX as u32).to_le_bytes());
    for capture in [pcapng_writer(&frames), pcap] {
        let (read, damage) = read_bytes(&capture);
        assert!(read.iter().map(|(_, frame)| frame).eq(&frames) && damage.is_empty(), "{damage:?}");
        // However much of the input comes at a time.
        let ends = |input: Box<dyn Read + Send>| {
            let (mut reader, mut stretch) = (CaptureReader::new("test", input).unwrap(), Stretch::default());
            std::iter::from_fn(|| reader.fill(&mut stretch).then_some(stretch.bytes.len())).collect::<Vec<_>>()
        };
        let by_bytes = ends(Box::new(Trickle(Cursor::new(capture.clone()))));
        assert_eq!(ends(Box::new(Cursor::new(capture.clone()))), by_bytes);
        is_accounted_for(&capture);
    }
}

#[test]
fn zeros_are_no_packets() {
    let whole = three();
    let (frames, damage) = read_bytes(&[&whole[..], &[0; 3 * 4096]].concat());
    assert_eq!((frames, damage), (read_bytes(&whole).0, vec!["record_bad"]));
    // An empty frame has a time.
    assert_eq!(read_bytes(&pcap(false, &[(7, 1, b""), (7, 2, b"")])).0.len(), 2);
}

#[test]
fn what_is_no_capture_is_refused() {
    let error = |bytes: &'static [u8]| CaptureReader::new("x", Box::new(bytes)).err().unwrap().to_string();
    assert!(error(b"").contains("is empty"));
    assert!(error(b"\xd4\xc3\xb2\xa1").contains("after 4 bytes"));
    assert!(error(b"PK\x03\x04 something else altogether").contains("0x504b0304"));
}

proptest! {
    #[test]
    fn an_independent_writer_is_read_alike(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let bytes = pcapng_writer(&frames);
        let want: Vec<_> = frames.into_iter().enumerate().map(|(at, frame)| (at as i64 * 10_000, frame)).collect();
        prop_assert_eq!(read_bytes(&bytes), (want, vec![]));
    }

    #[test]
    fn reading_by_the_byte_changes_nothing(at in 0usize..200, byte: u8) {
        let mut bytes = three();
        let last = bytes.len() - 1;
        bytes[at.clamp(24, last)] = byte;
        prop_assert_eq!(read(Box::new(Trickle(Cursor::new(bytes.clone())))), read_bytes(&bytes));
    }

    #[test]
    fn each_byte_is_of_a_frame_or_counted(
        is_pcapng: bool,
        sizes in prop::collection::vec(0usize..300, 1..12),
        changes in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..4),
    ) {
        let frames: Vec<_> = sizes.iter().map(|&size| vec![size as u8; size]).collect();
        let mut capture = if is_pcapng {
            let whole = pcapng_writer(&frames);
            [whole.clone(), block(0x77, &[0; 8], None), block(kind::DECRYPTION_SECRETS, &[0; 16], None), whole].concat()
        } else {
            pcap(false, &frames.iter().map(|frame| (7, 1, &frame[..])).collect::<Vec<_>>()).repeat(2)
        };
        for (at, change) in changes {
            // The file's header stays, and words begin where they begin.
            let at = ((24 + at.index(capture.len() - 23)) & !3).min(capture.len());
            match change {
                Damaged::Cut => capture.truncate(at),
                Damaged::Inserted(bytes) => drop(capture.splice(at..at, bytes)),
                Damaged::Word(word) => capture.iter_mut().skip(at).zip(word.to_le_bytes()).for_each(|(to, byte)| *to = byte),
            }
        }
        is_accounted_for(&capture);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(at in 0usize..400, bytes: Vec<u8>) {
        let mut hostile = pcapng_writer(&[vec![1; 60], vec![2; 60]]);
        let at = at.min(hostile.len());
        hostile.splice(at.., bytes);
        fuzz::fuzz_read(&hostile);
    }
}

/// What happens to a capture.
#[derive(Debug, Clone)]
enum Damaged {
    Cut,
    Inserted(Vec<u8>),
    Word(u32),
}

fn damage() -> impl Strategy<Value = Damaged> {
    let lengths = prop::sample::select(vec![0, 1, 6, 12, 16, 64, 400, 1 << 20, 0x7fff_fff0, u32::MAX]);
    prop_oneof![
        Just(Damaged::Cut),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Damaged::Inserted),
        lengths.prop_map(Damaged::Word),
        any::<u32>().prop_map(Damaged::Word),
    ]
}

/// Records of a second each, and the drops each tells of.
fn snoop(records: &[(&[u8], u32)]) -> Vec<u8> {
    let mut bytes = [&b"snoop\0\0\0"[..], &2_u32.to_be_bytes(), &4_u32.to_be_bytes()].concat();
    for (at, (data, drops)) in records.iter().enumerate() {
        let padded = data.len().next_multiple_of(4);
        let length = data.len() as u32;
        let head = [length + 4, length, 24 + padded as u32, *drops, 1_000_000 + at as u32, 5].map(u32::to_be_bytes);
        bytes.extend(head.as_flattened());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len() + padded - data.len(), 0);
    }
    bytes
}

#[test]
fn snoop_is_read_over_its_padding_and_past_damage() {
    let frames: [&[u8]; 4] = [&[1; 60], &[2; 61], &[3; 62], &[4; 63]];
    let capture = snoop(&frames.map(|frame| (frame, 3)));
    let at = |index: usize| ((1_000_000 + index as i64) * 1_000_000_000 + 5000, frames[index].to_vec());
    let (found, damage) = read(Box::new(Cursor::new(capture.clone())));
    assert_eq!((found, damage), ((0..4).map(at).collect(), vec![]));

    let mut reader = CaptureReader::new("test", Box::new(Cursor::new(capture.clone()))).unwrap();
    let mut stretch = Stretch::default();
    while reader.fill(&mut stretch) {}
    assert_eq!(reader.summary().dropped, Some(3));

    let mut broken = capture;
    broken[16 + 24 + 60 + 4] = 0xff; // The kept length of the second.
    let (found, damage) = read(Box::new(Cursor::new(broken)));
    assert_eq!((found, damage), ([0, 2, 3].map(at).to_vec(), vec!["record_too_long"]));
    assert_eq!(read(Box::new(Cursor::new(snoop(&[])))), (vec![], vec![]));
}

/// Records of Ethernet frames, 1/4 s apart, from interface 1, each after the loss of a packet.
fn erf(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let extension = at == 1;
        let length = (16 + 8 * usize::from(extension) + 2 + frame.len()).next_multiple_of(8);
        bytes.extend((1_700_000_000_u64 << 32 | (at as u64) << 30).to_le_bytes());
        bytes.extend([2 | if extension { 0x80 } else { 0 }, 5]);
        bytes.extend([length as u16, 1, frame.len() as u16].map(u16::to_be_bytes).as_flattened());
        bytes.extend(&[3; 8][..8 * usize::from(extension)]);
        bytes.extend([0, 0]);
        bytes.extend(frame);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

#[test]
fn erf_is_told_by_its_records() {
    let frames: Vec<Vec<u8>> = (0..4).map(|at| vec![at; 60 + usize::from(at)]).collect();
    let capture = erf(&frames);
    let at = |index: usize| (1_700_000_000_000_000_000 + index as i64 * 250_000_000, frames[index].clone());
    assert_eq!(read(Box::new(Cursor::new(capture.clone()))), ((0..4).map(at).collect(), vec![]));
    let (found, damage) = read(Box::new(Cursor::new(capture[..150].to_vec())));
    assert_eq!((found, damage), (vec![at(0)], vec!["record_cut"]));

    let mut reader = CaptureReader::new("test", Box::new(Cursor::new(capture.clone()))).unwrap();
    let mut stretch = Stretch::default();
    while reader.fill(&mut stretch) {}
    let summary = reader.summary();
    assert_eq!(
        (summary.dropped, summary.interfaces.len(), summary.interfaces[1].link),
        (Some(4), 2, Some(LinkType(1)))
    );

    let mut other = capture;
    other[4..8].fill(0xff); // No such year.
    assert!(matches!(CaptureReader::new("test", Box::new(Cursor::new(other))), Err(ReadError::UnknownMagic { .. })));
}

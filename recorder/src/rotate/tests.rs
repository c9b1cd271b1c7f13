//! Segments as they are written, read back by another program's reader, and cut anywhere.

use super::blocks::Remarks;
use super::{Batch, Compression, Filling, OpenSegment, SegmentOptions, Sieve, Took, UNBOUNDED, Untold, Writer, blocks};
use crate::capture::block::tests::block;
use crate::capture::{Interface, Interfaces, Link, Numbers, Packet, Packets, Selection, Tally};
use crate::clock::Moment;
use crate::disk::SystemDisk;
use crate::recover::scan::scan;
use crate::simulation::clock::SimClock;
use formats::hash::Hash256;
use formats::pcapng::{Point, Target};
use formats::seal::{EndReason, Volume};
use jiff::Timestamp;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::opt_common::{CommonOption, UnknownOption};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const FRAME: [u8; 60] = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0forty-six bytes of payload, or nearly so...___";

fn packet(hardware: u16, vlan: Option<(u16, u16)>) -> Packet<'static> {
    let network_at = if hardware == libc::ARPHRD_NONE { 0 } else { 14 };
    Packet {
        time_ns: 1_795_525_509_123_456_789,
        wire_bytes: 100,
        frame: &FRAME,
        network_at,
        vlan,
        flags: libc::TP_STATUS_CSUMNOTREADY,
        link: Link {
            protocol: 0x0800,
            interface_index: 3,
            hardware,
            direction: libc::PACKET_OUTGOING,
            address_bytes: 6,
            address: [2, 0, 0, 0, 0, 1, 0, 0],
        },
    }
}

/// All blocks of a section, as pcap-file reads them.
pub(crate) fn read(bytes: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(bytes).expect("a section");
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        found.push(block.expect("a block").0.into_owned());
    }
    found
}

#[test]
fn frames_begin_as_their_link_type_says() {
    let tagged = [&FRAME[..12], &[0x88, 0xa8, 0x60, 0x05], &FRAME[12..]].concat();
    let cooked = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 32, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0], &FRAME[14..]].concat();
    for (hardware, vlan, link_type, want, wire) in [
        (libc::ARPHRD_ETHER, None, 1, &FRAME[..], 100),
        (libc::ARPHRD_LOOPBACK, None, 1, &FRAME[..], 100),
        (libc::ARPHRD_ETHER, Some((0x88a8, 0x6005)), 1, &tagged[..], 104),
        (libc::ARPHRD_NONE, None, 101, &FRAME[..], 100),
        (32, Some((0x8100, 5)), 276, &cooked[..], 106),
    ] {
        let target = Target { netns: 7, name: Some("web".into()), ..Target::default() };
        let point = Point { target, interface: "eth0".into(), alias: Some("to the left".into()) };
        let interface = Interface { index: 3, hardware, point: point.clone().into() };
        let mut out = Vec::new();
        blocks::section_header(&mut out);
        blocks::interface_description(&mut out, &interface, 262_144, Some("port 80"));
        let bytes = blocks::enhanced_packet(&mut out, 0, &packet(hardware, vlan), Remarks { dropped: 7, id: Some(9) });
        assert_eq!((bytes.kept as usize, bytes.wire), (want.len(), wire));
        let [Block::InterfaceDescription(interface), Block::EnhancedPacket(packet)] = &read(&out)[..] else {
            panic!("two blocks behind the header")
        };
        assert_eq!(u32::from(interface.linktype), link_type);
        assert!(interface.options.contains(&InterfaceDescriptionOption::IfName("web/eth0".into())));
        assert!(interface.options.contains(&InterfaceDescriptionOption::IfDescription(point.description().into())));
        assert_eq!((&packet.data[..], packet.original_len), (want, wire), "{hardware} {vlan:?}");
        assert_eq!(packet.timestamp, Duration::from_nanos(1_795_525_509_123_456_789));
        let flags = 2 | 1 << 9; // Outbound, checksum not ready.
        assert!(packet.options.contains(&EnhancedPacketOption::Flags(flags)), "{:?}", packet.options);
        assert!(packet.options.contains(&EnhancedPacketOption::DropCount(7)), "{:?}", packet.options);
        let nine = 9u64.to_le_bytes();
        let id = CommonOption::Unknown(UnknownOption::new(5, &nine));
        assert!(packet.options.contains(&EnhancedPacketOption::Common(id)), "{:?}", packet.options);
    }
}

fn options(folder: &tempfile::TempDir, compression: Compression) -> SegmentOptions {
    SegmentOptions {
        last_sequence: 0,
        folder: folder.path().to_owned(),
        bytes_max: 1000,
        age_max: Duration::from_secs(10),
        compression,
        snap_bytes: 262_144,
        filter: None,
    }
}

/// That many seconds after the begin.
fn now(second: u64) -> Moment {
    Moment { steady: Duration::from_secs(second), ..Moment::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_525_500 + second).expect("a time")
}

/// A batch of frames as they come from the ring, after the kernel did what `tally` says.
pub(crate) fn batch(interfaces: &mut Interfaces, frames: &[Vec<u8>], tally: Tally, second: i64) -> Batch {
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let (header, content) = block(&frames);
    let mut filling = Filling::new(Vec::new());
    let mut numbers = Numbers::new(Default::default(), Vec::new(), &Selection::Any, interfaces);
    filling.account(tally, numbers.target());
    let took = filling.take(
        &mut Packets::new(&header, &content),
        u64::MAX,
        (&mut numbers, interfaces, &mut Sieve::new(None, false)),
        &mut 0,
    );
    assert_eq!(took, Took::All, "it is far from full");
    filling.hand_over(interfaces, at(second), Vec::new())
}

#[test]
fn a_budget_ends_within_a_batch() {
    let (header, content) = block(&[&[0; 60][..]; 5]);
    // 64 bytes are kept of each, for it had a tag.
    for (left, written, spent) in [
        (UNBOUNDED, 5, None),
        (Volume { packets: 6, ..UNBOUNDED }, 5, None),
        (Volume { packets: 5, ..UNBOUNDED }, 5, Some(EndReason::PacketBudget)),
        (Volume { packets: 2, ..UNBOUNDED }, 2, Some(EndReason::PacketBudget)),
        (Volume { bytes: 3 * 64 + 63, ..UNBOUNDED }, 3, Some(EndReason::ByteBudget)),
        (Volume { bytes: 4 * 64, ..UNBOUNDED }, 4, Some(EndReason::ByteBudget)),
        (Volume { packets: 9, bytes: 63 }, 0, Some(EndReason::ByteBudget)),
    ] {
        let (mut filling, mut interfaces) = (Filling::new(Vec::new()), Interfaces::default());
        let mut numbers = Numbers::new(Default::default(), Vec::new(), &Selection::Any, &mut interfaces);
        let mut sieve = Sieve::new(None, false);
        sieve.bound(left);
        let described = (&mut numbers, &mut interfaces, &mut sieve);
        let took = filling.take(&mut Packets::new(&header, &content), u64::MAX, described, &mut 0);
        assert_eq!((took, sieve.spent()), (Took::All, spent.as_ref()), "{left:?}");
        let counts = *filling.counts();
        assert_eq!((counts.seen.packets, counts.written.packets), (5, written), "{left:?}");
        assert_eq!(counts.sampled, Volume { packets: 5 - written, bytes: (5 - written) * 69 }, "{left:?}");
        let batch = filling.hand_over(&interfaces, at(0), Vec::new());
        assert_eq!(batch.blocks.len() as u64, written * 108, "{left:?}");
    }
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 14..200), 1..12)
}

#[test]
fn a_writer_gives_up_after_a_while_without_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimClock::new();
    let mut writer = Writer::new(Arc::new(SystemDisk), options(&folder, Compression::None), Arc::new(clock.clone()));
    let mut interfaces = Interfaces::default();
    let mut write = |second| {
        let over = writer.write(&mut batch(&mut interfaces, &[vec![7; 60]], Tally::default(), second));
        clock.pass(if second == 2 { 20_000 } else { 1000 });
        (over.is_some(), writer.has_given_up(), writer.counts().dropped.disk.packets)
    };
    let path = folder.path().to_owned();
    std::fs::remove_dir(&path).unwrap();
    assert_eq!([write(0), write(1)], [(false, false, 1); 2]);
    std::fs::create_dir(&path).unwrap();
    assert_eq!(write(2), (false, false, 0));
    // Its age is over.
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(write(3), (true, false, 1));
    let tries: Vec<bool> = (4..10).map(|second| write(second).1).collect();
    assert_eq!(tries, [false, false, false, false, true, true]);
}

proptest! {
    #[test]
    fn a_segment_cut_anywhere_is_whole_up_to_its_last_batch(
        batches in prop::collection::vec(frames(), 1..6), cut in 0.0f64..=1.0, zstd: bool
    ) {
        let folder = tempfile::tempdir().unwrap();
        let compression = if zstd { Compression::Zstd } else { Compression::None };
        let options = options(&folder, compression);
        let mut interfaces = Interfaces::default();
        let mut segment = OpenSegment::begin(&SystemDisk, 1, 0, now(0), &options).unwrap();
        // What is whole once so many bytes are there: bytes, packets, drops.
        let mut whole = vec![(0, 0, 0)];
        let (mut packets, mut drops) = (0, 0);
        for (number, frames) in batches.iter().enumerate() {
            let tally = Tally { passed_packets: 0, dropped_packets: 2, refused_packets: 3 };
            let mut batch = batch(&mut interfaces, frames, tally, number as i64);
            packets += frames.len() as u64;
            drops += 2;
            prop_assert_eq!(batch.counts.seen.packets, frames.len() as u64 + 5);
            segment.write(&mut batch, &mut Untold::default(), &options);
            whole.push((std::fs::metadata(segment.path()).unwrap().len(), packets, drops));
        }
        let finished = segment.finish().unwrap();
        let bytes = std::fs::read(&finished.path).unwrap();
        prop_assert_eq!((finished.file.bytes, finished.file.sha256), (bytes.len() as u64, Hash256::of(&bytes)));
        prop_assert_eq!(finished.counts.written.packets, packets);

        let left = &bytes[..(bytes.len() as f64 * cut) as usize];
        let scanned = scan(left, compression).unwrap();
        let kept = &left[..scanned.bytes as usize];
        prop_assert_eq!(scanned.sha256, Hash256::of(kept).0);
        let (_, least, drops) = *whole.iter().rev().find(|(end, ..)| *end <= left.len() as u64).unwrap();
        // Without compression every block counts, not only every batch.
        prop_assert!(scanned.counts.written.packets == least || (!zstd && scanned.counts.written.packets > least));
        prop_assert!(scanned.counts.dropped.kernel_packets == drops || !zstd);
        let plain = if zstd && !kept.is_empty() { zstd::decode_all(kept).unwrap() } else { kept.to_vec() };
        let read = if plain.is_empty() { Vec::new() } else { read(&plain) };
        let data: Vec<_> = read.iter().filter_map(|block| block.as_enhanced_packet()).map(|packet| packet.data.to_vec()).collect();
        let want: Vec<Vec<u8>> = batches.concat().iter().map(|frame| [&frame[..12], &[0x88, 0xa8, 0, 123], &frame[12..]].concat()).collect();
        prop_assert_eq!(&data[..], &want[..scanned.counts.written.packets as usize]);
    }
}

#[test]
fn a_segment_ends_by_size_by_age_and_with_its_interfaces() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, Compression::None);
    let mut interfaces = Interfaces::default();
    let mut begin = |second| batch(&mut interfaces, &[vec![0; 60]], Tally::default(), second);
    let (mut small, later, mut large) = (begin(1), begin(-3600), begin(2));
    let idle = Batch { counts: Default::default(), times_ns: None, blocks: Vec::new(), ..begin(99) };
    let mut segment = OpenSegment::begin(&SystemDisk, 1, 0, now(0), &options).unwrap();
    assert!(!segment.is_over(&idle, now(99), &options), "nothing is in it");
    segment.write(&mut small, &mut Untold::default(), &options);
    assert!(!segment.is_over(&begin(9), now(9), &options));
    assert!(segment.is_over(&later, now(10), &options), "ten seconds old, whatever the time of day");
    assert!(segment.is_over(&Batch { list: 1, ..begin(2) }, now(2), &options), "other interfaces");
    large.blocks.resize(1000, 0);
    segment.write(&mut large, &mut Untold::default(), &options);
    assert!(segment.is_over(&begin(3), now(3), &options), "a thousand bytes");
}

#[test]
fn what_the_disk_does_not_take_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, Compression::None);
    let mut interfaces = Interfaces::default();
    let mut segment = OpenSegment::begin(&SystemDisk, 1, 0, now(0), &options).unwrap();
    let mut untold = Untold::default();
    segment.write(&mut batch(&mut interfaces, &[vec![0; 60]], Tally::default(), 1), &mut untold, &options);
    let file = segment.swap_file(Box::new(std::fs::File::options().write(true).open("/dev/full").unwrap()));
    let tally = Tally { passed_packets: 0, dropped_packets: 1, refused_packets: 0 };
    segment.write(&mut batch(&mut interfaces, &[vec![0; 60], vec![0; 60]], tally, 2), &mut untold, &options);
    assert!(
        segment.is_over(&batch(&mut interfaces, &[], Tally::default(), 3), now(3), &options),
        "to be sealed at once"
    );
    segment.swap_file(file);
    let counts = segment.finish().unwrap().counts;
    assert_eq!((counts.seen.packets, counts.written), (1, Volume { packets: 1, bytes: 64 }));
    // The next one tells, in its file too: what is known only here is lost with the process.
    assert_eq!((untold.counts.seen.packets, untold.counts.dropped.kernel_packets), (3, 1));
    assert_eq!(untold.counts.dropped.disk, Volume { packets: 2, bytes: 2 * (60 + 4 + 9) });
    assert_eq!(
        (untold.targets.0.len(), untold.targets.sum()),
        (1, untold.counts.dropped),
        "of the one target there is"
    );
    let mut segment = OpenSegment::begin(&SystemDisk, 2, 0, now(3), &options).unwrap();
    segment.write(&mut batch(&mut interfaces, &[], Tally::default(), 3), &mut untold, &options);
    assert!(untold.is_empty());
    let scanned = scan(&std::fs::read(segment.path()).unwrap()[..], Compression::None).unwrap();
    assert_eq!((scanned.counts.dropped.disk.packets, scanned.counts.dropped.kernel_packets), (2, 1));
    let finished = segment.finish().unwrap();
    assert_eq!(finished.counts.dropped.disk, Volume { packets: 2, bytes: 2 * (60 + 4 + 9) });
    assert_eq!(finished.targets.sum(), finished.counts.dropped);
}

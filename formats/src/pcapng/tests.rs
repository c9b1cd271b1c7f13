use super::read::{Block, EnhancedPacket, NotWhole, Order, Statistics};
use super::{kind, option, write};
use pcap_file::pcapng::PcapNgReader;
use proptest::prelude::*;

const NS: u64 = 1_767_225_600_123_456_789;

fn capture(data: &[u8], comment: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write::section_header(&mut out, &[(option::SHB_USERAPPL, b"remora")]);
    write::interface(&mut out, 1, 96, &[(option::IF_NAME, b"eth0")]);
    let head = write::PacketHead { interface: 0, time_ns: NS, wire_bytes: data.len() as u32 + 4 };
    let (front, back) = data.split_at(data.len() / 2);
    write::enhanced_packet(&mut out, head, [front, back], |out| {
        write::option(out, option::COMMENT, comment.as_bytes());
        write::end_of_options(out);
    });
    write::statistics(&mut out, 0, NS, &[(option::ISB_OSDROP, &7_u64.to_le_bytes())]);
    out
}

fn blocks(mut bytes: &[u8]) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    while !bytes.is_empty() {
        let order = found.last().map_or(Order::Big, |block| block.body.order);
        found.push(Block::read(bytes, order).expect("what was written is whole"));
        bytes = &bytes[found.last().map_or(0, |block| block.bytes.len())..];
    }
    found
}

proptest! {
    /// What was written is read again, by us and by others.
    #[test]
    fn a_packet_comes_back(data in prop::collection::vec(any::<u8>(), 0..70), comment in "\\PC{0,9}") {
        let capture = capture(&data, &comment);
        let found = blocks(&capture);
        let kinds: Vec<u32> = found.iter().map(|block| block.kind).collect();
        prop_assert_eq!(kinds, [kind::SECTION_HEADER, kind::INTERFACE, kind::ENHANCED_PACKET, kind::INTERFACE_STATISTICS]);
        let packet = EnhancedPacket::read(found[2].body).unwrap();
        prop_assert_eq!((packet.ticks, packet.data, packet.wire_bytes), (NS, &data[..], data.len() as u32 + 4));
        let said: Vec<(u16, String)> = packet.options.options().map(|(code, value)| (code, value.text())).collect();
        prop_assert_eq!(said, [(option::COMMENT, comment)]);
        let statistics = Statistics::read(found[3].body).unwrap();
        let counts: Vec<_> = statistics.options.options().map(|(code, mut value)| (code, value.u64())).collect();
        prop_assert_eq!((statistics.ticks, counts), (NS, vec![(option::ISB_OSDROP, Ok(7))]));

        let mut other = PcapNgReader::new(&capture[..]).unwrap();
        let mut others = 0;
        while let Some(block) = other.next_block() {
            if let Some(packet) = block.unwrap().0.into_enhanced_packet() {
                prop_assert_eq!(packet.data.as_ref(), &data[..]);
            }
            others += 1;
        }
        prop_assert_eq!(others, 3);
    }

    /// Wherever a capture ends, the last block is missed and the others are not.
    #[test]
    fn a_cut_block_is_not_whole(cut in 1_usize..60) {
        let capture = capture(b"0123456789", "");
        let last = blocks(&capture)[3].bytes;
        let cut = &last[..last.len() - cut.min(last.len())];
        let found = Block::read(cut, Order::Little).map(|_| ());
        let partly = NotWhole::Partly { kind: kind::INTERFACE_STATISTICS, bytes: last.len() as u32 };
        prop_assert_eq!(found, Err(if cut.len() < 8 { NotWhole::Short } else { partly }));
    }

    /// Hostile bytes are walked to their end.
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(4), Just(16), any::<u8>()], 0..96)) {
        for order in [Order::Little, Order::Big] {
            let at = Block::find(&bytes, order);
            prop_assert!(at.is_none_or(|at| Block::read(&bytes[at..], order).is_ok()));
            if let Ok(block) = Block::read(&bytes, order) {
                prop_assert!(block.bytes.len() <= bytes.len());
                prop_assert!(block.body.options().count() <= bytes.len());
                let _ = (EnhancedPacket::read(block.body), Statistics::read(block.body));
            }
        }
    }
}

mod fragments;

use super::tests_support::decode_and_balance;
use super::*;
use crate::read::{Frame, LinkType, Stretch};
use etherparse::PacketBuilder;
use proptest::prelude::*;

fn stretch(link: u16, frames: &[Vec<u8>]) -> Stretch {
    let mut stretch = Stretch::default();
    for (at, frame) in frames.iter().enumerate() {
        stretch.frames.push(Frame {
            number: at as u64 + 1,
            ts_ns: at as i64,
            at: stretch.bytes.len() as u32,
            captured_bytes: frame.len() as u32,
            wire_bytes: frame.len() as u32,
            link: LinkType(link),
            interface: 0,
            heard: Default::default(),
            file_offset: 0,
        });
        stretch.bytes.extend_from_slice(frame);
    }
    stretch
}

/// A line a packet: transport, tunnel, VLAN, payload.
fn decode(link: u16, frames: &[Vec<u8>]) -> String {
    let mut stretch = stretch(link, frames);
    let packets = decode_and_balance(&mut Decoder::default(), &mut stretch);
    let show = |packet: &Packet| {
        let payload = &stretch.bytes[packet.payload_at as usize..][..packet.payload_bytes as usize];
        let what = if packet.carrier { "carrier".into() } else { String::from_utf8_lossy(payload).into_owned() };
        let (from, to) =
            if packet.from_low { (packet.key.low, packet.key.high) } else { (packet.key.high, packet.key.low) };
        format!(
            "{}:{}>{} v{} {:?} {what}",
            packet.key.protocol.0, from.port, to.port, packet.key.vlan, packet.key.tunnel
        )
    };
    packets.iter().filter(|packet| packet.piece_of.is_none()).map(show).collect::<Vec<_>>().join(", ")
}

fn write(builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

fn udp(to: u16, payload: &[u8]) -> Vec<u8> {
    write(PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).udp(7, to), payload)
}

/// A frame of IEEE 802.11: its frame control, what stands behind its addresses, the packet.
fn wifi(control: &[u8], more: &[u8], ip: &[u8]) -> Vec<u8> {
    [control, &[0; 22], more, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], ip].concat()
}

#[test]
fn links_and_tunnels() {
    let plain = udp(53, b"hi");
    let ip = plain[14..].to_vec();
    let front = |front: &[u8], rest: &[u8]| [front, rest].concat();
    let tagged = write(
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .double_vlan(5.try_into().unwrap(), 6.try_into().unwrap())
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
            .udp(7, 53),
        b"hi",
    );
    let ip_over = |protocol, inner: &[u8]| {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9);
        let mut frame = Vec::new();
        builder.write(&mut frame, etherparse::IpNumber(protocol), inner).unwrap();
        frame
    };
    let want = "17:7>53 v0 None hi";
    for (name, link, frame, want) in [
        ("ethernet", 1, plain.clone(), want),
        ("padding is no payload", 1, front(&plain, &[0; 20]), want),
        ("raw ip", 101, ip.clone(), want),
        ("null, little endian", 0, front(&[2, 0, 0, 0], &ip), want),
        ("loop", 108, front(&[0, 0, 0, 2], &ip), want),
        ("cooked", 113, front(&[0; 14], &front(&[8, 0], &ip)), want),
        ("cooked, version 2", 276, front(&front(&[8, 0], &[0; 18]), &ip), want),
        ("ppp", 9, front(&[0xff, 3, 0, 0x21], &ip), want),
        ("hdlc as ppp", 9, front(&[0x0f, 0, 8, 0], &ip), want),
        ("ppp on a serial line", 50, front(&[0xff, 3, 0, 0x21], &ip), want),
        ("hdlc on a serial line", 50, front(&[0x0f, 0, 8, 0], &ip), want),
        ("mpls", 219, front(&[0, 1, 0x01, 9], &ip), want),
        (
            "netfilter log",
            239,
            [&[2, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0][..], &(4 + ip.len() as u16).to_le_bytes(), &[9, 0], &ip].concat(),
            want,
        ),
        ("two tags, the inner one counts", 1, tagged, "17:7>53 v6 None hi"),
        (
            "vxlan",
            1,
            udp(4789, &front(&[8, 0, 0, 0, 0, 0, 42, 0], &plain)),
            "17:7>4789 v0 None carrier, 17:7>53 v0 Vxlan(42) hi",
        ),
        ("not vxlan", 1, udp(4789, b"x"), "17:7>4789 v0 None x"),
        (
            "geneve with options",
            1,
            udp(6081, &front(&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 9, 9, 9, 9], &plain)),
            "17:7>6081 v0 None carrier, 17:7>53 v0 Geneve(7) hi",
        ),
        (
            "gtp-u",
            1,
            udp(2152, &front(&[0x30, 0xff, 0, 0, 0, 0, 0, 1], &ip)),
            "17:7>2152 v0 None carrier, 17:7>53 v0 Gtp hi",
        ),
        (
            "gre with key",
            1,
            ip_over(47, &front(&[0x20, 0, 8, 0, 0, 0, 0, 5], &ip)),
            "47:0>0 v0 None carrier, 17:7>53 v0 Gre hi",
        ),
        (
            "erspan 2",
            1,
            ip_over(47, &front(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0], &plain)),
            "47:0>0 v0 None carrier, 17:7>53 v0 Erspan hi",
        ),
        (
            "erspan 3",
            1,
            ip_over(47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20][..], &[0; 10], &[1], &[0; 8], &plain].concat()),
            "47:0>0 v0 None carrier, 17:7>53 v0 Erspan hi",
        ),
        (
            "erspan 3, of ip alone",
            1,
            ip_over(47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20][..], &[0; 9], &[8, 0], &ip].concat()),
            "47:0>0 v0 None carrier, 17:7>53 v0 Erspan hi",
        ),
        ("udp-lite", 1, ip_over(136, b"\0\x07\0\x35\0\0\0\0hi"), "136:7>53 v0 None hi"),
        ("dccp", 1, ip_over(33, b"\0\x07\0\x35\x04\0\0\0\0\0\0\0\0\0\0\0hi"), "33:7>53 v0 None hi"),
        ("sctp", 1, ip_over(132, b"\0\x07\0\x35\0\0\0\0\0\0\0\0hi"), "132:7>53 v0 None hi"),
        ("authenticated", 1, ip_over(51, &front(&[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &ip[20..])), want),
        ("ip in ip", 1, ip_over(4, &ip), "4:0>0 v0 None carrier, 17:7>53 v0 IpIp hi"),
        ("ip in ip, by its old number", 1, ip_over(94, &ip), "94:0>0 v0 None carrier, 17:7>53 v0 IpIp hi"),
        ("labels in ip", 1, ip_over(137, &front(&[0, 1, 1, 9], &ip)), "137:0>0 v0 None carrier, 17:7>53 v0 Mpls hi"),
        (
            "labels in udp",
            1,
            udp(6635, &front(&[0, 1, 0, 9, 0, 2, 1, 9], &ip)),
            "17:7>6635 v0 None carrier, 17:7>53 v0 Mpls hi",
        ),
        (
            "tzsp",
            1,
            udp(37008, &front(&[1, 0, 0, 1, 10, 1, 9, 0, 1], &plain)),
            "17:7>37008 v0 None carrier, 17:7>53 v0 Tzsp hi",
        ),
        (
            "ayiya",
            1,
            udp(5072, &front(&[0x20, 0x10, 0x01, 4, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], &ip)),
            "17:7>5072 v0 None carrier, 17:7>53 v0 Ayiya hi",
        ),
        ("flannel's udp", 1, udp(8285, &ip), "17:7>8285 v0 None carrier, 17:7>53 v0 Gue hi"),
        (
            "gue with a header",
            1,
            udp(6080, &front(&[1, 4, 0, 0, 0, 0, 0, 9], &ip)),
            "17:7>6080 v0 None carrier, 17:7>53 v0 Gue hi",
        ),
        ("no gue", 1, udp(6080, b"Ehi"), "17:7>6080 v0 None Ehi"),
        (
            "capwap",
            1,
            udp(5247, &front(&[0, 0x10, 2, 0, 0, 0, 0, 0], &plain)),
            "17:7>5247 v0 None carrier, 17:7>53 v0 Capwap hi",
        ),
        (
            "capwap of 802.11",
            1,
            udp(5247, &front(&[0, 0x10, 3, 0, 0, 0, 0, 0], &wifi(&[8, 1], &[], &ip))),
            "17:7>5247 v0 None carrier, 17:7>53 v0 Capwap hi",
        ),
        (
            "a register message",
            1,
            ip_over(103, &front(&[0x21, 0, 0, 0, 0, 0, 0, 0], &ip)),
            "103:0>0 v0 None carrier, 17:7>53 v0 Pim hi",
        ),
        (
            "macsec that hides nothing",
            1,
            [&plain[..12], &[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1], &[0; 8], &plain[12..], &[7; 16]].concat(),
            want,
        ),
        ("macsec", 1, [&plain[..12], &[0x88, 0xe5, 0x2c, 0, 0, 0, 0, 1], &[0; 8], &plain[12..]].concat(), ""),
        (
            "wccp",
            1,
            ip_over(47, &front(&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &ip)),
            "47:0>0 v0 None carrier, 17:7>53 v0 Gre hi",
        ),
        ("hdlc with direction", 205, front(&[1, 0x0f, 0, 8, 0], &ip), want),
        ("frame relay with direction", 206, front(&[0, 0x18, 0x41, 3, 0xcc], &ip), want),
        ("fibre channel", 122, front(&[&[0; 16][..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat(), &ip), want),
        ("atm", 123, front(&[2, 0, 0, 5, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip), want),
        ("atm, emulating a lan", 123, front(&[1, 0, 0, 5, 0, 1], &plain), want),
        ("an analyzer's header", 240, front(&[0; 4], &plain), want),
        ("an analyzer's header and preamble", 241, front(&[0; 12], &plain), want),
        ("pktap", 258, front(&[&[14, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0][..], b"xx"].concat(), &plain), want),
        ("pktap in pktap", 258, [[12, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0]; 3].concat(), ""),
        ("slip", 8, front(&[0; 16], &ip), want),
        ("classical ip over atm", 106, front(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip), want),
        ("classical ip over atm, at once", 106, ip.clone(), want),
        ("between zones", 226, front(&[0; 24], &ip), want),
        ("infiniband", 242, front(&[&[0; 40][..], &[8, 0, 0, 0]].concat(), &ip), want),
        ("a tag of broadcom", 281, front(&[0; 16], &plain[12..]), want),
        ("a tag of broadcom in front", 282, front(&[0; 4], &plain), want),
        ("a tag of marvell", 283, [&[0; 12][..], &[0xc0, 0, 0, 0], &plain[12..]].concat(), want),
        (
            "a tag of marvell for that of a vlan",
            284,
            [&[0; 12][..], &[0xda, 0xda, 0, 0, 0xe0, 0, 0, 5], &plain[12..]].concat(),
            "17:7>53 v5 None hi",
        ),
        ("juniper", 178, front(b"MGC\x80\x00\x03\x01\x01\x00", &plain), want),
        ("juniper, ppp", 179, front(b"MGC\x01\xff\x03\x00\x21", &ip), want),
        ("juniper, hdlc", 181, front(b"MGC\x01\x0f\x00\x08\x00", &ip), want),
        ("juniper, link header taken off", 178, front(b"MGC\x02\x00\x00\x00\x02", &ip), want),
        ("nothing of juniper", 178, front(&[0; 4], &plain), ""),
        ("802.11", 105, wifi(&[8, 1], &[], &ip), want),
        ("802.11 between stations", 105, wifi(&[8, 3], &[0; 6], &ip), want),
        ("802.11 with quality of service", 105, wifi(&[0x88, 2], &[7, 0], &ip), want),
        ("802.11 with all there is", 105, wifi(&[0x88, 0x83], &[0; 12], &ip), want),
        ("802.11 without data", 105, wifi(&[0x48, 1], &[], &ip), ""),
        ("802.11, a beacon", 105, wifi(&[0x80, 0], &[], &ip), ""),
        ("802.11, encrypted", 105, wifi(&[8, 0x41], &[], &ip), ""),
        ("802.11, aggregated", 105, wifi(&[0x88, 2], &[0x80, 0], &ip), ""),
        ("radiotap", 127, front(&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &wifi(&[8, 1], &[], &ip)), want),
        (
            "radiotap, padded",
            127,
            [&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0][..], &[0; 12], &[0x20], &wifi(&[0x88, 2], &[0; 4], &ip)]
                .concat(),
            want,
        ),
        ("prism", 119, [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136], &wifi(&[8, 1], &[], &ip)].concat(), want),
        ("avs", 163, [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &wifi(&[8, 1], &[], &ip)].concat(), want),
        ("arp", 1, front(&[0; 12], &[8, 6, 0, 0]), ""),
        ("nothing", 1, vec![], ""),
    ] {
        assert_eq!(decode(link, &[frame]), want, "{name}");
    }
}

proptest! {
    #[test]
    fn agrees_with_etherparse(tcp: bool, v6: bool, vlan in 0u16..3, ports: (u16, u16), seq: u32, payload in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assume!(![4789, 8472, 6081, 2152].contains(&ports.1));
        let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let mut frame = Vec::new();
        let write = |step: etherparse::PacketBuilderStep<etherparse::IpHeaders>, frame: &mut Vec<u8>| {
            if tcp { step.tcp(ports.0, ports.1, seq, 9).options_raw(&[3, 3, 7, 0]).unwrap().write(frame, &payload).unwrap() }
            else { step.udp(ports.0, ports.1).write(frame, &payload).unwrap() }
        };
        match (vlan, v6) {
            (0, false) => write(link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9), &mut frame),
            (0, true) => write(link.ipv6([1; 16], [2; 16], 9), &mut frame),
            (id, false) => write(link.single_vlan(id.try_into().unwrap()).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9), &mut frame),
            (id, true) => write(link.single_vlan(id.try_into().unwrap()).ipv6([1; 16], [2; 16], 9), &mut frame),
        }
        let mut stretch = stretch(1, &[frame]);
        let packets = decode_and_balance(&mut Decoder::default(), &mut stretch);
        prop_assert_eq!(packets.len(), 1);
        let packet = packets[0];
        let got = &stretch.bytes[packet.payload_at as usize..][..packet.payload_bytes as usize];
        prop_assert_eq!(got, &payload[..]);
        prop_assert_eq!(packet.key.vlan, vlan);
        if let Transport::Tcp(header) = packet.transport {
            prop_assert_eq!((header.seq, header.window, header.window_scale), (seq, 9, Some(7)));
        }
    }

    #[test]
    fn any_bytes_are_counted_once(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::fuzz_decode(&bytes);
    }
}

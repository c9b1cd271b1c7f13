//! Packets in tunnels, in pieces, and what has no IP in it.

use super::*;
use crate::capture::Link;
use proptest::prelude::*;

const LINK: Link =
    Link { protocol: 0x0800, interface_index: 1, hardware: 1, direction: 0, address_bytes: 0, address: [0; 8] };

fn packet(hardware: u16, protocol: u16, frame: &[u8]) -> Packet<'_> {
    let network_at = if hardware == libc::ARPHRD_ETHER { 14 } else { 0 };
    let link = Link { hardware, protocol, ..LINK };
    Packet { time_ns: 0, wire_bytes: 0, frame, network_at, vlan: None, flags: 0, link }
}

fn flow_at(flows: &mut Flows, hardware: u16, protocol: u16, frame: &[u8]) -> Option<u64> {
    flows.of(&packet(hardware, protocol, frame))
}

/// The ends of what is inside of a frame.
fn carried(frame: &[u8]) -> Option<Ends> {
    let packet = packet(1, 0x0800, frame);
    Flows::default().carried(&packet, Ends::of(&packet).as_ref())
}

fn flow(frame: &[u8]) -> Option<u64> {
    flow_at(&mut Flows::default(), 1, 0x0800, frame)
}

fn eth(kind: u16, content: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), content].concat()
}

/// Between two hosts of a network, `back` or there, as the fragment that `place` says.
fn fragment(net: u8, back: bool, protocol: u8, place: u16, content: &[u8]) -> Vec<u8> {
    let [high, low] = place.to_be_bytes();
    let [from, to] = if back { [2, 1] } else { [1, 2] };
    let head = [0x45, 0, 0, 0, 7, 7, high, low, 64, protocol, 0, 0, net, 0, 0, from, net, 0, 0, to];
    [&head, content].concat()
}

fn ip4(net: u8, back: bool, protocol: u8, content: &[u8]) -> Vec<u8> {
    fragment(net, back, protocol, 0x4000, content)
}

fn ip6(back: bool, protocol: u8, content: &[u8]) -> Vec<u8> {
    let ends = if back { [2, 1] } else { [1, 2] };
    let addresses = ends.map(|end| [&[0xfd; 15][..], &[end]].concat()).concat();
    [&[0x60, 0, 0, 0, 0, 0, protocol, 64][..], &addresses, content].concat()
}

fn transport(from: u16, to: u16, content: &[u8]) -> Vec<u8> {
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0; 4], content].concat()
}

/// A connection's packet.
fn tcp(back: bool) -> Vec<u8> {
    let [from, to] = if back { [80, 8080] } else { [8080, 80] };
    ip4(192, back, 6, &transport(from, to, &[0; 12]))
}

/// In UDP between two nodes: its source port is another for each direction.
fn udp(back: bool, port: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
    let from = if back { 50_000 } else { 40_000 };
    eth(0x0800, &ip4(10, back, 17, &transport(from, port, &[header, content].concat())))
}

const VXLAN: [u8; 8] = [0x08, 0, 0, 0, 0, 0, 7, 0];

#[test]
fn both_directions_are_one_flow_however_they_are_carried() {
    type Carry = fn(bool, &[u8]) -> Vec<u8>;
    let carriers: [(&str, Carry); 20] = [
        ("plain", |_, ip| eth(0x0800, ip)),
        ("802.1Q in 802.1ad", |_, ip| eth(0x88a8, &[&[0, 1, 0x81, 0, 0, 2, 8, 0], ip].concat())),
        ("MPLS", |_, ip| eth(0x8847, &[&[0, 1, 0, 64, 0, 2, 1, 64], ip].concat())),
        ("Ethernet in MPLS", |_, ip| eth(0x8847, &[&[0, 1, 1, 64, 0, 0, 0, 0][..], &eth(0x0800, ip)].concat())),
        ("PPPoE", |_, ip| eth(0x8864, &[&[0x11, 0, 0, 1, 0, 9, 0, 0x21], ip].concat())),
        ("IP in IP", |back, ip| eth(0x0800, &ip4(10, back, 4, ip))),
        ("IP in IPv6", |back, ip| eth(0x86dd, &ip6(back, 4, ip))),
        ("6in4", |back, ip| eth(0x0800, &ip4(10, back, 41, &ip6(back, 4, ip)))),
        ("GRE", |back, ip| eth(0x0800, &ip4(10, back, 47, &[&[0, 0, 8, 0], ip].concat()))),
        ("GRE with a key", |back, ip| eth(0x0800, &ip4(10, back, 47, &[&[0x20, 0, 8, 0, 0, 0, 0, 9], ip].concat()))),
        ("Ethernet in GRE", |back, ip| {
            eth(0x0800, &ip4(10, back, 47, &[&[0, 0, 0x65, 0x58][..], &eth(0x0800, ip)].concat()))
        }),
        ("ERSPAN", |back, ip| {
            eth(0x0800, &ip4(10, back, 47, &[&[0x10, 0, 0x88, 0xbe][..], &[0; 12], &eth(0x0800, ip)].concat()))
        }),
        ("EtherIP", |back, ip| eth(0x0800, &ip4(10, back, 97, &[&[0x30, 0][..], &eth(0x0800, ip)].concat()))),
        ("VXLAN", |back, ip| udp(back, 4789, &VXLAN, &eth(0x0800, ip))),
        ("VXLAN of Linux, tagged", |back, ip| udp(back, 8472, &VXLAN, &eth(0x8100, &[&[0, 5, 8, 0], ip].concat()))),
        ("VXLAN GPE", |back, ip| udp(back, 4790, &[0x0c, 0, 0, 1, 0, 0, 7, 0], ip)),
        ("Geneve", |back, ip| udp(back, 6081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 1, 0, 0], &eth(0x0800, ip))),
        ("GUE", |back, ip| udp(back, 6080, &[0, 4, 0, 0], ip)),
        ("flannel", |back, ip| udp(back, 8285, &[], ip)),
        ("MPLS in UDP", |back, ip| udp(back, 6635, &[0, 1, 1, 64], ip)),
    ];
    let want = flow(&eth(0x0800, &tcp(false)));
    assert!(want.is_some());
    for (name, carry) in carriers {
        for back in [false, true] {
            let (frame, plain) = (carry(back, &tcp(back)), eth(0x0800, &tcp(back)));
            assert_eq!(flow(&frame), want, "{name}, back: {back}");
            let inside = Ends::of(&packet(1, 0x0800, &plain)).filter(|_| name != "plain");
            assert_eq!(carried(&frame), inside, "{name}, back: {back}");
        }
    }
    let mut flows = Flows::default();
    assert_eq!(flow_at(&mut flows, libc::ARPHRD_NONE, 0x0800, &tcp(true)), want, "a link without a header");
    assert_eq!(flow_at(&mut flows, libc::ARPHRD_PPP, 0x0800, &tcp(true)), want, "one we do not know");
    let about = |kind: u8| ip4(10, true, 1, &[&[kind, 1, 0, 0, 0, 0, 0, 0][..], &tcp(false)].concat());
    assert_eq!(flow(&eth(0x0800, &about(3))), want, "an error is of what it is about");
    assert_ne!(flow(&eth(0x0800, &about(8))), want, "an echo is of its addresses");
    assert_eq!(carried(&eth(0x0800, &about(3))), None, "it is not what it is about");
    assert_eq!(carried(&udp(false, 53, &VXLAN, &eth(0x0800, &tcp(false)))), None, "no port of tunnels");
}

#[test]
fn others_are_other_flows() {
    let frames = [
        eth(0x0800, &tcp(false)),
        eth(0x0800, &ip4(192, false, 17, &transport(8080, 80, &[]))),
        eth(0x0800, &ip4(192, false, 6, &transport(8081, 80, &[]))),
        eth(0x0800, &ip4(192, false, 1, &transport(8080, 80, &[]))),
        eth(0x86dd, &ip6(false, 6, &transport(8080, 80, &[]))),
        udp(false, 53, &VXLAN, &eth(0x0800, &tcp(false))),
    ];
    let mut known: Vec<_> = frames.iter().map(|frame| flow(frame).unwrap()).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), frames.len());
}

#[test]
fn what_cannot_be_seen_into_goes_by_the_addresses_around_it() {
    let arp = eth(0x0806, &[0; 28]);
    let there = udp(false, 4789, &VXLAN, &arp);
    assert_eq!(flow(&arp), None);
    assert!(flow(&there).is_some());
    for cut in [there.len(), 64, 50, 42] {
        assert_eq!(flow(&there[..cut]), flow(&udp(true, 4789, &VXLAN, &arp)[..cut]), "{cut} bytes");
    }
    // A node in itself without end.
    let mut nested = tcp(false);
    (0..100).for_each(|_| nested = ip4(10, false, 4, &nested));
    assert_eq!(flow(&eth(0x0800, &nested)), flow(&eth(0x0800, &ip4(10, true, 4, &[]))));
}

#[test]
fn fragments_are_of_the_flow_of_their_datagram() {
    const FIRST: u16 = 0x2000;
    const LAST: u16 = 0x0010;
    let query = flow(&eth(0x0800, &ip4(10, false, 17, &transport(5353, 53, &[]))));
    let answer = transport(53, 5353, &[0; 200]);
    let (first, last) = (fragment(10, true, 17, FIRST, &answer), fragment(10, true, 17, LAST, &[7; 100]));
    let mut flows = Flows::default();
    let mut flow_of = |ip: &[u8]| flow_at(&mut flows, 1, 0x0800, &eth(0x0800, ip));
    assert_ne!(flow_of(&last), query, "the first was not seen");
    assert_eq!(flow_of(&first), query);
    assert_eq!(flow_of(&last), query);
    assert_ne!(flow_of(&fragment(11, true, 17, LAST, &[7; 100])), query, "of another datagram");
    // In a tunnel the pieces behind the first show nothing of what is inside.
    let inside = flow(&eth(0x0800, &tcp(false)));
    let tunnel = transport(40_000, 4789, &[&VXLAN[..], &eth(0x0800, &tcp(false))].concat());
    assert_eq!(flow_of(&fragment(12, false, 17, FIRST, &tunnel)), inside);
    assert_eq!(flow_of(&fragment(12, false, 17, LAST, &[7; 100])), inside);
    let piece = |place: u8, content: &[u8]| {
        eth(0x86dd, &ip6(true, 44, &[&[17, 0, 0, place, 0, 0, 0, 9][..], content].concat()))
    };
    let whole = flow(&eth(0x86dd, &ip6(false, 17, &transport(5353, 53, &[]))));
    let mut flows = Flows::default();
    for (place, content) in [(1, &answer[..]), (0x40, &[7; 100]), (0, &answer[..])] {
        assert_eq!(flow_at(&mut flows, 1, 0x86dd, &piece(place, content)), whole, "{place:#x}");
    }
}

proptest! {
    #[test]
    fn whatever_is_there_has_a_flow_or_none(bytes: Vec<u8>, kind in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8847, 0x8864])) {
        super::fuzz::fuzz_flow(&bytes);
        flow(&eth(kind, &bytes));
        carried(&udp(false, 4789, &VXLAN, &bytes));
        flow(&eth(0x0800, &ip4(10, false, 47, &bytes)));
    }
}

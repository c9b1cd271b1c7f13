//! Link headers: what stands before IP.

use super::walk::{Layer, Turn, Walk, u16_at, u32_at};
use super::{devices, wifi};
use crate::read::LinkType;
use std::ops::Range;

const CUT: Turn = Turn::Refused("cut in a link header");

/// The header a link type says is first (link-layer header types registry).
pub fn link(walk: &mut Walk<'_>, link: LinkType) -> Turn {
    let rest = walk.rest();
    match link.0 {
        // LINKTYPE_NULL and LINKTYPE_LOOP: an address family in the order of some machine.
        0 | 108 => family(walk, u32_at(rest, 0), 4),
        1 => Turn::Next(Layer::Ethernet),
        // Token ring and FDDI: addresses behind a byte or two, then IEEE 802.2. Source routes are not undone.
        6 | 10 => {
            walk.skip(if link.0 == 6 { 14 } else { 13 });
            Turn::Next(Layer::Llc)
        }
        // ARCNET; of Linux, two bytes more.
        7 => devices::arcnet(walk, 2),
        129 => devices::arcnet(walk, 4),
        8 => devices::slip(walk),
        // Cisco's HDLC stands under PPP's numbers too: its address, then zero, is no protocol of PPP (RFC 1661 §2).
        9 | 50 if matches!(rest, [0x0f | 0x8f, 0, ..]) => after(walk, 2),
        9 | 50 | 204 => {
            // LINKTYPE_PPP_WITH_DIR has a byte for the direction in front.
            walk.skip(usize::from(link.0 == 204));
            Turn::Next(Layer::Ppp)
        }
        // PPPoE from its own header on.
        51 => Turn::Next(Layer::EtherType(0x8864)),
        // RFC 2684 routed or bridged, as IEEE 802.2 says.
        100 => Turn::Next(Layer::Llc),
        // OpenBSD's IPsec interface: family in the order of some machine, SPI, flags.
        109 => family(walk, u32_at(rest, 0), 12),
        // IP over Fibre Channel (RFC 2625 §3): two addresses of eight bytes.
        122 => {
            walk.skip(16);
            Turn::Next(Layer::Llc)
        }
        123 => devices::sun_atm(walk),
        // Packet filter logs: the header says its own length, rounded up; the address family follows.
        117 => match rest {
            [length, family, ..] => {
                walk.skip(usize::from(*length).next_multiple_of(4));
                ip_family((*family).into())
            }
            _ => CUT,
        },
        12 | 14 | 101 | 228 | 229 => Turn::Next(Layer::Ip),
        // Cisco HDLC: address, control, EtherType; 0x8035 is its keep-alive.
        104 => after(walk, 2),
        205 => after(walk, 3),
        // Frame relay (RFC 2427): two or more address bytes, control 3, then NLPID or EtherType.
        107 => frame_relay(walk),
        206 => {
            walk.skip(1);
            frame_relay(walk)
        }
        105 => wifi::frame(walk, false),
        106 => devices::classical_ip(walk),
        119 | 163 => wifi::of_driver(walk),
        127 => wifi::radiotap(walk),
        // Of `any` the kind of packet and its sender's address tell interfaces apart, for their index is not there.
        113 => cooked(walk, 14, 16, 0..12),
        // The index of the interface, its kind and that of the packet.
        276 => cooked(walk, 0, 20, 4..11),
        // Juniper's header, and then Ethernet, PPP, frame relay, Cisco HDLC.
        178 => devices::juniper(walk, LinkType(1)),
        179 => devices::juniper(walk, LinkType(9)),
        180 => devices::juniper(walk, LinkType(107)),
        181 => devices::juniper(walk, LinkType(104)),
        192 => ppi(walk),
        219 => Turn::Next(Layer::Mpls),
        // Between zones of Solaris: version, family, lengths, interfaces, zones.
        226 => {
            walk.skip(24);
            Turn::Next(Layer::Ip)
        }
        239 => nflog(walk),
        // Hilscher's analyzers put four bytes in front of Ethernet, and may keep its preamble.
        240 | 241 => {
            walk.skip(if link.0 == 240 { 4 } else { 12 });
            Turn::Next(Layer::Ethernet)
        }
        242 => devices::infiniband(walk),
        258 => pktap(walk),
        281 => devices::broadcom(walk),
        282 => {
            walk.skip(4);
            Turn::Next(Layer::Ethernet)
        }
        283 => devices::marvell(walk, 0),
        // With an EtherType of its own and two bytes of zero.
        284 => devices::marvell(walk, 4),
        _ => Turn::Refused("unsupported link type"),
    }
}

fn family(walk: &mut Walk<'_>, family: Option<u32>, header_bytes: usize) -> Turn {
    let Some(family) = family else { return CUT };
    walk.skip(header_bytes);
    ip_family(family.min(family.swap_bytes()))
}

/// Address families of IPv4 and IPv6 on the systems there are.
fn ip_family(family: u32) -> Turn {
    match family {
        2 | 10 | 24 | 28 | 30 => Turn::Next(Layer::Ip),
        _ => Turn::Refused("not ip: address family"),
    }
}

/// Ethernet II or IEEE 802.3.
pub fn ethernet(walk: &mut Walk<'_>) -> Turn {
    walk.skip(12);
    walk.typed()
}

/// IEEE 802.2, with SNAP where it says so (RFC 1042).
pub fn llc(walk: &mut Walk<'_>) -> Turn {
    match walk.rest() {
        [0xaa, 0xaa, 3, _, _, _, high, low, ..] => {
            let kind = u16::from_be_bytes([*high, *low]);
            walk.skip(8);
            Turn::Next(Layer::EtherType(kind))
        }
        [0x42, 0x42, ..] => Turn::Refused("stp"),
        [6, 6, 3, ..] => {
            walk.skip(3);
            Turn::Next(Layer::Ip)
        }
        // RFC 2684 §5.1: a network protocol by NLPID.
        [0xfe, 0xfe, 3, 0xcc | 0x8e, ..] => {
            walk.skip(4);
            Turn::Next(Layer::Ip)
        }
        [0xfe, 0xfe, 3, 0xcf, ..] => {
            walk.skip(4);
            Turn::Next(Layer::Ppp)
        }
        [_, _, _, ..] => Turn::Refused("not ip: llc"),
        _ => CUT,
    }
}

/// What stands behind an EtherType (IEEE 802 numbers registry).
pub fn ether_type(walk: &mut Walk<'_>, kind: u16) -> Turn {
    match kind {
        0x0800 | 0x86dd => Turn::Next(Layer::Ip),
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => match walk.take::<2>() {
            None => CUT,
            Some(tag) => {
                let vlan = u16::from_be_bytes(tag) & 0x0fff;
                walk.around.vlan = if vlan == 0 { walk.around.vlan } else { vlan };
                walk.typed()
            }
        },
        0x8847 | 0x8848 => Turn::Next(Layer::Mpls),
        // PPPoE session (RFC 2516 §4): version, code, session, length.
        0x8864 => match walk.take::<6>() {
            None => CUT,
            Some([.., high, low]) => {
                walk.limit(u16::from_be_bytes([high, low]).into());
                Turn::Next(Layer::Ppp)
            }
        },
        // 802.1BR: E-tag of six bytes; Cisco's VN-tag of four; its metadata, which says its own length in four bytes.
        0x893f => after(walk, 6),
        0x8926 => after(walk, 4),
        0x8909 => match walk.rest().get(1) {
            Some(&words) => after(walk, 2 + usize::from(words.max(1)) * 4),
            None => CUT,
        },
        // FabricPath: a tag, then the frame from its addresses on.
        0x8903 => {
            walk.skip(2);
            Turn::Next(Layer::Ethernet)
        }
        // Backbone bridging (IEEE 802.1Q §9.7): a tag with the service, then the customer's frame.
        0x88e7 => {
            walk.skip(4);
            Turn::Next(Layer::Ethernet)
        }
        0x894f => Turn::Next(Layer::Nsh),
        // Transparent Ethernet bridging; 0x0001 is how cooked captures say 802.3 with LLC missing.
        0x6558 => Turn::Next(Layer::Ethernet),
        0x0004 => Turn::Next(Layer::Llc),
        0x880b => Turn::Next(Layer::Ppp),
        0x0806 | 0x8035 => Turn::Refused("arp"),
        0x8863 => Turn::Refused("not ip: pppoe discovery"),
        0x88cc => Turn::Refused("lldp"),
        0x8809 => Turn::Refused("not ip: slow protocols"),
        0x888e => Turn::Refused("not ip: 802.1x"),
        0x88e5 => macsec(walk),
        _ => Turn::Refused("not ip: other ethertype"),
    }
}

/// A tag with a number and what proves the frame (IEEE 802.1AE §9); where it hides nothing, the frame's own type follows.
fn macsec(walk: &mut Walk<'_>) -> Turn {
    const CHANGED: u8 = 0x0c;
    const CHANNEL: u8 = 0x20;
    const PROOF_BYTES: usize = 16;
    let Some([control, short, ..]) = walk.take::<6>() else { return CUT };
    if control & CHANGED != 0 {
        return Turn::Refused("not ip: macsec");
    }
    walk.skip(if control & CHANNEL != 0 { 8 } else { 0 });
    match short & 0x3f {
        0 => {
            let held_bytes = walk.rest().len() + walk.cut_bytes as usize;
            walk.limit(held_bytes.saturating_sub(PROOF_BYTES));
        }
        short => walk.limit(short.into()),
    }
    walk.typed()
}

/// A label stack; what follows is told by its first four bits (RFC 4928 §3, RFC 4385 §3).
pub fn mpls(walk: &mut Walk<'_>) -> Turn {
    loop {
        let Some([_, _, bottom, _]) = walk.take::<4>() else { return CUT };
        if bottom & 1 == 1 {
            break;
        }
    }
    match walk.rest().first().map(|byte| byte >> 4) {
        None => CUT,
        Some(4 | 6) => Turn::Next(Layer::Ip),
        Some(0) => {
            // A pseudowire's control word.
            walk.skip(4);
            Turn::Next(Layer::Ethernet)
        }
        Some(_) => Turn::Next(Layer::Ethernet),
    }
}

/// A network service header (RFC 8300 §2.2): its length in words of four bytes, and what follows.
pub fn nsh(walk: &mut Walk<'_>) -> Turn {
    let [_, length, _, next, ..] = *walk.rest() else { return CUT };
    walk.skip(usize::from(length & 0x3f).max(1) * 4);
    match next {
        1 | 2 => Turn::Next(Layer::Ip),
        3 => Turn::Next(Layer::Ethernet),
        4 => Turn::Next(Layer::Nsh),
        5 => Turn::Next(Layer::Mpls),
        _ => Turn::Refused("not ip: service header"),
    }
}

/// PPP: address and control may be there or not, the protocol is one byte or two (RFC 1661 §2, §6.5).
pub fn ppp(walk: &mut Walk<'_>) -> Turn {
    if walk.rest().starts_with(&[0xff, 3]) {
        walk.skip(2);
    }
    let protocol = match walk.rest() {
        [odd, ..] if odd & 1 == 1 => {
            let protocol = u16::from(*odd);
            walk.skip(1);
            protocol
        }
        [high, low, ..] => {
            let protocol = u16::from_be_bytes([*high, *low]);
            walk.skip(2);
            protocol
        }
        _ => return CUT,
    };
    match protocol {
        0x0021 | 0x0057 => Turn::Next(Layer::Ip),
        0x0281 | 0x0283 => Turn::Next(Layer::Mpls),
        0x8000.. => Turn::Refused("not ip: ppp control"),
        _ => Turn::Refused("not ip: ppp"),
    }
}

fn after(walk: &mut Walk<'_>, bytes: usize) -> Turn {
    match u16_at(walk.rest(), bytes) {
        None => CUT,
        Some(kind) => {
            walk.skip(bytes + 2);
            Turn::Next(Layer::EtherType(kind))
        }
    }
}

/// Of Linux, in place of a link header: an EtherType, and `device`, where the frame was seen.
fn cooked(walk: &mut Walk<'_>, kind_at: usize, header_bytes: usize, device: Range<usize>) -> Turn {
    let rest = walk.rest();
    match (u16_at(rest, kind_at), rest.get(device), rest.len() >= header_bytes) {
        (Some(kind), Some(device), true) => {
            // FNV-1a.
            let mixed = |mixed: u32, byte: &u8| (mixed ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
            walk.around.device = device.iter().fold(0x811c_9dc5, mixed);
            walk.skip(header_bytes);
            Turn::Next(Layer::EtherType(kind))
        }
        _ => CUT,
    }
}

fn frame_relay(walk: &mut Walk<'_>) -> Turn {
    let Some(address_bytes) = walk.rest().iter().take(4).position(|byte| byte & 1 == 1) else { return CUT };
    walk.skip(address_bytes + 1);
    match walk.rest() {
        [3, 0xcc | 0x8e, ..] => {
            walk.skip(2);
            Turn::Next(Layer::Ip)
        }
        [3, 0x80, ..] | [3, 0, 0x80, ..] => {
            let pad = usize::from(walk.rest().get(1) == Some(&0));
            walk.skip(2 + pad + 3);
            after(walk, 0)
        }
        [3, ..] => Turn::Refused("not ip: frame relay"),
        // Cisco's form: an EtherType at once.
        [_, _, ..] => after(walk, 0),
        _ => CUT,
    }
}

/// Of macOS: a header that says its length, and the link type of the packet behind it.
fn pktap(walk: &mut Walk<'_>) -> Turn {
    let Some([l0, l1, l2, l3, _, _, _, _, link_low, link_high, 0, 0]) = walk.rest().first_chunk::<12>().copied() else {
        return if walk.rest().len() < 12 { CUT } else { Turn::Refused("unsupported link type") };
    };
    let link = u16::from_le_bytes([link_low, link_high]);
    if link == 258 {
        return Turn::Refused("unsupported link type");
    }
    walk.skip(u32::from_le_bytes([l0, l1, l2, l3]) as usize);
    Turn::Next(Layer::Link(LinkType(link)))
}

/// Per-packet information: a header of its own length, then what its link type says.
fn ppi(walk: &mut Walk<'_>) -> Turn {
    let rest = walk.rest();
    let (Some(length), Some(link)) = (rest.get(2..4), rest.get(4..8)) else { return CUT };
    let length = length.try_into().map_or(0, u16::from_le_bytes);
    let link = link.try_into().map_or(0, u32::from_le_bytes) as u16;
    if length < 8 || link == 192 {
        return Turn::Refused("unsupported link type");
    }
    walk.skip(length.into());
    Turn::Next(Layer::Link(LinkType(link)))
}

/// Linux netfilter log: family, version, resource, then attributes, one of which is the packet.
fn nflog(walk: &mut Walk<'_>) -> Turn {
    let Some([family, ..]) = walk.take::<4>() else { return CUT };
    // Of a bridge (7) too the packet begins with what is above Ethernet.
    if !matches!(family, 2 | 7 | 10) {
        return Turn::Refused("not ip: netfilter family");
    }
    while let Some([length_low, length_high, kind_low, kind_high]) = walk.take::<4>() {
        let length = usize::from(u16::from_le_bytes([length_low, length_high]));
        let Some(value_bytes) = length.checked_sub(4) else { break };
        // NFULA_PAYLOAD.
        if u16::from_le_bytes([kind_low, kind_high]) == 9 {
            walk.limit(value_bytes);
            return Turn::Next(Layer::Ip);
        }
        walk.skip(value_bytes.next_multiple_of(4));
    }
    CUT
}

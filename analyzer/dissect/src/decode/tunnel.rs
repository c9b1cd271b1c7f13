//! Tunnels: what is inside a packet is a packet again.

use super::packet::Tunnel;
use super::walk::{Layer, Turn, Walk, u16_at};
use crate::read::LinkType;

const CUT: Turn = Turn::Refused("cut in a tunnel header");

/// What an IP protocol carries, where it is a tunnel.
pub fn over_ip(walk: &mut Walk<'_>, protocol: u8) -> Option<Turn> {
    match protocol {
        // IP in IP, IPv6 in IP (RFC 2003, 2473, 4213); 94 is how it was called before.
        4 | 41 | 94 => Some(enter(walk, Tunnel::IpIp, 0, Layer::Ip)),
        47 => gre(walk),
        // EtherIP (RFC 3378): two bytes of version.
        97 => Some(enter(walk, Tunnel::IpIp, 2, Layer::Ethernet)),
        // A register message that is none of those without a packet (RFC 7761 §4.9.3).
        103 => match walk.rest() {
            [0x21, _, _, _, flags, ..] if flags & 0x40 == 0 => Some(enter(walk, Tunnel::Pim, 8, Layer::Ip)),
            _ => None,
        },
        137 => Some(enter(walk, Tunnel::Mpls, 0, Layer::Mpls)),
        _ => None,
    }
}

/// What a datagram carries, where one of its ports is a tunnel's and it looks like one. The source port of most
/// tunnels is a hash of what is inside; some answer from the port they listen on.
pub fn over_udp(walk: &mut Walk<'_>, ports: (u16, u16)) -> Option<Turn> {
    let rest = walk.rest();
    [ports.1, ports.0].into_iter().find_map(|port| match port {
        // VXLAN (RFC 7348 §5); 8472 is what Linux took before it had a port. Reserved bits are 0 but where
        // a group policy is written (draft-smith-vxlan-group-policy).
        4789 | 8472 => {
            let [flags, policy, _, _, a, b, c, 0, ..] = *rest else { return None };
            let vni = u32::from_be_bytes([0, a, b, c]);
            let valid = flags & 0x77 == 0 && flags & 0x08 != 0 && policy & 0xb7 == 0;
            valid.then(|| enter(walk, Tunnel::Vxlan(vni), 8, Layer::Ethernet))
        }
        // VXLAN GPE (draft-ietf-nvo3-vxlan-gpe §3): what is inside is said in the fourth byte.
        4790 => {
            let [flags, _, 0, next, a, b, c, _, ..] = *rest else { return None };
            let vni = u32::from_be_bytes([0, a, b, c]);
            let inner = match next {
                1 | 2 => Layer::Ip,
                3 => Layer::Ethernet,
                4 => Layer::Nsh,
                _ => return None,
            };
            (flags & 0xf0 == 0 && flags & 0x0c == 0x0c).then(|| enter(walk, Tunnel::Vxlan(vni), 8, inner))
        }
        // Geneve (RFC 8926 §3.4): version 0, options, protocol, identifier.
        6081 => {
            let [first, reserved, high, low, a, b, c, _, ..] = *rest else { return None };
            let (vni, kind) = (u32::from_be_bytes([0, a, b, c]), u16::from_be_bytes([high, low]));
            let header_bytes = 8 + usize::from(first & 0x3f) * 4;
            let valid = first >> 6 == 0 && reserved & 0x3f == 0 && kind >= 0x600 && rest.len() >= header_bytes;
            valid.then(|| enter(walk, Tunnel::Geneve(vni), header_bytes, Layer::EtherType(kind)))
        }
        1701 => l2tp(walk),
        2152 => gtp(walk),
        3544 => teredo(walk),
        5072 => ayiya(walk),
        5247 => capwap(walk),
        6080 | 8285 | 9886 => gue(walk),
        6635 => {
            // A stack that ends, and IP behind it.
            let bottom = rest.chunks_exact(4).position(|label| label.get(2).is_some_and(|byte| byte & 1 == 1))?;
            let inner = rest.get(bottom * 4 + 4)? >> 4;
            matches!(inner, 4 | 6).then(|| enter(walk, Tunnel::Mpls, 0, Layer::Mpls))
        }
        37008 => tzsp(walk),
        _ => None,
    })
}

fn enter(walk: &mut Walk<'_>, tunnel: Tunnel, header_bytes: usize, inner: Layer) -> Turn {
    walk.skip(header_bytes);
    (walk.around.tunnel, walk.around.vlan) = (tunnel, 0);
    Turn::Next(inner)
}

/// GRE (RFC 2784, 2890), its version 1 of PPTP (RFC 2637 §4.1), ERSPAN in it.
fn gre(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let (Some(flags), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) else { return Some(CUT) };
    let has = |flag: u16| usize::from(flags & flag != 0) * 4;
    let header_bytes = match flags & 7 {
        // Checksum, key, sequence number. Source routing (RFC 1701) is obsolete.
        0 if flags & 0x4000 == 0 => 4 + has(0x8000) + has(0x2000) + has(0x1000),
        1 => 8 + has(0x1000) + has(0x0080),
        _ => return None,
    };
    if flags & 7 == 1 && rest.len() <= header_bytes {
        // An acknowledgement alone: no packet inside.
        return None;
    }
    Some(match kind {
        // ERSPAN I has no header of its own and no sequence number.
        0x88be if flags & 0x1000 == 0 => enter(walk, Tunnel::Erspan, header_bytes, Layer::Ethernet),
        0x88be => enter(walk, Tunnel::Erspan, header_bytes + 8, Layer::Ethernet),
        // ERSPAN III says what was mirrored, of which 2 is a packet without its link (draft-foschiano-erspan-03 §4.3), and
        // whether eight bytes of its platform follow.
        0x22eb => {
            let last = u16_at(rest, header_bytes + 10).unwrap_or_default();
            let inner = if last >> 10 & 0x1f == 2 { Layer::Ip } else { Layer::Ethernet };
            enter(walk, Tunnel::Erspan, header_bytes + if last & 1 == 1 { 20 } else { 12 }, inner)
        }
        // WCCP: IP, in its second version behind four bytes.
        0x883e => {
            let behind = rest.get(header_bytes).is_some_and(|byte| !matches!(byte >> 4, 4 | 6));
            enter(walk, Tunnel::Gre, header_bytes + if behind { 4 } else { 0 }, Layer::Ip)
        }
        kind => enter(walk, Tunnel::Gre, header_bytes, Layer::EtherType(kind)),
    })
}

/// Generic UDP encapsulation, whose version 1 is an IP packet from its first byte on, which is all that flannel sends; what a
/// packet says of its length has to be what the datagram holds.
fn gue(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let header_bytes = match *rest {
        [0x40..=0x4f | 0x60..=0x6f, ..] => 0,
        // Version 0, no control message, a header's length in words, and IP for its protocol.
        [first @ 0..=0x1f, 4 | 41, ..] => 4 + usize::from(first & 0x1f) * 4,
        _ => return None,
    };
    let packet_bytes = match rest.get(header_bytes)? >> 4 {
        4 => usize::from(u16_at(rest, header_bytes + 2)?),
        _ => 40 + usize::from(u16_at(rest, header_bytes + 4)?),
    };
    let held_bytes = rest.len() + walk.cut_bytes as usize;
    (header_bytes + packet_bytes == held_bytes).then(|| enter(walk, Tunnel::Gue, header_bytes, Layer::Ip))
}

/// CAPWAP's data (RFC 5415 §4.3): a header that says its own length; a frame of 802.11 where the T bit says so, else of 802.3.
fn capwap(walk: &mut Walk<'_>) -> Option<Turn> {
    const IN_PIECES: u8 = 0x80;
    const KEEP_ALIVE: u8 = 0x08;
    let [0, length, kind, flags, ..] = *walk.rest() else { return None };
    let header_bytes = usize::from(length >> 3) * 4;
    if header_bytes < 8 || header_bytes >= walk.rest().len() || flags & (IN_PIECES | KEEP_ALIVE) != 0 {
        return None;
    }
    let inner = if kind & 1 == 1 { Layer::Link(LinkType(105)) } else { Layer::Ethernet };
    Some(enter(walk, Tunnel::Capwap, header_bytes, inner))
}

/// GTP-U (3GPP TS 29.281 §5): version 1, a user packet, extension headers.
fn gtp(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let (flags, kind) = (*rest.first()?, *rest.get(1)?);
    if flags & 0xf0 != 0x30 || kind != 0xff {
        return None;
    }
    let mut header_bytes = if flags & 7 != 0 { 12 } else { 8 };
    let mut next = if flags & 4 != 0 { *rest.get(11)? } else { 0 };
    while next != 0 {
        let length = usize::from(*rest.get(header_bytes)?) * 4;
        if length == 0 {
            return None;
        }
        next = *rest.get(header_bytes + length - 1)?;
        header_bytes += length;
    }
    let version = rest.get(header_bytes)? >> 4;
    matches!(version, 4 | 6).then(|| enter(walk, Tunnel::Gtp, header_bytes, Layer::Ip))
}

/// L2TP version 2 (RFC 2661 §3.1): data messages carry PPP, control messages are the tunnel's own.
fn l2tp(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let flags = u16_at(rest, 0)?;
    if flags & 0x800f != 2 {
        return None;
    }
    let has = |flag: u16, bytes: usize| if flags & flag != 0 { bytes } else { 0 };
    let offset_at = 6 + has(0x4000, 2) + has(0x0800, 4);
    let offset_bytes = if flags & 0x0200 != 0 { 2 + usize::from(u16_at(rest, offset_at)?) } else { 0 };
    let header_bytes = offset_at + offset_bytes;
    (rest.len() > header_bytes).then(|| enter(walk, Tunnel::L2tp, header_bytes, Layer::Ppp))
}

/// Teredo (RFC 4380 §5.1.1): an IPv6 packet, behind an authentication and an origin indication where there are any.
fn teredo(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let mut at = 0;
    if u16_at(rest, at)? == 1 {
        let (id, value) = (rest.get(at + 2)?, rest.get(at + 3)?);
        at += 13 + usize::from(*id) + usize::from(*value);
    }
    if u16_at(rest, at)? == 0 {
        at += 8;
    }
    let whole = 40 + usize::from(u16_at(rest, at + 4)?);
    let fits = rest.len() - at == whole || walk.cut_bytes > 0;
    (rest.get(at)? >> 4 == 6 && fits).then(|| enter(walk, Tunnel::Teredo, at, Layer::Ip))
}

/// AYIYA (draft-massar-v6ops-ayiya-02 §3): lengths of identity and signature, an operation, what comes next, a time.
fn ayiya(walk: &mut Walk<'_>) -> Option<Turn> {
    const FORWARD: u8 = 1;
    let [identity, signature, operation, next, ..] = *walk.rest() else { return None };
    let header_bytes = 8 + (1 << (identity >> 4)) + usize::from(signature >> 4) * 4;
    let version = walk.rest().get(header_bytes)? >> 4;
    let ip = matches!((next, version), (4, 4) | (41, 6)) && operation & 0x0f == FORWARD;
    ip.then(|| enter(walk, Tunnel::Ayiya, header_bytes, Layer::Ip))
}

/// TZSP: version, type, link, then tags until one says that the frame follows.
fn tzsp(walk: &mut Walk<'_>) -> Option<Turn> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    let rest = walk.rest();
    // Version 1, a received or sent frame, of Ethernet.
    let [1, 0 | 1, 0, 1, ..] = *rest else { return None };
    let mut at = 4;
    loop {
        match *rest.get(at)? {
            PADDING => at += 1,
            END => return Some(enter(walk, Tunnel::Tzsp, at + 1, Layer::Ethernet)),
            _ => at += 2 + usize::from(*rest.get(at + 1)?),
        }
    }
}

//! Which flow a packet is of, however it is carried: that of the innermost IP packet, behind tags, labels and tunnels, so that
//! both directions of a connection, and its packets at every point of every node, have one number.

use super::block::Packet;
use super::ends::{Ends, Fragment, Ip, ports};
use crate::link::Framing;
use std::net::IpAddr;

/// Knows the flows of packets.
#[derive(Debug)]
pub struct Flows {
    /// Datagrams whose first fragment was seen lately, and their flows: only that fragment has ports, or what a tunnel carries.
    firsts: Vec<(u64, Option<Ends>)>,
}

/// Datagrams that are remembered: 40 KiB. The fragments of one follow each other within microseconds.
const FIRSTS: usize = 1 << 9;

/// Layers that are looked into, so that a hostile packet costs no more: a mirrored frame of a tunnel between virtual machines
/// has a dozen.
const LAYERS_MAX: u32 = 16;

/// Labels of a stack that are looked at.
const LABELS_MAX: usize = 16;

/// Ports of UDP at which tunnels are looked into.
const TUNNELS: [u16; 8] = [4789, 4790, 6080, 6081, 6635, 8285, 8472, 9886];

/// What comes next in a packet.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Ethernet,
    Ip,
    Mpls,
    Ppp,
    /// What an EtherType says.
    Type(u16),
}

impl Default for Flows {
    fn default() -> Self {
        Self { firsts: vec![(0, None); FIRSTS] }
    }
}

impl Flows {
    /// A number of the flow of a packet, the same for both directions and on every node; none where there is no IP in it.
    /// Fragments have that of their first, or of their addresses alone where that was not seen before them.
    pub fn of(&mut self, packet: &Packet<'_>) -> Option<u64> {
        self.ends(packet).map(|ends| number(&ends))
    }

    /// The ends of what a tunnel carries, or a frame that IP is not the outermost of; none of others. `outer`: those of the packet.
    #[inline]
    pub fn carried(&mut self, packet: &Packet<'_>, outer: Option<&Ends>) -> Option<Ends> {
        let carries = match outer {
            // But for errors, which are not of what they are about.
            Some(outer) => match outer.protocol {
                4 | 41 | 47 | 94 | 97 | 137 => true,
                // Of a fragment the first may tell it.
                17 => [outer.to.port(), outer.from.port()].into_iter().any(|port| port == 0 || TUNNELS.contains(&port)),
                _ => false,
            },
            // All but ARP.
            None => packet.link.protocol != 0x0806,
        };
        if carries { self.ends(packet) } else { None }
    }

    /// The ends of the innermost packet of an IP packet.
    pub(super) fn inside_ip(&mut self, bytes: &[u8]) -> Option<Ends> {
        self.inside(Layer::Ip, bytes, LAYERS_MAX)
    }

    fn ends(&mut self, packet: &Packet<'_>) -> Option<Ends> {
        let network = || packet.frame.get(packet.network_at..).unwrap_or_default();
        match Framing::of(packet.link.hardware) {
            Framing::Cooked => self.inside(Layer::Type(packet.link.protocol), network(), LAYERS_MAX),
            Framing::Ethernet => self.inside(Layer::Ethernet, packet.frame, LAYERS_MAX),
            Framing::Ip => self.inside(Layer::Ip, network(), LAYERS_MAX),
        }
    }

    fn inside(&mut self, layer: Layer, bytes: &[u8], layers_left: u32) -> Option<Ends> {
        let layers_left = layers_left.checked_sub(1)?;
        let (next, at) = match layer {
            Layer::Ip => return self.of_ip(&Ip::read(bytes)?, layers_left),
            Layer::Ethernet => (Layer::Type(u16_at(bytes, 12)?), 14),
            Layer::Mpls => {
                let labels = bytes.as_chunks::<4>().0.iter().take(LABELS_MAX);
                let bottom = labels.take_while(|label| label[2] & 1 == 0).count() * 4 + 4;
                match bytes.get(bottom)? >> 4 {
                    4 | 6 => (Layer::Ip, bottom),
                    // A control word (RFC 4385 §3).
                    0 => (Layer::Ethernet, bottom + 4),
                    _ => (Layer::Ethernet, bottom),
                }
            }
            Layer::Ppp => match *bytes {
                // With its address and control, and without (RFC 1661 §2, 1662 §3.1).
                [0xff, 3, 0, 0x21 | 0x57, ..] => (Layer::Ip, 4),
                [0, 0x21 | 0x57, ..] => (Layer::Ip, 2),
                [0x21 | 0x57, ..] => (Layer::Ip, 1),
                _ => return None,
            },
            Layer::Type(0x0800 | 0x86dd) => (Layer::Ip, 0),
            Layer::Type(0x6558) => (Layer::Ethernet, 0),
            // Tags (IEEE 802.1Q §9.3).
            Layer::Type(0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300) => (Layer::Type(u16_at(bytes, 2)?), 4),
            Layer::Type(0x8847 | 0x8848) => (Layer::Mpls, 0),
            Layer::Type(0x8864) => (Layer::Ppp, 6),
            Layer::Type(0x880b) => (Layer::Ppp, 0),
            Layer::Type(_) => return None,
        };
        self.inside(next, bytes.get(at..)?, layers_left)
    }

    fn of_ip(&mut self, ip: &Ip<'_>, layers_left: u32) -> Option<Ends> {
        let Some(Fragment { id, is_first }) = ip.fragment else { return Some(self.of_whole(ip, layers_left)) };
        let datagram = mix(mix(of_address(ip.from)) ^ of_address(ip.to)) ^ u64::from(id) << 8 ^ u64::from(ip.protocol);
        let datagram = mix(datagram) | 1;
        let slot = (datagram >> 32) as usize % FIRSTS;
        if is_first {
            let ends = self.of_whole(ip, layers_left);
            *self.firsts.get_mut(slot)? = (datagram, Some(Ends { opening: None, ..ends }));
            return Some(ends);
        }
        let first = self.firsts.get(slot).filter(|first| first.0 == datagram);
        first.and_then(|first| first.1).or_else(|| Some(Ends::of_whole(ip, &[])))
    }

    fn of_whole(&mut self, ip: &Ip<'_>, layers_left: u32) -> Ends {
        match carried(ip.protocol, ip.content) {
            // The source port of a tunnel tells the flow inside, another for each direction.
            Some((layer, at)) => {
                let inside = ip.content.get(at..).and_then(|bytes| self.inside(layer, bytes, layers_left));
                inside.unwrap_or_else(|| Ends::of_whole(ip, &[]))
            }
            None => Ends::of_whole(ip, ip.content),
        }
    }
}

/// Where a packet is carried in what is behind an IP header, if that is a tunnel.
fn carried(protocol: u8, content: &[u8]) -> Option<(Layer, usize)> {
    match protocol {
        // What an error is about (RFC 792, 4443).
        1 => matches!(content.first()?, 3..=5 | 11 | 12).then_some((Layer::Ip, 8)),
        58 => matches!(content.first()?, 1..=4).then_some((Layer::Ip, 8)),
        // RFC 2003, 2473, 4213.
        4 | 41 | 94 => Some((Layer::Ip, 0)),
        17 => over_udp(content),
        47 => gre(content),
        // EtherIP (RFC 3378 §3).
        97 => Some((Layer::Ethernet, 2)),
        // RFC 4023 §3.
        137 => Some((Layer::Mpls, 0)),
        _ => None,
    }
}

fn over_udp(content: &[u8]) -> Option<(Layer, usize)> {
    const AT: usize = 8;
    let header = content.get(AT..).unwrap_or_default();
    let [from, to] = ports(17, content);
    // Some answer from the port they listen on.
    let mut tunnels = [to, from].into_iter().filter(|port| TUNNELS.contains(port));
    tunnels.find_map(|port| match (port, header) {
        // Cut, but of a tunnel.
        (4789 | 4790 | 6081 | 6635 | 8472, []) => Some((Layer::Ip, AT)),
        // VXLAN (RFC 7348 §5); 8472 is what Linux took before it had a port.
        (4789 | 8472, [flags, ..]) => (flags & 0x08 != 0).then_some((Layer::Ethernet, AT + 8)),
        // Its generic extension (draft-ietf-nvo3-vxlan-gpe §3).
        (4790, [_, _, _, 1 | 2, ..]) => Some((Layer::Ip, AT + 8)),
        (4790, [_, _, _, 3, ..]) => Some((Layer::Ethernet, AT + 8)),
        // Geneve (RFC 8926 §3.4).
        (6081, [first @ 0..=0x3f, _, high, low, ..]) => {
            Some((Layer::Type(u16::from_be_bytes([*high, *low])), AT + 8 + usize::from(*first) * 4))
        }
        // GUE (draft-ietf-intarea-gue §3), whose version 1 is an IP packet from its first byte on, as flannel sends it.
        (6080 | 8285 | 9886, [0x40..=0x4f | 0x60..=0x6f, ..]) => Some((Layer::Ip, AT)),
        (6080 | 9886, [first @ 0..=0x1f, 4 | 41, ..]) => Some((Layer::Ip, AT + 4 + usize::from(*first) * 4)),
        // RFC 7510 §3.
        (6635, _) => Some((Layer::Mpls, AT)),
        _ => None,
    })
}

/// GRE (RFC 2784, 2890), its version 1 of PPTP (RFC 2637 §4.1), ERSPAN in it (draft-foschiano-erspan-03 §4).
fn gre(content: &[u8]) -> Option<(Layer, usize)> {
    let (Some(flags), Some(kind)) = (u16_at(content, 0), u16_at(content, 2)) else { return Some((Layer::Ip, 4)) };
    let has = |flag: u16| usize::from(flags & flag != 0) * 4;
    let at = if flags & 7 == 1 { 8 + has(0x1000) + has(0x0080) } else { 4 + has(0x8000) + has(0x2000) + has(0x1000) };
    Some(match kind {
        // The first has no header of its own, and no sequence number.
        0x88be if flags & 0x1000 == 0 => (Layer::Ethernet, at),
        0x88be => (Layer::Ethernet, at + 8),
        0x22eb if content.get(at + 11).is_some_and(|last| last & 1 == 1) => (Layer::Ethernet, at + 20),
        0x22eb => (Layer::Ethernet, at + 12),
        kind => (Layer::Type(kind), at),
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The same number for both directions.
fn number(ends: &Ends) -> u64 {
    let [from, to] = [ends.from, ends.to].map(|end| of_address(end.ip()) ^ u64::from(end.port()));
    mix(mix(from).wrapping_add(mix(to)) ^ u64::from(ends.protocol))
}

fn of_address(ip: IpAddr) -> u64 {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let ip = u128::from(ip);
    mix(mix((ip >> 64) as u64) ^ ip as u64)
}

/// Mixes the bits of a word (the finish of MurmurHash3).
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever a packet is, finding its flow ends.
    pub fn fuzz_flow(data: &[u8]) {
        let mut flows = super::Flows::default();
        for layer in [super::Layer::Ethernet, super::Layer::Ip, super::Layer::Ppp] {
            flows.inside(layer, data, super::LAYERS_MAX);
        }
    }
}

#[cfg(test)]
mod tests;

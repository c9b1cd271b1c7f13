//! A question about a packet, as instructions that look into its headers.
//!
//! Enters: a [`Test`], and where the headers are. Leaves: where the program goes on, which asks it and then goes to `yes` or
//! `no`. What is not in the frame is never loaded.

use super::assemble::{Assembler, Label, Load, Test as Is};
use super::layout::{ARP, ETHERNET_BYTES, IPV4, IPV6, Layout, RARP, TAG_BYTES, ancillary, family_or, has, is_family};
use super::tree::{Direction, Family, Net, Test};

/// Next header of IPv6: a fragment header follows (RFC 8200 §4.5).
const FRAGMENT: u8 = 44;

/// Asks.
pub(super) fn test(out: &mut Assembler, asked: &Test, at: Layout, yes: Label, no: Label) -> Label {
    match *asked {
        Test::Address { family, direction, net } => address(out, family, direction, net, at, yes, no),
        Test::Family(family) => {
            let protocol = match family {
                Family::Any => return yes,
                Family::Arp => ARP,
                Family::Ip => IPV4,
                Family::Ip6 => IPV6,
                Family::Rarp => RARP,
            };
            is_family(out, protocol, 0, at, yes, no)
        }
        Test::Greater(bytes) => length(out, bytes, yes, no),
        // At most n bytes is not at least n + 1.
        Test::Less(bytes) => match bytes.checked_add(1) {
            Some(more) => length(out, more, no, yes),
            None => yes,
        },
        Test::Port { family, transports, direction, first, last } => {
            let ports = Ports { transports, direction, first: first.into(), last: last.into() };
            let ip6 = if family == Family::Ip { no } else { ports_of_ip6(out, &ports, at, yes, no) };
            if family == Family::Ip6 { ip6 } else { ports_of_ip(out, &ports, at, yes, no, ip6) }
        }
        Test::Protocol { family, number } => {
            let ip6 = if family == Family::Ip { no } else { protocol_of_ip6(out, number, at, yes, no) };
            if family == Family::Ip6 { ip6 } else { protocol_of_ip(out, number, at, yes, no, ip6) }
        }
        Test::Vlan(id) => vlan(out, id, at, yes, no),
    }
}

fn address(
    out: &mut Assembler,
    family: Family,
    direction: Direction,
    net: Net,
    at: Layout,
    yes: Label,
    no: Label,
) -> Label {
    match net {
        Net::V4 { address, mask } => {
            // Protocol, source address, destination address (RFC 791 §3.1, RFC 826, RFC 903).
            let places = [(Family::Rarp, RARP, 14, 24), (Family::Arp, ARP, 14, 24), (Family::Ip, IPV4, 12, 16)];
            places.into_iter().filter(|place| family == Family::Any || family == place.0).fold(
                no,
                |other, (_, protocol, source, destination)| {
                    let words = |place| [(at.network.wrapping_add(place), address, mask)];
                    let matched = either(out, direction, yes, no, &words(source), &words(destination));
                    family_or(out, protocol, destination + 4, at, matched, no, other)
                },
            )
        }
        Net::V6 { address, mask } => {
            // Source and destination address (RFC 8200 §3).
            let words = |place: u32| {
                [96, 64, 32, 0].map(|shift| {
                    let at_byte = at.network.wrapping_add(place + (96 - shift) / 8);
                    (at_byte, (address >> shift) as u32, (mask >> shift) as u32)
                })
            };
            let matched = either(out, direction, yes, no, &words(8), &words(24));
            is_family(out, IPV6, 40, at, matched, no)
        }
    }
}

/// Words to compare: where, with what, and in which bits.
type Words<'a> = &'a [(u32, u32, u32)];

fn either(
    out: &mut Assembler,
    direction: Direction,
    yes: Label,
    no: Label,
    source: Words<'_>,
    destination: Words<'_>,
) -> Label {
    match direction {
        Direction::Both => {
            let destination = equal(out, destination, yes, no);
            equal(out, source, destination, no)
        }
        Direction::Destination => equal(out, destination, yes, no),
        Direction::Either => {
            let destination = equal(out, destination, yes, no);
            equal(out, source, yes, destination)
        }
        Direction::Source => equal(out, source, yes, no),
    }
}

fn equal(out: &mut Assembler, words: Words<'_>, yes: Label, no: Label) -> Label {
    words.iter().rev().filter(|(.., mask)| *mask != 0).fold(yes, |yes, &(place, value, mask)| {
        let equal = out.test(Is::Equal(value), yes, no);
        let masked = if mask == u32::MAX { equal } else { out.mask(mask, equal) };
        out.load(Load::U32(place), masked)
    })
}

fn protocol_of_ip(out: &mut Assembler, number: u8, at: Layout, yes: Label, no: Label, other: Label) -> Label {
    let equal = out.test(Is::Equal(number.into()), yes, no);
    let loaded = out.load(Load::U8(at.network.wrapping_add(9)), equal);
    family_or(out, IPV4, 20, at, loaded, no, other)
}

/// The next header, or the one behind a fragment header, as tcpdump has it.
fn protocol_of_ip6(out: &mut Assembler, number: u8, at: Layout, yes: Label, no: Label) -> Label {
    let behind = out.test(Is::Equal(number.into()), yes, no);
    let behind = out.load(Load::U8(at.network.wrapping_add(40)), behind);
    let behind = has(out, 41, at, behind, no);
    let fragment = out.test(Is::Equal(FRAGMENT.into()), behind, no);
    let equal = out.test(Is::Equal(number.into()), yes, fragment);
    let loaded = out.load(Load::U8(at.network.wrapping_add(6)), equal);
    is_family(out, IPV6, 40, at, loaded, no)
}

/// What is asked of ports.
struct Ports {
    transports: &'static [u8],
    direction: Direction,
    first: u32,
    last: u32,
}

impl Ports {
    /// Tests the ports; `load` makes the accumulator hold the one at byte 0 or 2 of the transport's header.
    fn test(
        &self,
        out: &mut Assembler,
        yes: Label,
        no: Label,
        load: impl Fn(&mut Assembler, u32, Label) -> Label,
    ) -> Label {
        let within = |out: &mut Assembler, place, yes, no| {
            // From `first` to `last`, ends included.
            let not_above = out.test(Is::AtLeast(self.last + 1), no, yes);
            let within = out.test(Is::AtLeast(self.first), not_above, no);
            load(out, place, within)
        };
        match self.direction {
            Direction::Both => {
                let destination = within(out, 2, yes, no);
                within(out, 0, destination, no)
            }
            Direction::Destination => within(out, 2, yes, no),
            Direction::Either => {
                let destination = within(out, 2, yes, no);
                within(out, 0, yes, destination)
            }
            Direction::Source => within(out, 0, yes, no),
        }
    }

    fn has_transport(&self, out: &mut Assembler, at_byte: u32, yes: Label, no: Label) -> Label {
        let one_of =
            self.transports.iter().fold(no, |other, &transport| out.test(Is::Equal(transport.into()), yes, other));
        out.load(Load::U8(at_byte), one_of)
    }
}

/// Ports stand behind the IPv4 header, in the first fragment only (RFC 791 §3.1).
fn ports_of_ip(out: &mut Assembler, ports: &Ports, at: Layout, yes: Label, no: Label, other: Label) -> Label {
    let mut next =
        ports.test(out, yes, no, |out, place, next| out.load(Load::U16Indexed(at.network.wrapping_add(place)), next));
    if at.measurable {
        // Both ports must be there: length - network - 4 >= length of the header.
        let enough = out.test(Is::AtLeastIndex, next, no);
        let left = out.subtract(at.network + 4, enough);
        next = out.load(Load::Length, left);
    }
    next = out.load_header_length(at.network, next);
    next = out.test(Is::AnyBit(0x1fff), no, next);
    next = out.load(Load::U16(at.network.wrapping_add(6)), next);
    next = ports.has_transport(out, at.network.wrapping_add(9), next, no);
    family_or(out, IPV4, 20, at, next, no, other)
}

fn ports_of_ip6(out: &mut Assembler, ports: &Ports, at: Layout, yes: Label, no: Label) -> Label {
    let mut next =
        ports.test(out, yes, no, |out, place, next| out.load(Load::U16(at.network.wrapping_add(40 + place)), next));
    next = has(out, 44, at, next, no);
    next = ports.has_transport(out, at.network.wrapping_add(6), next, no);
    is_family(out, IPV6, 40, at, next, no)
}

/// Whether the frame has at least so many bytes, as it is written down: with the tag that was taken out.
fn length(out: &mut Assembler, bytes: u32, yes: Label, no: Label) -> Label {
    let enough = out.test(Is::AtLeast(bytes), yes, no);
    let whole = out.add_index(enough);
    let whole = out.load(Load::Length, whole);
    let tag = out.copy_to_index(whole);
    let tag = out.multiply(TAG_BYTES, tag);
    out.load(Load::U32(ancillary(libc::SKF_AD_VLAN_TAG_PRESENT)), tag)
}

/// Whether one of the frame's tags, taken out or not, has that number.
fn vlan(out: &mut Assembler, id: Option<u16>, at: Layout, yes: Label, no: Label) -> Label {
    const ID_BITS: u32 = 0x0fff;
    let Some(id) = id else {
        let present = out.test(Is::AtLeast(1), yes, no);
        let taken_out = out.load(Load::U32(ancillary(libc::SKF_AD_VLAN_TAG_PRESENT)), present);
        return if at.tags > 0 { yes } else { taken_out };
    };
    let mut next = no;
    for tag in 0..at.tags {
        let equal = out.test(Is::Equal(id.into()), yes, next);
        let equal = out.mask(ID_BITS, equal);
        next = out.load(Load::U16(ETHERNET_BYTES + tag * TAG_BYTES), equal);
    }
    let equal = out.test(Is::Equal(id.into()), yes, next);
    let equal = out.mask(ID_BITS, equal);
    let tag = out.load(Load::U32(ancillary(libc::SKF_AD_VLAN_TAG)), equal);
    let present = out.test(Is::AtLeast(1), tag, next);
    out.load(Load::U32(ancillary(libc::SKF_AD_VLAN_TAG_PRESENT)), present)
}

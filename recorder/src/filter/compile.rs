//! An expression becomes programs: one that keeps what matches, one that sees the rest, to be counted.
//!
//! The kernel takes the outer VLAN tag out of a frame before we see it, and tells it beside the frame
//! (`SKF_AD_VLAN_TAG`); inner tags, and outer ones that a driver did not take out, stay. So the same tests are
//! compiled once for each place where the network header can be, and the program's first steps choose.

use super::FilterError;
use super::assemble::{Assembler, Instruction, Label, Load, Test as Is};
use super::grammar::{Direction, Expression, Family, Net, Node, Test};
use crate::limits;
use crate::link::{self, Framing};

/// Which interfaces the packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All of the network namespace.
    All,
    /// Those of these indexes, among all.
    Among(&'a [u32]),
    /// The one the socket is bound to.
    Bound,
}

/// What the kernel runs on each packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Keeps what matches.
    pub keep: Vec<Instruction>,
    /// Keeps what does not, of the same interfaces.
    pub refuse: Vec<Instruction>,
}

/// Compiles an expression; none matches everything.
///
/// # Bounds
/// What [`Expression`] was checked for: each program fits into the kernel.
pub fn programs(expression: Option<&Expression>, scope: &Scope<'_>, snap_bytes: u32) -> Programs {
    let root = expression.map(|expression| &expression.root);
    Programs { keep: program(root, scope, snap_bytes, true), refuse: program(root, scope, 1, false) }
}

/// A program that keeps nothing: what runs into a socket before it is closed.
pub fn refuse_all() -> Vec<Instruction> {
    let mut out = Assembler::default();
    let end = out.keep(0);
    out.finish(end)
}

/// Refuses expressions that the kernel would refuse, in the longest program that can be made of them.
pub(super) fn check_size(expression: &Expression) -> Result<(), FilterError> {
    let longest = program(Some(&expression.root), &Scope::Among(&[1; limits::INTERFACES_NAMED_MAX]), 1, false);
    let (instructions, max) = (longest.len(), libc::BPF_MAXINSNS as usize);
    if instructions > max { Err(FilterError::TooManyInstructions { instructions, max }) } else { Ok(()) }
}

/// What the kernel tells beside a frame (linux/filter.h).
const fn ancillary(what: i32) -> u32 {
    (libc::SKF_AD_OFF + what).cast_unsigned()
}

/// Where a frame keeps what the tests ask for.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Where the network header begins.
    network: u32,
    /// Where the protocol above the link stands.
    protocol: u32,
    /// VLAN tags in the frame itself.
    tags: u32,
    /// Whether offsets count from the front of the frame, so that its length says what can be loaded.
    measurable: bool,
}

const ETHERNET_BYTES: u32 = 14;
const TAG_BYTES: u32 = 4;
/// Tags below the one the kernel took out. Real frames have one (QinQ), crafted ones more: those are unknown.
const TAGS_MAX: u32 = 2;

const RAW_IP: Layout = Layout { network: 0, protocol: ancillary(libc::SKF_AD_PROTOCOL), tags: 0, measurable: true };

/// A link we do not know: the kernel finds the network header for us.
const UNKNOWN: Layout = Layout {
    network: libc::SKF_NET_OFF.cast_unsigned(),
    protocol: ancillary(libc::SKF_AD_PROTOCOL),
    tags: 0,
    measurable: false,
};

impl Layout {
    fn ethernet(tags: u32) -> Self {
        let network = ETHERNET_BYTES + tags * TAG_BYTES;
        Self { network, protocol: network - 2, tags, measurable: true }
    }
}

const IPV4: u32 = 0x0800;
const ARP: u32 = 0x0806;
const RARP: u32 = 0x8035;
const IPV6: u32 = 0x86dd;
/// 802.1Q, 802.1ad, and what was used before it.
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// Next header of IPv6: a fragment header follows (RFC 8200 §4.5).
const FRAGMENT: u8 = 44;

fn program(root: Option<&Node>, scope: &Scope<'_>, snap_bytes: u32, matching: bool) -> Vec<Instruction> {
    let mut out = Assembler::default();
    let refuse = out.keep(0);
    let keep = out.keep(snap_bytes);
    let (yes, no) = if matching { (keep, refuse) } else { (refuse, keep) };
    let mut entry = match root {
        Some(root) => by_link(&mut out, root, yes, no),
        None => yes,
    };
    entry = once_on_loopback(&mut out, entry, refuse);
    if let Scope::Among(interfaces) = scope {
        let mut one_of = refuse;
        for &index in *interfaces {
            one_of = out.test(Is::Equal(index), entry, one_of);
        }
        entry = out.load(Load::U32(ancillary(libc::SKF_AD_IFINDEX)), one_of);
    }
    out.finish(entry)
}

/// A packet on loopback is sent and then received: only the latter is kept.
fn once_on_loopback(out: &mut Assembler, next: Label, refuse: Label) -> Label {
    let sent = out.test(Is::Equal(libc::PACKET_OUTGOING.into()), refuse, next);
    let direction = out.load(Load::U32(ancillary(libc::SKF_AD_PKTTYPE)), sent);
    let loopback = out.test(Is::Equal(libc::ARPHRD_LOOPBACK.into()), direction, next);
    out.load(Load::U32(ancillary(libc::SKF_AD_HATYPE)), loopback)
}

/// Chooses the layout by what kind of link the packet was seen on.
fn by_link(out: &mut Assembler, root: &Node, yes: Label, no: Label) -> Label {
    let unknown = node(out, root, UNKNOWN, yes, no);
    let raw = node(out, root, RAW_IP, yes, no);
    let mut ethernet = node(out, root, Layout::ethernet(TAGS_MAX), yes, no);
    for tags in (0..TAGS_MAX).rev() {
        let layout = Layout::ethernet(tags);
        let deeper = ethernet;
        let here = node(out, root, layout, yes, no);
        let tagged = TAGS.iter().fold(here, |other, &tag| out.test(Is::Equal(tag), deeper, other));
        let tagged = out.load(Load::U16(layout.protocol), tagged);
        // Frames too short to have the next tag have none.
        let fits = out.test(Is::AtLeast(layout.network + TAG_BYTES), tagged, here);
        ethernet = out.load(Load::Length, fits);
    }
    ethernet = has(out, ETHERNET_BYTES, RAW_IP, ethernet, no);
    let chosen = link::KNOWN.iter().fold(unknown, |other, &(hardware, framing)| {
        let entry = match framing {
            Framing::Cooked => unknown,
            Framing::Ethernet => ethernet,
            Framing::Ip => raw,
        };
        out.test(Is::Equal(hardware.into()), entry, other)
    });
    out.load(Load::U32(ancillary(libc::SKF_AD_HATYPE)), chosen)
}

fn node(out: &mut Assembler, root: &Node, at: Layout, yes: Label, no: Label) -> Label {
    match root {
        Node::And(left, right) => {
            let right = node(out, right, at, yes, no);
            node(out, left, at, right, no)
        }
        Node::Not(inner) => node(out, inner, at, no, yes),
        Node::Or(left, right) => {
            let right = node(out, right, at, yes, no);
            node(out, left, at, yes, right)
        }
        Node::Test(asked) => test(out, asked, at, yes, no),
    }
}

fn test(out: &mut Assembler, asked: &Test, at: Layout, yes: Label, no: Label) -> Label {
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

/// Whether the frame has `bytes` bytes behind the front of its network header. What is not there must not be
/// loaded: the kernel would end the program, and the packet would be neither kept nor counted.
fn has(out: &mut Assembler, bytes: u32, at: Layout, yes: Label, no: Label) -> Label {
    if !at.measurable || bytes == 0 {
        return yes;
    }
    let enough = out.test(Is::AtLeast(at.network + bytes), yes, no);
    out.load(Load::Length, enough)
}

/// Whether the frame has that protocol, and `bytes` bytes of it. Where it has the protocol and not the bytes,
/// or another protocol: `no`.
fn is_family(out: &mut Assembler, protocol: u32, bytes: u32, at: Layout, yes: Label, no: Label) -> Label {
    family_or(out, protocol, bytes, at, yes, no, no)
}

/// As [`is_family`], going on at `other` for other protocols.
fn family_or(out: &mut Assembler, protocol: u32, bytes: u32, at: Layout, yes: Label, no: Label, other: Label) -> Label {
    let yes = has(out, bytes, at, yes, no);
    let equal = out.test(Is::Equal(protocol), yes, other);
    out.load(Load::U16(at.protocol), equal)
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

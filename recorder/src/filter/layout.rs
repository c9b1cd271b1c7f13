//! Where a frame keeps what the tests ask for, and whether that is there.

use super::assemble::{Assembler, Label, Load, Test as Is};

/// What the kernel tells beside a frame (linux/filter.h).
pub(super) const fn ancillary(what: i32) -> u32 {
    (libc::SKF_AD_OFF + what).cast_unsigned()
}

/// Where a frame keeps what the tests ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Where the network header begins.
    pub network: u32,
    /// Where the protocol above the link stands.
    pub protocol: u32,
    /// VLAN tags in the frame itself.
    pub tags: u32,
    /// Whether offsets count from the front of the frame, so that its length says what can be loaded.
    pub measurable: bool,
}

pub(super) const ETHERNET_BYTES: u32 = 14;
pub(super) const TAG_BYTES: u32 = 4;
/// Tags below the one the kernel took out. Real frames have one (QinQ), crafted ones more: those are unknown.
pub(super) const TAGS_MAX: u32 = 2;

pub(super) const RAW_IP: Layout =
    Layout { network: 0, protocol: ancillary(libc::SKF_AD_PROTOCOL), tags: 0, measurable: true };

/// A link we do not know: the kernel finds the network header for us.
pub(super) const UNKNOWN: Layout = Layout {
    network: libc::SKF_NET_OFF.cast_unsigned(),
    protocol: ancillary(libc::SKF_AD_PROTOCOL),
    tags: 0,
    measurable: false,
};

impl Layout {
    /// Of Ethernet, with so many tags in the frame.
    pub fn ethernet(tags: u32) -> Self {
        let network = ETHERNET_BYTES + tags * TAG_BYTES;
        Self { network, protocol: network - 2, tags, measurable: true }
    }
}

pub(super) const IPV4: u32 = 0x0800;
pub(super) const ARP: u32 = 0x0806;
pub(super) const RARP: u32 = 0x8035;
pub(super) const IPV6: u32 = 0x86dd;
/// 802.1Q, 802.1ad, and what was used before it.
pub(super) const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// Whether the frame has `bytes` bytes behind the front of its network header. What is not there must not be
/// loaded: the kernel would end the program, and the packet would be neither kept nor counted.
pub(super) fn has(out: &mut Assembler, bytes: u32, at: Layout, yes: Label, no: Label) -> Label {
    if !at.measurable || bytes == 0 {
        return yes;
    }
    let enough = out.test(Is::AtLeast(at.network + bytes), yes, no);
    out.load(Load::Length, enough)
}

/// Whether the frame has that protocol, and `bytes` bytes of it. Where it has the protocol and not the bytes,
/// or another protocol: `no`.
pub(super) fn is_family(out: &mut Assembler, protocol: u32, bytes: u32, at: Layout, yes: Label, no: Label) -> Label {
    family_or(out, protocol, bytes, at, yes, no, no)
}

/// As [`is_family`], going on at `other` for other protocols.
pub(super) fn family_or(
    out: &mut Assembler,
    protocol: u32,
    bytes: u32,
    at: Layout,
    yes: Label,
    no: Label,
    other: Label,
) -> Label {
    let yes = has(out, bytes, at, yes, no);
    let equal = out.test(Is::Equal(protocol), yes, other);
    out.load(Load::U16(at.protocol), equal)
}

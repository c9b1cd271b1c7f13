//! What switches, routers and adapters of other kinds put in front of a packet, or between its addresses and its type.

use super::walk::{Layer, Turn, Walk};
use crate::read::LinkType;

const CUT: Turn = Turn::Refused("cut in a link header");

/// SLIP as capture programs write it: a direction, and 15 bytes for a compressed header, which are no packet by themselves.
pub fn slip(walk: &mut Walk<'_>) -> Turn {
    match walk.take::<16>() {
        Some(_) => Turn::Next(Layer::Ip),
        None => CUT,
    }
}

/// ARCNET (RFC 1201, RFC 1051): addresses, then a system code; packets split over frames are not put together.
pub fn arcnet(walk: &mut Walk<'_>, address_bytes: usize) -> Turn {
    walk.skip(address_bytes);
    let rest = walk.rest();
    match *rest {
        // RFC 1051 has no header behind the code.
        [240, ..] => {
            walk.skip(1);
            Turn::Next(Layer::Ip)
        }
        // Split flag and sequence number; an exception frame has them behind a flag of 0xff.
        [212 | 196, flag, ..] if flag == 0 || flag == 0xff => {
            walk.skip(if flag == 0xff { 8 } else { 4 });
            Turn::Next(Layer::Ip)
        }
        [212 | 196, ..] => Turn::Refused("arcnet packet in pieces"),
        [213 | 241, ..] => Turn::Refused("arp"),
        [_, ..] => Turn::Refused("not ip: arcnet"),
        [] => CUT,
    }
}

/// Of SunATM: direction and kind, path and channel; LAN emulation has two bytes more before its Ethernet.
pub fn sun_atm(walk: &mut Walk<'_>) -> Turn {
    match walk.take::<4>() {
        None => CUT,
        Some([kind, ..]) if kind & 0x0f == 1 => {
            walk.skip(2);
            Turn::Next(Layer::Ethernet)
        }
        Some([kind, ..]) if kind & 0x0f == 2 => Turn::Next(Layer::Llc),
        Some(_) => Turn::Refused("not ip: atm"),
    }
}

/// Classical IP over ATM (RFC 2225): IEEE 802.2, or IP at once.
pub fn classical_ip(walk: &mut Walk<'_>) -> Turn {
    match walk.rest().starts_with(&[0xaa, 0xaa, 3]) {
        true => Turn::Next(Layer::Llc),
        false => Turn::Next(Layer::Ip),
    }
}

/// IP over InfiniBand: a global routing header of 40 bytes, then an EtherType and two bytes more (RFC 4391 §6).
pub fn infiniband(walk: &mut Walk<'_>) -> Turn {
    walk.skip(40);
    match walk.take::<4>() {
        Some([high, low, _, _]) => Turn::Next(Layer::EtherType(u16::from_be_bytes([high, low]))),
        None => CUT,
    }
}

/// A tag of Broadcom's switches, four bytes behind the addresses.
pub fn broadcom(walk: &mut Walk<'_>) -> Turn {
    walk.skip(12 + 4);
    walk.typed()
}

/// A tag of Marvell's switches behind the addresses, in `lead` bytes more than its own four: in place of a VLAN tag, if the frame
/// had one.
pub fn marvell(walk: &mut Walk<'_>, lead: usize) -> Turn {
    walk.skip(12 + lead);
    let Some([mode, _, high, low]) = walk.take::<4>() else { return CUT };
    let vlan = u16::from_be_bytes([high, low]) & 0x0fff;
    if mode & 0x20 != 0 && vlan != 0 {
        walk.around.vlan = vlan;
    }
    walk.typed()
}

/// Of Juniper's routers: a mark, flags, what they say there is more of, and the packet from its link header on; or from IP on,
/// behind four bytes, where that was taken off.
pub fn juniper(walk: &mut Walk<'_>, link: LinkType) -> Turn {
    const NO_LINK_HEADER: u8 = 2;
    const MORE: u8 = 0x80;
    match walk.take::<4>() {
        None => return CUT,
        Some([b'M', b'G', b'C', flags]) => {
            if flags & MORE != 0 {
                let Some(length) = walk.take::<2>() else { return CUT };
                walk.skip(u16::from_be_bytes(length).into());
            }
            if flags & NO_LINK_HEADER != 0 {
                walk.skip(4);
                return Turn::Next(Layer::Ip);
            }
        }
        Some(_) => return Turn::Refused("not ip: no header of juniper"),
    }
    Turn::Next(Layer::Link(link))
}

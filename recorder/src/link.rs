//! Kinds of links, and what their frames begin with.

/// What frames begin with, once written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A link we do not know: the kernel's own description stands for its header (LINKTYPE_LINUX_SLL2).
    Cooked,
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
}

/// Raw IP, as modems have it.
const ARPHRD_RAWIP: u16 = 519;
/// GRE over IPv6.
const ARPHRD_IP6GRE: u16 = 823;

/// The kinds of link whose frames we know.
///
/// # Source
/// `ARPHRD_…`: linux/if_arp.h. Loopback has Ethernet headers of zeroes. Tunnels have none of their own: what the
/// kernel hands over begins with the inner packet.
pub const KNOWN: [(u16, Framing); 9] = [
    (ARPHRD_IP6GRE, Framing::Ip),
    (ARPHRD_RAWIP, Framing::Ip),
    (libc::ARPHRD_IPGRE, Framing::Ip),
    (libc::ARPHRD_NONE, Framing::Ip),
    (libc::ARPHRD_SIT, Framing::Ip),
    (libc::ARPHRD_TUNNEL, Framing::Ip),
    (libc::ARPHRD_TUNNEL6, Framing::Ip),
    (libc::ARPHRD_LOOPBACK, Framing::Ethernet),
    (libc::ARPHRD_ETHER, Framing::Ethernet),
];

impl Framing {
    /// What frames on a link of that kind (`ARPHRD_…`) begin with.
    pub fn of(hardware: u16) -> Self {
        KNOWN.iter().find(|known| known.0 == hardware).map_or(Self::Cooked, |known| known.1)
    }
}

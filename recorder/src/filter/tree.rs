//! What an expression asks of a packet, as a tree.

/// A part of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Or(Box<Node>, Box<Node>),
    Test(Test),
}

/// A question about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// An address of the packet lies in a network.
    Address { family: Family, direction: Direction, net: Net },
    /// The protocol above the link is one of these.
    Family(Family),
    /// At least so many bytes long.
    Greater(u32),
    /// At most so many bytes long.
    Less(u32),
    /// A port of the packet lies between these.
    Port { family: Family, transports: &'static [u8], direction: Direction, first: u16, last: u16 },
    /// The protocol above IP.
    Protocol { family: Family, number: u8 },
    /// Has a VLAN tag, with that number if one is given.
    Vlan(Option<u16>),
}

/// Which protocol above the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Family {
    #[default]
    Any,
    Arp,
    Ip,
    Ip6,
    Rarp,
}

/// Of the sender, the receiver, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Direction {
    Both,
    Destination,
    #[default]
    Either,
    Source,
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    V4 { address: u32, mask: u32 },
    V6 { address: u128, mask: u128 },
}

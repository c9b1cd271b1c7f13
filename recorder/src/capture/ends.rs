//! Between whom a packet is: its outermost IP header, and the ports behind it.

use super::block::Packet;
use formats::bytes::Reader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Transport, as IP numbers it.
    pub protocol: u8,
    /// Who sent it. Its port is 0 where the transport has none, or the packet is a fragment.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Whether it opens a TCP connection, or says that it is open.
    pub opening: Option<Opening>,
}

/// The first two packets of a TCP connection (RFC 9293 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// SYN, ACK.
    Answered,
    /// SYN.
    Asked,
}

const TCP: u8 = 6;
/// Transports with ports in front: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [TCP, 17, 33, 132, 136];

impl Ends {
    /// The ends of an IP packet; none of others, and of what is cut before its addresses.
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        Self::of_ip(packet.frame.get(packet.network_at..)?)
    }

    fn of_ip(bytes: &[u8]) -> Option<Self> {
        Ip::read(bytes).map(|ip| Self::of_whole(&ip, if ip.fragment.is_none() { ip.content } else { &[] }))
    }

    /// The ends of an IP packet that carries that.
    #[inline]
    pub(super) fn of_whole(ip: &Ip<'_>, transport: &[u8]) -> Self {
        let [from_port, to_port] = ports(ip.protocol, transport);
        const SYN: u8 = 0x02;
        const SYN_ACK: u8 = 0x12;
        let opening = match transport.get(13).map(|flags| flags & SYN_ACK) {
            Some(SYN) if ip.protocol == TCP => Some(Opening::Asked),
            Some(SYN_ACK) if ip.protocol == TCP => Some(Opening::Answered),
            _ => None,
        };
        let [from, to] = [SocketAddr::new(ip.from, from_port), SocketAddr::new(ip.to, to_port)];
        Self { protocol: ip.protocol, from, to, opening }
    }
}

/// An IP packet, as far as it is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip<'a> {
    /// What it carries; of a later fragment, what the whole does.
    pub protocol: u8,
    pub from: IpAddr,
    pub to: IpAddr,
    /// None where it is whole.
    pub fragment: Option<Fragment>,
    /// What is behind its headers; nothing where they are cut.
    pub content: &'a [u8],
}

/// Which part of a datagram a packet is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    pub id: u32,
    pub is_first: bool,
}

impl<'a> Ip<'a> {
    /// None of what is no IP, and of what is cut before its addresses.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut input = Reader::new(bytes);
        match bytes.first()? >> 4 {
            4 => {
                // RFC 791 §3.1.
                let header_bytes = usize::from(input.u8().ok()? & 0x0f) * 4;
                input.skip(3).ok()?;
                let (id, place) = (input.u16_be().ok()?, input.u16_be().ok()?);
                let fragment = Fragment { id: id.into(), is_first: place & 0x1fff == 0 };
                input.skip(1).ok()?;
                let protocol = input.u8().ok()?;
                input.skip(2).ok()?;
                let [from, to] =
                    [input.array().ok()?, input.array().ok()?].map(|ip: [u8; 4]| Ipv4Addr::from(ip).into());
                let fragment = (place & 0x3fff != 0).then_some(fragment);
                Some(Self { protocol, from, to, fragment, content: bytes.get(header_bytes..).unwrap_or_default() })
            }
            6 => {
                // RFC 8200 §3.
                input.skip(6).ok()?;
                let protocol = input.u8().ok()?;
                input.skip(1).ok()?;
                let [from, to] =
                    [input.array().ok()?, input.array().ok()?].map(|ip: [u8; 16]| Ipv6Addr::from(ip).into());
                let mut ip = Self { protocol, from, to, fragment: None, content: &[] };
                if ip.step_over_options(&mut input).is_some() {
                    ip.content = input.rest();
                }
                Some(ip)
            }
            _ => None,
        }
    }

    /// Steps over the headers between IPv6 and what it carries (RFC 8200 §4); none where that is not here.
    fn step_over_options(&mut self, input: &mut Reader<'_>) -> Option<()> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION: u8 = 60;
        // As many as a packet may have (§4.1), so that a hostile one costs no more than that.
        for _ in 0..8 {
            match self.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION => {
                    let (next, length) = (input.u8().ok()?, input.u8().ok()?);
                    input.skip(6 + usize::from(length) * 8).ok()?;
                    self.protocol = next;
                }
                FRAGMENT => {
                    self.protocol = input.u8().ok()?;
                    input.skip(1).ok()?;
                    let (place, id) = (input.u16_be().ok()?, input.u32_be().ok()?);
                    let is_first = place >> 3 == 0;
                    // One that is first and last is whole (RFC 6946).
                    self.fragment = (place & !6 != 0).then_some(Fragment { id, is_first });
                    if !is_first {
                        return Some(());
                    }
                }
                _ => return Some(()),
            }
        }
        None
    }
}

/// The ports in front of what a packet carries; 0 where that has none.
pub(super) fn ports(protocol: u8, content: &[u8]) -> [u16; 2] {
    match *content {
        [a, b, c, d, ..] if WITH_PORTS.contains(&protocol) => [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])],
        _ => [0; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip4(protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
        let mut out = vec![0x45, 0, 0, 0, 0, 1, (fragment >> 8) as u8, fragment as u8, 64, protocol, 0, 0];
        out.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        out.extend_from_slice(transport);
        out
    }

    fn ip6(next: u8, behind: &[u8]) -> Vec<u8> {
        let mut out = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        out.extend_from_slice(&[[0xfd; 16], [0xfe; 16]].concat());
        out.extend_from_slice(behind);
        out
    }

    const SYN: [u8; 14] = [0x1f, 0x90, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02];
    const SYN_ACK: [u8; 14] = [0, 80, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12];
    const ACK: [u8; 14] = [0x1f, 0x90, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10];

    #[test]
    fn ends_of_packets() {
        let shown = |bytes: &[u8]| {
            Ends::of_ip(bytes).map(|ends| format!("{} {} {} {:?}", ends.protocol, ends.from, ends.to, ends.opening))
        };
        let option = [6, 0, 1, 4, 0, 0, 0, 0];
        let (from, to) = ("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd", "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe");
        for (bytes, want) in [
            (ip4(6, 0x4000, &SYN), Some("6 10.0.0.1:8080 10.0.0.2:80 Some(Asked)".to_owned())),
            (ip4(6, 0, &SYN_ACK), Some("6 10.0.0.1:80 10.0.0.2:8080 Some(Answered)".into())),
            (ip4(6, 0, &ACK), Some("6 10.0.0.1:8080 10.0.0.2:80 None".into())),
            (ip4(17, 0, &SYN), Some("17 10.0.0.1:8080 10.0.0.2:80 None".into())),
            (ip4(17, 0x2000, &SYN), Some("17 10.0.0.1:0 10.0.0.2:0 None".into())),
            (ip4(17, 0x0010, &SYN), Some("17 10.0.0.1:0 10.0.0.2:0 None".into())),
            (ip4(1, 0, &SYN), Some("1 10.0.0.1:0 10.0.0.2:0 None".into())),
            (ip4(6, 0, &SYN[..3]), Some("6 10.0.0.1:0 10.0.0.2:0 None".into())),
            (ip4(6, 0, &[])[..19].to_vec(), None),
            (ip6(6, &SYN), Some(format!("6 [{from}]:8080 [{to}]:80 Some(Asked)"))),
            (ip6(0, &[&option[..], &SYN].concat()), Some(format!("6 [{from}]:8080 [{to}]:80 Some(Asked)"))),
            (ip6(44, &[17, 0, 0, 1, 0, 0, 0, 1]), Some(format!("17 [{from}]:0 [{to}]:0 None"))),
            (vec![], None),
            (vec![0; 60], None),
        ] {
            assert_eq!(shown(&bytes), want);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_there_has_ends_or_none(bytes: Vec<u8>) {
            Ends::of_ip(&bytes);
        }
    }
}

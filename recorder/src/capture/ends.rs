//! Between whom a packet is: enough of its headers to know its flow.

use super::block::Packet;
use formats::bytes::Reader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Transport, as IP numbers it.
    pub protocol: u8,
    /// Who sent it. Its port is 0 where the transport has none, or the packet is a fragment: of those only the first has
    /// ports, and all of them belong together.
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
        let mut input = Reader::new(bytes);
        match bytes.first()? >> 4 {
            4 => {
                // RFC 791 §3.1.
                let header_bytes = usize::from(input.u8().ok()? & 0x0f) * 4;
                input.skip(5).ok()?;
                let fragment = input.u16_be().ok()? & 0x3fff != 0;
                input.skip(1).ok()?;
                let protocol = input.u8().ok()?;
                input.skip(2).ok()?;
                let [from, to] =
                    [input.array().ok()?, input.array().ok()?].map(|ip: [u8; 4]| Ipv4Addr::from(ip).into());
                let transport = bytes.get(header_bytes..).filter(|_| !fragment);
                Some(Self::with_ports(protocol, [from, to], transport))
            }
            6 => {
                // RFC 8200 §3.
                input.skip(6).ok()?;
                let mut next = input.u8().ok()?;
                input.skip(1).ok()?;
                let [from, to] =
                    [input.array().ok()?, input.array().ok()?].map(|ip: [u8; 16]| Ipv6Addr::from(ip).into());
                let transport = behind_options(&mut next, &mut input).then(|| input.rest());
                Some(Self::with_ports(next, [from, to], transport))
            }
            _ => None,
        }
    }

    fn with_ports(protocol: u8, [from, to]: [IpAddr; 2], transport: Option<&[u8]>) -> Self {
        let transport = transport.filter(|_| WITH_PORTS.contains(&protocol)).unwrap_or_default();
        let mut input = Reader::new(transport);
        let ports = input.u16_be().and_then(|from| Ok([from, input.u16_be()?]));
        let [from_port, to_port] = ports.unwrap_or_default();
        const SYN: u8 = 0x02;
        const SYN_ACK: u8 = 0x12;
        let opening = match transport.get(13).map(|flags| flags & SYN_ACK) {
            Some(SYN) if protocol == TCP => Some(Opening::Asked),
            Some(SYN_ACK) if protocol == TCP => Some(Opening::Answered),
            _ => None,
        };
        Self { protocol, from: SocketAddr::new(from, from_port), to: SocketAddr::new(to, to_port), opening }
    }

    /// The same number for both directions, on every node.
    pub fn flow_hash(&self) -> u64 {
        let [from, to] = [self.from, self.to].map(|end| {
            let ip = match end.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let ip = u128::from(ip);
            mix(mix((ip >> 64) as u64) ^ ip as u64) ^ u64::from(end.port())
        });
        mix(mix(from).wrapping_add(mix(to)) ^ u64::from(self.protocol))
    }
}

/// Steps over the headers between IPv6 and the transport (RFC 8200 §4); false where that is not here.
fn behind_options(next: &mut u8, input: &mut Reader<'_>) -> bool {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    // As many as a packet may have (§4.1), so that a hostile one costs no more than that.
    for _ in 0..8 {
        match *next {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let (Ok(then), Ok(length)) = (input.u8(), input.u8()) else { return false };
                if input.skip(6 + usize::from(length) * 8).is_err() {
                    return false;
                }
                *next = then;
            }
            FRAGMENT => {
                *next = input.u8().unwrap_or(FRAGMENT);
                return false;
            }
            _ => return true,
        }
    }
    false
}

/// Mixes the bits of a word (the finish of MurmurHash3).
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
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
        fn both_directions_are_one_flow(bytes: Vec<u8>, from: [u8; 4], to: [u8; 4], ports: [u16; 2]) {
            Ends::of_ip(&bytes);
            let [a, b] = [(from, ports[0]), (to, ports[1])].map(SocketAddr::from);
            let there = Ends { protocol: 6, from: a, to: b, opening: None };
            let back = Ends { from: b, to: a, ..there };
            prop_assert_eq!(there.flow_hash(), back.flow_hash());
        }
    }
}

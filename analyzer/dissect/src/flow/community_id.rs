//! Community ID 1.0 with seed 0, which Zeek, Suricata, Arkime and Wireshark print too.

use crate::decode::{FlowKey, IpProtocol, Transport};
use base64::Engine as _;
use sha1::{Digest, Sha1};

/// The Community ID of a flow.
///
/// `first` is the transport header of its first packet and `from_low` who sent it: ICMP is hashed by
/// type and code.
///
/// # Source
/// Community ID flow hashing 1.0: base64 of SHA-1 over seed, addresses, protocol, padding, ports.
pub fn community_id(key: &FlowKey, first: &Transport, from_low: bool) -> String {
    let (mut from, mut to) = (key.low, key.high);
    let mut one_way = false;
    if let Transport::Icmp { kind, code } = *first {
        if !from_low {
            (from, to) = (to, from);
        }
        let answer = icmp_counterpart(key.ip_version, kind);
        (from.port, to.port) = (kind.into(), answer.unwrap_or(code).into());
        one_way = answer.is_none();
    }
    let has_ports = matches!(
        key.protocol,
        IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP | IpProtocol::ICMP | IpProtocol::ICMPV6
    );
    if !one_way && to < from {
        (from, to) = (to, from);
    }
    let address_at = if key.ip_version == 4 { 12 } else { 0 };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(&from.ip[address_at..]);
    hash.update(&to.ip[address_at..]);
    hash.update([key.protocol.0, 0]);
    if has_ports {
        hash.update(from.port.to_be_bytes());
        hash.update(to.port.to_be_bytes());
    }
    format!("1:{}", base64::engine::general_purpose::STANDARD.encode(hash.finalize()))
}

/// The type that answers a type, where there is one.
fn icmp_counterpart(ip_version: u8, kind: u8) -> Option<u8> {
    const V4: &[(u8, u8)] = &[(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)];
    const V6: &[(u8, u8)] = &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)];
    let pairs = if ip_version == 4 { V4 } else { V6 };
    pairs.iter().find_map(|&(a, b)| if kind == a { Some(b) } else { (kind == b).then_some(a) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Endpoint, TcpHeader, Tunnel};

    fn v4(ip: [u8; 4], port: u16) -> Endpoint {
        let mut mapped = [0; 16];
        mapped[10..12].fill(0xff);
        mapped[12..].copy_from_slice(&ip);
        Endpoint { ip: mapped, port }
    }

    #[test]
    fn agrees_with_the_published_examples() {
        let header = TcpHeader { seq: 0, ack: 0, flags: 0, window: 0, window_scale: None, timestamps: None };
        // The examples of the specification's own baseline.
        for (protocol, transport, from, to, want) in [
            (
                IpProtocol::TCP,
                Transport::Tcp(header),
                v4([128, 232, 110, 120], 34855),
                v4([66, 35, 250, 204], 80),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                IpProtocol::UDP,
                Transport::Udp,
                v4([192, 168, 1, 52], 54585),
                v4([8, 8, 8, 8], 53),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                IpProtocol::ICMP,
                Transport::Icmp { kind: 8, code: 0 },
                v4([192, 168, 0, 89], 0),
                v4([192, 168, 0, 1], 0),
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
        ] {
            let (key, from_low) = FlowKey::new(from, to, protocol, 4, 0, Tunnel::None);
            assert_eq!(community_id(&key, &transport, from_low), want);
        }
    }
}

//! What the decode room hands forward.

use crate::read::{Frame, Heard, LinkType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and a port; IPv4 in its mapped form (RFC 4291 §2.5.5.2), port 0 where the transport has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address, network order.
    pub ip: [u8; 16],
    /// The port.
    pub port: u16,
}

/// The protocol number of the innermost IP header (RFC 791 §3.1, RFC 8200 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// RFC 792.
    pub const ICMP: Self = Self(1);
    /// RFC 9293.
    pub const TCP: Self = Self(6);
    /// RFC 768.
    pub const UDP: Self = Self(17);
    /// RFC 4340.
    pub const DCCP: Self = Self(33);
    /// RFC 4443.
    pub const ICMPV6: Self = Self(58);
    /// RFC 9260.
    pub const SCTP: Self = Self(132);
    /// RFC 3828.
    pub const UDP_LITE: Self = Self(136);

    /// Whether it has ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::DCCP | Self::SCTP | Self::UDP_LITE)
    }
}

/// The innermost tunnel around a packet.
///
/// Ids that differ by direction (GTP-U's TEID, GRE's key) are not kept: both directions are one flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tunnel {
    /// No tunnel.
    #[default]
    None,
    /// AYIYA (draft-massar-v6ops-ayiya-02).
    Ayiya,
    /// ERSPAN (draft-foschiano-erspan-03). Its session is a point of capture, not a network.
    Erspan,
    /// Geneve network identifier (RFC 8926 §3.4).
    Geneve(u32),
    /// GRE (RFC 2784, 2890).
    Gre,
    /// GTP-U (3GPP TS 29.281).
    Gtp,
    /// IP in IP (RFC 2003, 2473).
    IpIp,
    /// L2TP version 2 (RFC 2661). Tunnel and session differ by direction.
    L2tp,
    /// Labels over IP or UDP (RFC 4023, 7510).
    Mpls,
    /// IP straight in UDP: flannel's, and generic UDP encapsulation (draft-ietf-intarea-gue).
    Gue,
    /// Multicast on its way to a rendezvous point (RFC 7761 §4.9.3).
    Pim,
    /// Frames of an access point on their way to its controller (RFC 5415).
    Capwap,
    /// IPv6 over UDP (RFC 4380).
    Teredo,
    /// TZSP: frames as a sensor or switch mirrors them. As of ERSPAN, no network of its own.
    Tzsp,
    /// VXLAN network identifier (RFC 7348 §5), also of its generic form.
    Vxlan(u32),
}

impl Tunnel {
    /// Its kind and identifier, which ids of flows are made of: a kind keeps its number.
    pub fn numbers(self) -> (u8, u32) {
        match self {
            Self::None => (0, 0),
            Self::Erspan => (1, 0),
            Self::Geneve(vni) => (2, vni),
            Self::Gre => (3, 0),
            Self::Gtp => (4, 0),
            Self::IpIp => (5, 0),
            Self::Vxlan(vni) => (6, vni),
            Self::L2tp => (7, 0),
            Self::Teredo => (8, 0),
            Self::Ayiya => (9, 0),
            Self::Mpls => (10, 0),
            Self::Tzsp => (11, 0),
            Self::Gue => (12, 0),
            Self::Pim => (13, 0),
            Self::Capwap => (14, 0),
        }
    }
}

/// Which conversation a packet belongs to: both directions have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// The lesser endpoint.
    pub low: Endpoint,
    /// The greater endpoint.
    pub high: Endpoint,
    /// Transport.
    pub protocol: IpProtocol,
    /// 4 or 6.
    pub ip_version: u8,
    /// Innermost VLAN; 0 where untagged (priority tags carry no VLAN, IEEE 802.1Q §9.6).
    pub vlan: u16,
    /// Innermost tunnel.
    pub tunnel: Tunnel,
    /// The network namespace, where its ends mean others in each, and the capture says which it is; else 0.
    pub netns: u32,
}

impl FlowKey {
    /// Orders the ends, which are the same in all namespaces; the flag says whether `from` is the lesser one.
    pub fn new(
        from: Endpoint,
        to: Endpoint,
        protocol: IpProtocol,
        ip_version: u8,
        vlan: u16,
        tunnel: Tunnel,
    ) -> (Self, bool) {
        let from_low = from <= to;
        let (low, high) = if from_low { (from, to) } else { (to, from) };
        (Self { low, high, protocol, ip_version, vlan, tunnel, netns: 0 }, from_low)
    }

    /// The address of one of its ends.
    pub fn ip(&self, end: &Endpoint) -> IpAddr {
        if self.ip_version == 4 {
            let [.., a, b, c, d] = end.ip;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from(end.ip))
        }
    }
}

/// TCP flags (RFC 9293 §3.1).
pub mod flags {
    #![allow(missing_docs, reason = "they are the names of the standard")]
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
    pub const ECE: u8 = 0x40;
    pub const CWR: u8 = 0x80;
}

/// What later rooms need of a TCP header (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first payload byte (of the SYN, where there is one).
    pub seq: u32,
    /// Acknowledgement number; meaningful with ACK.
    pub ack: u32,
    /// [`flags`].
    pub flags: u8,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Window scale option (RFC 7323 §2).
    pub window_scale: Option<u8>,
    /// Timestamps option: value and echo (RFC 7323 §3).
    pub timestamps: Option<(u32, u32)>,
}

/// The innermost transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// ICMP or ICMPv6.
    Icmp {
        /// Type (RFC 792, RFC 4443 §2.1).
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Another protocol above IP; its payload begins behind the IP header.
    Other,
    /// TCP.
    Tcp(TcpHeader),
    /// UDP.
    Udp,
}

/// One packet of a flow; its payload lies in the stretch it came with.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// Number of its frame in the capture, from 1.
    pub number: u64,
    /// Capture time, ns since the Unix epoch.
    pub ts_ns: i64,
    /// The same of the first of its frames, where it came in fragments.
    pub began_ns: i64,
    /// Where the record of its frame begins in the decompressed capture.
    pub file_offset: u64,
    /// Interface of its frame.
    pub interface: u32,
    /// Where within that it was seen: what stands for the interface that a cooked header tells, else 0.
    pub device: u32,
    /// Whether that sent or received it.
    pub heard: Heard,
    /// Captured bytes of its frame.
    pub captured_bytes: u32,
    /// Bytes of its frame on the wire.
    pub wire_bytes: u32,
    /// Frames it came in: more than one where it came in fragments, each once whatever capture points saw it.
    pub frames: u32,
    /// Bytes of all of these on the wire.
    pub frames_wire_bytes: u64,
    /// Its conversation.
    pub key: FlowKey,
    /// Whether the lesser end sent it.
    pub from_low: bool,
    /// Identification of the innermost IPv4 header, 0 for IPv6 (RFC 791 §3.1).
    pub ip_id: u16,
    /// The transport header.
    pub transport: Transport,
    /// Where the transport's payload begins in the bytes of the stretch.
    pub payload_at: u32,
    /// Captured bytes of that payload.
    pub payload_bytes: u32,
    /// Bytes of that payload by the headers; more than captured where the frame was cut.
    pub payload_wire_bytes: u32,
    /// Whether it is a tunnel whose content is a packet of its own: a flow, but its payload is not looked at.
    pub carrier: bool,
    /// Whether it stands for its frame in `coverage`: exactly one packet of each frame does, none for a
    /// datagram put together from fragments (they were counted when they came).
    pub counted: bool,
    /// Captured bytes to count as headers with it: all of the frame but the payload; for a datagram put
    /// together from fragments its transport header; 0 for a carrier.
    pub overhead_bytes: u32,
    /// Where it is nothing but a frame that brought a fragment of a datagram of this conversation: index of its capture.
    pub piece_of: Option<u32>,
}

impl Packet {
    /// Its frame, but for where the bytes of that are.
    pub fn frame(&self) -> Frame {
        let Self { number, ts_ns, file_offset, interface, heard, captured_bytes, wire_bytes, .. } = *self;
        Frame { number, ts_ns, file_offset, interface, heard, captured_bytes, wire_bytes, at: 0, link: LinkType(0) }
    }
}

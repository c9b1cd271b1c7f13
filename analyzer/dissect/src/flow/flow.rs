//! The facts of one conversation.

use super::direction::{Direction, Evidence};
use super::tcp::Tcp;
use super::{PerWay, Way, Whose, community_id};
use crate::decode::{FlowKey, Packet, Transport, flags};
use std::net::IpAddr;

/// What one end sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire, headers and repeats included.
    pub wire_bytes: u64,
    /// Payload, each byte of a stream once.
    pub payload_bytes: u64,
    /// Time of its first payload, ns.
    pub first_payload_ns: Option<i64>,
}

/// One connection or conversation.
#[derive(Debug)]
pub struct Flow {
    /// See [`super::flow_id`].
    pub id: i64,
    /// Its ends.
    pub key: FlowKey,
    /// Transport header of its first packet.
    first: Transport,
    /// Who sent the first packet.
    first_way: Way,
    direction: Direction,
    /// Time of its first packet, ns.
    pub start_ns: i64,
    /// Time of its latest packet, ns.
    pub end_ns: i64,
    /// What each end sent.
    pub counters: PerWay<Counters>,
    /// What TCP says, where it is TCP.
    pub tcp: Option<Tcp>,
    /// What was spoken, once recognised.
    pub protocol: Option<&'static str>,
    /// What TLS says of it, where it is spoken.
    pub tls: Option<Box<TlsFacts>>,
    /// Index of the input it began in.
    pub capture: u32,
    /// Whose its ends are.
    pub whose: Whose,
}

/// What the first TLS handshake of a flow says in clear.
#[derive(Debug, Default)]
pub struct TlsFacts {
    /// Name of the server the client asks for.
    pub sni: Option<Vec<u8>>,
    /// Application protocol agreed on.
    pub alpn: Option<Vec<u8>>,
}

impl Flow {
    /// Begins with a packet, which is not counted yet. `id` is the flow's.
    pub fn begin(id: i64, packet: &Packet, capture: u32) -> Self {
        let way = Way::of(packet.from_low);
        Self {
            id,
            key: packet.key,
            first: packet.transport,
            first_way: way,
            direction: Direction::guess(&packet.key, way),
            start_ns: packet.began_ns,
            end_ns: packet.ts_ns,
            counters: PerWay::default(),
            tcp: matches!(packet.transport, Transport::Tcp(_)).then(Tcp::default),
            protocol: None,
            tls: None,
            capture,
            whose: Whose::default(),
        }
    }

    /// Whether it began with this segment.
    pub fn began_with(&self, packet: &Packet) -> bool {
        self.tcp.is_some() && (self.first_way, self.first) == (Way::of(packet.from_low), packet.transport)
    }

    /// Counts a packet and takes in what its header says.
    pub fn packet(&mut self, packet: &Packet) {
        let way = Way::of(packet.from_low);
        // Captures of several queues or points are not always in order.
        self.start_ns = self.start_ns.min(packet.began_ns);
        self.end_ns = self.end_ns.max(packet.ts_ns);
        let counters = &mut self.counters[way];
        counters.packets += u64::from(packet.frames);
        counters.wire_bytes += packet.frames_wire_bytes;
        if packet.payload_bytes > 0 && !packet.carrier {
            counters.first_payload_ns.get_or_insert(packet.ts_ns);
        }
        if let (Some(tcp), Transport::Tcp(header)) = (&mut self.tcp, &packet.transport) {
            tcp.packet(way, header, packet.payload_wire_bytes, packet.ts_ns);
            if header.flags & flags::SYN != 0 {
                let client = if header.flags & flags::ACK == 0 { way } else { way.back() };
                // With a simultaneous open (RFC 9293 §3.5) the first SYN decides.
                self.direction.learn(client, Evidence::Syn);
            }
        }
    }

    /// The protocol tells who the client is, unless a SYN did.
    pub fn spoken(&mut self, protocol: &'static str, client: Option<Way>) {
        self.protocol.get_or_insert(protocol);
        if let Some(client) = client {
            self.asked_by(client);
        }
    }

    /// What was said tells who the client is, unless a SYN or what was said before did.
    pub fn asked_by(&mut self, client: Way) {
        self.direction.learn(client, Evidence::Protocol);
    }

    /// The way the client sends.
    pub fn client(&self) -> Way {
        self.direction.client()
    }

    /// Whether a SYN or the protocol tells client from server.
    pub fn direction_known(&self) -> bool {
        self.direction.known()
    }

    /// Address and port of the end that sends this way.
    pub fn end(&self, way: Way) -> (IpAddr, u16) {
        let end = match way {
            Way::FromHigh => &self.key.high,
            Way::FromLow => &self.key.low,
        };
        (self.key.ip(end), end.port)
    }

    /// Whether its transport has ports.
    pub fn has_ports(&self) -> bool {
        self.key.protocol.has_ports()
    }

    /// Its Community ID.
    pub fn community_id(&self) -> String {
        community_id(&self.key, &self.first, self.first_way == Way::FromLow)
    }
}

//! What was seen of a conversation lately, and where: what several capture points show counts once.

use crate::decode::{Packet, Transport};
use crate::flow::{PerWay, Way};
use crate::limits;

/// Packets remembered.
const PACKETS: usize = 4;

/// A packet, and the point that showed it.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    likeness: u64,
    point: u32,
    ts_ns: i64,
}

/// What was seen of a conversation lately.
#[derive(Debug, Default)]
pub struct Seen {
    /// The latest packets, to know them again.
    latest: [Option<Sighting>; PACKETS],
    /// Where the latest of them is.
    at: u8,
    /// The point that shows a side first, and the time of the latest packet that counted [ns].
    lead: PerWay<Option<(u32, i64)>>,
}

impl Seen {
    /// Whether this packet was seen a moment ago at another capture point: a retransmission has another
    /// identification, or at least another timestamp.
    pub fn before(&mut self, packet: &Packet, payload: &[u8]) -> bool {
        let (likeness, point) = (likeness(packet, payload), point(packet));
        let has_payload = packet.payload_wire_bytes > 0;
        let told_apart = matches!(packet.transport, Transport::Tcp(_)) && has_payload && is_unlike_others(packet);
        let twice = self.latest_like(packet, likeness).any(|seen| seen.point != point || told_apart);
        self.at = (self.at + 1) % PACKETS as u8;
        self.latest[usize::from(self.at)] = Some(Sighting { likeness, point, ts_ns: packet.ts_ns });
        twice
    }

    /// Whether a packet like it was seen a moment ago.
    pub fn has(&self, packet: &Packet, payload: &[u8]) -> bool {
        self.latest_like(packet, likeness(packet, payload)).next().is_some()
    }

    fn latest_like(&self, packet: &Packet, likeness: u64) -> impl Iterator<Item = &Sighting> {
        let is_near = move |ts_ns: i64| packet.ts_ns.abs_diff(ts_ns) < limits::SEEN_TWICE_NS as u64;
        self.latest.iter().flatten().filter(move |seen| seen.likeness == likeness && is_near(seen.ts_ns))
    }

    /// A packet counts.
    pub fn count(&mut self, packet: &Packet) {
        let lead = &mut self.lead[Way::of(packet.from_low)];
        *lead = Some((point(packet), lead.map_or(packet.ts_ns, |(_, ts_ns)| ts_ns.max(packet.ts_ns))));
    }

    /// Whether another point leads: of TCP, what brings nothing new is what that one showed before, and no retransmission,
    /// however many packets stand between. Where each interface is written in batches the others go back in time.
    pub fn follows(&self, packet: &Packet) -> bool {
        self.lead[Way::of(packet.from_low)].is_some_and(|(lead, ts_ns)| {
            lead != point(packet) && packet.ts_ns.saturating_sub(ts_ns) < limits::SEEN_TWICE_NS
        })
    }
}

/// Whether a packet has what makes it unlike those of other networks, where addresses may be the same and the ends are not:
/// an identification, a timestamp, or a port that its sender was given. What has well-known ports alone looks the same
/// everywhere.
pub fn is_unlike_others(packet: &Packet) -> bool {
    packet.ip_id != 0
        || match packet.transport {
            Transport::Tcp(header) => header.timestamps.is_some(),
            Transport::Udp => packet.key.low.port != packet.key.high.port && packet.payload_wire_bytes > 0,
            Transport::Icmp { .. } | Transport::Other => false,
        }
}

/// Where a packet was seen, and in which network, mixed to one number.
fn point(packet: &Packet) -> u32 {
    let (kind, id) = packet.key.tunnel.numbers();
    let network = u64::from(kind) << 48 | u64::from(packet.key.vlan) << 32 | u64::from(id);
    let place = u64::from(packet.interface) << 32 | u64::from(packet.device);
    ((network.wrapping_mul(ODD).rotate_left(23) ^ place).wrapping_mul(ODD) >> 32) as u32
}

/// The first bytes of a payload, mixed to one number.
fn front(payload: &[u8]) -> u64 {
    const BYTES: usize = 64;
    let words = payload.get(..BYTES).unwrap_or(payload).chunks(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    });
    words.fold(0, |mixed, word| (mixed.rotate_left(23) ^ word).wrapping_mul(ODD))
}

/// Spreads the bits of a word over all of them: the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What makes two packets of a flow the same packet, mixed to one number: packets seen before are kept for every flow.
///
/// Datagrams often have no identification (RFC 6864 §4.1), so of all but TCP the front of the payload counts: two questions
/// sent one after the other have the same length.
fn likeness(packet: &Packet, payload: &[u8]) -> u64 {
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let header = match packet.transport {
        Transport::Tcp(header) => {
            let (value, echo) = header.timestamps.unwrap_or_default();
            let scale = header.window_scale.map_or(0, |scale| 0x100 | u32::from(scale));
            let rest = pair(u32::from(header.flags) << 16 | scale, header.window.into());
            [pair(header.seq, header.ack), rest, pair(value, echo)]
        }
        // Behind the checksum: identifier and sequence of an echo, and what it holds.
        Transport::Icmp { kind, code } => [pair(kind.into(), code.into()), front(payload), 1],
        Transport::Udp => [front(payload), 0, 2],
        Transport::Other => [front(payload), 0, 3],
    };
    let ip = pair(u32::from(packet.ip_id) << 1 | u32::from(packet.from_low), packet.payload_wire_bytes);
    header.into_iter().fold(ip, |mixed, word| (mixed.rotate_left(23) ^ word).wrapping_mul(ODD))
}

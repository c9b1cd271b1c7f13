//! Which packets are one and the same, seen at several interfaces: they get one `epb_packetid`.
//!
//! A packet is known again by its bytes from the IP header on, but for what changes on its way, within a moment and
//! at an interface where it was not yet. Where the same bytes come twice at one interface there are two such packets, and
//! nobody can say which of them is seen elsewhere: then neither has an id from there on. Each network namespace has a loopback
//! of its own: of what passes on it nothing is seen in another.

use crate::capture::Packet;

/// Knows packets again.
#[derive(Debug)]
pub struct Identities {
    slots: Vec<Slot>,
    last: u64,
}

/// A packet seen lately.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    likeness: u64,
    id: u64,
    first_ns: u64,
    /// Numbers of the interfaces where it was seen.
    points: [u32; POINTS],
    seen_points: u8,
    ambiguous: bool,
}

/// Packets that are remembered: 64 B each, 512 KiB. One whose place another takes first is not known again, and none is mistaken
/// for another: at 100,000 packets in a second that is one of eighty within 1 ms, and nearly half within the moment.
const SLOTS: usize = 1 << 13;

/// Interfaces of one node that a packet passes: both ends of two cables, a bridge, a tunnel, the network card; and one.
const POINTS: usize = 8;

/// How long a packet may take from one interface to the next [ns]: as long as queues hold it.
const MOMENT_NS: u64 = 50_000_000;

/// Bytes of a packet that are compared.
const COMPARED_BYTES: usize = 256;

impl Default for Identities {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS], last: 0 }
    }
}

impl Identities {
    /// The id of a packet seen in that network namespace, at the interface of that number; none where it is not sure, and for
    /// what is not IP.
    pub fn of(&mut self, packet: &Packet<'_>, netns: u64, number: u32) -> Option<u64> {
        let likeness = likeness(packet, netns)?;
        let slot = self.slots.get_mut(likeness as usize % SLOTS)?;
        if slot.likeness != likeness || packet.time_ns.abs_diff(slot.first_ns) > MOMENT_NS {
            self.last += 1;
            let points = [number, 0, 0, 0, 0, 0, 0, 0];
            *slot =
                Slot { likeness, id: self.last, first_ns: packet.time_ns, points, seen_points: 1, ambiguous: false };
            return Some(slot.id);
        }
        let seen_points = usize::from(slot.seen_points);
        if slot.points.iter().take(seen_points).any(|&point| point == number) || seen_points == POINTS {
            slot.ambiguous = true;
        }
        if slot.ambiguous {
            return None;
        }
        slot.points[seen_points] = number;
        slot.seen_points += 1;
        Some(slot.id)
    }
}

/// The bytes of a packet that do not change on its way, and of one between loopback addresses the namespace, mixed to one number.
fn likeness(packet: &Packet<'_>, netns: u64) -> Option<u64> {
    let ip = packet.frame.get(packet.network_at..)?;
    let mut compared = [0; COMPARED_BYTES];
    let front = ip.get(..COMPARED_BYTES).unwrap_or(ip);
    compared[..front.len()].copy_from_slice(front);
    // Hops left and the checksum over them change; the transport's checksum is filled in late, or never.
    let (protocol, transport_at, is_loopback) = match front.first()? >> 4 {
        4 => {
            compared[8] = 0;
            compared[10..12].fill(0);
            // 127/8 (RFC 1122 §3.2.1.3).
            let is_loopback = compared[12] == 127 || compared[16] == 127;
            (*front.get(9)?, usize::from(front.first()? & 0x0f) * 4, is_loopback)
        }
        6 => {
            compared[7] = 0;
            // ::1 (RFC 4291 §2.5.3).
            const LOOPBACK: [u8; 16] = 1u128.to_be_bytes();
            (*front.get(6)?, 40, compared[8..24] == LOOPBACK || compared[24..40] == LOOPBACK)
        }
        _ => return None,
    };
    let checksum_at = match protocol {
        6 => transport_at + 16,
        17 => transport_at + 6,
        _ => COMPARED_BYTES,
    };
    compared.iter_mut().skip(checksum_at).take(2).for_each(|byte| *byte = 0);
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let inner_bytes = packet.wire_bytes.saturating_sub(packet.network_at as u32);
    let words =
        compared[..front.len().next_multiple_of(8)].as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let whose = if is_loopback { netns } else { 0 };
    let mixed = words.fold(u64::from(inner_bytes) ^ whose.rotate_left(32), |mixed, word| {
        let mixed = (mixed ^ word).wrapping_mul(ODD);
        mixed ^ mixed >> 29
    });
    Some(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Link;

    /// A packet of UDP with that payload, with hops left, at that time.
    fn packet<'a>(frame: &'a mut Vec<u8>, payload: &[u8], hops: u8, time_ns: u64) -> Packet<'a> {
        frame.clear();
        frame.extend_from_slice(&[0; 14]);
        frame.extend_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, hops, 17, hops, hops, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend_from_slice(&[0, 7, 0, 7, 0, 20, hops, hops]);
        frame.extend_from_slice(payload);
        Packet {
            time_ns,
            wire_bytes: frame.len() as u32,
            frame,
            network_at: 14,
            vlan: None,
            flags: 0,
            link: Link {
                protocol: 0x0800,
                interface_index: 1,
                hardware: 1,
                direction: 0,
                address_bytes: 6,
                address: [0; 8],
            },
        }
    }

    #[test]
    fn a_packet_is_known_again_elsewhere_and_within_a_moment() {
        let mut ids = Identities::default();
        let mut frame = Vec::new();
        let mut id = |payload: &[u8], hops, number, time_ms: u64| {
            ids.of(&packet(&mut frame, payload, hops, time_ms * 1_000_000), u64::from(number), number)
        };
        let first = id(b"one", 64, 0, 1000);
        assert!(first.is_some());
        assert_eq!(id(b"one", 64, 1, 1000), first);
        assert_eq!(id(b"one", 63, 2, 1010), first, "routed");
        let other = id(b"two", 64, 0, 1010);
        assert!(other.is_some() && other != first);
        let late = id(b"one", 64, 0, 1100);
        assert!(late.is_some() && late != first, "another with the same bytes");
        assert_eq!(id(b"one", 64, 1, 1101), late);
        assert_eq!(id(b"one", 64, 0, 1102), None, "a second at the same interface");
        assert_eq!(id(b"one", 64, 1, 1103), None, "one of two");
        for number in 0..8 {
            assert!(id(b"round and round", 64, number, 2000).is_some());
        }
        assert_eq!(id(b"round and round", 64, 8, 2000), None);
    }

    #[test]
    fn each_namespace_has_a_loopback_of_its_own() {
        let ip4 = |from: u8, to: u8| {
            [&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, from, 0, 0, 1, to, 0, 0, 1][..], &[7; 20]].concat()
        };
        let ip6 = |from: u8, to: u8| {
            let [from, to] = [from, to].map(|first| (u128::from(first) << 120 | 1).to_be_bytes());
            [&[0x60, 0, 0, 0, 0, 20, 17, 64][..], &from, &to, &[7; 20]].concat()
        };
        for (ip, is_one) in [
            (ip4(127, 127), false),
            (ip4(127, 10), false),
            (ip4(10, 127), false),
            (ip4(10, 10), true),
            (ip6(0, 0), false),
            (ip6(0xfd, 0), false),
            (ip6(0xfd, 0xfe), true),
        ] {
            let (mut ids, mut frame) = (Identities::default(), Vec::new());
            let whole = packet(&mut frame, &[], 64, 1_000_000_000);
            let packet = Packet { frame: &ip, network_at: 0, ..whole };
            let [first, inside, elsewhere] =
                [(1, 0), (1, 1), (2, 2)].map(|(netns, number)| ids.of(&packet, netns, number));
            assert!(first.is_some() && first == inside && elsewhere.is_some(), "{ip:?}");
            assert_eq!(first == elsewhere, is_one, "{ip:?}");
        }
    }

    #[test]
    fn whatever_is_there_is_compared() {
        let mut frame = Vec::new();
        let whole = packet(&mut frame, &[7; 400], 64, 0);
        for end in 0..whole.frame.len() {
            likeness(&Packet { frame: &whole.frame[..end], ..whole }, 1);
        }
        assert_eq!(likeness(&Packet { network_at: 13, ..whole }, 1), None);
    }
}

//! Real TCP ends over a wire that loses and mixes up frames, and a capture point that loses some more.

use super::super::*;
use super::byte;
use crate::decode::{Decoder, Transport, flags};
use crate::flow::{PerWay, Way};
use crate::read::{Frame, LinkType, Stretch};
use proptest::prelude::*;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::collections::VecDeque;

/// The network card of an end.
#[derive(Default)]
struct Port {
    inbox: VecDeque<Vec<u8>>,
    outbox: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;
    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        Some((Received(self.inbox.pop_front()?), Sending(&mut self.outbox)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outbox))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 300;
        capabilities
    }
}

/// One end: sends `total` bytes of f(n), reads all it gets, closes when both are done.
struct End {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    way: Way,
    sent: u32,
    received: u32,
    total: u32,
}

impl End {
    fn new(host: u8, seed: u64, total: u32) -> Self {
        let mut port = Port::default();
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, host]).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::v4(10, 0, 0, host), 24)).unwrap());
        let buffer = || tcp::SocketBuffer::new(vec![0; 1500]);
        let mut sockets = SocketSet::new(vec![]);
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        if host == 2 {
            socket.listen(80).unwrap();
        } else {
            socket.connect(interface.context(), (IpAddress::v4(10, 0, 0, 2), 80), 50_000).unwrap();
        }
        Self { port, interface, sockets, way: Way::of(host == 1), sent: 0, received: 0, total }
    }

    fn turn(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
        let way = self.way;
        let Some((_, smoltcp::socket::Socket::Tcp(socket))) = self.sockets.iter_mut().next() else { return };
        if socket.can_recv() {
            self.received += socket.recv(|got| (got.len(), got.len() as u32)).unwrap_or_default();
        }
        if socket.can_send() && self.sent < self.total {
            let (sent, total) = (self.sent, self.total);
            let length = socket.send(|room| {
                let length = room.len().min((total - sent) as usize).min(700);
                room[..length].iter_mut().zip(sent..).for_each(|(to, n)| *to = byte(way, n));
                (length, length)
            });
            self.sent += length.unwrap_or_default() as u32;
        }
        if self.sent == self.total && self.total > 0 && socket.may_send() && socket.send_queue() == 0 {
            socket.close();
        }
    }
}

/// Chances in 256.
#[derive(Debug, Clone, Copy)]
struct Faults {
    lost_on_wire: u8,
    swapped: u8,
    not_captured: u8,
}

/// The frames that a capture point between the ends sees; wire losses happen behind it. None where the ends wait for each other
/// for good, which these do now and then.
fn record(seed: u64, totals: (u32, u32), faults: Faults) -> Option<Vec<Vec<u8>>> {
    let (mut a, mut b) = (End::new(1, seed, totals.0), End::new(2, !seed, totals.1));
    let (mut captured, mut dice) = (Vec::new(), seed | 1);
    let mut roll = |chance: u8| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 40) as u8 as u16 + 1 > 256 - u16::from(chance)
    };
    let mut left_ms = 100;
    for ms in 0..600_000 {
        a.turn(Instant::from_millis(ms));
        b.turn(Instant::from_millis(ms));
        for low in [true, false] {
            let (from, to) = if low { (&mut a.port, &mut b.port) } else { (&mut b.port, &mut a.port) };
            for frame in from.outbox.drain(..) {
                // The handshake is seen: what a capture without it is, other tests say.
                let opens = frame.get(47).is_some_and(|bits| bits & flags::SYN != 0);
                if opens || !roll(faults.not_captured) {
                    captured.push(frame.clone());
                }
                if !roll(faults.lost_on_wire) {
                    to.inbox.push_back(frame);
                }
            }
            if to.inbox.len() > 1 && roll(faults.swapped) {
                to.inbox.swap(0, 1);
            }
        }
        if (a.received, b.received) == (b.total, a.total) {
            // What is left is to close.
            left_ms -= 1;
        }
        if left_ms == 0 {
            return Some(captured);
        }
    }
    None
}

/// What the streams say of each side: bytes handed on, bytes lost, and whether each byte was right.
fn play(frames: &[Vec<u8>]) -> (PerWay<u32>, PerWay<u64>, bool) {
    let mut stretch = Stretch::default();
    for (number, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        stretch.frames.push(Frame {
            number: number as u64 + 1,
            ts_ns: number as i64 * 100_000,
            at: stretch.bytes.len() as u32,
            captured_bytes: length,
            wire_bytes: length,
            link: LinkType(1),
            interface: 0,
            heard: Default::default(),
            file_offset: 0,
        });
        stretch.bytes.extend_from_slice(frame);
    }
    let mut packets = Vec::new();
    Decoder::default().decode(&mut stretch, &mut packets);
    let (mut pair, mut handed, mut lost) = (StreamPair::default(), PerWay::<u32>::default(), PerWay::<u64>::default());
    let mut right = true;
    let mut take = |way: Way, chunk: Chunk<'_>| match chunk {
        Chunk::Bytes { bytes, .. } => {
            let from = handed[way] + lost[way] as u32;
            right &= bytes.iter().zip(from..).all(|(&got, n)| got == byte(way, n));
            handed[way] += bytes.len() as u32;
        }
        Chunk::Gap { lost_bytes } => lost[way] += lost_bytes,
        Chunk::Doubt { .. } | Chunk::End => {}
    };
    for packet in &packets {
        let Transport::Tcp(header) = packet.transport else { continue };
        let (way, syn) = (Way::of(packet.from_low), header.flags & flags::SYN != 0);
        if syn {
            pair.begin(way, header.seq.wrapping_add(1));
        }
        let at = packet.payload_at as usize;
        let segment = Segment {
            way,
            seq: header.seq,
            ack: (header.flags & flags::ACK != 0).then_some(header.ack),
            syn,
            fin: header.flags & flags::FIN != 0,
            bytes: &stretch.bytes[at..at + packet.payload_bytes as usize],
            cut_bytes: 0,
            ts_ns: packet.ts_ns,
            began_ns: packet.began_ns,
            packet: packet.number,
        };
        pair.segment(&segment, &mut take);
    }
    pair.finish(&mut take);
    (handed, lost, right)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_two_ends_said_is_handed_on_whatever_the_wire_does(seed: u64, up in 1u32..6000, down in 1u32..6000, lost_on_wire in 0u8..50, swapped in 0u8..80) {
        let Some(frames) = record(seed, (up, down), Faults { lost_on_wire, swapped, not_captured: 0 }) else { return Ok(()) };
        let (handed, lost, right) = play(&frames);
        prop_assert!(right);
        prop_assert_eq!((handed[Way::FromLow], handed[Way::FromHigh]), (up, down));
        prop_assert_eq!((lost[Way::FromLow], lost[Way::FromHigh]), (0, 0));
    }

    #[test]
    fn what_the_capture_missed_is_a_gap_of_its_size(seed: u64, up in 1u32..6000, down in 1u32..6000, not_captured in 1u8..60) {
        let Some(frames) = record(seed, (up, down), Faults { lost_on_wire: 10, swapped: 20, not_captured }) else { return Ok(()) };
        let (handed, lost, right) = play(&frames);
        prop_assert!(right);
        for (way, total) in [(Way::FromLow, up), (Way::FromHigh, down)] {
            let known = u64::from(handed[way]) + lost[way];
            // Losses behind everything that was seen and acknowledged are nobody's to know, and a FIN that was not
            // captured looks like a byte.
            prop_assert!(known <= u64::from(total) + 1, "{known} of {total}");
        }
    }
}

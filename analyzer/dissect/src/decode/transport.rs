//! What stands above IP: TCP (RFC 9293), UDP (RFC 768), ICMP, ports of others, and tunnels.

use super::packet::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel};
use super::tunnel;
use super::walk::{Layer, Packets, Turn, Walk, u16_at, u32_at};
use crate::read::Frame;

const CUT: Turn = Turn::Refused("cut in the transport header");

/// The frame, or the datagram put together from fragments, that a walk goes through.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'a> {
    /// The frame, or the last fragment's.
    pub frame: &'a Frame,
    /// Where its bytes begin in the stretch.
    pub base: usize,
    /// When the first of its frames came [ns].
    pub began_ns: i64,
    /// How many they are.
    pub frames: u32,
    /// Their bytes on the wire.
    pub frames_wire_bytes: u64,
    /// Whether a packet of it stands for the frame in `coverage`.
    pub counted: bool,
}

impl<'a> Unit<'a> {
    /// Of one frame, whose bytes or whose datagram's begin there.
    pub fn of(frame: &'a Frame, base: usize, counted: bool) -> Self {
        Self { frame, base, began_ns: frame.ts_ns, frames: 1, frames_wire_bytes: frame.wire_bytes.into(), counted }
    }
}

/// Reads the header of a protocol above IP.
pub fn transport(walk: &mut Walk<'_>, protocol: u8, unit: &Unit<'_>, packets: &mut Packets) -> Turn {
    match IpProtocol(protocol) {
        IpProtocol::TCP => tcp(walk, unit, packets),
        IpProtocol::UDP => udp(walk, unit, packets),
        // RFC 4340 §5.1, RFC 9260 §3.1, RFC 3828 §3.1. What tells the length of DCCP's is in words of four bytes.
        IpProtocol::DCCP => {
            let words = walk.rest().get(4).copied().unwrap_or_default();
            with_ports(walk, unit, packets, IpProtocol::DCCP, usize::from(words) * 4)
        }
        IpProtocol::SCTP => with_ports(walk, unit, packets, IpProtocol::SCTP, 12),
        IpProtocol::UDP_LITE => with_ports(walk, unit, packets, IpProtocol::UDP_LITE, 8),
        IpProtocol::ICMP | IpProtocol::ICMPV6 => match *walk.rest() {
            [kind, code, ..] => {
                walk.skip(4);
                finish(walk, unit, packets, IpProtocol(protocol), (0, 0), Transport::Icmp { kind, code })
            }
            _ => CUT,
        },
        // Authentication header over IPv4 (RFC 4302 §2.2): its length in words of four bytes, less two.
        IpProtocol(51) => match *walk.rest() {
            [next, words, ..] => {
                walk.skip(usize::from(words) * 4 + 8);
                Turn::Next(Layer::Transport(next))
            }
            _ => CUT,
        },
        other => {
            let outer = *walk;
            match tunnel::over_ip(walk, protocol) {
                Some(inner) => {
                    carry(&outer, unit, packets, other, (0, 0));
                    inner
                }
                None => finish(&outer, unit, packets, other, (0, 0), Transport::Other),
            }
        }
    }
}

/// A header that begins with ports, of a protocol whose content nobody reads.
fn with_ports(
    walk: &mut Walk<'_>,
    unit: &Unit<'_>,
    packets: &mut Packets,
    protocol: IpProtocol,
    header_bytes: usize,
) -> Turn {
    let (Some(from), Some(to)) = (u16_at(walk.rest(), 0), u16_at(walk.rest(), 2)) else { return CUT };
    walk.skip(header_bytes);
    finish(walk, unit, packets, protocol, (from, to), Transport::Other)
}

fn tcp(walk: &mut Walk<'_>, unit: &Unit<'_>, packets: &mut Packets) -> Turn {
    let Some(header) = walk.rest().first_chunk::<20>() else { return CUT };
    let header_bytes = usize::from(header[12] >> 4) * 4;
    if header_bytes < 20 || (header_bytes > walk.rest().len() && walk.cut_bytes == 0) {
        return Turn::Refused("malformed tcp");
    }
    let word = |at| u32_at(header, at).unwrap_or_default();
    let half = |at| u16_at(header, at).unwrap_or_default();
    let options = walk.rest().get(20..header_bytes.min(walk.rest().len())).unwrap_or_default();
    let (window_scale, timestamps) = tcp_options(options);
    let tcp = TcpHeader { seq: word(4), ack: word(8), flags: header[13], window: half(14), window_scale, timestamps };
    let missing = header_bytes.saturating_sub(walk.rest().len()) as u32;
    walk.skip(header_bytes);
    walk.cut_bytes = walk.cut_bytes.saturating_sub(missing);
    finish(walk, unit, packets, IpProtocol::TCP, (half(0), half(2)), Transport::Tcp(tcp))
}

/// Window scale and timestamps (RFC 7323 §2.2, §3.2); reading ends at the first option that is no option.
fn tcp_options(mut options: &[u8]) -> (Option<u8>, Option<(u32, u32)>) {
    let (mut window_scale, mut timestamps) = (None, None);
    loop {
        options = match options {
            [1, rest @ ..] => rest,
            [3, 3, scale, rest @ ..] => {
                window_scale = Some(*scale);
                rest
            }
            [8, 10, rest @ ..] if rest.len() >= 8 => {
                timestamps = u32_at(rest, 0).zip(u32_at(rest, 4));
                rest.get(8..).unwrap_or_default()
            }
            [2..=255, length @ 2..=255, ..] => options.get(usize::from(*length)..).unwrap_or_default(),
            _ => return (window_scale, timestamps),
        };
    }
}

fn udp(walk: &mut Walk<'_>, unit: &Unit<'_>, packets: &mut Packets) -> Turn {
    let Some([from_high, from_low, to_high, to_low, length_high, length_low, _, _]) =
        walk.rest().first_chunk::<8>().copied()
    else {
        return CUT;
    };
    let ports = (u16::from_be_bytes([from_high, from_low]), u16::from_be_bytes([to_high, to_low]));
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    // 0 is a jumbogram (RFC 2675 §4) or segmentation offload; what is shorter than the header is nonsense kept whole.
    let there = walk.rest().len() + walk.cut_bytes as usize;
    if (8..=there).contains(&length) {
        walk.limit(length);
    }
    walk.skip(8);
    let outer = *walk;
    match tunnel::over_udp(walk, ports) {
        Some(inner) => {
            carry(&outer, unit, packets, IpProtocol::UDP, ports);
            inner
        }
        None => finish(&outer, unit, packets, IpProtocol::UDP, ports, Transport::Udp),
    }
}

fn packet(
    walk: &Walk<'_>,
    unit: &Unit<'_>,
    protocol: IpProtocol,
    (from, to): (u16, u16),
    transport: Transport,
) -> Packet {
    let from = Endpoint { ip: walk.around.source, port: from };
    let to = Endpoint { ip: walk.around.destination, port: to };
    // A mirrored frame is tagged or not by the direction it was mirrored in: no network of its own.
    let mirrored = matches!(walk.around.tunnel, Tunnel::Erspan | Tunnel::Tzsp);
    let vlan = if mirrored { 0 } else { walk.around.vlan };
    let (key, from_low) = FlowKey::new(from, to, protocol, walk.around.ip_version, vlan, walk.around.tunnel);
    let key = FlowKey { netns: walk.around.own_netns(), ..key };
    let payload_bytes = walk.rest().len() as u32;
    Packet {
        number: unit.frame.number,
        ts_ns: unit.frame.ts_ns,
        began_ns: unit.began_ns,
        file_offset: unit.frame.file_offset,
        interface: unit.frame.interface,
        device: walk.around.device,
        heard: unit.frame.heard,
        captured_bytes: unit.frame.captured_bytes,
        wire_bytes: unit.frame.wire_bytes,
        frames: unit.frames,
        frames_wire_bytes: unit.frames_wire_bytes,
        key,
        from_low,
        ip_id: walk.around.ip_id,
        transport,
        payload_at: (unit.base + walk.at) as u32,
        payload_bytes,
        payload_wire_bytes: payload_bytes.saturating_add(walk.cut_bytes),
        carrier: false,
        counted: unit.counted,
        overhead_bytes: walk.data.len() as u32 - payload_bytes,
        piece_of: None,
    }
}

fn finish(
    walk: &Walk<'_>,
    unit: &Unit<'_>,
    packets: &mut Packets,
    protocol: IpProtocol,
    ports: (u16, u16),
    transport: Transport,
) -> Turn {
    packets.push(packet(walk, unit, protocol, ports, transport));
    Turn::Done
}

/// The conversation of a tunnel's ends; its content is a packet of its own.
fn carry(outer: &Walk<'_>, unit: &Unit<'_>, packets: &mut Packets, protocol: IpProtocol, ports: (u16, u16)) {
    let transport = if protocol == IpProtocol::UDP { Transport::Udp } else { Transport::Other };
    let whole = packet(outer, unit, protocol, ports, transport);
    packets.push(Packet { carrier: true, counted: false, overhead_bytes: 0, ..whole });
}

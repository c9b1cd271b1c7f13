//! pcapng blocks, written straight from the ring (draft-ietf-opsawg-pcapng §4). Little endian.

use crate::capture::{Interface, Packet};
use crate::link::Framing;
use formats::seal::Counts;

/// Appends a section header: everything behind it, up to the next one, is one capture.
pub fn section_header(out: &mut Vec<u8>) {
    let block = Block::begin(out, 0x0a0d_0d0a);
    block.out.extend_from_slice(&0x1a2b_3c4du32.to_le_bytes()); // Says that we write little endian.
    block.out.extend_from_slice(&[1, 0, 0, 0]); // Version 1.0.
    block.out.extend_from_slice(&u64::MAX.to_le_bytes()); // Length of the section: not known.
    option(block.out, 3, b"Linux");
    option(block.out, 4, concat!("remora-recorder ", env!("CARGO_PKG_VERSION")).as_bytes());
    block.end_options();
}

/// Appends the description of an interface; its number is how many were described before it.
pub fn interface_description(out: &mut Vec<u8>, interface: &Interface, snap_bytes: u32, filter: Option<&str>) {
    let link_type: u16 = match Framing::of(interface.hardware) {
        Framing::Cooked => 276, // LINKTYPE_LINUX_SLL2
        Framing::Ethernet => 1, // LINKTYPE_ETHERNET
        Framing::Ip => 101,     // LINKTYPE_RAW
    };
    let block = Block::begin(out, 1);
    block.out.extend_from_slice(&link_type.to_le_bytes());
    block.out.extend_from_slice(&[0, 0]);
    block.out.extend_from_slice(&snap_bytes.to_le_bytes());
    option(block.out, 2, interface.point.name().as_bytes());
    option(block.out, 3, interface.point.description().as_bytes());
    option(block.out, 9, &[9]); // Times in units of 10⁻⁹ s.
    if let Some(filter) = filter {
        option(block.out, 11, &[&[0], filter.as_bytes()].concat()); // 0: an expression as text.
    }
    block.end_options();
}

/// Bytes of a packet as written: kept, and on the wire. The tag the kernel took out counts in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketBytes {
    /// Kept.
    pub kept: u32,
    /// On the wire.
    pub wire: u32,
}

/// What is said of a packet beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Packets that were lost just before it.
    pub dropped: u64,
    /// The same for the same packet seen elsewhere.
    pub id: Option<u64>,
}

/// Appends a packet that was seen on the interface of that number.
pub fn enhanced_packet(out: &mut Vec<u8>, number: u32, packet: &Packet<'_>, remarks: Remarks) -> PacketBytes {
    let Remarks { dropped, id } = remarks;
    let framing = Framing::of(packet.link.hardware);
    let inner = packet.frame.get(packet.network_at..).unwrap_or_default();
    let inner_wire = packet.wire_bytes.saturating_sub(packet.network_at as u32);
    // Head and body are put together here; the body is copied once, from the ring.
    let mut head = [0; SLL2_BYTES];
    let (head, body, wire): (&[u8], &[u8], u32) =
        match (framing, packet.vlan, packet.frame.split_at_checked(MACS_BYTES)) {
            (Framing::Cooked, ..) => {
                head = sll2_header(packet);
                (&head, inner, inner_wire + SLL2_BYTES as u32)
            }
            (Framing::Ethernet, Some((protocol, tag)), Some((macs, rest))) => {
                // Back to where the kernel took it from: behind the addresses (IEEE 802.1Q §9.3).
                head[..MACS_BYTES].copy_from_slice(macs);
                head[MACS_BYTES..MACS_BYTES + 2].copy_from_slice(&protocol.to_be_bytes());
                head[MACS_BYTES + 2..MACS_BYTES + 4].copy_from_slice(&tag.to_be_bytes());
                (&head[..MACS_BYTES + 4], rest, packet.wire_bytes + 4)
            }
            (Framing::Ethernet, ..) => (&[], packet.frame, packet.wire_bytes),
            (Framing::Ip, ..) => (&[], inner, inner_wire),
        };
    let kept = head.len() + body.len();
    let padding = kept.next_multiple_of(4) - kept;
    let remark_bytes = 12 * (usize::from(dropped > 0) + usize::from(id.is_some()));
    let block_bytes = (28 + kept + padding + 8 + remark_bytes + 4 + 4) as u32;
    let start: [[u8; 4]; 7] =
        [6, block_bytes, number, (packet.time_ns >> 32) as u32, packet.time_ns as u32, kept as u32, wire]
            .map(u32::to_le_bytes);
    out.extend_from_slice(start.as_flattened());
    out.extend_from_slice(head);
    out.extend_from_slice(body);
    out.extend_from_slice(&[0; 3][..padding]);
    out.extend_from_slice(&[2, 0, 4, 0]); // epb_flags
    out.extend_from_slice(&flags(packet).to_le_bytes());
    if dropped > 0 {
        out.extend_from_slice(&[4, 0, 8, 0]); // epb_dropcount
        out.extend_from_slice(&dropped.to_le_bytes());
    }
    if let Some(id) = id {
        out.extend_from_slice(&[5, 0, 8, 0]); // epb_packetid
        out.extend_from_slice(&id.to_le_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&block_bytes.to_le_bytes());
    PacketBytes { kept: kept as u32, wire }
}

/// Two Ethernet addresses.
const MACS_BYTES: usize = 12;
/// The header that stands for one we do not know (LINKTYPE_LINUX_SLL2).
const SLL2_BYTES: usize = 20;

fn sll2_header(packet: &Packet<'_>) -> [u8; SLL2_BYTES] {
    let link = &packet.link;
    let mut header = [0; SLL2_BYTES];
    header[0..2].copy_from_slice(&link.protocol.to_be_bytes());
    header[4..8].copy_from_slice(&link.interface_index.to_be_bytes());
    header[8..10].copy_from_slice(&link.hardware.to_be_bytes());
    header[10] = link.direction;
    header[11] = link.address_bytes;
    header[12..20].copy_from_slice(&link.address);
    header
}

/// epb_flags: direction, reception, and what the network card has still to do or has done (§4.3.1).
fn flags(packet: &Packet<'_>) -> u32 {
    const INBOUND: u32 = 1;
    const OUTBOUND: u32 = 2;
    let [unicast, multicast, broadcast, promiscuous] = [1u32, 2, 3, 4].map(|reception| INBOUND | reception << 2);
    let seen = match packet.link.direction {
        libc::PACKET_HOST => unicast,
        libc::PACKET_MULTICAST => multicast,
        libc::PACKET_BROADCAST => broadcast,
        libc::PACKET_OTHERHOST => promiscuous,
        libc::PACKET_OUTGOING => OUTBOUND,
        _ => 0,
    };
    [(libc::TP_STATUS_CSUMNOTREADY, 1 << 9), (libc::TP_STATUS_CSUM_VALID, 1 << 10), (TP_STATUS_GSO_TCP, 1 << 11)]
        .into_iter()
        .filter(|(status, _)| packet.flags & status != 0)
        .fold(seen, |flags, (_, flag)| flags | flag)
}

/// The frame stands for several TCP segments (linux/if_packet.h, Linux 6.3).
const TP_STATUS_GSO_TCP: u32 = 1 << 8;

/// Appends what was counted since the section began, at `time_ns`.
///
/// A ring counts for all its interfaces: where there are several, the first carries the counts of all. Where packets
/// were dropped, the next packet of the same ring says how many.
pub fn interface_statistics(out: &mut Vec<u8>, counts: &Counts, interfaces: usize, time_ns: u64) {
    let block = Block::begin(out, 5);
    block.out.extend_from_slice(&0u32.to_le_bytes());
    let time = |out: &mut Vec<u8>| {
        out.extend_from_slice(&((time_ns >> 32) as u32).to_le_bytes());
        out.extend_from_slice(&(time_ns as u32).to_le_bytes());
    };
    time(block.out);
    if interfaces > 1 {
        option(block.out, 1, b"counts of all interfaces of this section together");
    }
    let ended = block.out.len() + 4;
    option(block.out, 3, &[0; 8]); // isb_endtime
    let mut end = Vec::with_capacity(8);
    time(&mut end);
    block.out[ended..ended + 8].copy_from_slice(&end);
    let left_out = counts.filtered.packets + counts.sampled.packets;
    let passed = counts.seen.packets - left_out.min(counts.seen.packets);
    for (code, count) in [
        (4, counts.seen.packets),           // isb_ifrecv
        (6, passed),                        // isb_filteraccept
        (7, counts.dropped.kernel_packets), // isb_osdrop
        (8, counts.written.packets),        // isb_usrdeliv
    ] {
        option(block.out, code, &count.to_le_bytes());
    }
    block.end_options();
}

/// A block whose length is not known yet.
struct Block<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Block<'a> {
    fn begin(out: &'a mut Vec<u8>, kind: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start }
    }

    fn end_options(self) {
        self.out.extend_from_slice(&[0; 4]); // opt_endofopt
        let length = ((self.out.len() + 4 - self.start) as u32).to_le_bytes();
        self.out[self.start + 4..self.start + 8].copy_from_slice(&length);
        self.out.extend_from_slice(&length);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Longer values than an option can have are cut: names and filters are far shorter.
    let value = &value[..value.len().min(u16::MAX.into())];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + (value.len().next_multiple_of(4) - value.len()), 0);
}

//! What the recorder says in pcapng blocks, straight from the ring.

use crate::capture::{Interface, Packet};
use crate::limits;
use crate::link::Framing;
use formats::pcapng::{option, write};
use formats::seal::Counts;

/// Appends a section header: everything behind it, up to the next one, is one capture.
pub fn section_header(out: &mut Vec<u8>) {
    let program = concat!("remora-recorder ", env!("CARGO_PKG_VERSION"));
    write::section_header(out, &[(option::SHB_OS, b"Linux"), (option::SHB_USERAPPL, program.as_bytes())]);
}

/// Appends the description of an interface; its number is how many were described before it.
pub fn interface_description(out: &mut Vec<u8>, interface: &Interface, snap_bytes: u32, filter: Option<&str>) {
    let (link_type, front_bytes): (u16, usize) = match Framing::of(interface.hardware) {
        Framing::Cooked => (276, SLL2_BYTES), // LINKTYPE_LINUX_SLL2
        Framing::Ethernet => (1, TAG_BYTES),  // LINKTYPE_ETHERNET
        Framing::Ip => (101, 0),              // LINKTYPE_RAW
    };
    // The kernel cuts before we put that in front; readers refuse packets that are longer than is said here.
    let snap_bytes = (snap_bytes + front_bytes as u32).min(limits::SNAP_BYTES_MAX);
    let (name, description) = (interface.point.name(), interface.point.description());
    let filter = filter.map(|filter| [&[0], filter.as_bytes()].concat()); // 0: an expression as text.
    let mut options = vec![(option::IF_NAME, name.as_bytes()), (option::IF_DESCRIPTION, description.as_bytes())];
    options.extend(filter.as_deref().map(|filter| (option::IF_FILTER, filter)));
    write::interface(out, link_type, snap_bytes, &options);
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
                head[MACS_BYTES + 2..MACS_BYTES + TAG_BYTES].copy_from_slice(&tag.to_be_bytes());
                (&head[..MACS_BYTES + TAG_BYTES], rest, packet.wire_bytes + TAG_BYTES as u32)
            }
            (Framing::Ethernet, ..) => (&[], packet.frame, packet.wire_bytes),
            (Framing::Ip, ..) => (&[], inner, inner_wire),
        };
    let at = write::PacketHead { interface: number, time_ns: packet.time_ns, wire_bytes: wire };
    write::enhanced_packet(out, at, [head, body], |out| {
        write::option(out, option::EPB_FLAGS, &flags(packet).to_le_bytes());
        if dropped > 0 {
            write::option(out, option::EPB_DROPCOUNT, &dropped.to_le_bytes());
        }
        if let Some(id) = id {
            write::option(out, option::EPB_PACKETID, &id.to_le_bytes());
        }
        write::end_of_options(out);
    });
    PacketBytes { kept: (head.len() + body.len()) as u32, wire }
}

/// Two Ethernet addresses.
const MACS_BYTES: usize = 12;
/// A VLAN tag with its EtherType.
const TAG_BYTES: usize = 4;
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
    let left_out = counts.filtered.packets + counts.sampled.packets;
    let passed = counts.seen.packets - left_out.min(counts.seen.packets);
    let [seen, passed, dropped, written] =
        [counts.seen.packets, passed, counts.dropped.kernel_packets, counts.written.packets].map(u64::to_le_bytes);
    let end = write::ticks(time_ns);
    let remark = (option::COMMENT, &b"counts of all interfaces of this section together"[..]);
    let options = [
        remark,
        (option::ISB_ENDTIME, &end),
        (option::ISB_IFRECV, &seen),
        (option::ISB_FILTERACCEPT, &passed),
        (option::ISB_OSDROP, &dropped),
        (option::ISB_USRDELIV, &written),
    ];
    write::statistics(out, 0, time_ns, &options[usize::from(interfaces <= 1)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::pcapng::{Point, Target};

    #[test]
    fn what_is_put_in_front_of_a_packet_is_within_the_snap_length_that_is_said() {
        let point = Point { target: Target::default(), interface: "eth0".into(), alias: None };
        let longest = limits::SNAP_BYTES_MAX;
        for (hardware, snap_bytes, said) in [
            (libc::ARPHRD_ETHER, 100, 104),
            (libc::ARPHRD_ETHER, longest, longest),
            (libc::ARPHRD_NONE, 100, 100),
            (libc::ARPHRD_IEEE80211, 100, 120),
        ] {
            let interface = Interface { index: 1, hardware, point: point.clone().into() };
            let mut block = Vec::new();
            interface_description(&mut block, &interface, snap_bytes, None);
            assert_eq!(block[12..16], said.to_le_bytes(), "{hardware}");
        }
    }
}

//! The packets of one block of the ring (linux/if_packet.h, `tpacket3_hdr` and `sockaddr_ll` behind it).
//!
//! The kernel writes what is read here; it is walked with the care that hostile bytes get all the same,
//! because nothing else stands between a changed layout and a crash.

use formats::bytes::Reader;

/// A packet, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When the kernel saw it [ns since the Unix epoch].
    pub time_ns: u64,
    /// Its length on the wire [bytes], without a tag the kernel took out.
    pub wire_bytes: u32,
    /// What was kept of it, from the link header on.
    pub frame: &'a [u8],
    /// Where in `frame` the network header begins.
    pub network_at: usize,
    /// The VLAN tag the kernel took out: protocol and control information (IEEE 802.1Q §9.3).
    pub vlan: Option<(u16, u16)>,
    /// `TP_STATUS_…` of the packet.
    pub flags: u32,
    /// The interface it was seen on, and how.
    pub link: Link,
}

/// Where and how a packet was seen (packet(7), `sockaddr_ll`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Protocol above the link, as an EtherType.
    pub protocol: u16,
    /// Index of the interface.
    pub interface_index: u32,
    /// What kind of link it is: `ARPHRD_…`.
    pub hardware: u16,
    /// To us, to others, from us: `PACKET_…`.
    pub direction: u8,
    /// Bytes of the sender's address that count.
    pub address_bytes: u8,
    /// The sender's address.
    pub address: [u8; 8],
}

/// Where in a block the next packet is, and how many are left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    at: usize,
    left: u32,
}

impl Place {
    /// The first packet of a block with `header` behind its status.
    pub fn first(header: &[u8]) -> Self {
        let mut header = Reader::new(header);
        let (Ok(left), Ok(first)) = (header.array().map(u32::from_ne_bytes), header.array().map(u32::from_ne_bytes))
        else {
            return Self::default();
        };
        Self { at: (first as usize).saturating_sub(super::sys::BLOCK_HEADER_BYTES), left }
    }

    /// Packets the block still claims to hold.
    pub fn left(self) -> u32 {
        self.left
    }
}

/// When the last packet of a block was seen [ns since the Unix epoch].
pub fn last_ns(header: &[u8]) -> u64 {
    let mut header = Reader::new(header);
    let mut word = || header.array().map_or(0, u32::from_ne_bytes);
    // Packets, offset of the first, length, number (two words), time of the first (two words).
    let [_, _, _, _, _, _, _, seconds, nanoseconds] = std::array::from_fn(|_| word());
    u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds)
}

/// The packets of a block from some place on, in order.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    content: &'a [u8],
    place: Place,
}

impl<'a> Packets<'a> {
    /// The packets of a block with `header` behind its status and `content` behind that.
    pub fn new(header: &[u8], content: &'a [u8]) -> Self {
        Self::from(Place::first(header), content)
    }

    /// The packets from `place` on.
    pub fn from(place: Place, content: &'a [u8]) -> Self {
        Self { content, place }
    }

    /// Where the next packet is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// When the next packet was seen [ns since the Unix epoch]; none where there is none, or it cannot be read.
    pub fn next_ns(&self) -> Option<u64> {
        let header: &[u8; HEADER_BYTES] = self.content.get(self.place.at..)?.first_chunk()?;
        (self.place.left > 0).then(|| time_ns(header))
    }
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn time_ns(header: &[u8; HEADER_BYTES]) -> u64 {
    u64::from(u32_at(header, 4)) * 1_000_000_000 + u64::from(u32_at(header, 8))
}

/// `tpacket3_hdr` and the `sockaddr_ll` behind it.
const HEADER_BYTES: usize = 68;

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        self.place.left = self.place.left.checked_sub(1)?;
        let rest = self.content.get(self.place.at..)?;
        let header: &[u8; HEADER_BYTES] = rest.first_chunk()?;
        let u32_at = |at: usize| u32_at(header, at);
        let u16_at = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let (mac, network) = (usize::from(u16_at(24)), usize::from(u16_at(26)));
        let flags = u32_at(20);
        let tag = u32_at(32) as u16;
        // Before Linux 3.14 the protocol of the tag was not told: it was always 802.1Q.
        let tag_protocol = if flags & libc::TP_STATUS_VLAN_TPID_VALID != 0 { u16_at(36) } else { 0x8100 };
        let packet = Packet {
            time_ns: time_ns(header),
            wire_bytes: u32_at(16),
            frame: rest.get(mac..)?.get(..u32_at(12) as usize)?,
            network_at: network.saturating_sub(mac),
            vlan: (flags & libc::TP_STATUS_VLAN_VALID != 0).then_some((tag_protocol, tag)),
            flags,
            link: Link {
                protocol: u16::from_be_bytes([header[50], header[51]]),
                interface_index: u32_at(52),
                hardware: u16_at(56),
                direction: header[58],
                address_bytes: header[59].min(8),
                address: *header.last_chunk()?,
            },
        };
        self.place.at = match u32_at(0) {
            0 => usize::MAX, // The last packet of its block.
            next => self.place.at.saturating_add(next as usize),
        };
        Some(packet)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block with the given frames, as the kernel lays it out: its header behind the status, and its content.
    /// All have the tag 802.1ad 123 taken out, came in on Ethernet interface 3, and were 9 bytes longer on the wire.
    pub fn block(frames: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let times = (0..).map(|number| 7_000_000_000 + number);
        block_at(&times.zip(frames.iter().copied()).collect::<Vec<_>>())
    }

    /// The same, of frames that were seen at these times [ns since the Unix epoch].
    pub fn block_at(frames: &[(u64, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let mut content = vec![0; 16];
        for (number, (time_ns, frame)) in frames.iter().enumerate() {
            let mac = 82u16;
            let next =
                if number + 1 == frames.len() { 0 } else { (usize::from(mac) + frame.len()).next_multiple_of(16) };
            let start = content.len();
            content.resize(start + HEADER_BYTES, 0);
            let mut put =
                |at: usize, bytes: &[u8]| content[start + at..start + at + bytes.len()].copy_from_slice(bytes);
            put(0, &(next as u32).to_ne_bytes());
            put(4, &((time_ns / 1_000_000_000) as u32).to_ne_bytes());
            put(8, &((time_ns % 1_000_000_000) as u32).to_ne_bytes());
            put(12, &(frame.len() as u32).to_ne_bytes());
            put(16, &(frame.len() as u32 + 9).to_ne_bytes());
            put(20, &(libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID).to_ne_bytes());
            put(24, &mac.to_ne_bytes());
            put(26, &(mac + 14).to_ne_bytes());
            put(32, &123u32.to_ne_bytes());
            put(36, &0x88a8u16.to_ne_bytes());
            put(50, &[0x08, 0x00]);
            put(52, &3u32.to_ne_bytes());
            put(56, &1u16.to_ne_bytes());
            put(58, &[4, 6]);
            content.resize(start + usize::from(mac), 0);
            content.extend_from_slice(frame);
            content.resize(content.len().next_multiple_of(16), 0);
        }
        let first = (super::super::sys::BLOCK_HEADER_BYTES + 16) as u32;
        let last_ns = frames.last().map_or(0, |(time_ns, _)| *time_ns);
        let last = [(last_ns / 1_000_000_000) as u32, (last_ns % 1_000_000_000) as u32];
        let words = [frames.len() as u32, first, 0, 0, 0, 0, 0, last[0], last[1]];
        (words.iter().flat_map(|word| word.to_ne_bytes()).collect(), content)
    }

    #[test]
    fn packets_come_out_as_the_kernel_laid_them_in() {
        let (header, content) = block(&[b"first frame", b"", b"third"]);
        let packets: Vec<_> = Packets::new(&header, &content).collect();
        let frames: Vec<_> = packets.iter().map(|packet| packet.frame).collect();
        assert_eq!(frames, [&b"first frame"[..], b"", b"third"]);
        let third = packets[2];
        assert_eq!((third.time_ns, third.wire_bytes, third.network_at), (7_000_000_002, 14, 14));
        assert_eq!((third.vlan, third.link.protocol), (Some((0x88a8, 123)), 0x0800));
        assert_eq!((third.link.interface_index, third.link.hardware, third.link.direction), (3, 1, 4));
    }

    proptest! {
        #[test]
        fn a_block_cut_or_changed_anywhere_ends_early_and_nothing_more(
            cut in 0usize..400, at in 0usize..400, byte: u8
        ) {
            let (header, mut content) = block(&[b"first frame", b"second", b"third"]);
            if let Some(changed) = content.get_mut(at) {
                *changed = byte;
            }
            content.truncate(cut);
            prop_assert!(Packets::new(&header, &content).count() <= 3);
        }
    }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever lies in a block, walking it ends.
    pub fn fuzz_block(data: &[u8]) {
        let (header, content) = data.split_at(data.len().min(8));
        super::Packets::new(header, content).for_each(drop);
    }
}

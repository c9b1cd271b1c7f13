//! Frames become packets: link headers, tags, tunnels and fragments are undone.
//!
//! Enters: [`crate::read::Frame`]. Leaves: [`Packet`], one for the innermost transport of each frame, and
//! one more for each tunnel around it that is a conversation of its own (`carrier`), and one for each frame that brought
//! a fragment, which follows that of its datagram (`piece_of`). Refused: frames
//! without IP, or cut inside their headers; they are counted with a reason. Checksums are not looked at:
//! offloading leaves them to the network card, behind the point of capture.

mod decoder;
mod devices;
mod fragments;
mod ip;
mod link;
mod packet;
mod pieces;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod walk;
mod wifi;

pub use decoder::{Decoder, Found};
pub use packet::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel, flags};
pub use pieces::Piece;

#[doc(hidden)]
pub mod fuzz {
    use crate::read::{Frame, LinkType, Stretch};

    /// Decodes hostile bytes; the first picks the link type.
    pub fn fuzz_decode(data: &[u8]) {
        let Some((&kind, bytes)) = data.split_first() else { return };
        const LINKS: [u16; 22] =
            [1, 0, 101, 113, 276, 9, 50, 104, 107, 108, 192, 219, 228, 239, 122, 123, 206, 241, 258, 105, 127, 163];
        let link = LinkType(LINKS[kind as usize % LINKS.len()]);
        let (mut stretch, mut decoder) =
            (Stretch { bytes: bytes.to_vec(), ..Stretch::default() }, super::Decoder::default());
        for (number, at) in (0..bytes.len()).step_by(90).enumerate() {
            let captured_bytes = (bytes.len() - at).min(90) as u32;
            let (number, at) = (number as u64 + 1, at as u32);
            stretch.frames.push(Frame {
                number,
                ts_ns: 0,
                at,
                captured_bytes,
                wire_bytes: captured_bytes,
                link,
                interface: 0,
                heard: Default::default(),
                file_offset: 0,
            });
        }
        super::tests_support::decode_and_balance(&mut decoder, &mut stretch);
    }
}

#[doc(hidden)]
pub mod tests_support {
    use super::{Decoder, Packet};
    use crate::read::Stretch;

    /// Decodes all of a capture and checks that every packet and byte is counted once.
    pub fn decode_and_balance(decoder: &mut Decoder, stretch: &mut Stretch) -> Vec<Packet> {
        let frames = stretch.frames.len() as i64;
        let captured: i64 = stretch.frames.iter().map(|frame| i64::from(frame.captured_bytes)).sum();
        let mut packets = Vec::new();
        decoder.decode(stretch, &mut packets);
        decoder.end(stretch, &mut packets);
        let mut sum = decoder.tally().total();
        for packet in &packets {
            sum.packets += i64::from(packet.counted);
            sum.bytes += i64::from(packet.overhead_bytes);
            if !packet.carrier {
                sum.bytes += i64::from(packet.payload_bytes);
            }
            let (at, end) = (packet.payload_at as usize, packet.payload_at as usize + packet.payload_bytes as usize);
            assert!(stretch.bytes.get(at..end).is_some());
        }
        assert_eq!((sum.packets, sum.bytes), (frames, captured));
        packets
    }
}

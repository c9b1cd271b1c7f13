//! What a carved capture says in pcapng blocks.

use dissect::read::{Frame, Interface, Stretch};
use formats::pcapng::read::{Block, EnhancedPacket, Order};
use formats::pcapng::{kind, option, write};

/// A section of unknown length, written by us.
pub fn section(to: &mut Vec<u8>) {
    let program = concat!("remora ", env!("CARGO_PKG_VERSION"));
    write::section_header(to, &[(option::SHB_USERAPPL, program.as_bytes())]);
}

/// An interface without a snap length.
pub fn interface(to: &mut Vec<u8>, interface: &Interface, node: Option<&str>) {
    let node = node.map(|node| format!("node {node}"));
    let said = [
        (option::COMMENT, node.as_deref()),
        (option::IF_NAME, interface.name.as_deref()),
        (option::IF_DESCRIPTION, interface.description.as_deref()),
    ];
    let options: Vec<_> = said.iter().filter_map(|(code, text)| Some((*code, (*text)?.as_bytes()))).collect();
    write::interface(to, interface.link.map_or(0, |link| link.0), 0, &options);
}

/// A packet with its bytes and options as they were.
pub fn packet(to: &mut Vec<u8>, interface: u32, frame: &Frame, stretch: &Stretch) {
    // Times before 1970 have no form: the field has no sign.
    let time_ns = u64::try_from(frame.ts_ns).unwrap_or_default();
    let head = write::PacketHead { interface, time_ns, wire_bytes: frame.wire_bytes };
    write::enhanced_packet(to, head, [stretch.data(frame), &[]], |to| options(to, frame, stretch).unwrap_or_default());
}

/// Copies the options behind a packet of a pcapng; none where there are none.
fn options(to: &mut Vec<u8>, frame: &Frame, stretch: &Stretch) -> Option<()> {
    let begin = (frame.at as usize).checked_sub(EnhancedPacket::DATA_AT)?;
    let bytes = stretch.bytes.get(begin..)?;
    let orders = [Order::Little, Order::Big];
    // A record of another format may begin alike, but does not end with the same length.
    let block = orders
        .into_iter()
        .filter_map(|order| Block::read(bytes, order).ok())
        .find(|block| block.kind == kind::ENHANCED_PACKET)?;
    let packet = EnhancedPacket::read(block.body).ok()?;
    (packet.data.len() == frame.captured_bytes as usize).then_some(())?;
    let begin = to.len();
    for (code, value) in packet.options.options() {
        let mut value = value.reader.rest().to_vec();
        // These are numbers; the others are bytes (§4.3).
        let is_number =
            [option::EPB_FLAGS, option::EPB_DROPCOUNT, option::EPB_PACKETID, option::EPB_QUEUE].contains(&code);
        if block.body.order == Order::Big && is_number {
            value.reverse();
        }
        write::option(to, code, &value);
    }
    if to.len() > begin {
        write::end_of_options(to);
    }
    Some(())
}

//! The `packets` table.

use super::builders::{BigInt, Int, Text, Time, columns};
use crate::decode::{Packet, Transport};
use crate::flow::{Flow, Way};
use crate::read::Frame;

columns! {
    /// Rows of `packets`.
    PacketColumns {
        packet: BigInt,
        ts: Time,
        ts_ns: BigInt,
        capture: Text,
        file_offset: BigInt,
        captured_bytes: BigInt,
        wire_bytes: BigInt,
        flow_id: BigInt,
        direction: Text,
        tcp_flags: Text,
        tcp_seq: BigInt,
        payload_bytes: BigInt,
        interface: Int,
    }
}

/// A frame, and the packet of a flow it held, where it did.
pub struct PacketRow<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// Its packet, with the flow.
    pub packet: Option<(&'a Packet, &'a Flow)>,
    /// Index of its capture, where it may be an earlier one.
    pub capture: Option<u32>,
}

impl PacketColumns {
    /// Appends a frame of that capture; returns the time it is ordered by [ns].
    pub fn append(&mut self, row: &PacketRow<'_>, capture: &str) -> i64 {
        let (frame, to) = (row.frame, self);
        to.packet.append_value(frame.number as i64);
        to.ts.append_ns(frame.ts_ns);
        to.ts_ns.append_value(frame.ts_ns);
        to.capture.append_value(capture);
        to.file_offset.append_value(frame.file_offset as i64);
        to.captured_bytes.append_value(frame.captured_bytes.into());
        to.wire_bytes.append_value(frame.wire_bytes.into());
        to.flow_id.append_option(row.packet.map(|(_, flow)| flow.id));
        let direction = |(packet, flow): (&Packet, &Flow)| {
            if Way::of(packet.from_low) == flow.client() { "client" } else { "server" }
        };
        to.direction.append_option(row.packet.map(direction));
        let tcp = row.packet.and_then(|(packet, _)| match packet.transport {
            Transport::Tcp(header) => Some(header),
            _ => None,
        });
        to.tcp_flags.append_option(tcp.map(|header| flag_letters(header.flags)));
        to.tcp_seq.append_option(tcp.map(|header| header.seq.into()));
        let whole = row.packet.filter(|(packet, _)| packet.piece_of.is_none());
        to.payload_bytes.append_option(whole.map(|(packet, _)| packet.payload_bytes.into()));
        to.interface.append_value(frame.interface as i32);
        frame.ts_ns
    }
}

/// The flags that are set, as letters in the order of the header.
fn flag_letters(flags: u8) -> String {
    let letters = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];
    letters.iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0).map(|(_, letter)| letter).collect()
}

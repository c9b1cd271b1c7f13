//! Plays a whole connection: what is spoken is recognised, and its rows have ends.

use super::*;
use crate::decode::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel};
use crate::flow::{Flow, Way};
use crate::stream::Chunk;
use crate::tally::Tally;

struct Lines {
    lines: Vec<String>,
    render: fn(&Call, Row<'_>) -> Option<String>,
}

impl Output for Lines {
    fn row(&mut self, flow: &Flow, client: Way, call: &Call, row: Row<'_>) {
        let Some(line) = (self.render)(call, row) else { return };
        let asker = flow.end(client).1;
        self.lines.push(if asker == CLIENT_PORT { line } else { format!("from {asker}: {line}") });
    }

    fn anomaly(&mut self, _: &Flow, _: &Stamp, anomaly: Anomaly) {
        self.lines.push(anomaly.kind.to_owned());
    }
}

/// Ports no protocol is at home on.
const CLIENT_PORT: u16 = 20_001;
const SERVER_PORT: u16 = 20_002;

/// A flow between them. Where it is not seen from its start, the server's side was seen first.
fn flow(from_start: bool) -> Flow {
    let end = |port| Endpoint { ip: [0; 16], port };
    let (from, to) = if from_start { (CLIENT_PORT, SERVER_PORT) } else { (SERVER_PORT, CLIENT_PORT) };
    let (key, from_low) = FlowKey::new(end(from), end(to), IpProtocol::TCP, 4, 0, Tunnel::None);
    let flags = if from_start { 0x02 } else { 0x10 };
    let header = TcpHeader { seq: 0, ack: 0, flags, window: 0, window_scale: None, timestamps: None };
    let packet = Packet {
        number: 1,
        ts_ns: 0,
        began_ns: 0,
        file_offset: 0,
        interface: 0,
        device: 0,
        heard: Default::default(),
        captured_bytes: 0,
        wire_bytes: 0,
        frames: 1,
        frames_wire_bytes: 0,
        key,
        from_low,
        ip_id: 0,
        transport: Transport::Tcp(header),
        payload_at: 0,
        payload_bytes: 0,
        payload_wire_bytes: 0,
        carrier: false,
        counted: true,
        overhead_bytes: 0,
        piece_of: None,
    };
    let mut flow = Flow::begin(1, &packet, 0);
    flow.packet(&packet);
    flow
}

/// Plays segments, each with the side that sends it. A line has in front from which port was asked, where that is not the
/// client's.
pub fn connected(
    from_start: bool,
    segments: &[(Side, Vec<u8>)],
    render: fn(&Call, Row<'_>) -> Option<String>,
) -> (Flow, Vec<String>) {
    let (mut flow, mut tally) = (flow(from_start), Tally::default());
    let mut rows = Lines { lines: Vec::new(), render };
    let protocols: Vec<_> = REGISTRY.iter().collect();
    let mut connection = Connection::new(from_start);
    let options = Options { body_bytes_max: 0 };
    let mut seqs = [0u32; 2];
    for (at, (side, bytes)) in segments.iter().enumerate() {
        let way = if *side == Side::Client { Way::FromLow } else { Way::FromHigh };
        let seq = &mut seqs[usize::from(*side == Side::Client)];
        let chunk = Chunk::Bytes { bytes, seq: *seq, ts_ns: at as i64, began_ns: at as i64, packet: at as u64 + 1 };
        *seq += bytes.len() as u32;
        let out = &mut rows;
        connection.chunk(
            way,
            chunk,
            &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out },
        );
    }
    let out = &mut rows;
    connection
        .end(End::Closed, &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out });
    (flow, rows.lines)
}

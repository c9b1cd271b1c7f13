//! The conversations of one shard: from packet to row, on one thread.

use crate::decode::{FlowKey, Packet, Transport, flags};
use crate::flow::{Flow, FlowTable, Opening, Way, flow_id};
use crate::limits;
use crate::plan::{Origin, Plan};
use crate::protocols::{Connection, Context, End, Options, Protocol, REGISTRY};
use crate::read::{Frame, Stretch};
use crate::stream::{Chunk, Outcome, Segment, StreamPair, reason};
use crate::table::{PacketRow, Rows};
use crate::tally::{Stage, Tally};
use std::collections::HashSet;

/// Time within which two capture points see the same packet [ns].
const SEEN_TWICE_NS: i64 = 10_000_000;

/// What makes two packets of a flow the same packet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Likeness {
    transport: Transport,
    from_low: bool,
    ip_id: u16,
    payload_bytes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    likeness: Likeness,
    interface: u32,
    ts_ns: i64,
}

/// What a conversation needs once it carries payload.
struct Streams {
    pair: StreamPair,
    connection: Connection,
}

struct Conversation {
    flow: Flow,
    streams: Option<Box<Streams>>,
    /// Whether both sides ended and their streams were let go.
    over: bool,
    held_bytes: usize,
    seen: [Option<Seen>; 4],
}

/// One shard.
pub struct Shard {
    connections: FlowTable<Box<Conversation>>,
    conversations: FlowTable<Box<Conversation>>,
    protocols: Vec<&'static Protocol>,
    options: Options,
    held_bytes: usize,
    now_ns: i64,
    capture: u32,
    /// Ids of flows that are gone, so that a later one on the same ports gets another.
    used_ids: HashSet<i64>,
    with_packets: bool,
    /// Its rows.
    pub rows: Rows,
    /// What became of its packets since the last capture ended.
    pub tally: Tally,
}

/// What a room hands to the next for one packet, borrowed from the shard.
macro_rules! context {
    ($shard:ident, $flow:expr) => {
        Context {
            flow: $flow,
            protocols: &$shard.protocols,
            options: $shard.options,
            tally: &mut $shard.tally,
            out: &mut $shard.rows,
        }
    };
}

impl Shard {
    /// Nothing seen yet.
    pub fn new(plan: &Plan, origin: &Origin) -> Self {
        // Flows say what was spoken, so they need every protocol; a table of one protocol needs that one.
        let needed = |protocol: &&Protocol| {
            ["flows", "anomalies", "coverage"].iter().any(|table| plan.tables.contains(table))
                || protocol.tables.iter().any(|table| plan.tables.contains(table))
        };
        Self {
            connections: FlowTable::default(),
            conversations: FlowTable::default(),
            protocols: REGISTRY.iter().filter(needed).collect(),
            options: Options { body_bytes_max: plan.body_bytes_max },
            held_bytes: 0,
            now_ns: i64::MIN,
            capture: 0,
            used_ids: HashSet::new(),
            with_packets: plan.tables.contains("packets"),
            rows: Rows::new(plan.tables.clone(), origin.clone()),
            tally: Tally::default(),
        }
    }

    /// A further input begins.
    pub fn begin_capture(&mut self, name: &str, index: u32) {
        self.capture = index;
        self.rows.begin_capture(name);
    }

    /// Takes in packets of this shard, in order. `frame_of` gives the frame of a packet that stands for it in `packets`.
    pub fn process<'a>(&mut self, stretch: &Stretch, packets: impl Iterator<Item = (&'a Packet, Option<&'a Frame>)>) {
        for (packet, frame) in packets {
            self.packet(stretch, packet, frame);
        }
        while self
            .conversations
            .oldest()
            .is_some_and(|(_, last_ns)| self.now_ns.saturating_sub(last_ns) > limits::DATAGRAM_IDLE_NS)
        {
            let gone = self.conversations.pop_oldest();
            self.close(gone);
        }
    }

    /// The input ended: every conversation becomes a row.
    pub fn finish(&mut self) {
        while let Some(gone) = self.connections.pop_oldest() {
            self.close(Some(gone));
        }
        while let Some(gone) = self.conversations.pop_oldest() {
            self.close(Some(gone));
        }
    }

    fn table(&mut self, packet: &Packet) -> &mut FlowTable<Box<Conversation>> {
        if matches!(packet.transport, Transport::Tcp(_)) { &mut self.connections } else { &mut self.conversations }
    }

    fn packet(&mut self, stretch: &Stretch, packet: &Packet, frame: Option<&Frame>) {
        self.now_ns = self.now_ns.max(packet.ts_ns);
        let mut conversation = self.take(packet);
        self.held_bytes -= conversation.held_bytes;
        let twice = conversation.seen_before(packet);
        if twice {
            let bytes = packet.overhead_bytes + if packet.carrier { 0 } else { packet.payload_bytes };
            self.tally.add(Stage::Flow, "seen at another capture point", packet.counted.into(), bytes.into());
        } else {
            self.tally.add(Stage::Flow, "headers", packet.counted.into(), packet.overhead_bytes.into());
            self.count(&mut conversation.flow, packet);
            if packet.carrier {
                conversation.flow.spoken("tunnel", None);
            } else {
                self.payload(&mut conversation, stretch, packet);
            }
        }
        if self.with_packets
            && let Some(frame) = frame
        {
            self.rows.packet(&PacketRow { frame, packet: Some((packet, &conversation.flow)) });
        }
        conversation.held_bytes = conversation
            .streams
            .as_ref()
            .map_or(0, |streams| streams.pair.held_bytes() + streams.connection.held_bytes());
        self.held_bytes += conversation.held_bytes;
        self.table(packet).insert(packet.key, packet.ts_ns, conversation);
        self.make_room();
    }

    /// The conversation of a packet, taken out of its table; a new one where it begins one.
    fn take(&mut self, packet: &Packet) -> Box<Conversation> {
        let mut reuse = 0;
        if let Some(there) = self.table(packet).remove(&packet.key) {
            match packet.transport {
                Transport::Tcp(header) if there.opens_another(packet) => {
                    reuse = u64::from(header.seq) | 1 << 32;
                    self.close(Some(there));
                }
                _ => return there,
            }
        }
        let mut id = flow_id(&packet.key, packet.ts_ns, reuse);
        if self.used_ids.contains(&id) {
            let reuse = match packet.transport {
                Transport::Tcp(header) => u64::from(header.seq) | 1 << 32,
                _ => packet.ts_ns as u64,
            };
            id = flow_id(&packet.key, packet.ts_ns, reuse);
        }
        Box::new(Conversation {
            flow: Flow::begin(id, packet, self.capture),
            streams: None,
            over: false,
            held_bytes: 0,
            seen: [None; 4],
        })
    }

    /// Counts a packet in its flow.
    fn count(&mut self, flow: &mut Flow, packet: &Packet) {
        if let (Some(tcp), Transport::Tcp(header)) = (&mut flow.tcp, &packet.transport) {
            let side = &mut tcp.sides[Way::of(packet.from_low)];
            let again = header.flags & flags::SYN != 0 && side.initial_seq == Some(header.seq);
            side.retransmits += u64::from(again);
        }
        flow.packet(packet);
    }

    fn payload(&mut self, conversation: &mut Conversation, stretch: &Stretch, packet: &Packet) {
        let from = packet.payload_at as usize;
        let bytes = stretch.bytes.get(from..from + packet.payload_bytes as usize).unwrap_or_default();
        match packet.transport {
            Transport::Tcp(_) => self.segment(conversation, packet, bytes),
            Transport::Udp => self.datagram(conversation, packet, bytes),
            Transport::Icmp { .. } | Transport::Other => {
                conversation.flow.counters[Way::of(packet.from_low)].payload_bytes += bytes.len() as u64;
                self.tally.add(Stage::Flow, "no dissector for the transport", 0, bytes.len() as u64);
            }
        }
    }

    fn datagram(&mut self, conversation: &mut Conversation, packet: &Packet, bytes: &[u8]) {
        let way = Way::of(packet.from_low);
        conversation.flow.counters[way].payload_bytes += bytes.len() as u64;
        let streams = conversation.streams.get_or_insert_with(|| Streams::new(true));
        if !bytes.is_empty() {
            let mut cx = context!(self, &mut conversation.flow);
            streams.connection.datagram(way, bytes, packet.ts_ns, packet.number, &mut cx);
        }
    }

    fn segment(&mut self, conversation: &mut Conversation, packet: &Packet, bytes: &[u8]) {
        let Transport::Tcp(header) = packet.transport else { return };
        let way = Way::of(packet.from_low);
        let cut_bytes = packet.payload_wire_bytes - packet.payload_bytes;
        if conversation.over {
            return self.tally.add(Stage::Stream, reason::AFTER_END, 0, bytes.len() as u64);
        }
        if conversation.streams.is_none() {
            if packet.payload_wire_bytes == 0 {
                return;
            }
            conversation.streams = Some(Streams::opened(&conversation.flow));
        }
        let Some(streams) = &mut conversation.streams else { return };
        let segment = Segment {
            way,
            seq: header.seq,
            ack: (header.flags & (flags::ACK | flags::RST) == flags::ACK).then_some(header.ack),
            syn: header.flags & flags::SYN != 0,
            fin: header.flags & flags::FIN != 0,
            bytes: if header.flags & flags::RST != 0 { &[] } else { bytes },
            cut_bytes: if header.flags & flags::RST != 0 { 0 } else { cut_bytes },
            ts_ns: packet.ts_ns,
            packet: packet.number,
        };
        if header.flags & flags::RST != 0 {
            // A text behind a RST says why (RFC 9293 §3.5.2); it is no part of the stream.
            return self.tally.add(Stage::Stream, "text of a reset", 0, bytes.len() as u64);
        }
        let mut cx = context!(self, &mut conversation.flow);
        let outcome =
            streams.pair.segment(&segment, &mut |way, chunk| hand_on(&mut streams.connection, way, chunk, &mut cx));
        if streams.pair.is_over() {
            conversation.over = true;
            self.let_go(conversation, End::Closed);
        }
        self.note(&mut conversation.flow, packet, &outcome);
    }

    /// What a segment brought, in the numbers of its flow.
    fn note(&mut self, flow: &mut Flow, packet: &Packet, outcome: &Outcome) {
        let way = Way::of(packet.from_low);
        flow.counters[way].payload_bytes += outcome.new_bytes;
        let mut repeated = false;
        for (why, bytes) in outcome.refused.into_iter().flatten() {
            self.tally.add(Stage::Stream, why, 0, bytes);
            repeated |= why != reason::KEEP_ALIVE;
        }
        if let Some(tcp) = &mut flow.tcp {
            tcp.sides[way].retransmits += u64::from(repeated && outcome.new_bytes == 0);
            tcp.sides[way].out_of_order += u64::from(outcome.filled_hole && outcome.new_bytes > 0);
        }
        let mut odd = |kind| {
            self.rows.anomaly_of("stream", Some(flow), Some(packet.ts_ns), kind, "", Some(packet.payload_bytes.into()))
        };
        if outcome.differs {
            odd("overlap_differs");
        }
        if outcome.refused.iter().flatten().any(|(why, _)| *why == reason::IMPLAUSIBLE) {
            odd("sequence_out_of_window");
        }
    }

    /// Ends the streams of a conversation; what is open becomes rows.
    fn let_go(&mut self, conversation: &mut Conversation, how: End) {
        let Some(mut streams) = conversation.streams.take() else { return };
        let mut cx = context!(self, &mut conversation.flow);
        let Streams { pair, connection } = streams.as_mut();
        pair.finish(&mut |way, chunk| hand_on(connection, way, chunk, &mut cx));
        connection.end(how, &mut cx);
        let further = connection.further_anomalies();
        if further > 0 {
            let detail = format!("{further} more in this flow");
            self.rows.anomaly_of(
                "protocols",
                Some(&conversation.flow),
                Some(conversation.flow.end_ns),
                "further_anomalies",
                &detail,
                None,
            );
        }
    }

    fn close(&mut self, gone: Option<Box<Conversation>>) {
        let Some(mut conversation) = gone else { return };
        self.held_bytes -= conversation.held_bytes;
        let reset = conversation.flow.tcp.is_some_and(|tcp| tcp.resets > 0);
        self.let_go(&mut conversation, if reset { End::Reset } else { End::Cut });
        if self.used_ids.len() < limits::USED_IDS_PER_SHARD_MAX {
            self.used_ids.insert(conversation.flow.id);
        }
        self.rows.flow(&conversation.flow);
    }

    /// Ends the conversations that were quiet longest, until the bounds hold again.
    fn make_room(&mut self) {
        while self.held_bytes > limits::HELD_BYTES_PER_SHARD_MAX
            || self.connections.len() + self.conversations.len() > limits::FLOWS_PER_SHARD_MAX
        {
            let age = |table: &FlowTable<Box<Conversation>>| table.oldest().map(|(_, last_ns)| last_ns);
            let gone = match (age(&self.connections), age(&self.conversations)) {
                (Some(connection), Some(other)) if other < connection => self.conversations.pop_oldest(),
                (None, _) => self.conversations.pop_oldest(),
                _ => self.connections.pop_oldest(),
            };
            let Some(gone) = gone else { return };
            self.rows.anomaly_of(
                "flow",
                Some(&gone.flow),
                Some(self.now_ns),
                "evicted",
                "too many flows, or too many bytes held",
                None,
            );
            self.close(Some(gone));
        }
    }
}

fn hand_on(connection: &mut Connection, way: Way, chunk: Chunk<'_>, cx: &mut Context<'_>) {
    if let (Chunk::Gap { lost_bytes }, Some(tcp)) = (chunk, &mut cx.flow.tcp) {
        tcp.sides[way].gap_bytes += lost_bytes;
    }
    connection.chunk(way, chunk, cx);
}

impl Streams {
    fn new(from_start: bool) -> Box<Self> {
        Box::new(Self { pair: StreamPair::default(), connection: Connection::new(from_start) })
    }

    /// Of a flow whose first payload is about to come.
    fn opened(flow: &Flow) -> Box<Self> {
        let initial = |way| flow.tcp.and_then(|tcp| tcp.sides[way].initial_seq);
        let mut streams = Self::new(Way::BOTH.iter().all(|&way| initial(way).is_some()));
        for way in Way::BOTH {
            if let Some(seq) = initial(way) {
                streams.pair.begin(way, seq.wrapping_add(1));
            }
        }
        streams
    }
}

impl Conversation {
    fn opens_another(&self, packet: &Packet) -> bool {
        match (&self.flow.tcp, &packet.transport) {
            (Some(tcp), Transport::Tcp(header)) => tcp.opening(Way::of(packet.from_low), header) == Opening::Another,
            _ => false,
        }
    }

    /// Whether this packet was seen a moment ago at another capture point: a retransmission has another
    /// identification, or at least another timestamp.
    fn seen_before(&mut self, packet: &Packet) -> bool {
        let likeness = Likeness {
            transport: packet.transport,
            from_low: packet.from_low,
            ip_id: packet.ip_id,
            payload_bytes: packet.payload_wire_bytes,
        };
        let told_apart = match packet.transport {
            Transport::Tcp(header) => packet.ip_id != 0 || header.timestamps.is_some(),
            _ => false,
        };
        let twice = self.seen.iter().flatten().any(|seen| {
            seen.likeness == likeness
                && (packet.ts_ns - seen.ts_ns).abs() < SEEN_TWICE_NS
                && (seen.interface != packet.interface || (told_apart && packet.payload_wire_bytes > 0))
        });
        self.seen.rotate_right(1);
        self.seen[0] = Some(Seen { likeness, interface: packet.interface, ts_ns: packet.ts_ns });
        twice
    }
}

/// The shard of a key: the same in every run.
pub fn shard_of(key: &FlowKey) -> usize {
    let word = |bytes: &[u8; 16]| {
        bytes
            .chunks_exact(8)
            .fold(0u64, |sum, half| sum.rotate_left(17) ^ half.try_into().map_or(0, u64::from_le_bytes))
    };
    let ports = u64::from(key.low.port) << 16 | u64::from(key.high.port);
    let mixed = (word(&key.low.ip) ^ word(&key.high.ip).rotate_left(31) ^ ports).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize % limits::SHARDS
}

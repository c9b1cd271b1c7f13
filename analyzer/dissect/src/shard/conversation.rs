//! One conversation: its flow, and what it needs once it carries payload.

use super::Desk;
use super::seen::{Seen, is_unlike_others};
use crate::decode::{Packet, Transport, Tunnel, flags};
use crate::flow::{Flow, Opening, Queue, Way};
use crate::limits;
use crate::protocols::{Connection, Context, End};
use crate::read::Stretch;
use crate::stream::{Chunk, Outcome, Segment, StreamPair, reason};
use crate::tally::Stage;

/// What a conversation needs once it carries payload.
struct Streams {
    /// Of a TCP connection.
    pair: Option<Box<StreamPair>>,
    connection: Connection,
}

/// One conversation.
pub struct Conversation {
    /// Its facts.
    pub flow: Flow,
    streams: Option<Box<Streams>>,
    /// Whether both sides ended and their streams were let go.
    over: bool,
    held_bytes: usize,
    seen: Seen,
    /// The networks it is seen in besides that of its key.
    networks: Vec<Network>,
}

/// A VLAN or tunnel.
struct Network {
    vlan: u16,
    tunnel: Tunnel,
    /// Which of the sides alone is seen there; none of them where it is another capture point.
    side: Option<Way>,
}

/// Networks that a conversation is seen in: plain, tagged and in a tunnel or two, on one host.
const NETWORKS_MAX: usize = 4;

/// The payload of a packet.
pub fn payload<'a>(stretch: &'a Stretch, packet: &Packet) -> &'a [u8] {
    let from = packet.payload_at as usize;
    stretch.bytes.get(from..from + packet.payload_bytes as usize).unwrap_or_default()
}

/// What a room hands to the next for one packet.
fn context<'a>(desk: &'a mut Desk<'_>, flow: &'a mut Flow) -> Context<'a> {
    Context { flow, protocols: desk.protocols, options: desk.options, tally: desk.tally, out: desk.rows }
}

impl Conversation {
    /// Of a flow that begins.
    pub fn new(flow: Flow) -> Self {
        Self { flow, streams: None, over: false, held_bytes: 0, seen: Seen::default(), networks: Vec::new() }
    }

    /// How long it is kept.
    pub fn queue(&self) -> Queue {
        match &self.flow.tcp {
            Some(tcp) if self.over || tcp.is_closed() => Queue::Closed,
            Some(_) => Queue::Connections,
            None => Queue::Conversations,
        }
    }

    /// Bytes it holds, as of its latest packet.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether a packet begins something else on the same ends.
    pub fn is_followed_by(&self, packet: &Packet) -> bool {
        let idle_ns = packet.ts_ns.saturating_sub(self.flow.end_ns);
        match (&self.flow.tcp, &packet.transport) {
            // Who closes it keeps its ports for so long (RFC 9293 §3.6.1); the SYN of the next one need not be seen.
            (Some(tcp), Transport::Tcp(_)) if tcp.is_closed() && idle_ns > limits::CLOSED_IDLE_NS => true,
            (Some(tcp), Transport::Tcp(header)) => {
                let shown_late = idle_ns <= 0 && self.seen.follows(packet);
                tcp.opening(Way::of(packet.from_low), header, shown_late) == Opening::Another
            }
            _ => idle_ns > limits::DATAGRAM_IDLE_NS,
        }
    }

    /// Whether a packet between the same ends, but of another VLAN or tunnel, belongs to it: that network shows again what
    /// was seen, as where a host both wraps and tags, or it shows the other side. For some switches tag one direction alone,
    /// and where tunnels' ends route, each direction has an id of its own. Where a network carries both, and others, it is a
    /// connection of its own.
    pub fn goes_on_in(&mut self, packet: &Packet, payload: &[u8]) -> bool {
        let (way, vlan, tunnel) = (Way::of(packet.from_low), packet.key.vlan, packet.key.tunnel);
        let is_there = |network: &Network| (network.vlan, network.tunnel) == (vlan, tunnel);
        let mut known = self.networks.iter().filter(|network| is_there(network));
        if known.any(|network| network.side.is_none_or(|side| side == way)) {
            return true;
        }
        let side = if self.showed(packet, payload) {
            None
        } else if self.networks.iter().all(|network| network.side.is_none()) && self.is_answered_by(packet) {
            Some(way)
        } else {
            return false;
        };
        self.networks.retain(|network| !is_there(network));
        let has_room = self.networks.len() < NETWORKS_MAX;
        if has_room {
            self.networks.push(Network { vlan, tunnel, side });
        }
        has_room
    }

    /// Whether a packet of another network was seen, a moment ago or as the first, and is like no other.
    fn showed(&self, packet: &Packet, payload: &[u8]) -> bool {
        let since_start_ns = packet.ts_ns.saturating_sub(self.flow.start_ns);
        let is_within = since_start_ns > -limits::SEEN_TWICE_NS && packet.ts_ns <= self.flow.end_ns;
        is_unlike_others(packet) && (self.seen.has(packet, payload) || (is_within && self.flow.began_with(packet)))
    }

    /// Whether a packet is the first of a side that answers the other.
    fn is_answered_by(&self, packet: &Packet) -> bool {
        let way = Way::of(packet.from_low);
        let answers = match (&self.flow.tcp, &packet.transport) {
            (Some(tcp), Transport::Tcp(header)) => tcp.acknowledges(way, header),
            _ => packet.ts_ns.saturating_sub(self.flow.end_ns) < limits::ANSWER_NS,
        };
        answers && self.flow.counters[way].packets == 0
    }

    /// Takes a packet in.
    pub fn packet(&mut self, stretch: &Stretch, packet: &Packet, desk: &mut Desk<'_>) {
        self.flow.whose.learn(packet, &stretch.points);
        let bytes = payload(stretch, packet);
        if self.seen.before(packet, bytes) || (self.seen.follows(packet) && self.repeats(packet, bytes)) {
            let bytes = packet.overhead_bytes + if packet.carrier { 0 } else { packet.payload_bytes };
            desk.tally.add(Stage::Flow, "seen at another capture point", packet.counted.into(), bytes.into());
            return;
        }
        desk.tally.add(Stage::Flow, "headers", packet.counted.into(), packet.overhead_bytes.into());
        self.seen.count(packet);
        self.count(packet, desk);
        if packet.carrier {
            return self.flow.spoken("tunnel", None);
        }
        match packet.transport {
            Transport::Tcp(_) => self.segment(packet, bytes, desk),
            Transport::Udp => self.datagram(packet, bytes, desk),
            Transport::Icmp { .. } | Transport::Other => {
                self.flow.counters[Way::of(packet.from_low)].payload_bytes += bytes.len() as u64;
                desk.tally.add(Stage::Flow, "no dissector for the transport", 0, bytes.len() as u64);
            }
        }
        self.held_bytes = self.streams.as_deref().map_or(0, |streams| streams.held_bytes() + streams.waiting_bytes());
    }

    /// Whether a packet is a segment that says and holds what others did.
    fn repeats(&self, packet: &Packet, bytes: &[u8]) -> bool {
        let (Some(tcp), Transport::Tcp(header)) = (&self.flow.tcp, &packet.transport) else { return false };
        let way = Way::of(packet.from_low);
        tcp.repeats(way, header, packet.payload_wire_bytes)
            && (bytes.is_empty()
                || match self.streams.as_deref().and_then(|streams| streams.pair.as_deref()) {
                    Some(pair) => pair.has(way, header.seq, bytes),
                    None => self.over,
                })
    }

    /// Whether more than its rest is lost when it is given up now: a stream that may go on, or calls that wait.
    pub fn is_open(&self) -> bool {
        self.streams.as_deref().is_some_and(|streams| streams.pair.is_some() || streams.waiting_bytes() > 0)
    }

    /// Nothing more comes: what is open becomes rows.
    pub fn end(&mut self, desk: &mut Desk<'_>) {
        let reset = self.flow.tcp.is_some_and(|tcp| tcp.resets > 0);
        self.let_go(if reset { End::Reset } else { End::Cut }, desk);
        self.held_bytes = 0;
    }

    /// Counts a packet in its flow.
    fn count(&mut self, packet: &Packet, desk: &mut Desk<'_>) {
        if let (Some(tcp), Transport::Tcp(header)) = (&mut self.flow.tcp, &packet.transport) {
            let way = Way::of(packet.from_low);
            if tcp.ignores(way, header) {
                let detail = format!("sequence number {}", header.seq);
                let (flow, ts_ns) = (Some(&self.flow), Some(packet.ts_ns));
                desk.rows.anomaly_of("flow", flow, ts_ns, "reset_out_of_window", &detail, None);
                return self.flow.packet(packet);
            }
            let repeated = tcp.opened_with(way, header);
            tcp.sides[way].retransmits += u64::from(repeated);
        }
        self.flow.packet(packet);
    }

    fn datagram(&mut self, packet: &Packet, bytes: &[u8], desk: &mut Desk<'_>) {
        let way = Way::of(packet.from_low);
        self.flow.counters[way].payload_bytes += bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        let streams =
            self.streams.get_or_insert_with(|| Box::new(Streams { pair: None, connection: Connection::new(true) }));
        let mut cx = context(desk, &mut self.flow);
        streams.connection.datagram(way, bytes, packet, &mut cx);
    }

    fn segment(&mut self, packet: &Packet, bytes: &[u8], desk: &mut Desk<'_>) {
        let Transport::Tcp(header) = packet.transport else { return };
        let way = Way::of(packet.from_low);
        if self.over {
            return desk.tally.add(Stage::Stream, reason::AFTER_END, 0, bytes.len() as u64);
        }
        if header.flags & flags::RST != 0 {
            // A text behind a RST says why (RFC 9293 §3.5.2): payload, but no part of the stream.
            self.flow.counters[way].payload_bytes += bytes.len() as u64;
            return desk.tally.add(Stage::Stream, "text of a reset", 0, bytes.len() as u64);
        }
        if self.streams.is_none() {
            if packet.payload_wire_bytes == 0 {
                return;
            }
            self.streams = Some(Streams::opened(&self.flow));
        }
        let Some(streams) = self.streams.as_deref_mut() else { return };
        let segment = Segment {
            way,
            seq: header.seq,
            ack: (header.flags & flags::ACK != 0).then_some(header.ack),
            syn: header.flags & flags::SYN != 0,
            fin: header.flags & flags::FIN != 0,
            bytes,
            cut_bytes: packet.payload_wire_bytes - packet.payload_bytes,
            ts_ns: packet.ts_ns,
            began_ns: packet.began_ns,
            packet: packet.number,
        };
        let Streams { pair: Some(pair), connection } = streams else { return };
        let mut cx = context(desk, &mut self.flow);
        let outcome = pair.segment(&segment, &mut |way, chunk| hand_on(connection, way, chunk, &mut cx));
        if pair.is_over() {
            self.over = true;
            self.let_go(End::Closed, desk);
        }
        self.note(packet, &outcome, desk);
    }

    /// What a segment brought, in the numbers of its flow.
    fn note(&mut self, packet: &Packet, outcome: &Outcome, desk: &mut Desk<'_>) {
        let way = Way::of(packet.from_low);
        self.flow.counters[way].payload_bytes += outcome.new_bytes;
        let mut repeated = false;
        for (why, bytes) in outcome.refused.into_iter().flatten() {
            desk.tally.add(Stage::Stream, why, 0, bytes);
            repeated |= why == reason::RETRANSMITTED;
        }
        if let Some(tcp) = &mut self.flow.tcp {
            tcp.sides[way].retransmits += u64::from(repeated && outcome.new_bytes == 0);
            tcp.sides[way].out_of_order += u64::from(outcome.filled_hole && outcome.new_bytes > 0);
        }
        let mut odd = |kind| {
            let bytes = Some(packet.payload_bytes.into());
            desk.rows.anomaly_of("stream", Some(&self.flow), Some(packet.ts_ns), kind, "", bytes);
        };
        if outcome.differs {
            odd("overlap_differs");
        }
        if outcome.refused.iter().flatten().any(|(why, _)| *why == reason::IMPLAUSIBLE) {
            odd("sequence_out_of_window");
        }
    }

    /// Ends the streams; what is open becomes rows.
    fn let_go(&mut self, how: End, desk: &mut Desk<'_>) {
        let Some(mut streams) = self.streams.take() else { return };
        let Streams { pair, connection } = streams.as_mut();
        let mut cx = context(desk, &mut self.flow);
        if let Some(pair) = pair {
            pair.finish(&mut |way, chunk| hand_on(connection, way, chunk, &mut cx));
        }
        connection.end(how, &mut cx);
        let further = connection.further_anomalies();
        if further > 0 {
            let detail = format!("{further} more in this flow");
            let (flow, ts_ns) = (Some(&self.flow), Some(self.flow.end_ns));
            desk.rows.anomaly_of("protocols", flow, ts_ns, "further_anomalies", &detail, None);
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
    /// Of a flow whose first payload is about to come.
    fn opened(flow: &Flow) -> Box<Self> {
        let initial = |way| flow.tcp.and_then(|tcp| tcp.sides[way].initial_seq);
        let mut pair = Box::<StreamPair>::default();
        for way in Way::BOTH {
            if let Some(seq) = initial(way) {
                pair.begin(way, seq.wrapping_add(1));
            } else if let Some(ack) = flow.tcp.and_then(|tcp| tcp.sides[way].syn_acked) {
                pair.acknowledged(way, ack);
            }
        }
        let from_start = Way::BOTH.iter().all(|&way| initial(way).is_some());
        Box::new(Self { pair: Some(pair), connection: Connection::new(from_start) })
    }

    /// What it costs with nothing waiting.
    fn held_bytes(&self) -> usize {
        let pair = self.pair.as_ref().map_or(0, |_| size_of::<StreamPair>());
        size_of::<Self>() + pair + self.connection.dissector_bytes()
    }

    /// Bytes that wait for others.
    fn waiting_bytes(&self) -> usize {
        self.pair.as_ref().map_or(0, |pair| pair.held_bytes()) + self.connection.held_bytes()
    }
}

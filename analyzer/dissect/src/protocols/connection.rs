//! One connection or conversation: recognises its protocol and holds the dissector to its contract.
//!
//!     Looking ──recognised──▶ Speaking ──Switch──▶ Looking
//!
//! While looking, each segment's begin may be the begin of a message: that is how a connection joined in the
//! middle is found. What is not recognised is counted and let go.

mod doubt;
mod looking;
mod spot;

use self::doubt::Doubts;
use self::looking::Found;
use self::spot::Spot;
use super::unread::{Mark, Unread};
use super::{Anomaly, Call, Dissector, End, Options, Protocol, Row, Side, Sink, Stamp, Start, http};
use crate::decode::Packet;
use crate::flow::{Flow, PerWay, Way};
use crate::limits;
use crate::stream::Chunk;
use crate::tally::{Stage, Tally};
use std::ops::ControlFlow;

/// Where rows and anomalies go, with the flow they belong to. The room behind this one implements it.
pub trait Output {
    /// A call; `client` is the way its requests go.
    fn row(&mut self, flow: &Flow, client: Way, call: &Call, row: Row<'_>);

    /// Something odd; `stamp` says where.
    fn anomaly(&mut self, flow: &Flow, stamp: &Stamp, anomaly: Anomaly);

    /// The name behind the id of a topic of Kafka.
    fn topic(&mut self, _id: [u8; 16], _name: &str) {}
}

/// What surrounds a connection while it takes in a chunk.
pub struct Context<'a> {
    /// Its flow.
    pub flow: &'a mut Flow,
    /// The protocols looked for.
    pub protocols: &'a [&'static Protocol],
    /// What was asked for.
    pub options: Options,
    /// What becomes of its bytes.
    pub tally: &'a mut Tally,
    /// Where its rows go.
    pub out: &'a mut dyn Output,
}

enum State {
    Looking,
    Speaking {
        protocol: &'static Protocol,
        dissector: Box<dyn Dissector>,
        /// The way of what the dissector has for the client.
        client: Way,
        /// Whether it came to see that the other one asks.
        reversed: bool,
    },
}

/// One connection, both ways, or one conversation of datagrams.
pub struct Connection {
    state: State,
    unread: PerWay<Unread>,
    /// Whether both sides are seen from their first byte.
    from_start: bool,
    /// The request that asked for the protocol that is looked for.
    carried: Option<Box<http::Exchange>>,
    /// Anomalies found.
    anomalies: u32,
    doubts: Doubts,
}

impl Connection {
    /// A connection of which nothing was handed on yet.
    pub fn new(from_start: bool) -> Self {
        Self {
            state: State::Looking,
            unread: PerWay::default(),
            from_start,
            carried: None,
            anomalies: 0,
            doubts: Doubts::default(),
        }
    }

    /// Takes in what the stream room hands on.
    pub fn chunk(&mut self, way: Way, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        match chunk {
            Chunk::Bytes { bytes, seq, ts_ns, began_ns, packet } => {
                let mark = Mark { place: seq.into(), in_stream: true, ts_ns, began_ns, packet, ..Mark::default() };
                self.bytes(way, bytes, mark, cx);
            }
            Chunk::Doubt { seq, bytes, ts_ns } => self.doubts.push(way, seq, bytes, ts_ns),
            Chunk::Gap { lost_bytes } => self.gap(way, lost_bytes, cx),
            Chunk::End => self.end_side(way, End::Closed, cx),
        }
    }

    /// Takes in a datagram.
    pub fn datagram(&mut self, way: Way, bytes: &[u8], packet: &Packet, cx: &mut Context<'_>) {
        let cut_bytes = packet.payload_wire_bytes.saturating_sub(packet.payload_bytes);
        self.unread[way].mark(Mark {
            place: packet.ts_ns as u64,
            ts_ns: packet.ts_ns,
            began_ns: packet.began_ns,
            packet: packet.number,
            cut: cut_bytes > 0,
            ..Mark::default()
        });
        if matches!(self.state, State::Looking) && !matches!(self.look(way, bytes, true, cx), Found::Protocol(..)) {
            return self.count_unrecognised(way, bytes.len(), cx);
        }
        let State::Speaking { protocol, .. } = self.state else { return };
        let read = self.call(way, cx, |dissector, side, out| match cut_bytes {
            0 => dissector.bytes(side, bytes, out),
            cut_bytes => {
                dissector.gap(side, bytes, cut_bytes.into(), out);
                super::Progress::Continue { consumed: bytes.len(), wanted: 1 }
            }
        });
        let (consumed, _) = match read {
            Some(super::Progress::Continue { consumed, wanted }) => (consumed.min(bytes.len()), wanted),
            Some(super::Progress::Switch { consumed }) => (consumed.min(bytes.len()), 1),
            Some(super::Progress::Stop) | None => (0, 1),
        };
        self.count_consumed(way, consumed, protocol, cx);
        let left = bytes.len() - consumed;
        self.unread[way].consume(left);
        cx.tally.add(Stage::Protocol, "not understood in a datagram", 0, left as u64);
    }

    /// Ends both sides.
    pub fn end(&mut self, how: End, cx: &mut Context<'_>) {
        for way in [cx.flow.client(), cx.flow.client().back()] {
            self.end_side(way, how, cx);
        }
    }

    /// Anomalies that have no row of their own, because there were too many.
    pub fn further_anomalies(&self) -> u32 {
        self.anomalies.saturating_sub(limits::ANOMALIES_PER_FLOW_MAX)
    }

    /// Memory of its dissector, before that holds anything.
    pub fn dissector_bytes(&self) -> usize {
        match &self.state {
            State::Looking => 0,
            State::Speaking { dissector, .. } => size_of_val(dissector.as_ref()),
        }
    }

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        let dissector = match &self.state {
            State::Looking => self.carried.as_ref().map_or(0, |request| request.held_bytes()),
            State::Speaking { dissector, .. } => dissector.held_bytes(),
        };
        let unread = Way::BOTH.iter().map(|&way| self.unread[way].held_bytes()).sum::<usize>();
        unread + dissector + self.doubts.held_bytes()
    }

    fn bytes(&mut self, way: Way, bytes: &[u8], mark: Mark, cx: &mut Context<'_>) {
        let unread = &mut self.unread[way];
        if unread.stopped || unread.ended.is_some() {
            unread.consume(bytes.len());
            cx.tally.add(Stage::Protocol, "not looked at any more", 0, bytes.len() as u64);
            return;
        }
        unread.mark(mark);
        if unread.kept.is_empty() {
            let consumed = self.read(way, bytes, 0, cx);
            self.unread[way].kept.extend_from_slice(bytes.get(consumed..).unwrap_or_default());
            return;
        }
        unread.kept.extend_from_slice(bytes);
        if unread.kept.len() >= unread.wanted {
            self.read_kept(way, 0, cx);
        }
    }

    fn read_kept(&mut self, way: Way, depth: u8, cx: &mut Context<'_>) {
        let mut kept = std::mem::take(&mut self.unread[way].kept);
        let consumed = self.read(way, &kept, depth, cx);
        kept.drain(..consumed);
        self.unread[way].kept = kept;
        self.unread[way].slim();
    }

    /// Has as much read of `bytes` as can be; returns how many are done with.
    fn read(&mut self, way: Way, bytes: &[u8], depth: u8, cx: &mut Context<'_>) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return at;
            }
            let taken = match self.state {
                State::Looking => self.recognise(way, rest, depth, cx),
                State::Speaking { protocol, .. } => self.hand_over(way, rest, protocol, depth, cx),
            };
            match taken {
                ControlFlow::Continue(taken) => at += taken,
                ControlFlow::Break(taken) => return at + taken,
            }
        }
    }

    /// Has the dissector read on, and holds it to its contract; says how many bytes are done with, and breaks off where it
    /// wants others.
    fn hand_over(
        &mut self,
        way: Way,
        rest: &[u8],
        protocol: &'static Protocol,
        depth: u8,
        cx: &mut Context<'_>,
    ) -> ControlFlow<usize, usize> {
        match self.call(way, cx, |dissector, side, out| dissector.bytes(side, rest, out)) {
            Some(super::Progress::Continue { consumed, wanted }) => {
                debug_assert!(consumed <= rest.len() && wanted > rest.len() - consumed, "{}: contract", protocol.name);
                let consumed = consumed.min(rest.len());
                self.count_consumed(way, consumed, protocol, cx);
                let left = rest.get(consumed..).unwrap_or_default();
                self.unread[way].wanted = wanted.max(left.len() + 1);
                if wanted <= protocol.unread_bytes_max {
                    return ControlFlow::Break(consumed);
                }
                self.call(way, cx, |dissector, side, out| dissector.gap(side, left, 0, out));
                self.count_consumed(way, left.len(), protocol, cx);
                self.unread[way].wanted = 1;
                ControlFlow::Break(rest.len())
            }
            Some(super::Progress::Switch { consumed }) => {
                let consumed = consumed.min(rest.len());
                self.count_consumed(way, consumed, protocol, cx);
                self.switch(cx);
                if depth == 0 && !self.unread[way.back()].kept.is_empty() {
                    self.read_kept(way.back(), 1, cx);
                }
                ControlFlow::Continue(consumed)
            }
            Some(super::Progress::Stop) | None => {
                self.count_consumed(way, rest.len(), protocol, cx);
                self.unread[way].stopped = true;
                ControlFlow::Break(rest.len())
            }
        }
    }

    /// The dissector is done; what follows is what both sides agreed on, or recognised anew.
    fn switch(&mut self, cx: &mut Context<'_>) {
        let agreed = match &self.state {
            State::Speaking { dissector, client, .. } => dissector.agreed().map(|protocol| (protocol, *client)),
            State::Looking => None,
        };
        if let State::Speaking { dissector, .. } = &mut self.state {
            self.carried = dissector.carried();
        }
        for way in Way::BOTH {
            self.call(way, cx, |dissector, side, out| dissector.end(side, &[], End::Closed, out));
            self.unread[way].wanted = 1;
            self.unread[way].stopped = false;
        }
        self.state = State::Looking;
        self.from_start = true;
        if let Some((protocol, client)) = agreed
            && cx.protocols.iter().any(|known| known.name == protocol.name)
        {
            // What an upgraded connection speaks is what it is for.
            cx.flow.protocol = Some(protocol.name);
            self.speak(protocol, Some(client), false, cx);
        }
    }

    fn gap(&mut self, way: Way, lost_bytes: u64, cx: &mut Context<'_>) {
        self.from_start = false;
        if self.unread[way].stopped || self.unread[way].ended.is_some() {
            return;
        }
        self.give_kept(way, cx, |dissector, side, kept, out| dissector.gap(side, kept, lost_bytes, out));
    }

    fn end_side(&mut self, way: Way, how: End, cx: &mut Context<'_>) {
        if self.unread[way].ended.is_some() {
            return;
        }
        self.unread[way].ended = Some(how);
        self.give_kept(way, cx, |dissector, side, kept, out| dissector.end(side, kept, how, out));
    }

    /// Hands the dissector all kept bytes for the last time.
    fn give_kept(
        &mut self,
        way: Way,
        cx: &mut Context<'_>,
        give: impl FnOnce(&mut dyn Dissector, Side, &[u8], &mut dyn Sink),
    ) {
        self.find_kept(way, cx);
        let kept = std::mem::take(&mut self.unread[way].kept);
        self.unread[way].wanted = 1;
        let State::Speaking { protocol, .. } = self.state else {
            return self.count_unrecognised(way, kept.len(), cx);
        };
        self.call(way, cx, |dissector, side, out| give(dissector, side, &kept, out));
        self.count_consumed(way, kept.len(), protocol, cx);
    }

    fn call<T>(
        &mut self,
        way: Way,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut dyn Dissector, Side, &mut dyn Sink) -> T,
    ) -> Option<T> {
        let State::Speaking { dissector, client, reversed, .. } = &mut self.state else { return None };
        let side = if way == *client { Side::Client } else { Side::Server };
        let mut spot = Spot {
            unread: &mut self.unread[way],
            side,
            client: *client,
            reversed,
            flow: cx.flow,
            out: cx.out,
            anomalies: &mut self.anomalies,
            doubts: &self.doubts,
        };
        Some(call(dissector.as_mut(), side, &mut spot))
    }

    fn speak(&mut self, protocol: &'static Protocol, client: Option<Way>, datagram: bool, cx: &mut Context<'_>) {
        cx.flow.spoken(protocol.name, client);
        if protocol.name == super::tls::PROTOCOL.name {
            cx.flow.tls.get_or_insert_default();
        }
        let client = client.unwrap_or(cx.flow.client());
        let (server_ip, server_port) = cx.flow.end(client.back());
        let (client_ip, _) = cx.flow.end(client);
        let start = Start {
            options: cx.options,
            from_start: self.from_start || datagram,
            datagram,
            server_port,
            multicast: server_ip.is_multicast() || client_ip.is_multicast(),
        };
        let mut dissector = (protocol.start)(&start);
        if let Some(request) = self.carried.take() {
            dissector.take_over(request);
        }
        self.state = State::Speaking { protocol, dissector, client, reversed: false };
        // A side may have ended before anything told what it spoke; nobody would say so again.
        for way in Way::BOTH {
            if let Some(how) = self.unread[way].ended {
                self.call(way, cx, |dissector, side, out| dissector.end(side, &[], how, out));
            }
        }
    }

    fn count_consumed(&mut self, way: Way, bytes: usize, protocol: &'static Protocol, cx: &mut Context<'_>) {
        let covered = self.unread[way].consume(bytes);
        if covered > 0 {
            cx.tally.add(Stage::Protocol, protocol.name, 0, covered);
        }
        if (bytes as u64) > covered {
            cx.tally.add(Stage::Protocol, "skipped by the dissector", 0, bytes as u64 - covered);
        }
    }
}

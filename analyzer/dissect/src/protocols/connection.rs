//! One connection or conversation: recognises its protocol and holds the dissector to its contract.
//!
//!     Looking ──recognised──▶ Speaking ──Switch──▶ Looking
//!
//! While looking, each segment's begin may be the begin of a message: that is how a connection joined in the
//! middle is found. What is not recognised is counted and let go.

mod spot;

use self::spot::Spot;
use super::unread::{Mark, Unread};
use super::{
    Anomaly, Call, Detection, Dissector, End, Look, Options, Protocol, Row, Side, Sink, Stamp, Start, http, proxy,
};
use crate::decode::Packet;
use crate::flow::{Flow, PerWay, Way};
use crate::limits;
use crate::stream::Chunk;
use crate::tally::{Stage, Tally};

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
}

impl Connection {
    /// A connection of which nothing was handed on yet.
    pub fn new(from_start: bool) -> Self {
        Self { state: State::Looking, unread: PerWay::default(), from_start, carried: None, anomalies: 0 }
    }

    /// Takes in what the stream room hands on.
    pub fn chunk(&mut self, way: Way, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        match chunk {
            Chunk::Bytes { bytes, seq, ts_ns, packet } => {
                let mark = Mark { place: seq.into(), in_stream: true, ts_ns, packet, ..Mark::default() };
                self.bytes(way, bytes, mark, cx);
            }
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

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        let dissector = match &self.state {
            State::Looking => self.carried.as_ref().map_or(0, |request| request.held_bytes()),
            State::Speaking { dissector, .. } => dissector.held_bytes(),
        };
        Way::BOTH.iter().map(|&way| self.unread[way].held_bytes()).sum::<usize>() + dissector
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
    }

    /// Has as much read of `bytes` as can be; returns how many are done with.
    fn read(&mut self, way: Way, bytes: &[u8], depth: u8, cx: &mut Context<'_>) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return at;
            }
            let State::Speaking { protocol, .. } = self.state else {
                // Nothing was said before what a proxy says of the connection, and what follows begins it.
                if self.unread[way].at == 0 {
                    match proxy::front(rest) {
                        proxy::Front::Whole(bytes) => {
                            self.unread[way].consume(bytes);
                            cx.tally.add(Stage::Protocol, "proxy header", 0, bytes as u64);
                            at += bytes;
                            continue;
                        }
                        proxy::Front::Part => {
                            self.unread[way].wanted = rest.len() + 1;
                            return at;
                        }
                        proxy::Front::Other => {}
                    }
                }
                match self.look(way, rest, false, cx) {
                    found @ (Found::Nothing | Found::Perhaps) => {
                        let older = self.older(way, rest, found, cx);
                        if older == 0 {
                            return at;
                        }
                        self.count_unrecognised(way, older, cx);
                        at += older;
                        continue;
                    }
                    Found::Protocol(protocol, side) => {
                        // What the other side said before comes first. Where a client is joined in the middle it answers
                        // nothing that was seen, so that what only may be of the protocol is not worth a wrong answer.
                        if depth == 0 && !self.unread[way.back()].kept.is_empty() {
                            let certain = side == Some(Side::Client) && !self.from_start;
                            self.let_go_foreign(way.back(), protocol, certain, cx);
                            self.read_kept(way.back(), 1, cx);
                        }
                        continue;
                    }
                }
            };
            match self.call(way, cx, |dissector, side, out| dissector.bytes(side, rest, out)) {
                Some(super::Progress::Continue { consumed, wanted }) => {
                    debug_assert!(
                        consumed <= rest.len() && wanted > rest.len() - consumed,
                        "{}: contract",
                        protocol.name
                    );
                    let consumed = consumed.min(rest.len());
                    self.count_consumed(way, consumed, protocol, cx);
                    at += consumed;
                    let left = rest.len() - consumed;
                    self.unread[way].wanted = wanted.max(left + 1);
                    if wanted > protocol.unread_bytes_max {
                        let rest = bytes.get(at..).unwrap_or_default();
                        self.call(way, cx, |dissector, side, out| dissector.gap(side, rest, 0, out));
                        self.count_consumed(way, left, protocol, cx);
                        self.unread[way].wanted = 1;
                        return bytes.len();
                    }
                    return at;
                }
                Some(super::Progress::Switch { consumed }) => {
                    let consumed = consumed.min(rest.len());
                    self.count_consumed(way, consumed, protocol, cx);
                    at += consumed;
                    self.switch(cx);
                    if depth == 0 && !self.unread[way.back()].kept.is_empty() {
                        self.read_kept(way.back(), 1, cx);
                    }
                }
                Some(super::Progress::Stop) | None => {
                    self.count_consumed(way, rest.len(), protocol, cx);
                    self.unread[way].stopped = true;
                    return bytes.len();
                }
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

    /// What waited for more bytes, and gets none, is no protocol; a segment behind it may begin one.
    fn find_kept(&mut self, way: Way, cx: &mut Context<'_>) {
        while matches!(self.state, State::Looking) {
            let next = self.unread[way].next_segment(self.unread[way].kept.len());
            self.let_go(way, next, cx);
            if self.unread[way].kept.is_empty() {
                return;
            }
            self.read_kept(way, 0, cx);
        }
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
        };
        Some(call(dissector.as_mut(), side, &mut spot))
    }

    /// Recognises a protocol, or says how likely it still is.
    fn look(&mut self, way: Way, bytes: &[u8], datagram: bool, cx: &mut Context<'_>) -> Found {
        let found = self.ask(way, bytes, datagram, cx);
        self.unread[way].wanted = if matches!(found, Found::Perhaps) { bytes.len() + 1 } else { 1 };
        if let Found::Protocol(protocol, side) = found {
            let client = side.map(|side| if side == Side::Client { way } else { way.back() });
            self.speak(protocol, client, datagram, cx);
        }
        found
    }

    /// Bytes in front that are no protocol: up to the next segment, for each may begin a message. What waits for more may be
    /// the end of another protocol: a segment behind it that begins a message, as after STARTTLS, is no part of it.
    fn older(&self, way: Way, bytes: &[u8], found: Found, cx: &Context<'_>) -> usize {
        let newest = self.unread[way].newest().min(bytes.len());
        match found {
            Found::Perhaps if newest == 0 => 0,
            Found::Perhaps => {
                let begun = bytes.get(newest..).unwrap_or_default();
                if matches!(self.ask(way, begun, false, cx), Found::Protocol(..)) { newest } else { 0 }
            }
            // Nobody waits for more: what is held is none of it.
            _ if bytes.len() >= limits::DETECT_BYTES_MAX && newest > 0 => newest,
            _ => self.unread[way].next_segment(bytes.len()),
        }
    }

    /// Asks every protocol, those at home on the ports first.
    fn ask(&self, way: Way, bytes: &[u8], datagram: bool, cx: &Context<'_>) -> Found {
        let ((_, from_port), (_, to_port)) = (cx.flow.end(way), cx.flow.end(way.back()));
        let look = Look { bytes, datagram, from_port, to_port };
        let at_home =
            |protocol: &&&'static Protocol| protocol.ports.contains(&from_port) || protocol.ports.contains(&to_port);
        let spoken = |protocol: &&&'static Protocol| if datagram { protocol.over_udp } else { protocol.over_tcp };
        let ordered =
            cx.protocols.iter().filter(at_home).chain(cx.protocols.iter().filter(|protocol| !at_home(protocol)));
        let mut found = Found::Nothing;
        for protocol in ordered.filter(spoken) {
            match (protocol.detect)(&look) {
                Detection::No => {}
                Detection::More if datagram || bytes.len() >= limits::DETECT_BYTES_MAX => {}
                Detection::More => found = Found::Perhaps,
                Detection::Yes(side) => return Found::Protocol(protocol, side),
            }
        }
        found
    }

    /// Kept bytes that may have begun some other protocol are none of this one, up to a segment that may begin it, or that
    /// does, where that is to be `certain`.
    fn let_go_foreign(&mut self, way: Way, protocol: &'static Protocol, certain: bool, cx: &mut Context<'_>) {
        let ((_, from_port), (_, to_port)) = (cx.flow.end(way), cx.flow.end(way.back()));
        loop {
            let look = Look { bytes: &self.unread[way].kept, datagram: false, from_port, to_port };
            let is_none = match (protocol.detect)(&look) {
                Detection::No => true,
                Detection::More => certain,
                Detection::Yes(_) => false,
            };
            if look.bytes.is_empty() || !is_none {
                return;
            }
            let next = self.unread[way].next_segment(look.bytes.len());
            self.let_go(way, next, cx);
        }
    }

    /// Counts kept bytes at the front as no protocol.
    fn let_go(&mut self, way: Way, bytes: usize, cx: &mut Context<'_>) {
        self.unread[way].kept.drain(..bytes);
        self.unread[way].wanted = 1;
        self.count_unrecognised(way, bytes, cx);
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

    fn count_unrecognised(&mut self, way: Way, bytes: usize, cx: &mut Context<'_>) {
        self.unread[way].consume(bytes);
        if bytes > 0 {
            self.from_start = false;
            cx.tally.add(Stage::Protocol, "not recognised", 0, bytes as u64);
        }
    }
}

#[derive(Clone, Copy)]
enum Found {
    Nothing,
    Perhaps,
    Protocol(&'static Protocol, Option<Side>),
}

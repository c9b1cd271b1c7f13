//! What bytes are of before their protocol is known, and what is let go of them.

use super::{Connection, Context, State};
use crate::flow::Way;
use crate::limits;
use crate::protocols::{Detection, Look, Protocol, Side, proxy};
use crate::tally::Stage;
use std::ops::ControlFlow;

/// How much bytes say.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Nothing,
    Perhaps,
    Protocol(&'static Protocol, Option<Side>),
}

impl Connection {
    /// Looks what `rest` begins with; says how many bytes are done with, and breaks off where more are waited for.
    pub(super) fn recognise(
        &mut self,
        way: Way,
        rest: &[u8],
        depth: u8,
        cx: &mut Context<'_>,
    ) -> ControlFlow<usize, usize> {
        // Nothing was said before what a proxy says of the connection, and what follows begins it.
        if self.unread[way].at == 0 {
            match proxy::front(rest) {
                proxy::Front::Whole(bytes) => {
                    self.unread[way].consume(bytes);
                    cx.tally.add(Stage::Protocol, "proxy header", 0, bytes as u64);
                    return ControlFlow::Continue(bytes);
                }
                proxy::Front::Part => {
                    self.unread[way].wanted = rest.len() + 1;
                    return ControlFlow::Break(0);
                }
                proxy::Front::Other => {}
            }
        }
        match self.look(way, rest, false, cx) {
            found @ (Found::Nothing | Found::Perhaps) => match self.older(way, rest, found, cx) {
                0 => ControlFlow::Break(0),
                older => {
                    self.count_unrecognised(way, older, cx);
                    ControlFlow::Continue(older)
                }
            },
            Found::Protocol(protocol, side) => {
                // What the other side said before comes first. Where a client is joined in the middle it answers
                // nothing that was seen, so that what only may be of the protocol is not worth a wrong answer.
                if depth == 0 && !self.unread[way.back()].kept.is_empty() {
                    let certain = side == Some(Side::Client) && !self.from_start;
                    self.let_go_foreign(way.back(), protocol, certain, cx);
                    self.read_kept(way.back(), 1, cx);
                }
                ControlFlow::Continue(0)
            }
        }
    }

    /// Recognises a protocol, or says how likely it still is.
    pub(super) fn look(&mut self, way: Way, bytes: &[u8], datagram: bool, cx: &mut Context<'_>) -> Found {
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
        self.unread[way].slim();
        self.unread[way].wanted = 1;
        self.count_unrecognised(way, bytes, cx);
    }

    /// What waited for more bytes, and gets none, is no protocol; a segment behind it may begin one.
    pub(super) fn find_kept(&mut self, way: Way, cx: &mut Context<'_>) {
        while matches!(self.state, State::Looking) {
            let next = self.unread[way].next_segment(self.unread[way].kept.len());
            self.let_go(way, next, cx);
            if self.unread[way].kept.is_empty() {
                return;
            }
            self.read_kept(way, 0, cx);
        }
    }

    pub(super) fn count_unrecognised(&mut self, way: Way, bytes: usize, cx: &mut Context<'_>) {
        self.unread[way].consume(bytes);
        if bytes > 0 {
            self.from_start = false;
            cx.tally.add(Stage::Protocol, "not recognised", 0, bytes as u64);
        }
    }
}

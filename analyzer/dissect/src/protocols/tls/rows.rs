//! What both sides said becomes a handshake.
//!
//! One row a handshake: a client that is asked to say hello again goes on with the one it began. The row is handed on once
//! everything that follows is encrypted, or the handshake failed, or nothing more comes.

use super::certificate::Certificate;
use super::wire::{self, ClientHello, Ending, ServerHello, kind};
use super::{Handshake, fingerprint, registry};
use crate::protocols::{Anomaly, Call, End, Pair, PerSide, Row, Side, Sink, Stamp};

/// A level of alerts that ends the connection (RFC 5246 §7.2).
const FATAL: u8 = 2;

#[derive(Default)]
struct Open {
    handshake: Handshake,
    /// The client's hello.
    request: Option<Stamp>,
    /// The server's answer to it from its first byte on, if that was seen.
    response: Option<Stamp>,
    /// What was seen of it first.
    first: Option<Stamp>,
    random: Option<[u8; 32]>,
    /// What the server's hello says of a session taken up again.
    answer: Option<Answer>,
    /// Whether the server asked for another hello.
    retry: bool,
    /// Whether keys were exchanged: not so where a session is taken up again.
    full: bool,
    sealed: PerSide<bool>,
    /// Whether something of that side was lost, or made no sense.
    lost: PerSide<bool>,
    /// Whether a gap touched it.
    damaged: bool,
    /// Whether a message of it was not seen to its end.
    cut: bool,
}

#[derive(Clone, Copy)]
struct Answer {
    /// Whether it takes a key that the client named.
    psk: bool,
}

/// The handshakes of one connection, one at a time.
#[derive(Default)]
pub struct Rows {
    open: Option<Box<Open>>,
    /// Whether there was one before.
    any: bool,
    /// Whether the client spoke of ciphers before any hello was seen: its hello is the second, asked for by the server's
    /// answer to the first (RFC 8446 appendix D.4).
    asked_before: bool,
    ended: PerSide<Option<End>>,
}

impl Rows {
    /// A handshake message, or the part of it that was seen.
    pub fn message(&mut self, from: Side, found: &super::messages::Found<'_>, stamp: Stamp, out: &mut dyn Sink) {
        match (found.kind, from) {
            (kind::HELLO_REQUEST, _) => {}
            (kind::CLIENT_HELLO, Side::Client) => {
                let hello = wire::client_hello(found.body, found.whole);
                self.client_hello(&hello, stamp, out);
            }
            (kind::SERVER_HELLO, Side::Server) => {
                let hello = wire::server_hello(found.body, found.whole);
                self.server_hello(&hello, stamp, out);
            }
            (kind::HELLO_RETRY_REQUEST, Side::Server) => {
                let hello = wire::draft_retry_request(found.body, found.whole);
                self.server_hello(&hello, stamp, out);
            }
            (kind::CERTIFICATE, Side::Server) => {
                let open = self.open(stamp);
                open.full = true;
                open.cut |= !found.whole;
                open.certificate(found, out);
            }
            (kind, _) => {
                let open = self.open(stamp);
                open.full |= match from {
                    Side::Client => kind == kind::CLIENT_KEY_EXCHANGE,
                    Side::Server => matches!(kind, kind::SERVER_KEY_EXCHANGE | kind::SERVER_HELLO_DONE),
                };
            }
        }
    }

    /// An SSL 2.0 hello.
    pub fn v2_hello(&mut self, hello: &wire::V2Hello, stamp: Stamp, out: &mut dyn Sink) {
        self.begin_anew(out);
        let open = self.open(stamp);
        open.request = Some(stamp);
        open.handshake.client_versions = Some(vec![hello.version]);
        open.handshake.ech = Some(false);
    }

    fn client_hello(&mut self, hello: &ClientHello<'_>, stamp: Stamp, out: &mut dyn Sink) {
        let again = self.open.as_ref().is_some_and(|open| {
            let goes_on = open.answer.is_none() && (open.retry || open.random == hello.random);
            open.request.is_none() && !open.full || goes_on
        });
        if !again {
            self.begin_anew(out);
        }
        let asked_before = std::mem::take(&mut self.asked_before);
        let open = self.open(stamp);
        if hello.ending == Ending::Malformed {
            out.anomaly(0..0, Anomaly::with("tls_hello_malformed", "of the client"));
        }
        if open.random.is_some() && !open.cut {
            return; // The first hello stands for both.
        }
        open.retry |= asked_before;
        if open.response.is_none() && !asked_before {
            open.request = Some(stamp);
        }
        open.random = hello.random;
        open.cut |= hello.ending == Ending::Cut;
        let whole = hello.ending == Ending::Whole;
        let to = &mut open.handshake;
        to.sni = hello.sni.map(<[u8]>::to_vec);
        let all = hello.ending != Ending::Cut;
        let versions: Vec<u16> = hello.versions.iter().copied().filter(|&code| !fingerprint::is_grease(code)).collect();
        to.client_versions = match versions.is_empty() {
            false => Some(versions),
            // Whether an extension says it instead is known at the end of the hello only.
            true => hello.version.filter(|_| all).map(|version| vec![version]),
        };
        to.client_alpns =
            (all || !hello.alpns.is_empty()).then(|| hello.alpns.iter().map(|name| name.to_vec()).collect());
        to.ech = (all || hello.ech).then_some(hello.ech);
        // What the second hello adds to the first stands in its fingerprint (RFC 8446 §4.1.2).
        if whole && !open.retry {
            to.ja3 = fingerprint::ja3(hello);
            to.ja4 = fingerprint::ja4(hello);
        }
    }

    fn server_hello(&mut self, hello: &ServerHello<'_>, stamp: Stamp, out: &mut dyn Sink) {
        if self.open.as_ref().is_some_and(|open| open.answer.is_some()) {
            self.begin_anew(out);
        }
        let open = self.open(stamp);
        open.answered(stamp);
        if hello.ending == Ending::Malformed {
            out.anomaly(0..0, Anomaly::with("tls_hello_malformed", "of the server"));
        }
        open.cut |= hello.ending == Ending::Cut;
        let (whole, all) = (hello.ending == Ending::Whole, hello.ending != Ending::Cut);
        let to = &mut open.handshake;
        // An extension that was cut off may name another version.
        to.version = hello.selected_version.or(hello.version.filter(|_| all)).or(to.version);
        to.cipher = hello.cipher.or(to.cipher);
        to.alpn = hello.alpn.map(<[u8]>::to_vec);
        if whole {
            to.ja3s = fingerprint::ja3s(hello);
        }
        if hello.retry {
            open.retry = true;
            return;
        }
        open.lost.server |= !whole;
        open.answer = Some(Answer { psk: hello.psk });
    }

    /// The side says that it encrypts from here on. TLS 1.3 has it for show (RFC 8446 appendix D.4). Says whether to
    /// believe it.
    pub fn change_cipher_spec(&mut self, from: Side, out: &mut dyn Sink) -> bool {
        let Some(open) = &mut self.open else {
            self.asked_before |= from == Side::Client && !self.any;
            return true;
        };
        if open.is_tls13() {
            return false;
        }
        open.sealed[from] = true;
        if open.sealed.client && open.sealed.server {
            self.hand_on(None, out);
        }
        true
    }

    /// Data follows, or what looks like it. Once it does from a client that knows the server's hello, what else there
    /// is of a TLS 1.3 handshake cannot be seen.
    pub fn application_data(&mut self, from: Side, out: &mut dyn Sink) {
        let over = self.open.as_ref().is_some_and(|open| open.answer.is_some() && open.is_tls13());
        if over && from == Side::Client {
            self.hand_on(None, out);
        }
    }

    /// An alert in clear.
    pub fn alert(&mut self, from: Side, level: u8, code: u8, stamp: Stamp, out: &mut dyn Sink) {
        if self.open.is_none() && (self.any || code == 0) {
            return;
        }
        let open = self.open(stamp);
        if from == Side::Server {
            open.answered(stamp);
        }
        if open.handshake.alert.is_none() || level == FATAL {
            open.handshake.alert = Some(code);
        }
        if level == FATAL {
            self.hand_on(None, out);
        }
    }

    /// A gap touches what is open.
    pub fn gap(&mut self) {
        if let Some(open) = &mut self.open {
            open.damaged = true;
        }
    }

    /// Bytes of that side are missing, or make no sense.
    pub fn lost(&mut self, from: Side) {
        if let Some(open) = &mut self.open {
            open.lost[from] = true;
        }
    }

    /// Nothing more comes from that side.
    pub fn end(&mut self, from: Side, how: End, out: &mut dyn Sink) {
        self.ended[from] = Some(how);
        if self.ended[from.other()].is_some() {
            self.begin_anew(out);
        }
    }

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| size_of::<Open>() + open.handshake.held_bytes())
    }

    /// The handshake that is open, or one that begins with what `stamp` names.
    fn open(&mut self, stamp: Stamp) -> &mut Open {
        self.any = true;
        let open = self.open.get_or_insert_default();
        open.first.get_or_insert(stamp);
        open
    }

    /// Hands on the handshake that is open: it will not go on.
    fn begin_anew(&mut self, out: &mut dyn Sink) {
        let Some(open) = &self.open else { return };
        let seen_both = open.request.is_some() && open.response.is_some();
        let cut = match seen_both {
            true => [self.ended.client, self.ended.server].contains(&Some(End::Cut)),
            // The answer would have been seen had the server's end been.
            false => open.response.is_none() && self.ended.server == Some(End::Cut),
        };
        self.hand_on(cut.then_some(Pair::Cut), out);
    }

    fn hand_on(&mut self, pair: Option<Pair>, out: &mut dyn Sink) {
        let Some(mut open) = self.open.take() else { return };
        open.handshake.resumed = open.resumed();
        let mut call = open.call();
        call.pair = pair.unwrap_or(call.pair);
        out.row(&call, Row::Tls(&open.handshake));
    }
}

impl Open {
    fn is_tls13(&self) -> bool {
        self.retry || self.handshake.version.is_some_and(registry::is_tls13)
    }

    /// The server answers. Where the end of the question or something of the server is missing, its time says nothing.
    fn answered(&mut self, stamp: Stamp) {
        if !self.cut && !self.lost.server && !self.full {
            self.response.get_or_insert(stamp);
        }
    }

    /// What was seen of both halves.
    fn call(&self) -> Call {
        let mut call = Call::new(self.request, self.response);
        let asked = self.random.is_some() || self.handshake.client_versions.is_some();
        let answered = self.answer.is_some() || self.full || self.damaged && self.lost.server;
        let knows_nothing = !asked && self.answer.is_none() && self.handshake.alert.is_none();
        if self.cut || knows_nothing || asked && self.request.is_none() || answered && self.response.is_none() {
            call = call.cut();
        }
        if let (None, None, Some(first)) = (self.request, self.response, self.first) {
            let half = if first.side == Side::Client { &mut call.request } else { &mut call.response };
            *half = Some(first);
            call = call.cut();
        }
        [&mut call.request, &mut call.response].into_iter().flatten().for_each(|half| half.damaged |= self.damaged);
        call
    }

    fn certificate(&mut self, found: &super::messages::Found<'_>, out: &mut dyn Sink) {
        if self.handshake.certificate.is_some() {
            return;
        }
        match wire::own_certificate(found.body) {
            Ok(Some(der)) => {
                let certificate = Certificate::read(der);
                if certificate.said.is_none() {
                    out.anomaly(0..0, Anomaly::new("tls_certificate_malformed"));
                }
                self.handshake.certificate = Some(certificate);
            }
            Ok(None) => {}
            Err(_) if found.whole => out.anomaly(0..0, Anomaly::new("tls_certificate_malformed")),
            Err(_) => {}
        }
    }

    /// Whether a session was taken up again: a key of TLS 1.3 that the server took, or up to TLS 1.2 the server that
    /// encrypts right after its hello (RFC 5246 §7.3, RFC 5077 §3.1). The session id it sends back tells less: clients
    /// of TLS 1.3 make one up, and some servers repeat it (RFC 8446 appendix D.4).
    fn resumed(&self) -> Option<bool> {
        let answer = self.answer?;
        if self.is_tls13() {
            return (!self.lost.server || answer.psk).then_some(answer.psk);
        }
        match self.full {
            true => Some(false),
            false => (self.sealed.server && !self.lost.server).then_some(true),
        }
    }
}

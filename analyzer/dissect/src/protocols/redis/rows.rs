//! Commands wait here for their replies.
//!
//! Redis pairs by order alone: the n-th reply answers the n-th command that gets one. Pushes are no replies, and
//! some commands get none. `order` says what is done where messages may be missing, `pushes` has what answers nothing.

mod order;
mod pushes;

use super::command::Command;
use super::effect::Effect;
use super::exchange::Exchange;
use super::message::{Message, Missing};
use super::node::Node;
use super::secrets;
use super::session::{self, After, Push, Session};
use crate::protocols::{Anomaly, Call, Row, Sink, Stamp};
use std::collections::VecDeque;

/// Commands that may wait on one connection: bulk loading sends thousands before it reads a reply. The oldest is
/// handed on alone past that, and its reply too.
pub const WAITING_MAX: usize = 16 << 10;

/// Bytes they may hold; past that only the names and keys of further ones are kept: 16 Ki of 300 bytes.
pub const WAITING_BYTES_MAX: usize = 1 << 20;

/// Commands there stays room for once none waits.
const WAITING_KEPT: usize = 32;

struct Open {
    command: Command,
    stamp: Stamp,
    bytes: u64,
    cut: bool,
    answered: bool,
    /// Why it is not certain which reply is its own.
    doubt: Option<Missing>,
    /// Whether its reply may be among those lost.
    reply_lost: bool,
    /// Whether commands behind it are missing.
    is_followed: bool,
    /// The first push that confirmed it, and how many are still to come.
    confirmed: Option<Stamp>,
    confirmations_left: u32,
}

impl Open {
    fn greets(&self) -> bool {
        matches!(self.command.effect, Effect::Hello(_) | Effect::Reset | Effect::Unknown)
    }

    /// Whether a reply may be its own: HELLO is answered by several values, by an error, or once a transaction runs.
    fn accepts(&self, reply: &Node) -> bool {
        let may_greet = || reply.items().is_some() || reply.error().is_some() || session::is(reply, b"QUEUED");
        !matches!(self.command.effect, Effect::Hello(_)) || may_greet()
    }
}

/// Values of the server that no command was seen for.
enum Early {
    /// A command was seen.
    Over,
    /// The latest, handed on when the next one does not follow it in its packet.
    Latest(Option<Box<Message<Node>>>),
}

/// All that is open on one connection.
pub struct Rows {
    waiting: VecDeque<Open>,
    waiting_bytes: usize,
    /// A pair that the next message shows to be one, or not.
    unsure: Option<Box<(Open, Message<Node>)>>,
    unsure_bytes: usize,
    /// Where we joined in the middle, until a command is seen: the latest value, which may be a part of a reply.
    early: Early,
    /// Replies to come for commands that were handed on already.
    owed: u64,
    session: Session,
    /// Why order is not certain for commands sent from now on.
    doubt: Option<Missing>,
    /// Whether the server spoke since the last command, as far as order is in doubt.
    spoke: bool,
    /// The longest a reply took, and when the last one came.
    slowest_ns: i64,
    replied_ns: i64,
    /// Whether a command was seen to be sent before the reply to another.
    pipelines: bool,
    /// Whether it was sent between replies to commands that were open together.
    overlaps: bool,
    /// Whether the server sends the commands, of a master to its replica.
    pub replicates: bool,
}

impl Rows {
    /// For a connection that was seen from its first byte, or not.
    pub fn new(from_start: bool) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unsure: None,
            unsure_bytes: 0,
            early: if from_start { Early::Over } else { Early::Latest(None) },
            owed: 0,
            session: Session::new(from_start),
            doubt: (!from_start).then_some(Missing::Unseen),
            spoke: false,
            slowest_ns: 0,
            replied_ns: i64::MIN,
            pipelines: false,
            overlaps: false,
            replicates: false,
        }
    }

    /// A command. Says what the server sends behind it, where that is no reply.
    pub fn command(&mut self, message: Message<Command>, out: &mut dyn Sink) -> After {
        let effect = message.content.effect;
        self.settle_early(out);
        self.early = Early::Over;
        self.settle_unsure(Some(&message.stamp), out);
        self.settle_order(&message.stamp, out);
        match effect {
            // It may get no reply, or several, or change what others get: as if it were missing.
            Effect::Unknown if message.stamp.damaged => self.missing_commands(Missing::Lost, out),
            _ if self.session.is_obscured_by(effect) => self.doubt_order(Missing::Lost),
            _ => {}
        }
        let answered = self.session.sends(effect) && !self.replicates;
        let confirmations_left = match effect {
            Effect::Subscribe { channels } => channels,
            _ => 0,
        };
        if self.waiting.len() >= WAITING_MAX {
            self.give_up_oldest(out);
        }
        if self.doubt.is_some() && matches!(effect, Effect::Hello(_) | Effect::Reset) {
            self.session.resp_version = None;
        }
        // Of one packet.
        let before = self.waiting.back().filter(|before| before.answered && answered);
        self.pipelines |= before.is_some_and(|before| before.stamp.last_ns == message.stamp.first_ns);
        let mut command = message.content;
        if self.waiting_bytes > WAITING_BYTES_MAX {
            command.shed();
        }
        self.waiting_bytes += command.held_bytes();
        self.waiting.push_back(Open {
            command,
            stamp: message.stamp,
            bytes: message.bytes,
            cut: message.cut,
            answered,
            doubt: self.doubt,
            reply_lost: false,
            is_followed: false,
            confirmed: None,
            confirmations_left,
        });
        self.settle(out);
        self.replicates |= effect == Effect::ReplicaAck;
        match effect {
            Effect::ReplicaAck => After::Commands,
            Effect::Replicate { answered: false } if self.waiting.is_empty() => After::Snapshot,
            _ => After::Reply,
        }
    }

    /// A value of the server; `evidence` is the version it can only be of. Says what comes behind it.
    pub fn value(&mut self, message: Message<Node>, evidence: Option<u8>, out: &mut dyn Sink) -> After {
        self.settle(out);
        self.session.speaks(evidence);
        if let Some((push, kind)) = Push::of(&message.content)
            && self.is_push(&push, kind)
        {
            self.push(&message, out);
            self.settle(out);
            return After::Reply;
        }
        if self.owed > 0 {
            self.owed -= 1;
            self.alone(&message, out);
            return After::Reply;
        }
        // Valkey 8.1 leaves a HELLO with a wrong password unanswered.
        while let Some(open) = self.waiting.pop_front_if(|open| open.doubt.is_none() && !open.accepts(&message.content))
        {
            self.waiting_bytes -= open.command.held_bytes();
            self.hand_on(open, false, out);
        }
        let stamp = message.stamp;
        self.break_unsure(out);
        self.spoke = true;
        if self.waiting.is_empty() {
            self.doubt_order(Missing::Unseen);
            self.spoke = true;
        }
        if matches!(self.early, Early::Latest(_)) {
            return self.came_early(message, out);
        }
        let Some(open) = self.answers(&stamp, out) else {
            self.alone(&message, out);
            self.replied_ns = stamp.last_ns;
            return After::Reply;
        };
        if open.doubt.is_none() {
            self.watch(&open.stamp, &stamp);
        }
        self.replied_ns = stamp.last_ns;
        // Behind a gap what it chose is not known whatever it is answered.
        let waits_for_the_next = open.command.effect == Effect::None || open.doubt == Some(Missing::Lost);
        if open.doubt.is_some() && waits_for_the_next {
            self.unsure_bytes = open.command.held_bytes() + message.content.held_bytes();
            self.unsure = Some(Box::new((open, message)));
            return After::Reply;
        }
        let after = self.pair(open, message, out);
        self.settle(out);
        after
    }

    /// A value before any command was seen. One packet has several replies where a client pipelines, and parts of one reply far
    /// more often: these are not handed on.
    fn came_early(&mut self, message: Message<Node>, out: &mut dyn Sink) -> After {
        let Early::Latest(latest) = &mut self.early else { return After::Reply };
        let packet = message.stamp.first_packet;
        let latest = latest.replace(Box::new(message));
        match latest {
            Some(latest) if latest.stamp.last_packet == packet => {
                self.early = Early::Latest(None);
                After::Unknown
            }
            latest => {
                latest.into_iter().for_each(|latest| self.alone(&latest, out));
                After::Reply
            }
        }
    }

    /// The latest value before any command was one of its own.
    fn settle_early(&mut self, out: &mut dyn Sink) {
        if let Early::Latest(latest) = &mut self.early
            && let Some(latest) = latest.take()
        {
            self.replied_ns = latest.stamp.last_ns;
            self.alone(&latest, out);
        }
    }

    /// A command and its reply. Says what comes behind it.
    fn pair(&mut self, mut open: Open, mut message: Message<Node>, out: &mut dyn Sink) -> After {
        let effect = open.command.effect;
        if self.session.is_secret(effect) {
            secrets::redact_reply(effect, &mut message.content);
        }
        if let Effect::Hello(asked) = effect {
            self.session.greets(asked, &message.content);
        }
        let doubtful = open.doubt == Some(Missing::Lost);
        open.stamp.damaged |= doubtful;
        let row = self.row(Some(&mut open), Some(&message));
        let call = Call::new(Some(open.stamp), Some(message.stamp));
        out.row(&if open.cut || message.cut { call.cut() } else { call }, Row::Redis(&row));
        if doubtful || message.cut {
            self.session.unanswered(effect);
            return After::Reply;
        }
        self.session.answered(effect, &message.content)
    }

    /// Nothing more comes: what is open becomes rows, cut if the input ended.
    pub fn end(&mut self, cut: bool, out: &mut dyn Sink) {
        self.settle_early(out);
        self.settle_unsure(None, out);
        while let Some(open) = self.pop() {
            if cut {
                self.hand_on(open, true, out);
            } else {
                self.hand_on_unsure(open, out);
            }
        }
        self.waiting = VecDeque::new();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let early = match &self.early {
            Early::Latest(Some(latest)) => latest.content.held_bytes(),
            _ => 0,
        };
        self.waiting_bytes + self.waiting.capacity() * size_of::<Open>() + self.unsure_bytes + early
    }

    fn pop(&mut self) -> Option<Open> {
        let open = self.waiting.pop_front()?;
        self.waiting_bytes -= open.command.held_bytes();
        if self.waiting.is_empty() {
            // What a long pipeline took is not kept for those that wait for each reply.
            self.waiting.shrink_to(WAITING_KEPT);
        }
        Some(open)
    }

    /// Hands on the commands in front that get no reply.
    fn settle(&mut self, out: &mut dyn Sink) {
        while let Some(open) = self.waiting.pop_front_if(|open| !open.answered) {
            self.waiting_bytes -= open.command.held_bytes();
            self.hand_on(open, false, out);
        }
    }

    /// Hands on a command without a reply.
    fn hand_on(&mut self, mut open: Open, cut: bool, out: &mut dyn Sink) {
        let row = self.row(Some(&mut open), None);
        let call = Call::new(Some(open.stamp), open.confirmed);
        let cut = open.cut || cut && open.confirmed.is_none();
        out.row(&if cut { call.cut() } else { call }, Row::Redis(&row));
        self.session.unanswered(open.command.effect);
    }

    fn give_up_oldest(&mut self, out: &mut dyn Sink) {
        if self.owed == 0 {
            out.anomaly(0..0, Anomaly::new("redis_too_many_waiting"));
        }
        if let Some(open) = self.pop() {
            self.owed += 1;
            self.hand_on(open, true, out);
        }
    }

    /// A reply to a command that was not seen, or was handed on already.
    fn alone(&self, message: &Message<Node>, out: &mut dyn Sink) {
        let mut content = message.content.clone();
        secrets::redact_reply(Effect::None, &mut content);
        let shown = Message { content, ..*message };
        let mut row = self.row(None, Some(&shown));
        row.db = None;
        // What answers nothing behind a gap may be a part of something else.
        let mut stamp = message.stamp;
        stamp.damaged |= self.doubt == Some(Missing::Lost);
        let call = Call::new(None, Some(stamp));
        out.row(&if message.cut { call.cut() } else { call }, Row::Redis(&row));
    }

    /// Whether the next reply tells a replica how it gets its snapshot.
    pub fn awaits_snapshot(&self) -> bool {
        self.waiting.front().is_some_and(|open| matches!(open.command.effect, Effect::Replicate { .. }))
    }

    /// The row of a command, whose texts it takes, and of its reply.
    fn row(&self, mut open: Option<&mut Open>, reply: Option<&Message<Node>>) -> Exchange {
        let texts = open.as_mut().map(|open| open.command.take_texts()).unwrap_or_default();
        let open = open.as_deref();
        let node = reply.map(|reply| &reply.content);
        let error = node.and_then(Node::error);
        let shown = node.filter(|_| error.is_none());
        let error = error.map(|error| secrets::redact_error(error, texts.args.as_deref()));
        Exchange {
            // Of HELLO without its reply it is not known which version it left behind.
            resp_version: self.session.resp_version.filter(|_| node.is_some() || !open.is_some_and(Open::greets)),
            command: texts.name,
            key: texts.key,
            args: texts.args,
            reply_type: node.map(Node::type_name),
            reply: shown.map(Node::json),
            error,
            is_push: false,
            db: open.and_then(|open| {
                self.session.db_of(node).filter(|_| !self.replicates && open.doubt != Some(Missing::Lost))
            }),
            request_bytes: open.filter(|open| !open.cut).map(|open| open.bytes),
            reply_bytes: reply.map(|reply| reply.bytes),
        }
    }
}

//! What a connection's commands and replies make of it: its database, its version, its modes.

use super::effect::{Effect, Replies};
use super::node::{Kind, Node};
use super::seek::{self, Front};

/// What comes behind a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Commands of a master to its replica.
    Commands,
    /// Another reply.
    Reply,
    /// A snapshot, then commands.
    Snapshot,
    /// What it is was no reply, or not the whole of one.
    Unknown,
}

/// A transaction that was begun and neither run nor given up.
#[derive(Debug, Default)]
struct Multi {
    queued: usize,
    /// The last SELECT among what is queued, and its place.
    selected: Option<(usize, Option<i32>)>,
    tells_secrets: bool,
}

/// A SELECT that may be anywhere among what is queued.
const UNPLACED: (usize, Option<i32>) = (usize::MAX, None);

/// The state of one connection, as far as it was seen.
#[derive(Debug)]
pub struct Session {
    /// The database commands run in; unknown if joined in the middle or behind a loss.
    pub db: Option<i32>,
    /// Version of RESP.
    pub resp_version: Option<u8>,
    /// Whether it subscribed to channels or patterns, and to channels of shards: each confirmation counts one of both.
    subscribed: bool,
    subscribed_to_shards: bool,
    /// Whether it sees what others send.
    pub monitors: bool,
    multi: Option<Multi>,
    silence: Silence,
}

/// Which commands get no reply, in the order they are sent (`CLIENT REPLY`).
#[derive(Debug, Default)]
struct Silence {
    off: bool,
    skip: bool,
    /// A transaction is open as far as the client knows: commands are queued, not run.
    queues: bool,
}

impl Session {
    /// For a connection seen from its first byte, or not.
    pub fn new(from_start: bool) -> Self {
        Self {
            db: from_start.then_some(0),
            resp_version: from_start.then_some(2),
            subscribed: false,
            subscribed_to_shards: false,
            monitors: false,
            multi: None,
            silence: Silence::default(),
        }
    }

    /// Notes a command that is sent. Says whether there will be a reply.
    pub fn sends(&mut self, effect: Effect) -> bool {
        let silence = &mut self.silence;
        let mut silent = silence.off || silence.skip;
        let mut skip = false;
        match effect {
            Effect::Multi => silence.queues = true,
            Effect::Discard | Effect::Exec => silence.queues = false,
            Effect::Reset => {
                *silence = Silence::default();
                silent = false;
            }
            Effect::ReplicaAck | Effect::Replicate { answered: false } => silent = true,
            Effect::Reply(_) if silence.queues => {}
            Effect::Reply(Replies::Off) => (silence.off, silent) = (true, true),
            Effect::Reply(Replies::On) => (silence.off, silent) = (false, false),
            Effect::Reply(Replies::Skip) => (skip, silent) = (!silence.off, true),
            _ => {}
        }
        self.silence.skip = skip;
        !silent
    }

    /// Whether a command changes which others get replies, in a way that is not followed.
    pub fn is_obscured_by(&self, effect: Effect) -> bool {
        self.silence.queues && matches!(effect, Effect::Reply(_))
    }

    /// The database a command with that reply runs in.
    pub fn db_of(&self, reply: Option<&Node>) -> Option<i32> {
        let later = self.multi.as_ref().is_some_and(|multi| multi.selected.is_some());
        self.db.filter(|_| !later || reply.is_some_and(|reply| !is(reply, b"QUEUED")))
    }

    /// Whether the reply may hold secrets.
    pub fn is_secret(&self, effect: Effect) -> bool {
        match effect {
            Effect::TellSecrets | Effect::Unknown => true,
            Effect::Exec => self.multi.as_ref().is_none_or(|multi| multi.tells_secrets),
            _ => false,
        }
    }

    /// Whether messages may come.
    pub fn is_subscribed(&self) -> bool {
        self.subscribed || self.subscribed_to_shards
    }

    /// Notes a confirmation, and how many subscriptions of its kind there are now.
    pub fn subscribes(&mut self, word: &[u8], count: i64) {
        let of_shards = matches!(word, b"ssubscribe" | b"sunsubscribe");
        let subscribed = if of_shards { &mut self.subscribed_to_shards } else { &mut self.subscribed };
        *subscribed = count > 0;
    }

    /// Notes a version that was seen, where none is known.
    pub fn speaks(&mut self, evidence: Option<u8>) {
        if evidence == Some(3) || self.resp_version.is_none() {
            self.resp_version = evidence.or(self.resp_version);
        }
    }

    /// Notes the reply to `HELLO`, which already is in the new version.
    pub fn greets(&mut self, asked: Option<u8>, reply: &Node) {
        if reply.error().is_none() && asked.is_some() {
            self.resp_version = asked;
        }
    }

    /// Notes what a command did, by its reply.
    pub fn answered(&mut self, effect: Effect, reply: &Node) -> After {
        let ok = is(reply, b"OK");
        if let Some(multi) = self.multi.as_mut().filter(|_| is(reply, b"QUEUED")) {
            match effect {
                Effect::Select(db) => multi.selected = Some((multi.queued, db)),
                Effect::TellSecrets => multi.tells_secrets = true,
                _ => {}
            }
            multi.queued += 1;
            return After::Reply;
        }
        match effect {
            Effect::Discard if ok => self.multi = None,
            Effect::Exec => self.executed(reply),
            Effect::Monitor if ok => self.monitors = true,
            Effect::Multi if ok => self.multi = Some(Multi::default()),
            Effect::Replicate { .. } => return self.replicates(reply),
            Effect::Reset if is(reply, b"RESET") => {
                *self = Self { db: Some(0), resp_version: Some(2), ..Self::new(false) };
            }
            Effect::Select(db) if ok => self.db = db,
            Effect::Unknown => self.unanswered(effect),
            _ => {}
        }
        After::Reply
    }

    /// Notes a command whose reply is not known.
    pub fn unanswered(&mut self, effect: Effect) {
        match effect {
            Effect::Discard => self.multi = None,
            Effect::Exec if self.multi.take().is_none_or(|multi| multi.selected.is_some()) => self.db = None,
            Effect::Hello(_) => self.resp_version = None,
            Effect::Multi => self.multi = Some(Multi::default()),
            Effect::Select(_) => self.db = None,
            Effect::Reset | Effect::Unknown => (self.db, self.resp_version) = (None, None),
            _ => {}
        }
        // It may have been queued: places behind it are not known.
        if let Some(multi) = &mut self.multi {
            multi.selected = Some(UNPLACED);
            multi.tells_secrets = true;
        }
    }

    /// Commands may have been missed.
    pub fn missed(&mut self) {
        self.db = None;
        self.resp_version = None;
        self.multi = None;
        self.silence = Silence::default();
    }

    /// The transaction was run, or not (nil: a watched key changed; an error: it was given up).
    fn executed(&mut self, reply: &Node) {
        let Some(multi) = self.multi.take() else {
            // Begun before us: what it selected is not known.
            self.db = None;
            return;
        };
        if let (Some((place, db)), Some((_, replies))) = (multi.selected, reply.items()) {
            match replies.get(place) {
                Some(reply) if is(reply, b"OK") => self.db = db,
                Some(reply) if reply.error().is_some() => {}
                _ => self.db = None,
            }
        }
    }

    fn replicates(&mut self, reply: &Node) -> After {
        let text = reply.bytes().unwrap_or_default();
        self.db = None;
        match () {
            () if text.starts_with(b"FULLRESYNC") => After::Snapshot,
            () if text.starts_with(b"CONTINUE") => After::Commands,
            () => After::Reply,
        }
    }
}

/// Whether a reply is that simple string.
pub fn is(reply: &Node, text: &[u8]) -> bool {
    reply.bytes() == Some(text)
}

/// What a value that answers nothing is about: a word, and the channel where there is one.
pub struct Push<'a> {
    /// Such as `message`.
    pub word: &'a [u8],
    /// Channel or pattern.
    pub channel: Option<&'a Node>,
    /// Of a confirmation, how many subscriptions there are now, of shards or of all else.
    pub confirms: Option<i64>,
}

/// Words that bring a message to a subscriber, with the number of values, and words that confirm.
const MESSAGES: &[(&[u8], usize)] = &[(b"message", 3), (b"pmessage", 4), (b"smessage", 3)];
const CONFIRMATIONS: &[&[u8]] =
    &[b"psubscribe", b"punsubscribe", b"ssubscribe", b"subscribe", b"sunsubscribe", b"unsubscribe"];

impl<'a> Push<'a> {
    /// A push of RESP3, or what RESP2 sends instead: an array that could be a reply as well.
    pub fn of(node: &'a Node) -> Option<(Self, Kind)> {
        if let Some(text) = node.bytes() {
            let line = matches!(node.bare(), Node::Text(super::node::TextKind::Simple, _));
            let is_monitor = line && seek::monitor(text) == Front::Yes;
            return is_monitor.then_some((Push { word: b"monitor", channel: None, confirms: None }, Kind::Array));
        }
        let (kind, items) = node.items()?;
        let word = items.first().and_then(Node::bytes).unwrap_or_default();
        let confirms = match items {
            [_, _, Node::Int(count)] if CONFIRMATIONS.contains(&word) => Some(*count),
            _ => None,
        };
        let message = MESSAGES.contains(&(word, items.len()));
        if kind != Kind::Push && !(kind == Kind::Array && (message || confirms.is_some())) {
            return None;
        }
        let channel = items.get(1).filter(|_| message || confirms.is_some());
        Some((Push { word, channel, confirms }, kind))
    }
}

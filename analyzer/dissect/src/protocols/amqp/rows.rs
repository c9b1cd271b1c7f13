//! What is open on one connection: channels, content on its way, rows that wait for their answer.
//!
//! Each method is a row of its own. A row that asks for something waits for the answer and takes its time from it; the
//! answer is a row too, without a time. `calls.rs` says what methods ask for and answer.
//!
//! What a loss took may have changed anything on a channel, so afterwards
//! * the numbers that confirms count by, what tags of consumers mean, and which queue was declared last are not known;
//! * a publish or delivery still takes the answer that names it, but not one that names all up to a number;
//! * a request whose reply may be among what was lost is over. Where a client was seen to send requests without waiting
//!   for replies, none are paired any more; one that waits has the replies to all its earlier requests.

use super::Message;
use super::channel::{CONSUMER_BYTES, Channel, Consumer};
use super::content::{Content, Fate};
use super::waiting::{Entry, Key, Waiting};
use super::wire::{self, Greeting};
use crate::protocols::value::Value;
use crate::protocols::{Anomaly, Call, End, Pair, PerSide, Row, Side, Sink, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Channels of a connection that are remembered: RabbitMQ's default for channel_max is 2047.
const CHANNELS_MAX: usize = 2048;

/// Bytes that bodies on their way on all channels may hold, besides one.
const CONTENT_BYTES_MAX: usize = 2 << 20;

/// What the number of a channel costs among those that were used: nodes of a tree may be half empty.
const USED_BYTES: usize = 8;

/// The calls of one connection.
pub struct Rows {
    body_bytes_max: usize,
    /// Whether everything was seen from the first byte on.
    pub(super) complete: bool,
    greeting: Option<(Stamp, Side, Greeting)>,
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) consumers: BTreeMap<(u16, String), Consumer>,
    pub(super) waiting: Waiting,
    /// Channels that were used since frames of a side were lost that may have been of any.
    used: PerSide<BTreeSet<u16>>,
    content_bytes: usize,
    /// Whether the server said why it closes the connection, which it says once.
    pub(super) refused: bool,
    ended: PerSide<bool>,
    /// Whether it was said that not every row, or body, could be held.
    overflow_said: bool,
}

impl Rows {
    /// For a connection that was seen from its first byte, or not.
    pub fn new(body_bytes_max: usize, from_start: bool) -> Self {
        Self {
            body_bytes_max,
            complete: from_start,
            greeting: None,
            channels: BTreeMap::new(),
            consumers: BTreeMap::new(),
            waiting: Waiting::default(),
            used: PerSide::default(),
            content_bytes: 0,
            refused: false,
            ended: PerSide::default(),
            overflow_said: false,
        }
    }

    /// A protocol header: asks for connection.start, or is the answer of a server that refuses (§4.2.2).
    pub fn greeting(&mut self, from: Side, stamp: Stamp, greeting: Greeting, out: &mut dyn Sink) {
        if let Some((asked, _, wanted)) = self.greeting.take_if(|(_, by, _)| *by != from) {
            let (wanted, had) = (wanted.version(), greeting.version());
            if wanted != had {
                out.anomaly(
                    0..0,
                    Anomaly::with("amqp_version_refused", format!("asked for {wanted}, answered with {had}")),
                );
            }
            emit_greeting(Call::new(Some(asked), Some(stamp)), from.other(), &wanted, out);
            let answers = Call { request: None, response: Some(stamp), pair: Pair::Complete };
            return emit_greeting(answers, from, &had, out);
        }
        self.greeted(None, out);
        self.greeting = Some((stamp, from, greeting));
    }

    /// The protocol header was answered with connection.start, or will not be answered.
    pub(super) fn greeted(&mut self, answer: Option<Stamp>, out: &mut dyn Sink) {
        if let Some((asked, by, wanted)) = self.greeting.take() {
            emit_greeting(Call::new(Some(asked), answer), by, &wanted.version(), out);
        }
    }

    /// A heartbeat.
    pub fn heartbeat(&mut self, from: Side, stamp: Stamp, out: &mut dyn Sink) {
        one_way(&Message::new(from, 0, "heartbeat"), stamp, Pair::Complete, out);
    }

    /// The payload of a method frame, whose span is `span`.
    pub fn method(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        span: Range<usize>,
        payload: &[u8],
        out: &mut dyn Sink,
    ) {
        let Ok(called) = wire::method(payload) else {
            return out.anomaly(span, Anomaly::with("amqp_malformed", "a method without its number"));
        };
        let message = super::channel::message(from, channel, &called);
        let name = || format!("{}.{}", message.class, message.method.as_deref().unwrap_or_default());
        match (called.method, called.wrong) {
            (None, _) => out.anomaly(span.clone(), Anomaly::with("amqp_unknown_method", name())),
            (_, Some(wrong)) => {
                out.anomaly(span.clone(), Anomaly::with("amqp_malformed", format!("{}: {wrong}", name())));
            }
            _ => {}
        }
        if self.content_of(from, channel).is_some() {
            out.anomaly(span, Anomaly::with("amqp_content_unfinished", format!("{} came before its end", name())));
            self.finish(from, channel, out);
        }
        self.touch(channel, out).stray_said[from] = false;
        self.called(from, channel, stamp, &called, message, out);
        self.hand_on_overflow(out);
    }

    /// The payload of a content header.
    pub fn header(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        span: Range<usize>,
        payload: &[u8],
        out: &mut dyn Sink,
    ) {
        let Ok(header) = wire::content_header(payload) else {
            return out.anomaly(span, Anomaly::with("amqp_malformed", "a content header without a length"));
        };
        if let Some(wrong) = header.wrong {
            out.anomaly(span.clone(), Anomaly::with("amqp_malformed", format!("content header: {wrong}")));
        }
        if self.content_of(from, channel).is_none_or(|content| content.has_header()) {
            // Its method was lost, or sent before we joined.
            if self.complete || self.content_of(from, channel).is_some() {
                out.anomaly(span, Anomaly::with("amqp_content_unexpected", "a header without a method"));
            }
            self.finish(from, channel, out);
            let message = Message::new(from, channel, super::methods::class_name(header.class));
            let mut begun = stamp;
            begun.bytes = 0;
            let content = Content::new(message, begun, Fate::Emit(Pair::Cut));
            self.touch(channel, out).contents[from] = Some(content);
        }
        let keep = self.body_bytes_max > 0;
        if let Some(content) = self.content_mut(from, channel) {
            content.header(stamp, header, keep);
        }
        self.finish_whole(from, channel, out);
    }

    /// Whether there is content that a body frame may belong to; `span` is its front.
    pub fn expects_body(&mut self, from: Side, channel: u16, span: Range<usize>, out: &mut dyn Sink) -> bool {
        let expected = self.content_of(from, channel).is_some_and(Content::has_header);
        if !expected && self.complete {
            let said = self.channels.get_mut(&channel).map(|channel| &mut channel.stray_said[from]);
            if said.is_none_or(|said| !std::mem::replace(said, true)) {
                out.anomaly(span, Anomaly::with("amqp_content_unexpected", "a body without a header"));
            }
        }
        expected
    }

    /// Bytes of a body frame: its front, a piece of the body, or its end.
    pub fn body(&mut self, from: Side, channel: u16, stamp: Stamp, piece: &[u8], out: &mut dyn Sink) {
        let bytes_max = self.body_bytes_max.max(CONTENT_BYTES_MAX);
        let (all_kept, body_bytes_max) = (self.content_bytes, self.body_bytes_max);
        let Some(content) = self.content_mut(from, channel) else { return };
        let before = content.kept_bytes();
        let (wanted, room) = (body_bytes_max.saturating_sub(before), bytes_max.saturating_sub(all_kept));
        let fits = content.body(stamp, piece, wanted.min(room));
        let kept = content.kept_bytes() - before;
        self.content_bytes += kept;
        if !fits {
            out.anomaly(0..0, Anomaly::new("amqp_body_too_long"));
        }
        if room < wanted.min(piece.len()) {
            self.say_overflow("bodies on their way", out);
        }
    }

    /// A body frame ended.
    pub fn body_end(&mut self, from: Side, channel: u16, out: &mut dyn Sink) {
        self.finish_whole(from, channel, out);
    }

    /// Bytes of the body of `channel` are lost, and nothing else.
    pub fn lose_body(&mut self, from: Side, channel: u16, lost_bytes: u64) {
        if let Some(content) = self.content_mut(from, channel) {
            content.lose(lost_bytes);
        }
    }

    /// A content header, or a piece of what follows it, is lost.
    pub fn lose_content(&mut self, from: Side, channel: u16, out: &mut dyn Sink) {
        self.complete = false;
        if let Some(content) = self.content_mut(from, channel) {
            content.lose(0);
        }
        self.finish(from, channel, out);
    }

    /// Frames are lost: of all channels, or of one.
    pub fn lose(&mut self, from: Side, only: Option<u16>, out: &mut dyn Sink) {
        let was_complete = std::mem::replace(&mut self.complete, false);
        if was_complete {
            self.greeted(None, out);
        }
        // What nobody used since the loss before has nothing more to lose.
        let channels = only.map_or_else(|| std::mem::take(&mut self.used[from]), |channel| [channel].into());
        for channel in channels {
            self.lose_content(from, channel, out);
            self.lose_order(from, channel, out);
        }
        let rows: Vec<Key> = match only {
            Some(channel) => self.waiting.of_channel(channel).map(|(key, _)| *key).collect(),
            None => self.waiting.since_loss(from),
        };
        for key in rows {
            if let Some(over) = self.waiting.lose(from, &key) {
                over.hand_on(None, Pair::Cut, out);
            }
        }
    }

    /// The sides turned out to be the other way round: what was taken from one came from the other. That is little, for
    /// most methods only one side sends.
    pub fn swap_sides(&mut self) {
        self.ended.swap();
        self.waiting.swap_sides();
        self.used.swap();
        for channel in self.channels.values_mut() {
            channel.contents.swap();
            channel.stray_said.swap();
            for content in [&mut channel.contents.client, &mut channel.contents.server].into_iter().flatten() {
                content.message.sender = content.message.sender.other();
            }
        }
    }

    /// This side ended; answers may still come from the other.
    pub fn end(&mut self, from: Side, how: End, out: &mut dyn Sink) {
        let channels: Vec<u16> = self.channels.keys().copied().collect();
        for &channel in &channels {
            if self.content_of(from, channel).is_some() {
                if how != End::Cut {
                    out.anomaly(0..0, Anomaly::with("amqp_content_unfinished", "the connection ended before it"));
                }
                self.finish(from, channel, out);
            }
        }
        self.ended[from] = true;
        if self.ended[from.other()] {
            let unanswered = if how == End::Cut { Pair::Cut } else { Pair::RequestOnly };
            self.greeted(None, out);
            for channel in channels {
                self.close(channel, unanswered, out);
            }
        }
    }

    /// Memory held.
    pub fn held_bytes(&self) -> usize {
        self.waiting.held_bytes()
            + self.content_bytes
            + self.channels.len() * size_of::<Channel>()
            + (self.used.client.len() + self.used.server.len()) * USED_BYTES
            + self.consumers.len() * CONSUMER_BYTES
    }

    /// Whatever is open on a channel becomes rows, and the channel is forgotten.
    pub(super) fn close(&mut self, channel: u16, unanswered: Pair, out: &mut dyn Sink) {
        for side in [Side::Client, Side::Server] {
            self.finish(side, channel, out);
        }
        self.hand_on_all(channel, |_| true, unanswered, out);
        self.forget_consumers(channel);
        self.channels.remove(&channel);
        self.used.client.remove(&channel);
        self.used.server.remove(&channel);
    }

    /// The rows of a channel that wait and for which `which` holds are handed on as they are.
    pub(super) fn hand_on_all(
        &mut self,
        channel: u16,
        which: impl Fn(&Entry) -> bool,
        unanswered: Pair,
        out: &mut dyn Sink,
    ) {
        let keys: Vec<Key> =
            self.waiting.of_channel(channel).filter(|(_, entry)| which(entry)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(entry) = self.waiting.remove(&key) {
                let uncertain = entry.lost[key.awaits.from()] || entry.cut;
                entry.hand_on(None, if uncertain { Pair::Cut } else { unanswered }, out);
            }
        }
    }

    /// Puts a row among those that wait.
    pub(super) fn wait(&mut self, key: Key, entry: Entry, out: &mut dyn Sink) {
        if let Some(before) = self.waiting.add(key, entry) {
            before.hand_on(None, Pair::Cut, out);
        }
    }

    fn hand_on_overflow(&mut self, out: &mut dyn Sink) {
        while let Some(entry) = self.waiting.over(self.body_bytes_max) {
            self.say_overflow("rows that wait", out);
            entry.hand_on(None, Pair::Cut, out);
        }
    }

    fn say_overflow(&mut self, what: &str, out: &mut dyn Sink) {
        if !std::mem::replace(&mut self.overflow_said, true) {
            out.anomaly(0..0, Anomaly::with("amqp_not_all_held", format!("{what} are more than are held at once")));
        }
    }

    /// The channel that a frame is of. A peer opens as many as it likes: the first one makes room.
    pub(super) fn touch(&mut self, channel: u16, out: &mut dyn Sink) -> &mut Channel {
        if self.channels.len() >= CHANNELS_MAX
            && !self.channels.contains_key(&channel)
            && let Some(&first) = self.channels.keys().next()
        {
            self.say_overflow("channels", out);
            self.complete = false;
            self.close(first, Pair::Cut, out);
        }
        self.used.client.insert(channel);
        self.used.server.insert(channel);
        self.channels.entry(channel).or_default()
    }

    fn content_of(&self, from: Side, channel: u16) -> Option<&Content> {
        self.channels.get(&channel)?.contents[from].as_ref()
    }

    fn content_mut(&mut self, from: Side, channel: u16) -> Option<&mut Content> {
        self.channels.get_mut(&channel)?.contents[from].as_mut()
    }

    fn finish_whole(&mut self, from: Side, channel: u16, out: &mut dyn Sink) {
        if self.content_of(from, channel).is_some_and(Content::is_whole) {
            self.finish(from, channel, out);
            self.hand_on_overflow(out);
        }
    }

    /// The content on its way, whole or not, is over.
    fn finish(&mut self, from: Side, channel: u16, out: &mut dyn Sink) {
        let Some(mut content) = self.channels.get_mut(&channel).and_then(|known| known.contents[from].take()) else {
            return;
        };
        content.stamp.end_unseen |= !content.is_whole();
        self.content_bytes -= content.kept_bytes();
        let whole = content.is_whole() && !content.stamp.damaged;
        match content.fate {
            Fate::Emit(pair) => one_way(&content.message, content.stamp, if whole { pair } else { Pair::Cut }, out),
            Fate::Await(key) => {
                let mut entry = Entry::new(content.message, content.stamp);
                entry.cut = !whole;
                self.wait(key, entry, out);
            }
        }
    }
}

/// Hands on a row that nothing answers, or not here.
pub(super) fn one_way(message: &Message, stamp: Stamp, pair: Pair, out: &mut dyn Sink) {
    out.row(&Call { request: Some(stamp), response: None, pair }, Row::Amqp(message));
}

fn emit_greeting(call: Call, by: Side, version: &str, out: &mut dyn Sink) {
    let mut message = Message::new(by, 0, "protocol-header");
    message.arguments = Some(Value::Map(vec![("version".into(), version.into())]).json());
    out.row(&call, Row::Amqp(&message));
}

//! What methods mean on their channel: what they ask for, and what they answer. An ack counts when it is sent, also
//! inside a transaction.

use super::Message;
use super::channel::{Channel, Consumer, Publishing};
use super::content::{Content, Fate};
use super::methods::{self, BASIC, CHANNEL, CONFIRM, CONNECTION, Method, QUEUE, TX};
use super::rows::{Rows, one_way};
use super::waiting::{Awaits, Entry, Key};
use super::wire::Called;
use crate::protocols::{Call, Pair, Row, Side, Sink, Stamp};

/// Consumers of a connection whose queue is remembered.
const CONSUMERS_MAX: usize = 4096;

/// Requests among which the one is looked for that a reply answers: the first, unless replies to those before it were not
/// sent.
const REQUESTS_LOOKED_AT: usize = 64;

impl Rows {
    /// A method: hands on its row, or keeps it until its content or its answer is there.
    pub(super) fn called(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        called: &Called<'_>,
        mut message: Message,
        out: &mut dyn Sink,
    ) {
        let Some(method) = called.method else { return one_way(&message, stamp, Pair::Complete, out) };
        self.prepare(from, channel, method, called, &mut message, out);
        if (method.class, method.id) == (CONNECTION, 10) {
            self.greeted(Some(stamp), out);
        }
        let asked = if method.is_reply { self.answer(from, channel, stamp, method, &mut message, out) } else { None };
        if method.has_content {
            let no_ack = asked.as_ref().map(|asked| asked.no_ack);
            return self.begin_content(from, channel, stamp, method, message, no_ack);
        }
        if method.is_reply {
            let pair = match asked {
                Some(_) => Pair::Complete,
                None if self.complete => Pair::ResponseOnly,
                None => Pair::Cut,
            };
            out.row(&Call { request: None, response: Some(stamp), pair }, Row::Amqp(&message));
            return self.after(channel, method, asked, stamp, out);
        }
        self.refused(channel, stamp, method, called, &message, out);
        self.settle(from, channel, stamp, method, called, out);
        if method.replies.is_empty() || called.flag("no_wait") {
            return one_way(&message, stamp, Pair::Complete, out);
        }
        let mut entry = Entry::new(message, stamp);
        entry.no_ack = called.flag("no_ack");
        entry.mark = self.channels.get(&channel).map_or(0, |known| known.published);
        self.ask(from, channel, method, entry, out);
    }

    /// What a method changes before it is answered, and what the channel knows about it.
    fn prepare(
        &mut self,
        from: Side,
        channel: u16,
        method: &Method,
        called: &Called<'_>,
        message: &mut Message,
        out: &mut dyn Sink,
    ) {
        if (method.class, method.id) == (CHANNEL, 10) {
            self.close(channel, Pair::Cut, out);
            *self.touch(channel, out) = Channel { publishing: Publishing::Plain, ..Channel::default() };
        }
        let known = self.channels.entry(channel).or_default();
        match (method.class, method.id) {
            (QUEUE, 10) => known.queue = message.queue.clone(),
            (QUEUE, 20..) | (BASIC, 20 | 70) if message.queue.is_none() && !method.is_reply => {
                message.queue = known.queue.clone();
            }
            (CONFIRM, 10) if known.publishing == Publishing::Plain => known.publishing = Publishing::Confirms,
            (TX, 10) if known.publishing == Publishing::Plain => known.publishing = Publishing::Transactions,
            _ => {}
        }
        match (method.class, method.id, &message.consumer_tag) {
            (BASIC, 20, Some(tag)) => {
                self.remember(channel, tag.clone(), message.queue.clone(), called.flag("no_ack"));
            }
            (BASIC, 30 | 31 | 60, Some(tag)) => {
                let consumer = self.consumers.get(&(channel, tag.clone()));
                message.queue = consumer.and_then(|consumer| consumer.queue.clone());
                // A client's cancel counts once it is answered: deliveries may be on their way.
                if method.id == 31 || method.id == 30 && (from == Side::Server || called.flag("no_wait")) {
                    self.consumers.remove(&(channel, tag.clone()));
                }
            }
            _ => {}
        }
    }

    fn remember(&mut self, channel: u16, tag: String, queue: Option<String>, no_ack: bool) {
        if self.consumers.len() < CONSUMERS_MAX {
            self.consumers.insert((channel, tag), Consumer { queue, no_ack });
        } else {
            self.consumers.remove(&(channel, tag));
        }
    }

    /// A request waits for its reply, unless replies cannot be told apart.
    fn ask(&mut self, from: Side, channel: u16, method: &Method, mut entry: Entry, out: &mut dyn Sink) {
        let awaits = Awaits::reply_to(from);
        let known = self.channels.entry(channel).or_default();
        known.pipelines |= self.waiting.of(channel, awaits).next().is_some();
        if known.order_lost {
            return entry.hand_on(None, Pair::Cut, out);
        }
        entry.replies = (method.class, method.replies);
        let key = Key { channel, awaits, number: self.waiting.next_number() };
        self.wait(key, entry, out);
    }

    /// Finds the request that a reply answers and hands it on; says what the reply is about.
    fn answer(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        method: &Method,
        message: &mut Message,
        out: &mut dyn Sink,
    ) -> Option<Entry> {
        let answered = |entry: &Entry| entry.replies.0 == method.class && entry.replies.1.contains(&method.id);
        let key = self
            .waiting
            .of(channel, Awaits::reply_to(from.other()))
            .take(REQUESTS_LOOKED_AT)
            .find(|(_, entry)| answered(entry))
            .map(|(key, _)| *key)?;
        let mut asked = self.waiting.remove(&key)?;
        match (method.class, method.id) {
            (QUEUE, 11) => {
                let known = self.channels.get_mut(&channel);
                if let (None, Some(known)) = (&asked.message.queue, known.filter(|known| known.queue.is_none())) {
                    known.queue = message.queue.clone();
                }
                asked.message.queue = message.queue.clone();
            }
            (BASIC, 21) => {
                asked.message.consumer_tag = message.consumer_tag.clone();
                message.queue = asked.message.queue.clone();
                if let Some(tag) = &message.consumer_tag {
                    self.remember(channel, tag.clone(), message.queue.clone(), asked.no_ack);
                }
            }
            (BASIC, 71 | 72) => message.queue = asked.message.queue.clone(),
            _ => {}
        }
        asked.hand_on(Some(stamp), Pair::Complete, out);
        Some(asked)
    }

    /// What is over once this reply was seen.
    fn after(&mut self, channel: u16, method: &Method, asked: Option<Entry>, stamp: Stamp, out: &mut dyn Sink) {
        let unanswered = if asked.is_some() && self.complete { Pair::RequestOnly } else { Pair::Cut };
        match (method.class, method.id) {
            (TX, 21 | 31) => match asked {
                Some(asked) => {
                    let how = if method.id == 21 { "commit" } else { "rollback" };
                    self.settle_rows(channel, Awaits::Confirm, 0..=asked.mark, how, stamp, out);
                }
                // Publishes of transactions have neither a tag nor replies.
                None => {
                    let ends = |entry: &Entry| entry.replies.1.is_empty() && entry.message.delivery_tag.is_none();
                    self.hand_on_all(channel, ends, Pair::Cut, out);
                }
            },
            (BASIC, 111) => self.settle_rows(channel, Awaits::Settlement, 0..=u64::MAX, "recover", stamp, out),
            (CHANNEL, 41) => self.close(channel, unanswered, out),
            (CHANNEL, 11) if asked.is_none() => self.close(channel, Pair::Cut, out),
            (CONNECTION, 51) => {
                let channels: Vec<u16> = self.channels.keys().copied().collect();
                channels.into_iter().for_each(|channel| self.close(channel, unanswered, out));
            }
            _ => {}
        }
    }

    /// channel.close and connection.close name the method that failed: they are the answer to it, where it is plain
    /// which one they mean.
    fn refused(
        &mut self,
        channel: u16,
        stamp: Stamp,
        method: &Method,
        called: &Called<'_>,
        close: &Message,
        out: &mut dyn Sink,
    ) {
        if !matches!((method.class, method.id), (CHANNEL, 40) | (CONNECTION, 50)) || close.sender != Side::Server {
            return;
        }
        let named = called.number("class_id").zip(called.number("method_id"));
        let Some(failed) = named.and_then(|(class, id)| methods::method(class as u16, id as u16)) else { return };
        let names = |entry: &Entry| {
            entry.replies == (failed.class, failed.replies) && entry.message.method.as_deref() == Some(failed.name)
        };
        let asked = match method.class {
            CONNECTION if std::mem::replace(&mut self.refused, true) => None,
            CONNECTION => only(self.waiting.all().filter(|(key, _)| key.awaits == Awaits::ReplyOfServer), names),
            _ => only(self.waiting.of(channel, Awaits::ReplyOfServer).take(REQUESTS_LOOKED_AT), names),
        };
        let Some(key) = asked else { return };
        if let Some(mut refused) = self.waiting.remove(&key) {
            refused.message.reply_code = close.reply_code;
            refused.message.reply_text = close.reply_text.clone();
            refused.hand_on(Some(stamp), Pair::Complete, out);
        }
    }

    fn begin_content(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        method: &Method,
        mut message: Message,
        no_ack: Option<bool>,
    ) {
        let consumer = message.consumer_tag.clone().and_then(|tag| self.consumers.get(&(channel, tag)));
        let no_ack = no_ack.or(consumer.map(|consumer| consumer.no_ack));
        let known = self.channels.entry(channel).or_default();
        let fate = match (method.id, message.delivery_tag) {
            (40, _) => known.publish(channel, &mut message),
            (60 | 71, Some(tag)) if no_ack != Some(true) => {
                Fate::Await(Key { channel, awaits: Awaits::Settlement, number: tag })
            }
            _ => Fate::Emit(Pair::Complete),
        };
        known.contents[from] = Some(Content::new(message, stamp, fate));
    }

    /// ack, nack and reject.
    fn settle(
        &mut self,
        from: Side,
        channel: u16,
        stamp: Stamp,
        method: &Method,
        called: &Called<'_>,
        out: &mut dyn Sink,
    ) {
        let (BASIC, 80 | 90 | 120, Some(tag)) = (method.class, method.id, called.number("delivery_tag")) else {
            return;
        };
        let awaits = if from == Side::Client { Awaits::Settlement } else { Awaits::Confirm };
        if let (Side::Server, Some(known)) = (from, self.channels.get_mut(&channel)) {
            known.confirmed_to = known.confirmed_to.max(tag);
        }
        // 0 with multiple is all so far (basic.ack, delivery-tag).
        match (called.flag("multiple"), tag) {
            (false, tag) => self.settle_rows(channel, awaits, tag..=tag, method.name, stamp, out),
            (true, 0) => self.settle_rows(channel, awaits, 0..=u64::MAX, method.name, stamp, out),
            (true, tag) => self.settle_rows(channel, awaits, 0..=tag, method.name, stamp, out),
        }
    }

    fn settle_rows(
        &mut self,
        channel: u16,
        awaits: Awaits,
        numbers: std::ops::RangeInclusive<u64>,
        how: &'static str,
        stamp: Stamp,
        out: &mut dyn Sink,
    ) {
        let keys: Vec<Key> = self.waiting.between(channel, awaits, numbers.clone()).collect();
        for key in keys {
            let Some(mut entry) = self.waiting.remove(&key) else { continue };
            // It may have been settled by what was lost.
            if entry.lost[awaits.from()] && (key.number != *numbers.end() || how == "commit" || how == "rollback") {
                entry.hand_on(None, Pair::Cut, out);
                continue;
            }
            let seen = !entry.stamp.end_unseen;
            entry.message.settled = Some((how, seen.then(|| stamp.first_ns - entry.stamp.last_ns)));
            entry.hand_on(Some(stamp), Pair::Complete, out);
        }
    }

    /// Frames of `from` are lost that may have been of this channel: what is known of it is so no more.
    pub(super) fn lose_order(&mut self, from: Side, channel: u16, out: &mut dyn Sink) {
        if from == Side::Client {
            self.forget_consumers(channel);
        }
        let Some(known) = self.channels.get_mut(&channel) else { return };
        if from == Side::Client {
            known.publishing = Publishing::Unknown;
            known.queue = None;
        }
        if known.pipelines && !std::mem::replace(&mut known.order_lost, true) {
            self.hand_on_all(channel, |entry| entry.is_request(), Pair::Cut, out);
        }
    }

    /// What tags of consumers of a channel mean is not known any more.
    pub(super) fn forget_consumers(&mut self, channel: u16) {
        let behind = self.consumers.range((channel, String::new())..);
        let gone: Vec<_> = behind.map(|(key, _)| key).take_while(|(of, _)| *of == channel).cloned().collect();
        for key in gone {
            self.consumers.remove(&key);
        }
    }
}

/// The row for which `which` holds, if it is one alone.
fn only<'a>(rows: impl Iterator<Item = (&'a Key, &'a Entry)>, which: impl Fn(&Entry) -> bool) -> Option<Key> {
    let mut found = rows.filter(|(_, entry)| which(entry));
    let (key, _) = found.next()?;
    found.next().is_none().then_some(*key)
}

//! A channel: what its publishes wait for, and what is known of its consumers; and the row of a method by itself.

use super::Message;
use super::content::{Content, Fate};
use super::methods;
use super::waiting::{Awaits, Key};
use super::wire::Called;
use crate::protocols::{Pair, PerSide, Side};

/// The most that one costs: tag and queue are short strings.
pub const CONSUMER_BYTES: usize = size_of::<(u16, String, Consumer)>() + 2 * u8::MAX as usize;

/// What publishes of a channel wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Publishing {
    /// Nothing.
    Plain,
    /// A confirm each.
    Confirms,
    /// The end of their transaction.
    Transactions,
    /// The channel was opened, or may have changed, where we did not see it.
    #[default]
    Unknown,
}

/// One channel.
#[derive(Default)]
pub struct Channel {
    pub contents: PerSide<Option<Content>>,
    /// Whether it was said that bodies came without a header.
    pub stray_said: PerSide<bool>,
    pub publishing: Publishing,
    /// Publishes so far that are confirmed or committed.
    pub published: u64,
    /// The highest number that was confirmed.
    pub confirmed_to: u64,
    /// The queue that was declared last: an empty name means it (queue.declare, basic.consume).
    pub queue: Option<String>,
    /// Whether a request was sent before the reply to the one before.
    pub pipelines: bool,
    /// Whether replies cannot be told apart any more.
    pub order_lost: bool,
}

/// What is known of a consumer.
pub struct Consumer {
    pub queue: Option<String>,
    /// Whether what is delivered to it is settled by that.
    pub no_ack: bool,
}

/// The row of a method, as far as the method alone says it.
pub fn message(from: Side, channel: u16, called: &Called<'_>) -> Message {
    let mut message = Message::new(from, channel, methods::class_name(called.class));
    message.method = Some(called.method.map_or_else(|| called.id.to_string().into(), |method| method.name.into()));
    let named = |name| called.text(name).filter(|text: &String| !text.is_empty());
    // An exchange has an empty name: the default one. Bound exchanges: what is routed comes from the source.
    message.exchange = called.text("exchange").or_else(|| called.text("source"));
    message.routing_key = called.text("routing_key");
    message.queue = named("queue");
    message.consumer_tag = named("consumer_tag");
    message.delivery_tag = called.number("delivery_tag");
    message.reply_code = called.number("reply_code").map(|code| code as u16);
    message.reply_text = called.text("reply_text");
    message.arguments = called.method.map(|_| called.arguments.json());
    message
}

impl Channel {
    /// What a publish waits for; numbers it (RabbitMQ, "Publisher Confirms": the first after confirm.select is 1).
    pub fn publish(&mut self, channel: u16, message: &mut Message) -> Fate {
        match self.publishing {
            Publishing::Plain => return Fate::Emit(Pair::Complete),
            Publishing::Unknown => return Fate::Emit(Pair::Cut),
            Publishing::Confirms | Publishing::Transactions => self.published += 1,
        }
        if self.publishing == Publishing::Confirms {
            message.delivery_tag = Some(self.published);
            if self.published <= self.confirmed_to {
                // The capture has the confirm before what it confirms.
                return Fate::Emit(Pair::Cut);
            }
        }
        Fate::Await(Key { channel, awaits: Awaits::Confirm, number: self.published })
    }
}

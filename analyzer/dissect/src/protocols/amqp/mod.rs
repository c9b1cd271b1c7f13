//! AMQP 0-9-1 with RabbitMQ's extensions.
//!
//! Enters: one connection that began, or is joined at a frame. Leaves: a row for each method with its content, for each
//! heartbeat, and for the protocol header. Refused: AMQP 1.0 and 0-10, of which the protocol headers alone become rows.
//!
//! `methods.rs` is the specification as tables, `fields.rs` reads by it, `wire.rs` knows frames, `over_tcp.rs` a
//! connection with its losses, `rows.rs` what is open on it, `channel.rs` a channel of it, `calls.rs` what methods mean there,
//! `content.rs` puts bodies together, `waiting.rs` holds what is not answered.

mod calls;
mod channel;
mod content;
mod fields;
mod methods;
mod over_tcp;
mod rows;
#[cfg(test)]
mod tests;
mod waiting;
mod wire;

use super::{Detection, Look, Protocol, Side};
use std::borrow::Cow;
use wire::Wrong;

/// A method with its content; or a heartbeat, a protocol header, or content whose method was not seen.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who sent it.
    pub sender: Side,
    /// Its channel; 0 is the connection itself.
    pub channel: u16,
    /// Name of its class, or its number; or 'heartbeat', or 'protocol-header'.
    pub class: Cow<'static, str>,
    /// Name of the method, or its number.
    pub method: Option<Cow<'static, str>>,
    /// Exchange it names.
    pub exchange: Option<String>,
    /// Routing key.
    pub routing_key: Option<String>,
    /// Queue it names or, of a delivery, comes from.
    pub queue: Option<String>,
    /// Consumer tag.
    pub consumer_tag: Option<String>,
    /// Delivery tag; of a publish with confirms, the one it is confirmed by.
    pub delivery_tag: Option<u64>,
    /// Why it was refused, or returned.
    pub reply_code: Option<u16>,
    /// The same in words.
    pub reply_text: Option<String>,
    /// Arguments as JSON.
    pub arguments: Option<String>,
    /// Properties of the content as JSON.
    pub properties: Option<String>,
    /// The body, up to the limit, or to the first byte that is missing.
    pub body: Option<Vec<u8>>,
    /// Length the body was said to have.
    pub body_bytes: Option<u64>,
    /// What settled it, and how long after its last byte [ns], where that was seen.
    pub settled: Option<(&'static str, Option<i64>)>,
}

impl Message {
    /// One of which nothing more is known.
    pub fn new(sender: Side, channel: u16, class: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sender,
            channel,
            class: class.into(),
            method: None,
            exchange: None,
            routing_key: None,
            queue: None,
            consumer_tag: None,
            delivery_tag: None,
            reply_code: None,
            reply_text: None,
            arguments: None,
            properties: None,
            body: None,
            body_bytes: None,
            settled: None,
        }
    }

    /// Bytes of its texts and its body.
    pub fn held_bytes(&self) -> usize {
        let texts = [
            &self.exchange,
            &self.routing_key,
            &self.queue,
            &self.consumer_tag,
            &self.reply_text,
            &self.arguments,
            &self.properties,
        ];
        texts.into_iter().flatten().map(String::len).sum::<usize>() + self.body.as_ref().map_or(0, Vec::len)
    }
}

/// The port of RabbitMQ and every other broker.
const PORT: u16 = 5672;

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "amqp",
    cites: "AMQP 0-9-1 §2, §4",
    ports: &[PORT],
    over_tcp: true,
    over_udp: false,
    gives_way: true,
    unread_bytes_max: wire::FRAME_BYTES_MAX,
    tables: &["amqp"],
    detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// A whole frame with all its arguments is proof; who sends it, most methods say.
fn detect(look: &Look<'_>) -> Detection {
    if look.datagram {
        return Detection::No;
    }
    let by_port = match (look.from_port == PORT, look.to_port == PORT) {
        (true, false) => Some(Side::Server),
        (false, true) => Some(Side::Client),
        _ => None,
    };
    match wire::looks_like_frame(look.bytes) {
        // A server that would have another version sends its own header.
        Ok(_) if look.bytes.starts_with(b"A") => Detection::Yes(by_port),
        Ok(sender) => Detection::Yes(sender.or(by_port)),
        Err(Wrong::Short) => Detection::More,
        Err(Wrong::Malformed(_)) => Detection::No,
    }
}

//! The `amqp` table.

use super::builders::{BigInt, Blob, Double, Int, Text, columns, groups, ms};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::amqp::Message;
use crate::protocols::{Call, Side};

columns! {
    /// What `amqp` has beyond the common columns.
    Columns {
        sender: Text,
        channel: Int,
        class: Text,
        method: Text,
        exchange: Text,
        routing_key: Text,
        queue: Text,
        consumer_tag: Text,
        delivery_tag: BigInt,
        reply_code: Int,
        reply_text: Text,
        arguments: Text,
        properties: Text,
        body: Blob,
        body_bytes: BigInt,
        settled_by: Text,
        settled_ms: Double,
    }
}

groups! {
    /// Rows of `amqp`.
    AmqpRows {
        common: Common,
        columns: Columns,
    }
}

impl AmqpRows {
    /// Appends a message; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, message: &Message, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.sender.append_value(if message.sender == Side::Client { "client" } else { "server" });
        to.channel.append_value(message.channel.into());
        to.class.append_value(&message.class);
        to.method.append_option(message.method.as_ref());
        to.exchange.append_option(message.exchange.as_ref());
        to.routing_key.append_option(message.routing_key.as_ref());
        to.queue.append_option(message.queue.as_ref());
        to.consumer_tag.append_option(message.consumer_tag.as_ref());
        to.delivery_tag.append_option(message.delivery_tag.and_then(|tag| tag.try_into().ok()));
        to.reply_code.append_option(message.reply_code.map(i32::from));
        to.reply_text.append_option(message.reply_text.as_ref());
        to.arguments.append_option(message.arguments.as_ref());
        to.properties.append_option(message.properties.as_ref());
        to.body.append_option(message.body.as_ref());
        to.body_bytes.append_option(message.body_bytes.and_then(|bytes| bytes.try_into().ok()));
        to.settled_by.append_option(message.settled.map(|(how, _)| how));
        to.settled_ms.append_option(message.settled.and_then(|(_, ns)| ns).map(ms));
        ts_ns
    }
}

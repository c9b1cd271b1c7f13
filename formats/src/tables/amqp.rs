use super::{Column, Kind::*, Table, column, common};

/// A method that asks waits for its answer: `latency_ms` and `pair` tell of it. Answers are rows too, with
/// `pair` 'complete' where the question was seen, and no latency. What nothing answers is 'complete' as it is; 'cut' says
/// that what would have answered it, or whether anything does, cannot be known.
pub(super) const TABLE: Table = Table {
    name: "amqp",
    row: "a method, with its content; also a heartbeat, a protocol header, or content without its method: there `method` is NULL",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NOT_NAMED: &str = "the method names none";
const NO_CONTENT: &str = "no content, or its header was not seen";
const NOT_SETTLED: &str = "not settled, not to be settled, or not known";

const COLUMNS: &[Column] = &[
    column("sender", Text, "Who sent it: 'client' or 'server'.").source("AMQP 0-9-1 §2.2"),
    column("channel", Int, "Channel; 0 is the connection itself.").source("AMQP 0-9-1 §4.2.3"),
    column("class", Text, "Class by name, or its number where it has none; 'heartbeat'; 'protocol-header'.")
        .source("AMQP 0-9-1 §3, §4.2.2, §4.2.7"),
    column(
        "method",
        Text,
        "Method by name, or its number where it has none; answers such as 'declare-ok' have rows too, their time is with what asked.",
    )
        .null("no method: a heartbeat, a protocol header, or content whose method was not seen")
        .source("AMQP 0-9-1 §3, RabbitMQ's extensions"),
    column("exchange", Text, "Exchange it names, of a bind between exchanges the source; empty is the default one.")
        .null(NOT_NAMED)
        .source("AMQP 0-9-1 §3.1.3")
        .looked_up(),
    column("routing_key", Text, "Routing key.").null(NOT_NAMED).source("AMQP 0-9-1 §3.1.3").looked_up(),
    column(
        "queue",
        Text,
        "Queue it names, or that is meant where it names none; of what a consumer gets, the queue it consumes.",
    )
    .null("none, or not known: a server names it, or the consumer began before the capture")
    .source("AMQP 0-9-1 §1.7.2.1, queue.declare-ok, basic.consume")
    .looked_up(),
    column("consumer_tag", Text, "Consumer tag, of basic.consume the one it was given.")
        .null(NOT_NAMED)
        .source("AMQP 0-9-1 §1.8.3.3")
        .looked_up(),
    column("delivery_tag", BigInt, "Delivery tag; of a publish with confirms, the number it is confirmed by.")
        .null("none, or not known: publishes are counted from confirm.select on")
        .source("AMQP 0-9-1 §1.8.3.9, RabbitMQ: publisher confirms"),
    column("reply_code", Int, "Why it was closed or returned; of a request, why it was refused by closing.")
        .null("nothing was refused")
        .source("AMQP 0-9-1 §1.2"),
    column("reply_text", Text, "The same in the server's words.").null("nothing was refused").source("AMQP 0-9-1 §1.2"),
    column(
        "arguments",
        Text,
        "All arguments by name as JSON; of what proves who the client is, its length. Of a protocol header, the version.",
    )
    .null("no method that is known")
    .source("AMQP 0-9-1 §1, §4.2.5"),
    column("properties", Text, "Properties of the content by name as JSON; times in seconds as sent.")
        .null(NO_CONTENT)
        .source("AMQP 0-9-1 §1.8.1, §4.2.6.1"),
    column("body", Blob, "Body of the content, up to the body limit, or to the first byte that is missing.")
        .null("no content, or bodies were not asked for")
        .source("AMQP 0-9-1 §4.2.6.2"),
    column("body_bytes", BigInt, "Length of the whole body, as its header says.")
        .unit("bytes")
        .null(NO_CONTENT)
        .source("AMQP 0-9-1 §4.2.6.1"),
    column(
        "settled_by",
        Text,
        "What settled a publish or a delivery: 'ack', 'nack', 'reject', 'recover', or 'commit' or 'rollback' of its transaction.",
    )
    .null(NOT_SETTLED)
    .source("AMQP 0-9-1 §1.8.3.13, RabbitMQ: publisher confirms"),
    column("settled_ms", Double, "Time from its last byte to the first byte of what settled it.")
        .unit("ms")
        .null(NOT_SETTLED)
        .source("capture times, in nanoseconds"),
];

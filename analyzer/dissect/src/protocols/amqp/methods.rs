//! Every method of AMQP 0-9-1 and of RabbitMQ's extensions, with its arguments (amqp0-9-1.xml, amqp0-9-1.extended.xml).

use super::Side;
use std::borrow::Cow;

/// How an argument is written (AMQP 0-9-1 §4.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One bit; those that follow each other share octets.
    Bit,
    Long,
    LongLong,
    LongStr,
    Octet,
    /// A long string that proves who the client is: never shown.
    Secret,
    Short,
    ShortStr,
    Table,
}

/// An argument of a method.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name; empty where the field is reserved and says nothing.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Number of its class.
    pub class: u16,
    /// Its number within.
    pub id: u16,
    /// Its name within.
    pub name: &'static str,
    /// Who may send it, where not both.
    pub sender: Option<Side>,
    /// Its arguments, in order.
    pub arguments: &'static [Argument],
    /// The methods of its class that answer it.
    pub replies: &'static [u16],
    /// Whether it answers another.
    pub is_reply: bool,
    /// Whether content follows.
    pub has_content: bool,
}

pub const CONNECTION: u16 = 10;
pub const CHANNEL: u16 = 20;
pub const ACCESS: u16 = 30;
pub const EXCHANGE: u16 = 40;
pub const QUEUE: u16 = 50;
pub const BASIC: u16 = 60;
pub const CONFIRM: u16 = 85;
pub const TX: u16 = 90;

/// The name of a class, or its number where it has none.
pub fn class_name(class: u16) -> Cow<'static, str> {
    Cow::Borrowed(match class {
        CONNECTION => "connection",
        CHANNEL => "channel",
        ACCESS => "access",
        EXCHANGE => "exchange",
        QUEUE => "queue",
        BASIC => "basic",
        CONFIRM => "confirm",
        TX => "tx",
        _ => return class.to_string().into(),
    })
}

/// The method of those numbers.
pub fn method(class: u16, id: u16) -> Option<&'static Method> {
    let at = METHODS.binary_search_by_key(&(class, id), |method| (method.class, method.id)).ok()?;
    METHODS.get(at)
}

const fn new(class: u16, id: u16, name: &'static str, arguments: &'static [Argument]) -> Method {
    Method { class, id, name, sender: None, arguments, replies: &[], is_reply: false, has_content: false }
}

impl Method {
    /// Only clients send it.
    const fn by_client(mut self) -> Self {
        self.sender = Some(Side::Client);
        self
    }
    /// Only servers send it.
    const fn by_server(mut self) -> Self {
        self.sender = Some(Side::Server);
        self
    }
    const fn asks(mut self, replies: &'static [u16]) -> Self {
        self.replies = replies;
        self
    }
    const fn replies(mut self) -> Self {
        self.is_reply = true;
        self
    }
    const fn with_content(mut self) -> Self {
        self.has_content = true;
        self
    }
}

macro_rules! argument_kinds {
    ($($function:ident: $kind:ident),*) => {
        $(const fn $function(name: &'static str) -> Argument {
            Argument { name, kind: Kind::$kind }
        })*
    };
}
argument_kinds!(bit: Bit, long: Long, longlong: LongLong, longstr: LongStr, octet: Octet, secret: Secret, short: Short,
    shortstr: ShortStr, table: Table);

/// A ticket of access.request, which nothing checks any more.
const TICKET: Argument = short("");
const TAG: Argument = longlong("delivery_tag");
const NO_WAIT: Argument = bit("no_wait");
const EXCHANGE_NAME: Argument = shortstr("exchange");
const QUEUE_NAME: Argument = shortstr("queue");
const KEY: Argument = shortstr("routing_key");
const CONSUMER: Argument = shortstr("consumer_tag");
const FURTHER: Argument = table("arguments");
const TUNING: &[Argument] = &[short("channel_max"), long("frame_max"), short("heartbeat")];
const CLOSING: &[Argument] = &[short("reply_code"), shortstr("reply_text"), short("class_id"), short("method_id")];
const EXCHANGES: &[Argument] = &[TICKET, shortstr("destination"), shortstr("source"), KEY, NO_WAIT, FURTHER];

/// All of them, by number.
pub static METHODS: &[Method] = &[
    new(
        CONNECTION,
        10,
        "start",
        &[
            octet("version_major"),
            octet("version_minor"),
            table("server_properties"),
            longstr("mechanisms"),
            longstr("locales"),
        ],
    )
    .by_server()
    .asks(&[11]),
    new(
        CONNECTION,
        11,
        "start-ok",
        &[table("client_properties"), shortstr("mechanism"), secret("response"), shortstr("locale")],
    )
    .by_client()
    .replies(),
    new(CONNECTION, 20, "secure", &[longstr("challenge")]).by_server().asks(&[21]),
    new(CONNECTION, 21, "secure-ok", &[secret("response")]).by_client().replies(),
    new(CONNECTION, 30, "tune", TUNING).by_server().asks(&[31]),
    new(CONNECTION, 31, "tune-ok", TUNING).by_client().replies(),
    new(CONNECTION, 40, "open", &[shortstr("virtual_host"), shortstr(""), bit("")]).by_client().asks(&[41]),
    new(CONNECTION, 41, "open-ok", &[shortstr("")]).by_server().replies(),
    new(CONNECTION, 50, "close", CLOSING).asks(&[51]),
    new(CONNECTION, 51, "close-ok", &[]).replies(),
    new(CONNECTION, 60, "blocked", &[shortstr("reason")]),
    new(CONNECTION, 61, "unblocked", &[]),
    new(CONNECTION, 70, "update-secret", &[secret("new_secret"), shortstr("reason")]).by_client().asks(&[71]),
    new(CONNECTION, 71, "update-secret-ok", &[]).by_server().replies(),
    new(CHANNEL, 10, "open", &[shortstr("")]).by_client().asks(&[11]),
    new(CHANNEL, 11, "open-ok", &[longstr("")]).by_server().replies(),
    new(CHANNEL, 20, "flow", &[bit("active")]).asks(&[21]),
    new(CHANNEL, 21, "flow-ok", &[bit("active")]).replies(),
    new(CHANNEL, 40, "close", CLOSING).asks(&[41]),
    new(CHANNEL, 41, "close-ok", &[]).replies(),
    new(
        ACCESS,
        10,
        "request",
        &[shortstr("realm"), bit("exclusive"), bit("passive"), bit("active"), bit("write"), bit("read")],
    )
    .by_client()
    .asks(&[11]),
    new(ACCESS, 11, "request-ok", &[TICKET]).by_server().replies(),
    new(
        EXCHANGE,
        10,
        "declare",
        &[
            TICKET,
            EXCHANGE_NAME,
            shortstr("type"),
            bit("passive"),
            bit("durable"),
            bit("auto_delete"),
            bit("internal"),
            NO_WAIT,
            FURTHER,
        ],
    )
    .by_client()
    .asks(&[11]),
    new(EXCHANGE, 11, "declare-ok", &[]).by_server().replies(),
    new(EXCHANGE, 20, "delete", &[TICKET, EXCHANGE_NAME, bit("if_unused"), NO_WAIT]).by_client().asks(&[21]),
    new(EXCHANGE, 21, "delete-ok", &[]).by_server().replies(),
    new(EXCHANGE, 30, "bind", EXCHANGES).by_client().asks(&[31]),
    new(EXCHANGE, 31, "bind-ok", &[]).by_server().replies(),
    new(EXCHANGE, 40, "unbind", EXCHANGES).by_client().asks(&[51]),
    new(EXCHANGE, 51, "unbind-ok", &[]).by_server().replies(),
    new(
        QUEUE,
        10,
        "declare",
        &[TICKET, QUEUE_NAME, bit("passive"), bit("durable"), bit("exclusive"), bit("auto_delete"), NO_WAIT, FURTHER],
    )
    .by_client()
    .asks(&[11]),
    new(QUEUE, 11, "declare-ok", &[QUEUE_NAME, long("message_count"), long("consumer_count")]).by_server().replies(),
    new(QUEUE, 20, "bind", &[TICKET, QUEUE_NAME, EXCHANGE_NAME, KEY, NO_WAIT, FURTHER]).by_client().asks(&[21]),
    new(QUEUE, 21, "bind-ok", &[]).by_server().replies(),
    new(QUEUE, 30, "purge", &[TICKET, QUEUE_NAME, NO_WAIT]).by_client().asks(&[31]),
    new(QUEUE, 31, "purge-ok", &[long("message_count")]).by_server().replies(),
    new(QUEUE, 40, "delete", &[TICKET, QUEUE_NAME, bit("if_unused"), bit("if_empty"), NO_WAIT]).by_client().asks(&[41]),
    new(QUEUE, 41, "delete-ok", &[long("message_count")]).by_server().replies(),
    new(QUEUE, 50, "unbind", &[TICKET, QUEUE_NAME, EXCHANGE_NAME, KEY, FURTHER]).by_client().asks(&[51]),
    new(QUEUE, 51, "unbind-ok", &[]).by_server().replies(),
    new(BASIC, 10, "qos", &[long("prefetch_size"), short("prefetch_count"), bit("global")]).by_client().asks(&[11]),
    new(BASIC, 11, "qos-ok", &[]).by_server().replies(),
    new(
        BASIC,
        20,
        "consume",
        &[TICKET, QUEUE_NAME, CONSUMER, bit("no_local"), bit("no_ack"), bit("exclusive"), NO_WAIT, FURTHER],
    )
    .by_client()
    .asks(&[21]),
    new(BASIC, 21, "consume-ok", &[CONSUMER]).by_server().replies(),
    // RabbitMQ's servers cancel too, when a queue is gone.
    new(BASIC, 30, "cancel", &[CONSUMER, NO_WAIT]).asks(&[31]),
    new(BASIC, 31, "cancel-ok", &[CONSUMER]).replies(),
    new(BASIC, 40, "publish", &[TICKET, EXCHANGE_NAME, KEY, bit("mandatory"), bit("immediate")])
        .by_client()
        .with_content(),
    new(BASIC, 50, "return", &[short("reply_code"), shortstr("reply_text"), EXCHANGE_NAME, KEY])
        .by_server()
        .with_content(),
    new(BASIC, 60, "deliver", &[CONSUMER, TAG, bit("redelivered"), EXCHANGE_NAME, KEY]).by_server().with_content(),
    new(BASIC, 70, "get", &[TICKET, QUEUE_NAME, bit("no_ack")]).by_client().asks(&[71, 72]),
    new(BASIC, 71, "get-ok", &[TAG, bit("redelivered"), EXCHANGE_NAME, KEY, long("message_count")])
        .by_server()
        .replies()
        .with_content(),
    new(BASIC, 72, "get-empty", &[shortstr("")]).by_server().replies(),
    new(BASIC, 80, "ack", &[TAG, bit("multiple")]),
    new(BASIC, 90, "reject", &[TAG, bit("requeue")]).by_client(),
    new(BASIC, 100, "recover-async", &[bit("requeue")]).by_client(),
    new(BASIC, 110, "recover", &[bit("requeue")]).by_client().asks(&[111]),
    new(BASIC, 111, "recover-ok", &[]).by_server().replies(),
    new(BASIC, 120, "nack", &[TAG, bit("multiple"), bit("requeue")]),
    new(CONFIRM, 10, "select", &[NO_WAIT]).by_client().asks(&[11]),
    new(CONFIRM, 11, "select-ok", &[]).by_server().replies(),
    new(TX, 10, "select", &[]).by_client().asks(&[11]),
    new(TX, 11, "select-ok", &[]).by_server().replies(),
    new(TX, 20, "commit", &[]).by_client().asks(&[21]),
    new(TX, 21, "commit-ok", &[]).by_server().replies(),
    new(TX, 30, "rollback", &[]).by_client().asks(&[31]),
    new(TX, 31, "rollback-ok", &[]).by_server().replies(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_and_every_reply_is_one() {
        assert!(METHODS.is_sorted_by_key(|method| (method.class, method.id)));
        for asked in METHODS {
            assert!(matches!(class_name(asked.class), Cow::Borrowed(_)));
            assert_eq!(method(asked.class, asked.id).map(|found| found.name), Some(asked.name));
            for &reply in asked.replies {
                assert!(method(asked.class, reply).is_some_and(|reply| reply.is_reply), "{} {reply}", asked.name);
            }
        }
        assert!(method(60, 1).is_none());
    }
}

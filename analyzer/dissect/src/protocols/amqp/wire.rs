//! Frames: bytes to borrowed parts, pure and total (AMQP 0-9-1 §4.2.2, §4.2.3).
//!
//!     type 1 | channel 2 | size 4 | payload … | 0xCE

pub use super::fields::Wrong;
use super::fields::{self, Named};
use super::methods::{self, Method};
use crate::protocols::Side;
use crate::protocols::value::Value;
use formats::bytes::Reader;
use std::borrow::Cow;

/// Type, channel and size.
pub const HEADER_BYTES: usize = 7;

/// The octet behind each payload.
pub const FRAME_END: u8 = 0xce;

/// The longest method, content header or heartbeat that is read; bodies pass in pieces. RabbitMQ's frames have
/// 128 KiB unless configured otherwise, and neither kind may be split.
pub const FRAME_BYTES_MAX: usize = 256 << 10;

/// The longest frame that is taken for one by its bytes alone: each byte may be tried as the begin of one, and what
/// headers and arguments are sent has less than 2 KiB nearly always.
const LIKELY_BYTES_MAX: u64 = 8 << 10;

/// The longest body frame that is believed: RabbitMQ refuses messages above 512 MiB.
pub const BODY_BYTES_MAX: u32 = 512 << 20;

/// Bytes of a protocol header (§4.2.2).
pub const GREETING_BYTES: usize = 8;

const GREETING: &[u8] = b"AMQP";
const HEARTBEAT: &[u8] = &[8, 0, 0, 0, 0, 0, 0, FRAME_END];

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Body,
    Header,
    Heartbeat,
    Method,
}

/// The front of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Front {
    pub kind: Kind,
    pub channel: u16,
    pub size: u32,
}

impl Front {
    /// Bytes of the frame.
    pub fn frame_bytes(self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.size) + 1
    }
}

/// The front of the frame at the front of `bytes`.
pub fn front(bytes: &[u8]) -> Result<Front, Wrong> {
    let mut reader = Reader::new(bytes);
    let kind = match reader.u8()? {
        1 => Kind::Method,
        2 => Kind::Header,
        3 => Kind::Body,
        8 => Kind::Heartbeat,
        _ => return Err(Wrong::Malformed("unknown type of frame")),
    };
    let front = Front { kind, channel: reader.u16_be()?, size: reader.u32_be()? };
    if kind == Kind::Body && front.size > BODY_BYTES_MAX {
        return Err(Wrong::Malformed("a body longer than any message"));
    }
    Ok(front)
}

/// A protocol header: the version a client asks for, or a server would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting(pub [u8; 4]);

impl Greeting {
    /// The version by its usual name.
    pub fn version(self) -> Cow<'static, str> {
        Cow::Borrowed(match self.0 {
            [0, 0, 9, 1] => "0-9-1",
            [1, 1, 0, 9] => "0-9",
            [1, 1, 0, 10] => "0-10",
            [1, 1, 8, 0] => "0-8",
            [0, 1, 0, 0] => "1.0",
            [2, 1, 0, 0] => "1.0 with TLS",
            [3, 1, 0, 0] => "1.0 with SASL",
            [a, b, c, d] => return Cow::Owned(format!("{a}.{b}.{c}.{d}")),
        })
    }

    /// Whether it is one that was ever spoken: a begin can be told by it anywhere.
    pub fn is_known(self) -> bool {
        matches!(self.version(), Cow::Borrowed(_))
    }

    /// Whether frames as we know them follow.
    pub fn is_ours(self) -> bool {
        matches!(self.0, [0, 0, 9, 1] | [1, 1, 0, 9] | [1, 1, 8, 0])
    }
}

/// The protocol header at the front of `bytes`.
pub fn greeting(bytes: &[u8]) -> Result<Greeting, Wrong> {
    let (begun, rest) = bytes.split_at(bytes.len().min(GREETING.len()));
    if !GREETING.starts_with(begun) {
        return Err(Wrong::Malformed("no protocol header"));
    }
    // Ids of protocols end at 3 (AMQP 1.0 §2.2, §5.2.1).
    if rest.first().is_some_and(|&id| id > 3) {
        return Err(Wrong::Malformed("no protocol header"));
    }
    Ok(Greeting(Reader::new(rest).array()?))
}

/// A method as read.
pub struct Called<'a> {
    pub class: u16,
    pub id: u16,
    /// What is known of it.
    pub method: Option<&'static Method>,
    /// Its arguments by name, a [`Value::Map`].
    pub arguments: Value<'a>,
    /// What is wrong with it; the arguments before that are there.
    pub wrong: Option<&'static str>,
}

impl Called<'_> {
    /// A text among the arguments.
    pub fn text(&self, name: &str) -> Option<String> {
        self.argument(name).and_then(|value| match value {
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        })
    }

    /// A number among the arguments.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.argument(name).and_then(|value| if let Value::UInt(number) = value { Some(*number) } else { None })
    }

    /// Whether a bit among the arguments is set; not, where it is not there.
    pub fn flag(&self, name: &str) -> bool {
        self.argument(name) == Some(&Value::Bool(true))
    }

    fn argument(&self, name: &str) -> Option<&Value<'_>> {
        let Value::Map(arguments) = &self.arguments else { return None };
        arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// The method of a payload; `Err` where it does not even say which.
pub fn method(payload: &[u8]) -> Result<Called<'_>, Wrong> {
    let mut reader = Reader::new(payload);
    let (class, id) = (reader.u16_be()?, reader.u16_be()?);
    let Some(method) = methods::method(class, id) else {
        return Ok(Called { class, id, method: None, arguments: Value::Null, wrong: None });
    };
    let (arguments, read) = fields::arguments(method.arguments, &mut reader);
    let wrong = match read {
        Err(Wrong::Short) => Some("arguments end too early"),
        Err(Wrong::Malformed(why)) => Some(why),
        Ok(()) if !reader.is_empty() => Some("bytes behind the last argument"),
        Ok(()) => None,
    };
    Ok(Called { class, id, method: Some(method), arguments: Value::Map(arguments), wrong })
}

/// Who alone sends the method of a payload.
pub fn sender(payload: &[u8]) -> Option<Side> {
    let mut reader = Reader::new(payload);
    methods::method(reader.u16_be().ok()?, reader.u16_be().ok()?)?.sender
}

/// A content header as read (§4.2.6.1).
pub struct ContentHeader<'a> {
    pub class: u16,
    /// Length of the body.
    pub body_bytes: u64,
    pub properties: Named<'a>,
    /// What is wrong with the properties; those before that are there.
    pub wrong: Option<&'static str>,
}

/// The content header of a payload; `Err` where it does not even say how long the body is.
pub fn content_header(payload: &[u8]) -> Result<ContentHeader<'_>, Wrong> {
    let mut reader = Reader::new(payload);
    let (class, _weight, body_bytes) = (reader.u16_be()?, reader.u16_be()?, reader.u64_be()?);
    let (properties, read) = fields::properties(&mut reader);
    let wrong = match read {
        Err(Wrong::Short) => Some("properties end too early"),
        Err(Wrong::Malformed(why)) => Some(why),
        Ok(()) if !reader.is_empty() => Some("bytes behind the last property"),
        Ok(()) => None,
    };
    Ok(ContentHeader { class, body_bytes, properties, wrong })
}

/// Whether a frame begins here, by its own bytes alone: a method with all its arguments, a content header with all its
/// properties, a heartbeat, or a protocol header; who sends such. A body is not believed: it could be anything.
pub fn looks_like_frame(bytes: &[u8]) -> Result<Option<Side>, Wrong> {
    const NO: Wrong = Wrong::Malformed("no frame");
    match bytes {
        [8, ..] => match HEARTBEAT.starts_with(bytes) {
            _ if bytes.starts_with(HEARTBEAT) => Ok(None),
            true => Err(Wrong::Short),
            false => Err(NO),
        },
        [b'A', ..] => greeting(bytes).map(|_| Some(Side::Client)),
        [1 | 2, ..] => {
            let front = front(bytes)?;
            if front.frame_bytes() > LIKELY_BYTES_MAX {
                return Err(NO);
            }
            let behind = bytes.get(HEADER_BYTES..).unwrap_or_default();
            let (payload, end) = behind.split_at(behind.len().min(front.size as usize));
            let mut reader = Reader::new(payload);
            let sender = match front.kind {
                Kind::Method => likely_method(front.channel, &mut reader),
                _ => likely_header(front.channel, &mut reader).map(|()| None),
            };
            match (sender, end) {
                (Err(Wrong::Short), _) if payload.len() == front.size as usize => Err(NO),
                (Err(wrong), _) => Err(wrong),
                (Ok(_), _) if reader.at() != front.size as usize => Err(NO),
                (Ok(_), []) => Err(Wrong::Short),
                (Ok(sender), &[FRAME_END, ..]) => Ok(sender),
                (Ok(_), _) => Err(NO),
            }
        }
        [] => Err(Wrong::Short),
        _ => Err(NO),
    }
}

fn likely_method(channel: u16, reader: &mut Reader<'_>) -> Result<Option<Side>, Wrong> {
    let (class, id) = (reader.u16_be()?, reader.u16_be()?);
    let method = methods::method(class, id).ok_or(Wrong::Malformed("unknown method"))?;
    if (class == methods::CONNECTION) != (channel == 0) {
        return Err(Wrong::Malformed("a channel such a method does not have"));
    }
    fields::arguments(method.arguments, reader).1.map(|()| method.sender)
}

fn likely_header(channel: u16, reader: &mut Reader<'_>) -> Result<(), Wrong> {
    let (class, weight, body_bytes) = (reader.u16_be()?, reader.u16_be()?, reader.u64_be()?);
    if channel == 0 || class != methods::BASIC || weight != 0 || body_bytes > 1 << 40 {
        return Err(Wrong::Malformed("no content header"));
    }
    fields::properties(reader).1
}

//! The messages of one side as JSON.

use super::framing::{self, Counted, Frame, Framing};
use super::protobuf;
use crate::limits::GRPC_MESSAGE_BYTES_MAX;
use crate::protocols::http::{Codings, Message, decode};
use crate::protocols::value::Value;
use crate::protocols::{Side, json};
use prost_reflect::MessageDescriptor;
use std::borrow::Cow;

/// Looks at a message of one side before it becomes text, and may change it; false keeps all of that side back.
pub type Look<'l> = dyn FnMut(Side, &mut Value<'_>) -> bool + 'l;

/// What is known of the messages of one side.
#[derive(Debug, Default)]
pub struct Known {
    /// Their type.
    pub kind: Option<MessageDescriptor>,
    /// Whether the side may send several, or may have sent more.
    pub streams: bool,
}

/// Messages that are there to their end, up to the body limit and before a loss: the one of a side that sent one
/// and does not stream, else a list of them. A message that cannot be read stands as its bytes, as sent. None where `look`
/// says so of one.
pub fn json(
    message: &Message,
    counted: &Counted,
    format: &str,
    known: &Known,
    look: &mut dyn FnMut(&mut Value<'_>) -> bool,
) -> Option<String> {
    let sound = counted.bytes_before_loss.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let body = message.body.get(..sound).unwrap_or(&message.body);
    let body = if counted.framing == Framing::WebText { framing::base64(body).into() } else { Cow::Borrowed(body) };
    let codings = compression(message);
    let (mut texts, mut rest, mut room) = (Vec::new(), &*body, GRPC_MESSAGE_BYTES_MAX);
    while let Some(frame) = framing::frame(rest) {
        rest = frame.rest;
        if !frame.trailers {
            texts.push(one(&frame, codings, format, known, &mut room, look)?);
        }
    }
    match texts.len() {
        0 => None,
        1 if counted.messages == Some(1) && !known.streams => texts.pop(),
        _ => Some(format!("[{}]", texts.join(","))),
    }
}

/// A Protocol Buffers message as JSON by field number, or uncompressed messages of gRPC as a list of those; none
/// where `bytes` are neither. No message begins as a frame of gRPC does: its first field would have the number 0.
pub fn by_number(bytes: &[u8]) -> Option<String> {
    if let Some(value) = protobuf::message(bytes, None) {
        return Some(value.json());
    }
    let (mut texts, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let frame = framing::frame(rest).filter(|frame| !frame.compressed && !frame.trailers)?;
        texts.push(protobuf::message(frame.bytes, None)?.json());
        rest = frame.rest;
    }
    Some(format!("[{}]", texts.join(",")))
}

/// The compression of messages that the header fields name.
pub fn compression(message: &Message) -> Codings {
    let mut codings = Codings::default();
    codings.push(message.headers.get("grpc-encoding").unwrap_or_default());
    codings
}

fn one(
    frame: &Frame<'_>,
    codings: Codings,
    format: &str,
    known: &Known,
    room: &mut usize,
    look: &mut dyn FnMut(&mut Value<'_>) -> bool,
) -> Option<String> {
    let mut bytes = Cow::Borrowed(frame.bytes);
    let (mut is_read, mut unfolded_bytes) = (true, frame.bytes.len());
    if frame.compressed {
        let decoded = decode(frame.bytes, codings, *room);
        unfolded_bytes = decoded.bytes.len();
        is_read = !(codings.is_empty() || decoded.failed || decoded.more);
        if is_read {
            bytes = decoded.bytes.into();
        }
    }
    // What was begun to be unfolded took its time, read or not.
    *room = room.saturating_sub(unfolded_bytes);
    let value = match format {
        _ if !is_read => None,
        "json" => json::parse(&bytes),
        "proto" => protobuf::message(&bytes, known.kind.as_ref()),
        _ => None,
    };
    let mut value = value.unwrap_or(Value::Bytes(Cow::Borrowed(&*bytes)));
    look(&mut value).then(|| value.json())
}

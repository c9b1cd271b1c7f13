//! A Protocol Buffers message to a value: by field name where its type is known, by field number elsewhere.
//!
//! Without a type the wire tells only how long a field is (Encoding, "Message Structure"). What it most likely is:
//!
//! * varint: an integer, negative where its highest bit is set, for nobody counts that far;
//! * fixed 32 and 64 bits: a floating-point number where that is of a size people use, else an integer;
//! * bytes: a text, or a message where they begin as messages do and read as one to their end, or bytes.
//!
//! Several fields of one number become a list. A field whose wire type does not fit its declared type, or that the
//! type does not declare, stands by number. Text that is no UTF-8 and bytes are `{"$binary":"<base64>"}`.

use crate::protocols::value::Value;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use std::borrow::Cow;

/// Messages inside each other. Past it they are bytes; protoc's own readers stop at 100.
const NESTED_MAX: usize = 32;

/// Largest field number (Encoding, "Field Numbers").
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// What stands behind a tag.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    /// Between its begin and its end tag.
    Group(&'a [u8]),
    Varint(u64),
}

/// The value of the message `bytes`, of that type where it is known; none where it is no message.
pub fn message<'a>(bytes: &'a [u8], kind: Option<&MessageDescriptor>) -> Option<Value<'a>> {
    nested(bytes, kind, 0)
}

fn nested<'a>(bytes: &'a [u8], kind: Option<&MessageDescriptor>, depth: usize) -> Option<Value<'a>> {
    // Looked through first: what fails halfway would have had all inside it read for nothing, at every depth.
    if depth >= NESTED_MAX || !is_message(bytes, depth) {
        return None;
    }
    let mut input = bytes;
    let mut fields: Vec<(u32, Value<'a>, bool)> = Vec::new();
    while !input.is_empty() {
        let (number, wire) = field(&mut input, depth)?;
        let declared = kind.and_then(|kind| kind.get_field(number));
        match declared.and_then(|declared| of_kind(wire, &declared, depth)) {
            // A packed list is spliced into the others of its number.
            Some(Value::List(values)) => fields.extend(values.into_iter().map(|value| (number, value, true))),
            Some(value) => fields.push((number, value, true)),
            None => fields.push((number, guess(wire, depth), false)),
        }
    }
    // In order of their numbers, as writers have them; those of one number stay in their order.
    fields.sort_by_key(|(number, _, declared)| (*number, !declared));
    let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
    let mut fields = fields.into_iter().peekable();
    while let Some((number, first, by_name)) = fields.next() {
        let mut values = vec![first];
        while let Some((_, value, _)) = fields.next_if(|(other, _, name)| *other == number && *name == by_name) {
            values.push(value);
        }
        let declared = kind.filter(|_| by_name).and_then(|kind| kind.get_field(number));
        entries.push(entry(number, values, declared.as_ref()));
    }
    Some(Value::Map(entries))
}

fn is_message(mut bytes: &[u8], depth: usize) -> bool {
    while !bytes.is_empty() {
        if field(&mut bytes, depth).is_none() {
            return false;
        }
    }
    true
}

fn entry<'a>(number: u32, mut values: Vec<Value<'a>>, declared: Option<&FieldDescriptor>) -> (Cow<'a, str>, Value<'a>) {
    let name = declared.map_or_else(|| number.to_string(), |declared| declared.name().to_owned());
    let value = match declared {
        Some(declared) if declared.is_map() => Value::Map(values.into_iter().filter_map(map_entry).collect()),
        Some(declared) if declared.is_list() => Value::List(values),
        // The last one counts (Encoding, "Last One Wins").
        Some(_) => values.pop().unwrap_or(Value::Null),
        None if values.len() == 1 => values.pop().unwrap_or(Value::Null),
        None => Value::List(values),
    };
    (name.into(), value)
}

/// An entry of a map is a message with the fields `key` and `value`.
fn map_entry(entry: Value<'_>) -> Option<(Cow<'_, str>, Value<'_>)> {
    let Value::Map(fields) = entry else { return None };
    let (mut name, mut held) = (Cow::Borrowed(""), Value::Null);
    for (field, value) in fields {
        match (&*field, value) {
            ("key", Value::Text(text)) => name = text,
            ("key", key) => name = key.json().into(),
            ("value", value) => held = value,
            _ => {}
        }
    }
    Some((name, held))
}

/// The field at the front of `input`, stepped over.
fn field<'a>(input: &mut &'a [u8], depth: usize) -> Option<(u32, Wire<'a>)> {
    let tag = varint(input)?;
    let number = tag >> 3;
    if !(1..=NUMBER_MAX).contains(&number) {
        return None;
    }
    let wire = match tag & 7 {
        0 => Wire::Varint(varint(input)?),
        1 => Wire::Fixed64(*take(input, 8)?.first_chunk()?),
        2 => {
            let length = varint(input)?;
            Wire::Bytes(take(input, usize::try_from(length).ok()?)?)
        }
        3 => Wire::Group(group(input, number, depth)?),
        5 => Wire::Fixed32(*take(input, 4)?.first_chunk()?),
        _ => return None,
    };
    Some((number as u32, wire))
}

/// What stands before the end tag of a group.
fn group<'a>(input: &mut &'a [u8], number: u64, depth: usize) -> Option<&'a [u8]> {
    if depth >= NESTED_MAX {
        return None;
    }
    let begin = *input;
    loop {
        let before = *input;
        let tag = varint(input)?;
        if tag == number << 3 | 4 {
            return begin.get(..begin.len() - before.len());
        }
        *input = before;
        field(input, depth + 1)?;
    }
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(front)
}

/// Seven bits a byte, the lowest first (Encoding, "Base 128 Varints").
fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        // The tenth byte has one bit left.
        if at == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The value as the type declares it; none where the wire type does not fit.
fn of_kind<'a>(wire: Wire<'a>, declared: &FieldDescriptor, depth: usize) -> Option<Value<'a>> {
    let kind = declared.kind();
    match (wire, &kind) {
        (Wire::Bytes(bytes), Kind::String) => Some(std::str::from_utf8(bytes).map_or(bytes.into(), Value::from)),
        (Wire::Bytes(bytes), Kind::Bytes) => Some(Value::Bytes(bytes.into())),
        (Wire::Bytes(bytes) | Wire::Group(bytes), Kind::Message(message)) => nested(bytes, Some(message), depth + 1),
        (Wire::Bytes(mut packed), _) if declared.is_list() => {
            let mut values = Vec::new();
            while !packed.is_empty() {
                let wire = match scalar_wire(&kind) {
                    1 => Wire::Fixed64(*take(&mut packed, 8)?.first_chunk()?),
                    5 => Wire::Fixed32(*take(&mut packed, 4)?.first_chunk()?),
                    _ => Wire::Varint(varint(&mut packed)?),
                };
                values.push(scalar(wire, &kind)?);
            }
            Some(Value::List(values))
        }
        (wire, kind) => scalar(wire, kind),
    }
}

/// The wire type of numbers of that kind.
fn scalar_wire(kind: &Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => 5,
        _ => 0,
    }
}

fn scalar<'a>(wire: Wire<'a>, kind: &Kind) -> Option<Value<'a>> {
    let zigzag = |value: u64| (value >> 1) as i64 ^ -((value & 1) as i64);
    Some(match (wire, kind) {
        (Wire::Varint(value), Kind::Bool) => Value::Bool(value != 0),
        (Wire::Varint(value), Kind::Int32) => Value::Int((value as i32).into()),
        (Wire::Varint(value), Kind::Int64) => Value::Int(value as i64),
        (Wire::Varint(value), Kind::Uint32) => Value::UInt((value as u32).into()),
        (Wire::Varint(value), Kind::Uint64) => Value::UInt(value),
        (Wire::Varint(value), Kind::Sint32 | Kind::Sint64) => Value::Int(zigzag(value)),
        (Wire::Varint(value), Kind::Enum(names)) => match names.get_value(value as i32) {
            Some(named) => Value::Text(named.name().to_owned().into()),
            None => Value::Int((value as i32).into()),
        },
        (Wire::Fixed32(bytes), Kind::Float) => Value::Float(short(f32::from_le_bytes(bytes))),
        (Wire::Fixed32(bytes), Kind::Fixed32) => Value::UInt(u32::from_le_bytes(bytes).into()),
        (Wire::Fixed32(bytes), Kind::Sfixed32) => Value::Int(i32::from_le_bytes(bytes).into()),
        (Wire::Fixed64(bytes), Kind::Double) => Value::Float(f64::from_le_bytes(bytes)),
        (Wire::Fixed64(bytes), Kind::Fixed64) => Value::UInt(u64::from_le_bytes(bytes)),
        (Wire::Fixed64(bytes), Kind::Sfixed64) => Value::Int(i64::from_le_bytes(bytes)),
        _ => return None,
    })
}

/// The number with the fewest digits that is the same 32-bit one: 0.1, not 0.10000000149.
fn short(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}

/// What a field most likely is.
fn guess(wire: Wire<'_>, depth: usize) -> Value<'_> {
    match wire {
        Wire::Varint(value) => i64::try_from(value).map_or(Value::Int(value as i64), Value::Int),
        Wire::Fixed32(bytes) => {
            let number = f32::from_le_bytes(bytes);
            if is_usual(number.into()) {
                Value::Float(short(number))
            } else {
                Value::Int(i32::from_le_bytes(bytes).into())
            }
        }
        Wire::Fixed64(bytes) => {
            let number = f64::from_le_bytes(bytes);
            if is_usual(number) { Value::Float(number) } else { Value::Int(i64::from_le_bytes(bytes)) }
        }
        Wire::Group(bytes) => nested(bytes, None, depth + 1).unwrap_or(Value::Bytes(bytes.into())),
        Wire::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| !is_unusual(text));
            // The tags of the first three fields are control letters, one of them the end of a line.
            let begins_as_message = bytes.first().is_some_and(u8::is_ascii_control);
            match text {
                Some(text) if !begins_as_message => text.into(),
                _ => nested(bytes, None, depth + 1).or(text.map(Value::from)).unwrap_or(Value::Bytes(bytes.into())),
            }
        }
    }
}

/// Whether a text has control letters other than those of lines.
fn is_unusual(text: &str) -> bool {
    let unusual = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
    // Those beyond ASCII begin with this byte. One look at all bytes is enough for nearly every text.
    let may_be = |byte: &u8| *byte == 0xc2 || unusual(char::from(*byte & 0x7f)) && byte.is_ascii();
    text.as_bytes().iter().fold(false, |found, byte| found | may_be(byte)) && text.contains(unusual)
}

/// Between a millionth and a trillion: integers read as floating-point numbers are far outside.
fn is_usual(number: f64) -> bool {
    (1e-6..1e12).contains(&number.abs())
}

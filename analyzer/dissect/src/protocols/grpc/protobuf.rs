//! A Protocol Buffers message to a value: by field name where its type is known, by field number elsewhere.
//!
//! Without a type the wire tells only how long a field is (Encoding, "Message Structure"). What it most likely is:
//!
//! * varint: an integer, negative where its highest bit is set, for nobody counts that far;
//! * fixed 32 and 64 bits: a floating-point number where that is of a size people use, else an integer;
//! * bytes: a text, or a message where they begin as messages do and read as one to their end, or bytes.
//!
//! Several fields of one number become a list; where the type declares one, the last counts, and a message in parts is
//! put together. An `Any` whose type is known is shown with its fields. A field whose wire type does not fit its declared
//! type, or that the type does not declare, stands by number. Text that is no UTF-8 and bytes are
//! `{"$binary":"<base64>"}`.

use crate::protocols::value::{self, Value};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// Messages inside each other. Past it they are bytes; protoc's own readers stop at 100.
const NESTED_MAX: usize = 32;

/// The message that holds one of any type, and says which.
const ANY: &str = "google.protobuf.Any";

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

impl<'a> Wire<'a> {
    /// Those of what may be a message.
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Wire::Bytes(bytes) | Wire::Group(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A field as it stands on the wire.
type Field<'a> = (u32, Wire<'a>);

/// The value of the message `bytes`, of that type where it is known; none where it is no message.
pub fn message<'a>(bytes: &'a [u8], kind: Option<&MessageDescriptor>) -> Option<Value<'a>> {
    nested(&[bytes], kind, 0)
}

/// The value of a message that came in parts, which are read as one (Encoding, "Last One Wins").
fn nested<'a>(parts: &[&'a [u8]], kind: Option<&MessageDescriptor>, depth: usize) -> Option<Value<'a>> {
    // Looked through first: what fails halfway would have had all inside it read for nothing, at every depth.
    if depth >= NESTED_MAX || !parts.iter().all(|part| is_message(part, depth)) {
        return None;
    }
    let mut fields: Vec<Field<'a>> = Vec::new();
    for part in parts {
        let mut input = *part;
        while !input.is_empty() {
            fields.push(field(&mut input, depth)?);
        }
    }
    if let Some(kind) = kind.filter(|kind| kind.oneofs().len() > 0) {
        fields = last_of_oneofs(fields, kind);
    }
    // In order of their numbers, as writers have them; those of one number stay in their order.
    fields.sort_by_key(|(number, _)| *number);
    let mut shown: Vec<value::Field<'a>> = Vec::new();
    for same in fields.chunk_by(|one, other| one.0 == other.0) {
        let Some(&(number, _)) = same.first() else { continue };
        let declared = kind.and_then(|kind| kind.get_field(number));
        let (value, by_number) = match &declared {
            Some(declared) => of_field(same, declared, depth),
            None => (None, same.iter().map(|(_, wire)| guess(*wire, depth)).collect()),
        };
        if let Some((declared, value)) = declared.zip(value) {
            shown.push(value::Field { number, name: Some(declared.name().to_owned().into()), value });
        }
        if let Some(value) = one_or_list(by_number) {
            shown.push(value::Field { number, name: None, value });
        }
    }
    let any = kind.filter(|kind| kind.full_name() == ANY).and_then(|kind| unpacked(&shown, kind, depth));
    Some(Value::Message(any.unwrap_or(shown)))
}

fn is_message(mut bytes: &[u8], depth: usize) -> bool {
    while !bytes.is_empty() {
        if field(&mut bytes, depth).is_none() {
            return false;
        }
    }
    true
}

/// Without members of a oneof that another member follows (Language Guide, "Oneof Features").
fn last_of_oneofs<'a>(mut fields: Vec<Field<'a>>, kind: &MessageDescriptor) -> Vec<Field<'a>> {
    let mut last: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    fields.reverse();
    fields.retain(|&(number, wire)| {
        let declared = kind.get_field(number).filter(|declared| fits(wire, &declared.kind()));
        let Some(oneof) = declared.and_then(|declared| declared.containing_oneof()) else { return true };
        let (member, is_over) = last.entry(oneof.name().to_owned()).or_insert((number, false));
        *is_over |= *member != number;
        !*is_over
    });
    fields.reverse();
    fields
}

/// The value of the fields of one number as the type declares it, and those of another wire type.
fn of_field<'a>(fields: &[Field<'a>], declared: &FieldDescriptor, depth: usize) -> (Option<Value<'a>>, Vec<Value<'a>>) {
    let kind = declared.kind();
    if let Kind::Message(message) = &kind
        && !declared.is_list()
        && !declared.is_map()
    {
        let parts: Vec<&[u8]> = fields.iter().filter_map(|(_, wire)| wire.bytes()).collect();
        let value = if parts.is_empty() { None } else { nested(&parts, Some(message), depth + 1) };
        let others = fields.iter().filter(|(_, wire)| value.is_none() || wire.bytes().is_none());
        let others = others.map(|(_, wire)| guess(*wire, depth)).collect();
        return (value, others);
    }
    let (mut values, mut others) = (Vec::new(), Vec::new());
    for (_, wire) in fields {
        match of_kind(*wire, declared, depth) {
            // A packed list is spliced into the others of its number.
            Some(Value::List(packed)) => values.extend(packed),
            Some(value) => values.push(value),
            None => others.push(guess(*wire, depth)),
        }
    }
    let value = match &kind {
        _ if values.is_empty() => None,
        Kind::Message(entry) if declared.is_map() => Some(map(values, entry)),
        _ if declared.is_list() => Some(Value::List(values)),
        // The last one counts (Encoding, "Last One Wins").
        _ => values.pop(),
    };
    (value, others)
}

fn one_or_list(mut values: Vec<Value<'_>>) -> Option<Value<'_>> {
    if values.len() > 1 { Some(Value::List(values)) } else { values.pop() }
}

/// Entries of a map, messages with the fields `key` and `value`: the last of each key counts, and what an entry lacks has
/// the default of its type (Encoding, "Maps").
fn map<'a>(entries: Vec<Value<'a>>, kind: &MessageDescriptor) -> Value<'a> {
    let mut known = HashSet::new();
    let mut map: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
    for entry in entries.into_iter().rev() {
        let Value::Message(fields) = entry else { continue };
        let (mut name, mut held) = (None, None);
        for field in fields {
            match field.name.as_deref() {
                Some("key") => name = Some(field.value),
                Some("value") => held = Some(field.value),
                _ => {}
            }
        }
        let or_default = |value: Option<Value<'a>>, kind: Kind| value.unwrap_or_else(|| default(&kind));
        let name: Cow<'a, str> = match or_default(name, kind.map_entry_key_field().kind()) {
            Value::Text(text) => text,
            key => key.json().into(),
        };
        if known.insert(name.clone()) {
            map.push((name, or_default(held, kind.map_entry_value_field().kind())));
        }
    }
    map.reverse();
    Value::Map(map)
}

/// What a field is that was not sent (Language Guide, "Default Field Values").
fn default<'a>(kind: &Kind) -> Value<'a> {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::Bytes => Value::Bytes(Cow::Borrowed(&[])),
        Kind::Double | Kind::Float => Value::Float(0.0),
        Kind::Enum(names) => Value::Text(names.default_value().name().to_owned().into()),
        Kind::Message(_) => Value::Message(Vec::new()),
        Kind::String => "".into(),
        _ => Value::Int(0),
    }
}

/// What an `Any` holds, where the type that it names is known: its fields behind `@type` (ProtoJSON, "Any").
fn unpacked<'a>(shown: &[value::Field<'a>], any: &MessageDescriptor, depth: usize) -> Option<Vec<value::Field<'a>>> {
    let field = |name: &str| shown.iter().find(|field| field.name.as_deref() == Some(name));
    let named = |name| field(name).map(|field| &field.value);
    let url = named("type_url")?;
    let held: &'a [u8] = match (named("value"), shown.len()) {
        (Some(Value::Bytes(Cow::Borrowed(held))), 2) => held,
        (None, 1) => &[],
        _ => return None,
    };
    let name = url.text()?.rsplit('/').next()?;
    let kind = any.parent_pool().get_message_by_name(name)?;
    let Value::Message(fields) = nested(&[held], Some(&kind), depth + 1)? else { return None };
    let of_type = value::Field { name: Some("@type".into()), ..field("type_url")?.clone() };
    Some(std::iter::once(of_type).chain(fields).collect())
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

/// Whether a field that is no list may stand so on the wire.
fn fits(wire: Wire<'_>, kind: &Kind) -> bool {
    match kind {
        Kind::Bytes | Kind::String => matches!(wire, Wire::Bytes(_)),
        Kind::Message(_) => wire.bytes().is_some(),
        _ => scalar(wire, kind).is_some(),
    }
}

/// The value as the type declares it; none where the wire type does not fit.
fn of_kind<'a>(wire: Wire<'a>, declared: &FieldDescriptor, depth: usize) -> Option<Value<'a>> {
    let kind = declared.kind();
    match (wire, &kind) {
        (Wire::Bytes(bytes), Kind::String) => Some(std::str::from_utf8(bytes).map_or(bytes.into(), Value::from)),
        (Wire::Bytes(bytes), Kind::Bytes) => Some(Value::Bytes(bytes.into())),
        (Wire::Bytes(bytes) | Wire::Group(bytes), Kind::Message(message)) => nested(&[bytes], Some(message), depth + 1),
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
        (Wire::Varint(value), Kind::Sint32) => Value::Int(zigzag((value as u32).into())),
        (Wire::Varint(value), Kind::Sint64) => Value::Int(zigzag(value)),
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
        Wire::Group(bytes) => nested(&[bytes], None, depth + 1).unwrap_or(Value::Bytes(bytes.into())),
        Wire::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| !is_unusual(text));
            // The tags of the first three fields are control letters, one of them the end of a line.
            let begins_as_message = bytes.first().is_some_and(u8::is_ascii_control);
            match text {
                Some(text) if !begins_as_message => text.into(),
                _ => nested(&[bytes], None, depth + 1).or(text.map(Value::from)).unwrap_or(Value::Bytes(bytes.into())),
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

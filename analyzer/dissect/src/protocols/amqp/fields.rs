//! Arguments, field tables and properties: from bytes to values (AMQP 0-9-1 §4.2.5, §4.2.6).
//!
//! Total and bounded: a length is checked before anything is taken, and tables nest no deeper than we say.

use super::methods::{Argument, Kind};
use crate::protocols::value::Value;
use formats::bytes::{Reader, Short};
use std::borrow::Cow;

/// Tables and arrays within each other that are read as such; what lies deeper is kept as bytes. Dead-letter headers
/// nest three.
const NESTED_MAX: u8 = 16;

/// Values with their names, in order.
pub type Named<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// They end before it does.
    Short,
    /// They cannot be it, whatever follows.
    Malformed(&'static str),
}

impl From<Short> for Wrong {
    fn from(_: Short) -> Self {
        Wrong::Short
    }
}

/// The arguments of a method. Those before what is wrong are there in any case.
pub fn arguments<'a>(list: &[Argument], reader: &mut Reader<'a>) -> (Named<'a>, Result<(), Wrong>) {
    let mut named: Named<'a> = Vec::with_capacity(list.len());
    let mut bits = Bits::default();
    for argument in list {
        if argument.kind != Kind::Bit {
            bits = Bits::default();
        }
        let value = match argument.kind {
            Kind::Bit => bits.next(reader).map(Value::Bool),
            Kind::Long => reader.u32_be().map(|number| Value::UInt(number.into())).map_err(Wrong::from),
            Kind::LongLong => reader.u64_be().map(Value::UInt).map_err(Wrong::from),
            Kind::LongStr => long_string(reader).map(Value::from),
            Kind::Octet => reader.u8().map(|number| Value::UInt(number.into())).map_err(Wrong::from),
            Kind::Secret => long_string(reader).map(|secret| redacted(secret, &named)),
            Kind::Short => reader.u16_be().map(|number| Value::UInt(number.into())).map_err(Wrong::from),
            Kind::ShortStr => short_string(reader).map(Value::from),
            Kind::Table => table(reader, 0),
        };
        match value {
            Ok(value) if !argument.name.is_empty() => named.push((argument.name.into(), value)),
            Ok(_) => {}
            Err(wrong) => return (named, Err(wrong)),
        }
    }
    (named, Ok(()))
}

/// The basic properties behind their flags (§4.2.6.1): the first has the highest bit.
pub fn properties<'a>(reader: &mut Reader<'a>) -> (Named<'a>, Result<(), Wrong>) {
    const PROPERTIES: [Argument; 14] = [
        Argument { name: "content_type", kind: Kind::ShortStr },
        Argument { name: "content_encoding", kind: Kind::ShortStr },
        Argument { name: "headers", kind: Kind::Table },
        Argument { name: "delivery_mode", kind: Kind::Octet },
        Argument { name: "priority", kind: Kind::Octet },
        Argument { name: "correlation_id", kind: Kind::ShortStr },
        Argument { name: "reply_to", kind: Kind::ShortStr },
        Argument { name: "expiration", kind: Kind::ShortStr },
        Argument { name: "message_id", kind: Kind::ShortStr },
        Argument { name: "timestamp", kind: Kind::LongLong },
        Argument { name: "type", kind: Kind::ShortStr },
        Argument { name: "user_id", kind: Kind::ShortStr },
        Argument { name: "app_id", kind: Kind::ShortStr },
        Argument { name: "cluster_id", kind: Kind::ShortStr },
    ];
    let flags = match reader.u16_be() {
        Ok(flags) if flags & 0b11 != 0 => return (Named::new(), Err(Wrong::Malformed("unknown properties"))),
        Ok(flags) => flags,
        Err(short) => return (Named::new(), Err(short.into())),
    };
    let set: Vec<Argument> =
        PROPERTIES.into_iter().enumerate().filter(|(at, _)| flags & (0x8000 >> at) != 0).map(|(_, set)| set).collect();
    arguments(&set, reader)
}

/// Bits that follow each other, the first in the lowest place.
#[derive(Default)]
struct Bits {
    octet: u8,
    left: u8,
}

impl Bits {
    fn next(&mut self, reader: &mut Reader<'_>) -> Result<bool, Wrong> {
        if self.left == 0 {
            *self = Self { octet: reader.u8()?, left: 8 };
        }
        let bit = self.octet & 1 == 1;
        *self = Self { octet: self.octet >> 1, left: self.left - 1 };
        Ok(bit)
    }
}

fn short_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Wrong> {
    let length = reader.u8()?;
    Ok(reader.take(length.into())?)
}

fn long_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Wrong> {
    let length = reader.u32_be()?;
    Ok(reader.take(length as usize)?)
}

/// How long a secret is, and of PLAIN (RFC 4616 §2) who it belongs to.
fn redacted<'a>(secret: &'a [u8], before: &Named<'a>) -> Value<'a> {
    let mut shown: Named<'a> = Vec::new();
    let plain = before.iter().any(|(name, value)| name == "mechanism" && *value == Value::from(&b"PLAIN"[..]));
    let mut parts = secret.splitn(3, |&byte| byte == 0);
    if let (true, Some(_), Some(user), Some(_)) = (plain, parts.next(), parts.next(), parts.next()) {
        shown.push(("user".into(), user.into()));
    }
    shown.push(("$redacted_bytes".into(), Value::UInt(secret.len() as u64)));
    Value::Map(shown)
}

fn table<'a>(reader: &mut Reader<'a>, depth: u8) -> Result<Value<'a>, Wrong> {
    let mut fields = sub(reader)?;
    if depth >= NESTED_MAX {
        return Ok(too_deep(fields.rest()));
    }
    let mut named = Named::new();
    while !fields.is_empty() {
        let name = whole(short_string(&mut fields))?;
        named.push((String::from_utf8_lossy(name), whole(field(&mut fields, depth))?));
    }
    Ok(Value::Map(named))
}

fn array<'a>(reader: &mut Reader<'a>, depth: u8) -> Result<Value<'a>, Wrong> {
    let mut fields = sub(reader)?;
    if depth >= NESTED_MAX {
        return Ok(too_deep(fields.rest()));
    }
    let mut values = Vec::new();
    while !fields.is_empty() {
        values.push(whole(field(&mut fields, depth))?);
    }
    Ok(Value::List(values))
}

/// What is kept of a table or array that lies too deep: its bytes, and that they are.
fn too_deep(fields: &[u8]) -> Value<'_> {
    Value::Map(vec![("$too_deep".into(), fields.into())])
}

fn sub<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, Wrong> {
    let length = reader.u32_be()?;
    Ok(reader.sub(length as usize)?)
}

/// Inside a table of known length nothing more can follow.
fn whole<T>(read: Result<T, Wrong>) -> Result<T, Wrong> {
    read.map_err(|wrong| if wrong == Wrong::Short { Wrong::Malformed("a table ends inside a field") } else { wrong })
}

/// A field value by its type. Where the specification and RabbitMQ differ ('s', 'l') it is as RabbitMQ has it, and so
/// do its clients: <https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3.
fn field<'a>(reader: &mut Reader<'a>, depth: u8) -> Result<Value<'a>, Wrong> {
    Ok(match reader.u8()? {
        b't' => Value::Bool(reader.u8()? != 0),
        b'b' => Value::Int((reader.u8()? as i8).into()),
        b'B' => Value::UInt(reader.u8()?.into()),
        b's' | b'U' => Value::Int((reader.u16_be()? as i16).into()),
        b'u' => Value::UInt(reader.u16_be()?.into()),
        b'I' => Value::Int((reader.u32_be()? as i32).into()),
        b'i' => Value::UInt(reader.u32_be()?.into()),
        b'l' | b'L' => Value::Int(reader.u64_be()? as i64),
        b'f' => Value::Float(f32::from_bits(reader.u32_be()?).into()),
        b'd' => Value::Float(f64::from_bits(reader.u64_be()?)),
        b'D' => decimal(reader.u8()?, reader.u32_be()? as i32),
        b'S' => long_string(reader)?.into(),
        b'A' => array(reader, depth + 1)?,
        b'T' => Value::UInt(reader.u64_be()?),
        b'F' => table(reader, depth + 1)?,
        b'V' => Value::Null,
        b'x' => long_string(reader)?.into(),
        _ => return Err(Wrong::Malformed("unknown type of a field")),
    })
}

/// A decimal number as text: it has more digits than a float keeps.
fn decimal<'a>(scale: u8, digits: i32) -> Value<'a> {
    let scale = usize::from(scale);
    let sign = if digits < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (front, back) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    Value::Text(format!("{sign}{front}{point}{back}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(fields: &[u8]) -> Vec<u8> {
        [&(fields.len() as u32).to_be_bytes()[..], fields].concat()
    }

    #[test]
    fn fields_of_every_type() {
        for (field, want) in [
            (&b"t\x01"[..], "true"),
            (b"b\xff", "-1"),
            (b"B\xff", "255"),
            (b"s\xff\xfe", "-2"),
            (b"U\xff\xfe", "-2"),
            (b"u\xff\xfe", "65534"),
            (b"I\xff\xff\xff\xfd", "-3"),
            (b"i\xff\xff\xff\xfd", "4294967293"),
            (b"l\xff\xff\xff\xff\xff\xff\xff\xfc", "-4"),
            (b"L\0\0\0\0\0\0\0\x05", "5"),
            (b"f\x3f\0\0\0", "0.5"),
            (b"d\x3f\xe0\0\0\0\0\0\0", "0.5"),
            (b"D\x02\0\0\x04\xd2", "\"12.34\""),
            (b"D\x03\xff\xff\xff\xff", "\"-0.001\""),
            (b"D\0\0\0\0\x07", "\"7\""),
            (b"S\0\0\0\x02hi", "\"hi\""),
            (b"x\0\0\0\x01\xff", "{\"$binary\":\"/w==\"}"),
            (b"T\0\0\0\0\0\0\0\x09", "9"),
            (b"V", "null"),
            (b"A\0\0\0\x03Vt\0", "[null,false]"),
            (b"F\0\0\0\x03\x01aV", "{\"a\":null}"),
        ] {
            let table_bytes = framed(&[b"\x01k", field].concat());
            let value = table(&mut Reader::new(&table_bytes), 0).unwrap();
            assert_eq!(value.json(), format!("{{\"k\":{want}}}"));
        }
    }

    #[test]
    fn what_is_no_table_is_said_to_be_none() {
        let read = |bytes: &[u8]| table(&mut Reader::new(bytes), 0).map(|value| value.json());
        assert_eq!(read(b"\0\0\0\x05\x01k"), Err(Wrong::Short));
        assert_eq!(read(b"\xff\xff\xff\xff\x01kV"), Err(Wrong::Short));
        assert_eq!(read(b"\0\0\0\x03\x01kI"), Err(Wrong::Malformed("a table ends inside a field")));
        assert_eq!(read(b"\0\0\0\x03\x01k?"), Err(Wrong::Malformed("unknown type of a field")));
    }

    #[test]
    fn tables_nested_without_end_are_kept_as_bytes() {
        let mut deep = framed(b"");
        for _ in 0..20_000 {
            deep = framed(&[b"\0F", &deep[..]].concat());
            if deep.len() > 100_000 {
                break;
            }
        }
        let json = table(&mut Reader::new(&deep), 0).unwrap().json();
        assert!(json.contains("$too_deep"), "{json}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let mechanism = vec![("mechanism".into(), Value::from(&b"PLAIN"[..]))];
        assert_eq!(redacted(b"\0me\0secret", &mechanism).json(), r#"{"user":"me","$redacted_bytes":10}"#);
        assert_eq!(redacted(b"\0me\0secret", &Named::new()).json(), r#"{"$redacted_bytes":10}"#);
    }
}

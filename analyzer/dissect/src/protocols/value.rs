//! Values of any shape for the JSON columns: Kafka bodies, AMQP tables, Redis replies, gRPC messages.

use base64::Engine as _;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

/// A value as a protocol has it, borrowed from the message where it can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating-point number; JSON has no NaN nor infinity, they become texts.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes: a text where they are UTF-8, else `{"$binary":"<base64>"}`.
    Bytes(Cow<'a, [u8]>),
    /// Values in order.
    List(Vec<Value<'a>>),
    /// Names with values, in order.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl Value<'_> {
    /// Compact JSON text.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("every value is JSON: {error}"))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(Cow::Borrowed(bytes))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => to.serialize_unit(),
            Value::Bool(truth) => to.serialize_bool(*truth),
            Value::Int(number) => to.serialize_i64(*number),
            Value::UInt(number) => to.serialize_u64(*number),
            Value::Float(number) if number.is_finite() => to.serialize_f64(*number),
            Value::Float(number) => to.collect_str(number),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => to.serialize_str(text),
                Err(_) => {
                    let mut map = to.serialize_map(Some(1))?;
                    map.serialize_entry("$binary", &base64::engine::general_purpose::STANDARD.encode(bytes))?;
                    map.end()
                }
            },
            Value::List(values) => to.collect_seq(values),
            Value::Map(entries) => to.collect_map(entries.iter().map(|(name, value)| (name, value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn values_become_compact_json() {
        let value = Value::Map(vec![
            ("none".into(), Value::Null),
            ("list".into(), Value::List(vec![Value::Bool(true), Value::Int(-1), Value::UInt(u64::MAX)])),
            ("floats".into(), Value::List(vec![Value::Float(0.5), Value::Float(f64::NAN)])),
            ("text".into(), "a \"b\"".into()),
            ("bytes".into(), Value::List(vec![b"caf\xc3\xa9"[..].into(), b"\xff\x00"[..].into()])),
        ]);
        assert_eq!(
            value.json(),
            r#"{"none":null,"list":[true,-1,18446744073709551615],"floats":[0.5,"NaN"],"text":"a \"b\"","bytes":["café",{"$binary":"/wA="}]}"#
        );
    }
}

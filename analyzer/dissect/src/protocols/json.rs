//! JSON from the wire into [`Value`]: order and repeats of names are kept, numbers that fit stay whole.

use super::value::Value;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The value that `text` is, all of it.
///
/// # Bounds
/// Sixteen times the length of `text`, of a list of one-digit numbers. Nesting past 128 is refused.
pub fn parse(text: &[u8]) -> Option<Value<'_>> {
    serde_json::from_slice(text).ok()
}

impl<'a> Value<'a> {
    /// The value of that name, the last where there are several, as parsers have it.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Map(entries) = self else { return None };
        entries.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The text it is.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }
}

struct Shape;

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Shape)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(truth))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::UInt(number))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some((name, value)) = entries.next_entry::<Name<'de>, _>()? {
            map.push((name.0, value));
        }
        Ok(Value::Map(map))
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::Text(text) => Ok(Self(text)),
            other => Err(D::Error::custom(format_args!("{other:?} is no name"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_comes_back_compact() {
        for (text, want) in [
            (
                r#" {"b" : 1, "a": [ -2, 1.5, 18446744073709551615 ], "b": null} "#,
                Some(r#"{"b":1,"a":[-2,1.5,18446744073709551615],"b":null}"#),
            ),
            (r#""\u00e9\n\"""#, Some(r#""é\n\"""#)),
            (r#"{"\n":true}"#, Some(r#"{"\n":true}"#)),
            ("{} {}", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|value| value.json()).as_deref(), want, "{text}");
        }
        assert_eq!(parse("[".repeat(100_000).as_bytes()), None);
        let twice = parse(br#"{"a":1,"a":"x"}"#).unwrap();
        assert_eq!(twice.get("a").and_then(Value::text), Some("x"));
    }
}

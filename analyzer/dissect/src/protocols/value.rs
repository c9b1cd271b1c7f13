//! Values of any shape for the JSON columns: Kafka bodies, AMQP tables, Redis replies, gRPC messages.

use base64::Engine as _;
use std::borrow::Cow;
use std::fmt::Write as _;

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
    /// A number as JSON had it, of any size and precision.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes: a text where they are UTF-8, else `{"$binary":"<base64>"}`.
    Bytes(Cow<'a, [u8]>),
    /// Values in order.
    List(Vec<Value<'a>>),
    /// Names with values, in order.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
    /// A message of Protocol Buffers: a map whose names are of fields.
    Message(Vec<Field<'a>>),
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its name, where the type of the message declares it. Else it goes by its number.
    pub name: Option<Cow<'a, str>>,
    /// What it holds.
    pub value: Value<'a>,
}

impl Value<'_> {
    /// Compact JSON text.
    pub fn json(&self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }

    /// Appends compact JSON text.
    ///
    /// # Source
    /// RFC 8259; texts are escaped where §7 asks for it, and nowhere else.
    pub fn write(&self, to: &mut String) {
        match self {
            Value::Null => to.push_str("null"),
            Value::Bool(truth) => to.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number) => push_number(to, *number),
            Value::UInt(number) => push_number(to, *number),
            Value::Float(number) => match serde_json::Number::from_f64(*number) {
                // A string never refuses to be written to.
                Some(finite) => drop(write!(to, "{finite}")),
                None => drop(write!(to, "\"{number}\"")),
            },
            Value::Number(number) => to.push_str(number),
            Value::Text(text) => string(to, text),
            Value::Bytes(bytes) => push_bytes(to, bytes),
            Value::List(values) => between(to, '[', values, ']', |to, value| value.write(to)),
            Value::Map(entries) => between(to, '{', entries, '}', |to, (name, value)| {
                string(to, name);
                to.push(':');
                value.write(to);
            }),
            Value::Message(fields) => between(to, '{', fields, '}', |to, field| {
                string(to, field.name.as_deref().unwrap_or(itoa::Buffer::new().format(field.number)));
                to.push(':');
                field.value.write(to);
            }),
        }
    }
}

/// Appends items with commas between.
fn between<T>(to: &mut String, open: char, items: &[T], close: char, write: impl Fn(&mut String, &T)) {
    to.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            to.push(',');
        }
        write(to, item);
    }
    to.push(close);
}

/// Appends bytes: a text where they are UTF-8, else `{"$binary":"<base64>"}`.
pub fn push_bytes(to: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => string(to, text),
        Err(_) => {
            to.push_str("{\"$binary\":\"");
            base64::engine::general_purpose::STANDARD.encode_string(bytes, to);
            to.push_str("\"}");
        }
    }
}

/// Appends a number in decimal digits.
pub fn push_number(to: &mut String, number: impl itoa::Integer) {
    to.push_str(itoa::Buffer::new().format(number));
}

/// Appends a text in quotes.
fn string(to: &mut String, text: &str) {
    // With what usually follows: what is long is not to be copied for a few letters.
    to.reserve(text.len() + 64);
    to.push('"');
    let mut rest = text;
    while let Some((plain, escaped)) = first_escaped(rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        to.push_str(plain);
        let mut characters = escaped.chars();
        match characters.next().unwrap_or_default() {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\t' => to.push_str("\\t"),
            '\n' => to.push_str("\\n"),
            '\u{c}' => to.push_str("\\f"),
            '\r' => to.push_str("\\r"),
            control => drop(write!(to, "\\u{:04x}", u32::from(control))),
        }
        rest = characters.as_str();
    }
    to.push_str(rest);
    to.push('"');
}

/// Where the first byte stands that has to be escaped. Nearly all need not: pieces are looked at as a whole, which the
/// processor does for all of their bytes at once.
fn first_escaped(text: &[u8]) -> Option<usize> {
    const PIECE_BYTES: usize = 32;
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    let mut pieces = text.chunks(PIECE_BYTES);
    let mut before = 0;
    let piece = pieces.find(|piece| {
        let found = piece.iter().fold(false, |found, byte| found | is_escaped(byte));
        before += if found { 0 } else { piece.len() };
        found
    })?;
    piece.iter().position(is_escaped).map(|at| before + at)
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

#[cfg(test)]
mod tests {
    use super::Value;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn texts_and_numbers_are_written_as_others_write_them(
            text in "[\\x00-\\x7f]{0,70}|[ -~]{0,200}|\\PC{0,40}",
            signed: i64,
            unsigned: u64,
            float: f64,
        ) {
            prop_assert_eq!(Value::from(text.as_str()).json(), serde_json::to_string(&text).unwrap());
            prop_assert_eq!(Value::Int(signed).json(), signed.to_string());
            prop_assert_eq!(Value::UInt(unsigned).json(), unsigned.to_string());
            let shown = if float.is_finite() { serde_json::to_string(&float).unwrap() } else { format!("\"{float}\"") };
            prop_assert_eq!(Value::Float(float).json(), shown);
        }
    }
}

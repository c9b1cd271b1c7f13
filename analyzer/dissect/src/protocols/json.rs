//! JSON from the wire into [`Value`]: order and repeats of names are kept, and numbers as they were written.

use super::value::Value;
use json_event_parser::{JsonEvent, SliceJsonParser};
use std::borrow::Cow;

/// Lists and objects one within the other.
const NESTED_MAX: usize = 128;

/// The value that `text` is, all of it.
///
/// # Bounds
/// Sixteen times the length of `text`, of a list of one-digit numbers. Nesting past [`NESTED_MAX`] is refused.
/// # Source
/// RFC 8259.
pub fn parse(text: &[u8]) -> Option<Value<'_>> {
    let mut events = SliceJsonParser::new(text);
    // Lists and objects that did not end, and names whose values did not.
    let (mut open, mut names): (Vec<Value<'_>>, Vec<Cow<'_, str>>) = Default::default();
    loop {
        let value = match events.parse_next().ok()? {
            JsonEvent::StartArray | JsonEvent::StartObject if open.len() >= NESTED_MAX => return None,
            JsonEvent::StartArray => {
                open.push(Value::List(Vec::new()));
                continue;
            }
            JsonEvent::StartObject => {
                open.push(Value::Map(Vec::new()));
                continue;
            }
            JsonEvent::ObjectKey(name) => {
                names.push(name);
                continue;
            }
            JsonEvent::EndArray | JsonEvent::EndObject => open.pop()?,
            JsonEvent::Boolean(value) => Value::Bool(value),
            JsonEvent::Null => Value::Null,
            JsonEvent::Number(number) => Value::Number(number),
            JsonEvent::String(text) => Value::Text(text),
            JsonEvent::Eof => return None,
        };
        match open.last_mut() {
            Some(Value::List(values)) => values.push(value),
            Some(Value::Map(entries)) => entries.push((names.pop()?, value)),
            _ => return matches!(events.parse_next(), Ok(JsonEvent::Eof)).then_some(value),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_sent_comes_back_compact() {
        for (text, want) in [
            (
                r#" {"b" : 1, "a": [ -2, 1.5, 18446744073709551615 ], "b": null} "#,
                Some(r#"{"b":1,"a":[-2,1.5,18446744073709551615],"b":null}"#),
            ),
            (
                r#"[12345678901234567890123, 1.10, 1e400, -0, 0.5E+1]"#,
                Some("[12345678901234567890123,1.10,1e400,-0,0.5E+1]"),
            ),
            (r#""\u00e9\n\"""#, Some(r#""é\n\"""#)),
            (r#"{"\n":true}"#, Some(r#"{"\n":true}"#)),
            ("{} {}", None),
            ("{", None),
            ("01", None),
            ("1.", None),
            ("-", None),
            ("+1", None),
            ("1e", None),
            ("\"\n\"", None),
            (r#""\ud800""#, None),
            (r#""\""#, None),
            ("[1,]", None),
            ("{\"a\":1,}", None),
            ("{1:1}", None),
            ("nul", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|value| value.json()).as_deref(), want, "{text}");
        }
        assert_eq!(parse("[".repeat(100_000).as_bytes()), None);
        let twice = parse(br#"{"a":1,"a":"x"}"#).unwrap();
        assert_eq!(twice.get("a").and_then(Value::text), Some("x"));
    }

    proptest! {
        #[test]
        fn what_is_json_is_what_others_take_for_it(
            text in "[\\[\\]{}:,\" \\\\tfnrue0-9.eE+-]{0,12}|(\\[|\\{\"a\":|1|,|\\]|\\}|\"[\\PC\\\\n]{0,3}\"|null| ){0,12}",
        ) {
            let theirs: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            match parse(text.as_bytes()) {
                Some(value) => {
                    let again = serde_json::from_str(&value.json()).ok();
                    // They know no numbers past their own.
                    prop_assert!(theirs == again, "{text:?}: {}", value.json());
                }
                None => prop_assert_eq!(theirs, None, "{:?}", text),
            }
        }
    }
}

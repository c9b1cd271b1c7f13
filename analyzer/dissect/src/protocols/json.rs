//! JSON from the wire into [`Value`]: order and repeats of names are kept, and numbers as they were written.

use super::value::Value;
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
    let mut input = Input { rest: std::str::from_utf8(text).ok()? };
    let value = input.value(NESTED_MAX)?;
    input.next().is_none().then_some(value)
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

/// What is not read yet.
struct Input<'a> {
    rest: &'a str,
}

impl<'a> Input<'a> {
    /// Steps over space; the byte that is next then.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.as_bytes().first().copied()
    }

    /// Steps over `wanted`, if it is next.
    fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.next() == Some(wanted);
        if is_next {
            self.take(1);
        }
        is_next
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (front, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(front)
    }

    fn value(&mut self, nested_max: usize) -> Option<Value<'a>> {
        match self.next()? {
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b'[' => {
                let mut values = Vec::new();
                self.list(b']', nested_max, |input, nested_max| {
                    values.push(input.value(nested_max)?);
                    Some(())
                })?;
                Some(Value::List(values))
            }
            b'{' => {
                let mut entries = Vec::new();
                self.list(b'}', nested_max, |input, nested_max| {
                    let name = if input.next() == Some(b'"') { input.text()? } else { return None };
                    let value = if input.takes(b':') { input.value(nested_max)? } else { return None };
                    entries.push((name, value));
                    Some(())
                })?;
                Some(Value::Map(entries))
            }
            _ => {
                let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
                let (word, value) = words.into_iter().find(|(word, _)| self.rest.starts_with(word))?;
                self.take(word.len()).map(|_| value)
            }
        }
    }

    /// What stands between a bracket and its counterpart, with commas between.
    fn list(&mut self, end: u8, nested_max: usize, mut item: impl FnMut(&mut Self, usize) -> Option<()>) -> Option<()> {
        let nested_max = nested_max.checked_sub(1)?;
        self.take(1)?;
        if self.takes(end) {
            return Some(());
        }
        loop {
            item(self, nested_max)?;
            if !self.takes(b',') {
                return self.takes(end).then_some(());
            }
        }
    }

    /// A text, borrowed where it has no escapes.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let bytes = self.rest.as_bytes();
        let (mut at, mut escapes) = (1, false);
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes.get(at) == Some(&b'"') {
                break;
            }
            (at, escapes) = (at + 2, true);
        }
        let quoted = self.take(at + 1)?;
        let inside = quoted.get(1..at)?;
        match escapes {
            true => serde_json::from_str(quoted).ok().map(Cow::Owned),
            // §7. Nearly none has such: all are looked at, which the processor does for many of them at once.
            false => {
                let controls = inside.bytes().fold(false, |found, byte| found | (byte < b' '));
                (!controls).then_some(Cow::Borrowed(inside))
            }
        }
    }

    /// §6.
    fn number(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| {
            let count = bytes.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (count > 0).then_some(from + count)
        };
        let first = usize::from(self.rest.starts_with('-'));
        let mut end = digits(first)?;
        if bytes.get(first) == Some(&b'0') && end > first + 1 {
            return None;
        }
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1)?;
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
            end = digits(end + 1 + usize::from(signed))?;
        }
        self.take(end)
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

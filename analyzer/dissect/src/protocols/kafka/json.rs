//! JSON text of a body, written as the body passes, up to a bound.

use super::walk::Scalar;
use crate::protocols::value::{Value, push_bytes, push_number};
use base64::Engine as _;
use std::fmt::Write as _;

/// Bytes that are shown of a value of bytes; of longer ones only the length is.
const BINARY_BYTES_MAX: usize = 4 << 10;

/// Bytes there is room for at first.
const TEXT_BYTES: usize = 256;

/// JSON text under construction: always an object, whole after [`Json::end`].
#[derive(Debug)]
pub struct Json {
    text: String,
    bytes_max: usize,
    /// The closing mark of each open list or object.
    open: Vec<char>,
    /// Open ones that are left out.
    left_out: usize,
    cut: bool,
}

impl Json {
    /// An empty object of about `bytes_max` bytes at most; nothing at all where that is 0.
    pub fn new(bytes_max: usize) -> Self {
        let mut text = String::new();
        if bytes_max > 0 {
            // Most bodies fit.
            text.reserve(TEXT_BYTES);
            text.push('{');
        }
        Self { text, bytes_max, open: vec!['}'], left_out: 0, cut: false }
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Begins a list or an object.
    pub fn enter(&mut self, name: Option<&str>, list: bool) {
        if !self.room() {
            self.left_out += 1;
            return;
        }
        self.name(name);
        self.text.push(if list { '[' } else { '{' });
        self.open.push(if list { ']' } else { '}' });
    }

    /// Ends the innermost one.
    pub fn leave(&mut self) {
        if self.left_out > 0 {
            self.left_out -= 1;
        } else if self.open.len() > 1 {
            self.text.extend(self.open.pop());
        }
    }

    /// Writes a value.
    pub fn value(&mut self, name: Option<&str>, value: Scalar<'_>) {
        match value {
            Scalar::Bytes(bytes) if bytes.len() > BINARY_BYTES_MAX => return self.length(name, bytes.len() as u64),
            Scalar::Long(bytes) => return self.length(name, bytes),
            _ => {}
        }
        if !self.room() {
            return;
        }
        self.name(name);
        match value {
            Scalar::Bytes(bytes) | Scalar::Text(bytes) => push_bytes(&mut self.text, bytes),
            Scalar::Int(number) => push_number(&mut self.text, number),
            Scalar::Bool(truth) => Value::Bool(truth).write(&mut self.text),
            Scalar::Float(number) => Value::Float(number).write(&mut self.text),
            Scalar::Uuid(id) => Value::from(uuid(&id).as_str()).write(&mut self.text),
            Scalar::Long(_) | Scalar::Null => Value::Null.write(&mut self.text),
        }
    }

    /// Writes how long a value is that is not shown.
    pub fn length(&mut self, name: Option<&str>, bytes: u64) {
        self.summary(name, format_args!("{{\"$bytes\":{bytes}}}"));
    }

    /// Writes what became of records.
    pub fn records(&mut self, name: &str, bytes: u64, records: u64) {
        self.summary(Some(name), format_args!("{{\"$records\":{records},\"$bytes\":{bytes}}}"));
    }

    /// The text, whatever is still open closed; none where none was asked for. Says so if it is not the whole.
    pub fn end(mut self, whole: bool) -> Option<String> {
        if self.bytes_max == 0 {
            return None;
        }
        while self.open.len() > 1 {
            self.text.extend(self.open.pop());
        }
        if self.cut || !whole {
            self.name(Some("$cut"));
            self.text.push_str("true");
        }
        self.text.push('}');
        self.text.shrink_to_fit();
        Some(self.text)
    }

    fn summary(&mut self, name: Option<&str>, summary: std::fmt::Arguments<'_>) {
        if self.room() {
            self.name(name);
            // A string never refuses to be written to.
            let _ = self.text.write_fmt(summary);
        }
    }

    /// Whether there is room for more; what does not fit is left out, and so is all inside of it.
    fn room(&mut self) -> bool {
        let room = self.left_out == 0 && self.text.len() < self.bytes_max;
        self.cut |= !room;
        room
    }

    fn name(&mut self, name: Option<&str>) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
        if let Some(name) = name {
            self.text.push('"');
            self.text.push_str(name);
            self.text.push_str("\":");
        }
    }
}

/// The text of a UUID.
pub struct Uuid([u8; 22]);

impl Uuid {
    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A UUID as Kafka writes it: base64 for URLs, without padding.
pub fn uuid(id: &[u8; 16]) -> Uuid {
    let mut text = [0; 22];
    // That is how long 16 bytes are.
    let _ = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode_slice(id, &mut text);
    Uuid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_whole_however_short_it_has_to_be() {
        for bytes_max in 0..80 {
            let mut json = Json::new(bytes_max);
            json.value(Some("a"), Scalar::Int(1));
            json.enter(Some("b"), true);
            json.enter(None, false);
            json.value(Some("c"), Scalar::Text(b"x{"));
            json.leave();
            json.value(None, Scalar::Bytes(b"\xff"));
            json.leave();
            json.records("d", 70, 3);
            let text = json.end(true);
            let Some(text) = text else {
                assert_eq!(bytes_max, 0);
                continue;
            };
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            if bytes_max > 70 {
                let whole = r#"{"a":1,"b":[{"c":"x{"},{"$binary":"/w=="}],"d":{"$records":3,"$bytes":70}}"#;
                assert_eq!(text, whole);
            } else if bytes_max < 40 {
                assert_eq!(read["$cut"], true, "{bytes_max}");
            }
        }
    }
}

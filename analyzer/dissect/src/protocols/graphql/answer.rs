//! What a response says of results: one, those of a batch, or results that come in pieces or one after the other
//! (incremental delivery over `multipart/mixed`, GraphQL over SSE).

use super::multipart::Parts;
use super::request::{Kind, kind};
use crate::limits::GRAPHQL_BYTES_MAX;
use crate::protocols::http::Exchange;
use crate::protocols::json;
use crate::protocols::value::Value;

/// The errors of one operation, as its results come.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    seen: bool,
    count: usize,
    /// They, as JSON, with commas between; up to [`GRAPHQL_BYTES_MAX`].
    text: String,
}

impl Errors {
    /// Takes in a result, or what adds to one; says whether it is either. A result has data, errors, or both
    /// (GraphQL §7.1); what comes later has them one level deeper (incremental delivery).
    pub fn result(&mut self, result: &Value<'_>) -> bool {
        let mut seen = result.get("data").is_some();
        if let Some(Value::List(errors)) = result.get("errors")
            && !errors.is_empty()
        {
            self.list(errors);
            seen = true;
        }
        for later in ["incremental", "completed"] {
            if let Some(Value::List(pieces)) = result.get(later) {
                seen = true;
                for errors in pieces.iter().filter_map(|piece| piece.get("errors")) {
                    if let Value::List(errors) = errors {
                        self.list(errors);
                    }
                }
            }
        }
        self.seen |= seen;
        seen
    }

    /// Takes in errors that stand in place of a result.
    pub fn list(&mut self, errors: &[Value<'_>]) {
        self.seen = true;
        self.count += errors.len();
        for error in errors {
            let text = error.json();
            if self.text.len() + text.len() < GRAPHQL_BYTES_MAX {
                self.text.push_str(if self.text.is_empty() { "" } else { "," });
                self.text.push_str(&text);
            }
        }
    }

    /// How many there are, where a result was seen, and they as JSON.
    pub fn told(&self) -> (Option<usize>, Option<String>) {
        (self.seen.then_some(self.count), (self.count > 0).then(|| format!("[{}]", self.text)))
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.text.len()
    }
}

/// Errors of the results in a response, by their place in a batch.
pub struct Answer {
    results: Vec<Errors>,
}

impl Answer {
    /// Of the response of an exchange. Results of which some may be missing tell nothing.
    pub fn of(exchange: &Exchange) -> Self {
        let Some(response) = &exchange.response else { return Self { results: Vec::new() } };
        let (text, content_type) = (response.text(), response.headers.get("content-type").unwrap_or_default());
        let one = |errors: Option<Errors>| errors.into_iter().collect();
        let results = match kind(content_type) {
            Kind::Events => one(events(&text)),
            Kind::Mixed => one(parts(content_type, &text)),
            _ => match json::parse(&text) {
                Some(Value::List(batch)) => batch.iter().map(of_result).collect(),
                Some(result) => vec![of_result(&result)],
                None => Vec::new(),
            },
        };
        Self { results }
    }

    /// Those of the operation at that place.
    pub fn errors(&self, batch_index: Option<usize>) -> (Option<usize>, Option<String>) {
        self.results.get(batch_index.unwrap_or_default()).map(Errors::told).unwrap_or_default()
    }
}

fn of_result(result: &Value<'_>) -> Errors {
    let mut errors = Errors::default();
    errors.result(result);
    errors
}

/// Parts, each of a result, of a piece of it, or of the next result of a subscription in an envelope.
fn parts(content_type: &[u8], body: &[u8]) -> Option<Errors> {
    let mut errors = Errors::default();
    let mut parts = Parts::of(content_type, body)?;
    for (_, content) in &mut parts {
        let part = json::parse(content)?;
        errors.result(part.get("payload").filter(|payload| matches!(payload, Value::Map(_))).unwrap_or(&part));
    }
    parts.whole.then_some(errors)
}

/// Events named `next`, each of a result, until one named `complete` (GraphQL over SSE, "distinct connections").
fn events(stream: &[u8]) -> Option<Errors> {
    let mut errors = Errors::default();
    let (mut name, mut data) = (String::new(), String::new());
    for line in String::from_utf8_lossy(stream).lines() {
        if line.is_empty() {
            match name.as_str() {
                "next" => errors.result(&json::parse(data.as_bytes())?),
                "complete" => return Some(errors),
                _ => false,
            };
            name.clear();
            data.clear();
        } else if let Some(value) = line.strip_prefix("event:") {
            name = value.trim().to_owned();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value);
        }
    }
    None
}

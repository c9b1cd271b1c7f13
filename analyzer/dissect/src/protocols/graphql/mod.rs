//! GraphQL over HTTP (GraphQL specification, October 2021; GraphQL over HTTP; GraphQL multipart request), and over
//! WebSocket in messages of its own.
//!
//! Enters: an HTTP exchange, or a text of a WebSocket. Leaves: each operation that it asks for, with the errors of its result. Refused: a
//! request whose document is no GraphQL, whatever its other signs. JSON and GraphQL bodies are looked through up to
//! [`GRAPHQL_BYTES_MAX`](crate::limits::GRAPHQL_BYTES_MAX) bytes, however little of bodies rows keep.
//! `request.rs` finds what is asked, `document.rs` reads it, `answer.rs` finds the errors of results.

mod answer;
mod document;
mod multipart;
mod over_websocket;
mod request;
#[cfg(test)]
mod tests;

pub use over_websocket::OverWebsocket;
pub use request::may_carry;

use super::http::Exchange;
use super::json;
use super::{Anomaly, Call, Row, Sink};
use answer::Answer;
use request::Asked;

/// One operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// 'query', 'mutation' or 'subscription', where the document and the request tell.
    pub kind: Option<&'static str>,
    /// Name as the request or the document says it.
    pub name: Option<String>,
    /// The document, as sent.
    pub query: Option<String>,
    /// SHA-256 of a persisted document.
    pub query_sha256: Option<String>,
    /// Values of its variables, as JSON.
    pub variables: Option<String>,
    /// Fields it asks of the root.
    pub root_fields: Option<Vec<String>>,
    /// How many errors its result has, where that was seen.
    pub error_count: Option<usize>,
    /// They, as JSON.
    pub errors: Option<String>,
    /// Its place in a batch.
    pub batch_index: Option<usize>,
}

impl Operation {
    /// Bytes of its texts.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.name, &self.query, &self.query_sha256, &self.variables, &self.errors];
        let fields = self.root_fields.iter().flatten().map(|field| size_of_val(field) + field.len());
        texts.into_iter().flatten().map(String::len).sum::<usize>() + fields.sum::<usize>()
    }
}

/// Hands on the operations of an exchange.
pub fn hand_on(exchange: &Exchange, call: &Call, out: &mut dyn Sink) {
    let Some(request) = &exchange.request else { return };
    let may_ask = match exchange.method.as_slice() {
        b"GET" => exchange.query.is_some(),
        _ => may_carry(request.headers.get("content-type").unwrap_or_default()),
    };
    if !may_ask {
        return;
    }
    let text = request.text();
    let asked = request::asked(exchange, &text);
    let expected = || names_graphql(exchange.path.as_deref().unwrap_or_default());
    if asked.is_empty() && request.body_bytes > 0 && expected() {
        out.anomaly(0..0, Anomaly::with("graphql_not_read", "the body is no whole request"));
    }
    let mut result = None;
    for asked in asked {
        let answer = result.get_or_insert_with(|| Answer::of(exchange));
        let (error_count, errors) = answer.errors(asked.batch_index);
        match operation(asked).map(|operation| Operation { error_count, errors, ..operation }) {
            Ok(operation) => out.row(call, Row::Graphql(&operation)),
            Err(error) if expected() => out.anomaly(0..0, Anomaly::with("graphql_not_read", error)),
            Err(_) => {}
        }
    }
}

/// Whether a path says that GraphQL is spoken behind it: then what is none is worth a word.
pub fn names_graphql(path: &[u8]) -> bool {
    memchr::memmem::find(&path.to_ascii_lowercase(), b"graphql").is_some()
}

/// The operation that is asked for, before anything is known of its result.
fn operation(asked: Asked<'_>) -> Result<Operation, String> {
    let named = asked.operation_name.as_deref();
    let selected = match asked.query.as_deref() {
        Some(query) => document::read(query, named)?,
        None => None,
    };
    let mut operation = Operation {
        name: asked.operation_name,
        query: asked.query.map(Into::into),
        query_sha256: asked.query_sha256,
        variables: asked.variables,
        batch_index: asked.batch_index,
        ..Operation::default()
    };
    if let Some(selected) = selected {
        operation.kind = Some(selected.kind);
        operation.name = operation.name.or(selected.name);
        operation.root_fields = Some(selected.root_fields);
    }
    Ok(operation)
}

/// The entry for fuzzing.
#[doc(hidden)]
pub mod fuzz {
    use super::{document, json};

    /// Reads `data` as a document and as JSON.
    pub fn fuzz_graphql(data: &[u8]) {
        let _ = document::read(&String::from_utf8_lossy(data), None);
        if let Some(value) = json::parse(data) {
            value.json();
        }
    }
}

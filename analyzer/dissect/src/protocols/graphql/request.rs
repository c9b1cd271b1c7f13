//! Where a request says what it asks (GraphQL over HTTP "Request"): a body of JSON or of GraphQL, parameters of
//! the query, or the first part of an upload.

use super::multipart::Parts;
use crate::protocols::http::{Exchange, parameter};
use crate::protocols::json;
use crate::protocols::value::Value;
use memchr::memmem;
use std::borrow::Cow;

/// What one operation's request says.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The document; a persisted query leaves it out.
    pub query: Option<Cow<'a, str>>,
    /// SHA-256 of the document, of a persisted query.
    pub query_sha256: Option<String>,
    /// The operation to run.
    pub operation_name: Option<String>,
    /// Values of its variables.
    pub variables: Option<String>,
    /// Its place in a batch.
    pub batch_index: Option<usize>,
}

/// What a content type says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Results as events of a stream.
    Events,
    /// A document.
    Graphql,
    /// A request, or a list of them.
    Json,
    /// Results in parts.
    Mixed,
    /// Files, and a request before them.
    Multipart,
    /// Anything else.
    Other,
}

/// What that content type says.
pub fn kind(content_type: &[u8]) -> Kind {
    let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
    let named = content_type.get(..end).unwrap_or_default().trim_ascii();
    let is = |name: &str| named.eq_ignore_ascii_case(name.as_bytes());
    let suffix = named.len().checked_sub(5).and_then(|at| named.get(at..)).unwrap_or_default();
    match () {
        () if is("application/graphql") => Kind::Graphql,
        () if is("application/json") || suffix.eq_ignore_ascii_case(b"+json") => Kind::Json,
        () if is("multipart/form-data") => Kind::Multipart,
        () if is("multipart/mixed") => Kind::Mixed,
        () if is("text/event-stream") => Kind::Events,
        () => Kind::Other,
    }
}

/// Whether a body of that content type may carry an operation or its result.
pub fn may_carry(content_type: &[u8]) -> bool {
    kind(content_type) != Kind::Other
}

/// What the request asks, as sent: each of these is an operation if its document is one.
pub fn asked<'a>(exchange: &Exchange, text: &'a [u8]) -> Vec<Asked<'a>> {
    let Some(request) = &exchange.request else { return Vec::new() };
    let content_type = request.headers.get("content-type").unwrap_or_default();
    match kind(content_type) {
        _ if exchange.method == b"GET" => of_parameters(exchange, None).into_iter().collect(),
        Kind::Graphql => {
            let document = std::str::from_utf8(text).ok().filter(|text| !text.is_empty());
            document.and_then(|document| of_parameters(exchange, Some(document))).into_iter().collect()
        }
        Kind::Json => of_json(text),
        Kind::Multipart => part(content_type, text, b"operations").map(of_json).unwrap_or_default(),
        Kind::Events | Kind::Mixed | Kind::Other => Vec::new(),
    }
}

fn of_parameters<'a>(exchange: &Exchange, document: Option<&'a str>) -> Option<Asked<'a>> {
    let query = exchange.query.as_deref().unwrap_or_default();
    let text = |name: &str| parameter(query, name).and_then(|value| String::from_utf8(value).ok());
    let extensions = text("extensions");
    let extensions = extensions.as_deref().and_then(|text| json::parse(text.as_bytes()));
    let variables = text("variables");
    let asked = Asked {
        query: document.map(Cow::Borrowed).or_else(|| text("query").map(Cow::Owned)),
        query_sha256: extensions.as_ref().and_then(persisted),
        operation_name: text("operationName").filter(|name| !name.is_empty()),
        variables: variables.as_deref().and_then(|text| json::parse(text.as_bytes())).and_then(|value| some(&value)),
        batch_index: None,
    };
    (asked.query.is_some() || asked.query_sha256.is_some()).then_some(asked)
}

/// One request, or a batch of them.
fn of_json(text: &[u8]) -> Vec<Asked<'_>> {
    // Most JSON is of something else: looking for the two names costs far less than reading it.
    if memmem::find(text, b"\"query\"").or_else(|| memmem::find(text, b"\"persistedQuery\"")).is_none() {
        return Vec::new();
    }
    match json::parse(text) {
        Some(Value::List(batch)) => {
            let asked = batch.into_iter().enumerate();
            asked.filter_map(|(at, one)| Some(Asked { batch_index: Some(at), ..of_object(one)? })).collect()
        }
        Some(one) => of_object(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What an object of JSON asks for.
pub fn of_object(object: Value<'_>) -> Option<Asked<'_>> {
    let mut asked = Asked {
        query_sha256: object.get("extensions").and_then(persisted),
        operation_name: object.get("operationName").and_then(Value::text).map(str::to_owned),
        variables: object.get("variables").and_then(some),
        ..Asked::default()
    };
    let Value::Map(entries) = object else { return None };
    asked.query = entries.into_iter().rev().find(|(name, _)| name == "query").and_then(|(_, value)| match value {
        Value::Text(text) => Some(text),
        _ => None,
    });
    asked.operation_name = asked.operation_name.filter(|name| !name.is_empty());
    (asked.query.is_some() || asked.query_sha256.is_some()).then_some(asked)
}

/// The hash of a persisted query (Apollo "Automatic Persisted Queries").
fn persisted(extensions: &Value<'_>) -> Option<String> {
    let hash = extensions.get("persistedQuery")?.get("sha256Hash")?.text()?;
    (hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hash.to_owned())
}

fn some(value: &Value<'_>) -> Option<String> {
    (*value != Value::Null).then(|| value.json())
}

/// The content of a form's part of that name (RFC 7578 §4.2).
fn part<'a>(content_type: &[u8], form: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let quoted = [b"name=\"", name, b"\""].concat();
    let mut parts = Parts::of(content_type, form)?;
    parts.find(|(head, _)| memmem::find(head, &quoted).is_some()).map(|(_, content)| content)
}

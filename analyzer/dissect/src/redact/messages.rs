//! Messages of Kafka and AMQP, and what HTTP carries: GraphQL and gRPC.

use super::body::Body;
use super::json::Outcome;
use super::{REDACTED, Redaction, Trace, document, hit};
use crate::protocols::graphql::Operation;
use crate::protocols::value::Value;
use crate::protocols::{amqp, json, kafka};
use std::borrow::Cow;

/// In front of a value that a schema registry knows the form of: a zero and the number of the schema.
const SCHEMA_BYTES: usize = 5;

impl Redaction {
    /// Redacts a GraphQL operation. Its variables are meant by paths from their own root, and from that of the
    /// request.
    pub(super) fn graphql(&self, operation: &mut Operation, trace: &mut Trace) {
        if self.json.is_empty() {
            return;
        }
        if let Some(query) = operation.query.as_deref()
            && let Some(changed) = document::redact(query, self, "graphql.query", trace)
        {
            operation.query = Some(changed);
            // The document could be guessed by it.
            operation.query_sha256 = None;
        }
        let variables = operation.variables.take();
        operation.variables = variables.map(|text| self.column(text, Some("variables"), "graphql.variables", trace));
        let errors = operation.errors.take();
        operation.errors = errors.map(|text| self.column(text, Some("errors"), "graphql.errors", trace));
    }

    /// Redacts a message of a gRPC call; false leaves out all of its side. So it is without names of their fields, unless
    /// rules name fields by number, and where a message could not be read.
    pub(super) fn grpc(
        &self,
        message: &mut Value<'_>,
        has_names: bool,
        place: &'static str,
        trace: &mut Trace,
    ) -> bool {
        if self.json.is_empty() {
            return true;
        }
        if !(has_names || self.is_by_number()) || !matches!(message, Value::Map(_) | Value::Message(_)) {
            trace.left_out(self.first_of_json(), place);
            return false;
        }
        self.value(message, None, has_names, place, trace);
        true
    }

    /// Redacts the JSON columns of a Kafka request.
    pub(super) fn kafka(&self, exchange: &mut kafka::Exchange, trace: &mut Trace) {
        for (text, place) in [(&mut exchange.request, "kafka.request"), (&mut exchange.response, "kafka.response")] {
            *text = text.take().map(|text| self.column(text, None, place, trace));
        }
    }

    /// What a key or value of a record becomes.
    pub(super) fn blob<'a>(
        &self,
        blob: Option<&'a [u8]>,
        (content_type, bytes): (&[u8], Option<u64>),
        place: &'static str,
        trace: &mut Trace,
    ) -> Option<Cow<'a, [u8]>> {
        let blob = blob?;
        let registered = blob.first() == Some(&0) && matches!(blob.get(SCHEMA_BYTES), Some(b'{' | b'['));
        let (front, bare) = blob.split_at_checked(if registered { SCHEMA_BYTES } else { 0 }).unwrap_or_default();
        let whole = bytes.is_none_or(|bytes| bytes == blob.len() as u64);
        Some(match self.body(&Body { bytes: bare, content_type, whole, packed: false }, place, trace) {
            Outcome::Same => blob.into(),
            Outcome::Changed(bare) => [front, &bare].concat().into(),
            Outcome::Unsure => {
                trace.left_out(self.first_of_bodies(), place);
                Cow::Borrowed(REDACTED.as_bytes())
            }
        })
    }

    /// The headers of a record, where they are others now.
    pub(super) fn record_headers(&self, record: &kafka::Record<'_>, trace: &mut Trace) -> Option<Vec<u8>> {
        let headers: Vec<kafka::Header<'_>> = record.headers().filter(|_| !self.headers.is_empty())?.collect();
        let mut changed = false;
        let redacted: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| {
                let rule = value.and_then(|_| hit(&self.headers, name.unwrap_or_default()));
                let Some(rule) = rule else { return (name, value) };
                changed = true;
                trace.redacted(rule, "kafka_records.headers");
                (name, Some(REDACTED.as_bytes()))
            })
            .collect();
        changed.then(|| kafka::write_headers(redacted.into_iter()))
    }

    /// Redacts an AMQP method with its content.
    pub(super) fn amqp(&self, message: &mut amqp::Message, trace: &mut Trace) {
        let content_type = message.properties.as_deref().and_then(content_type).unwrap_or_default();
        if let Some(arguments) = message.arguments.take() {
            message.arguments = Some(self.column(arguments, None, "amqp.arguments", trace));
        }
        if let Some(properties) = message.properties.take() {
            let properties = self.amqp_headers(properties, trace);
            message.properties = Some(self.column(properties, None, "amqp.properties", trace));
        }
        let body = message.body.take();
        let redacted = self.blob(body.as_deref(), (content_type.as_bytes(), message.body_bytes), "amqp.body", trace);
        message.body = redacted.map(Cow::into_owned);
    }

    /// Header rules are about the table of headers among the properties too.
    fn amqp_headers(&self, properties: String, trace: &mut Trace) -> String {
        let mut value = match json::parse(properties.as_bytes()) {
            Some(value) if !self.headers.is_empty() => value,
            _ => return properties,
        };
        let Value::Map(entries) = &mut value else { return properties };
        let mut changed = false;
        for (_, headers) in entries.iter_mut().filter(|(name, _)| name == "headers") {
            let Value::Map(headers) = headers else { continue };
            for (name, value) in headers {
                if let Some(rule) = hit(&self.headers, name.as_bytes()).filter(|_| *value != Value::Null) {
                    *value = REDACTED.into();
                    trace.redacted(rule, "amqp.properties");
                    changed = true;
                }
            }
        }
        if changed { value.json() } else { properties }
    }

    /// Redacts a column of JSON. What is none is hidden.
    fn column(&self, text: String, name: Option<&str>, place: &'static str, trace: &mut Trace) -> String {
        if self.json.is_empty() {
            return text;
        }
        match self.json_text(text.as_bytes(), name, place, trace) {
            Outcome::Same => text,
            Outcome::Changed(json) => String::from_utf8_lossy(&json).into_owned(),
            Outcome::Unsure => {
                trace.left_out(self.first_of_json(), place);
                Value::from(REDACTED).json()
            }
        }
    }
}

fn content_type(properties: &str) -> Option<String> {
    json::parse(properties.as_bytes())?.get("content_type")?.text().map(str::to_owned)
}

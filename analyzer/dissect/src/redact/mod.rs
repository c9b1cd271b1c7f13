//! What nobody is to read in a dataset, by the user's rules.
//!
//! Enters: a row of the protocols room. Leaves: the row with `[redacted]` in the place of what rules name, and a
//! [`Trace`] of which rule hid what where. Refused: nothing. What a rule would have to look into and cannot (a body
//! that is cut, a message without names) is left out whole: rules hide too much rather than too little.
//!
//! `rules.rs` reads the rules, `pattern.rs` knows names and paths, `json.rs` walks values and `document.rs` GraphQL,
//! `text.rs` looks into URLs and cookies, `body.rs` into bodies; `http.rs`, `messages.rs` and `redis.rs` know rows.

mod body;
mod document;
mod http;
mod json;
mod messages;
mod pattern;
mod redis;
mod rules;
#[cfg(test)]
mod tests;
mod text;

pub use rules::{BUILTIN, RulesError};

use crate::protocols::grpc::{self, Protos};
use crate::protocols::{Row, Side};
use pattern::{Path, Pattern};
use std::fmt::Write as _;

/// What stands in the place of what is hidden.
pub const REDACTED: &str = "[redacted]";

/// Rules, ready to be applied. Each pattern stands with the place of its rule in `names`.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    label: String,
    names: Vec<String>,
    headers: Vec<(usize, Pattern)>,
    cookies: Vec<(usize, Pattern)>,
    parameters: Vec<(usize, Pattern)>,
    json: Vec<(usize, Path)>,
    redis_keys: Vec<(usize, Pattern)>,
    redis_values: Vec<(usize, Pattern)>,
    userinfo: Option<usize>,
}

/// What was hidden of one row.
#[derive(Debug, Default)]
pub struct Trace {
    /// Rule, whether all of it was left out, place, and how often; few of them.
    found: Vec<(usize, bool, &'static str, u32)>,
}

impl Trace {
    fn redacted(&mut self, rule: usize, place: &'static str) {
        self.add(rule, false, place);
    }

    fn left_out(&mut self, rule: usize, place: &'static str) {
        self.add(rule, true, place);
    }

    fn add(&mut self, rule: usize, whole: bool, place: &'static str) {
        match self.found.iter_mut().find(|found| (found.0, found.1, found.2) == (rule, whole, place)) {
            Some(found) => found.3 = found.3.saturating_add(1),
            None => self.found.push((rule, whole, place, 1)),
        }
    }

    fn first_rule(&self) -> Option<usize> {
        self.found.first().map(|(rule, ..)| *rule)
    }
}

impl Redaction {
    /// The names of the rule files with the SHA-256 of their texts, as `captures.redaction` has them.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn rule_name(&self, rule: usize) -> &str {
        self.names.get(rule).map_or("", String::as_str)
    }

    /// Hands `row` to `then` as it may be kept.
    pub fn row(&self, row: Row<'_>, trace: &mut Trace, then: &mut dyn FnMut(Row<'_>)) {
        match row {
            Row::Amqp(message) => {
                let mut message = message.clone();
                self.amqp(&mut message, trace);
                then(Row::Amqp(&message));
            }
            Row::Graphql(operation) => {
                let mut operation = operation.clone();
                self.graphql(&mut operation, trace);
                then(Row::Graphql(&operation));
            }
            Row::Grpc(carried) => {
                let mut exchange = carried.exchange().clone();
                let mut of_exchange = Trace::default();
                self.exchange(&mut exchange, false, &mut of_exchange);
                // Content types are never hidden: it is a call as before.
                let Some(redacted) = grpc::Call::of(&exchange) else { return };
                let message_rule = hit(&self.headers, b"grpc-message");
                for (rule, _, place, _) in of_exchange.found {
                    match place {
                        "http.host" => trace.redacted(rule, "grpc.authority"),
                        "http.path" => trace.redacted(rule, "grpc.method"),
                        _ => {}
                    }
                }
                if let Some(rule) = message_rule.filter(|_| redacted.status_message() != carried.status_message()) {
                    trace.redacted(rule, "grpc.grpc_message");
                }
                then(Row::Grpc(&redacted));
            }
            Row::Http(exchange) => {
                let mut exchange = exchange.clone();
                self.exchange(&mut exchange, true, trace);
                then(Row::Http(&exchange));
            }
            Row::Kafka(exchange) => {
                let mut exchange = exchange.clone();
                self.kafka(&mut exchange, trace);
                then(Row::Kafka(&exchange));
            }
            Row::KafkaRecord(record) => {
                let headers = self.record_headers(record, trace);
                let key = self.blob(record.key, (b"", record.key_bytes), "kafka_records.key", trace);
                let value = self.blob(record.value, (b"", record.value_bytes), "kafka_records.value", trace);
                let mut record = *record;
                (record.key, record.value) = (key.as_deref(), value.as_deref());
                match headers.as_deref() {
                    Some(headers) => then(Row::KafkaRecord(&record.with_headers(Some(headers)))),
                    None => then(Row::KafkaRecord(&record)),
                }
            }
            Row::Redis(exchange) => {
                let mut exchange = exchange.clone();
                self.redis(&mut exchange, trace);
                then(Row::Redis(&exchange));
            }
            // Names, certificates and addresses: no rule is about them.
            Row::Dns(_) | Row::Tls(_) => then(row),
            #[cfg(test)]
            Row::Echo(_) => then(row),
        }
    }

    /// The messages of a gRPC call as JSON, redacted: of the request, then of the response.
    pub fn messages(
        &self,
        carried: &grpc::Call<'_>,
        protos: Option<&Protos>,
        trace: &mut Trace,
    ) -> [Option<String>; 2] {
        let [of_request, of_response] = carried.has_names(protos);
        carried.json(protos, &mut |side, message| match side {
            Side::Client => self.grpc(message, of_request, "grpc.request", trace),
            Side::Server => self.grpc(message, of_response, "grpc.response", trace),
        })
    }

    /// What a trace says, for `anomalies`: kind and detail, of each rule.
    pub fn told<'a>(&'a self, trace: &'a Trace) -> impl Iterator<Item = (&'static str, String)> + 'a {
        let begins = trace.found.iter().enumerate().filter(|(at, found)| {
            !trace.found.iter().take(*at).any(|before| (before.0, before.1) == (found.0, found.1))
        });
        begins.map(|(_, &(rule, whole, ..))| {
            let mut detail = self.rule_name(rule).to_owned();
            let places = trace.found.iter().filter(|found| (found.0, found.1) == (rule, whole));
            for ((.., place, count), mark) in places.zip([": "].into_iter().chain(std::iter::repeat(", "))) {
                // A string never refuses to be written to.
                let _ = write!(detail, "{mark}{count} in {place}");
            }
            (if whole { "left_out" } else { "redacted" }, detail)
        })
    }
}

/// The first rule of which a pattern means that name.
fn hit(rules: &[(usize, Pattern)], name: &[u8]) -> Option<usize> {
    rules.iter().find(|(_, pattern)| pattern.matches(name)).map(|(rule, _)| *rule)
}

/// The entry for fuzzing.
#[doc(hidden)]
pub mod fuzz {
    use super::{Redaction, Trace, document, json};

    /// Reads `data` as rules; and has rules look through it as everything they look through.
    pub fn fuzz_redact(data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        if let Ok(rules) = Redaction::parse("fuzz", &text) {
            rules.json_text(br#"{"a":{"b":[{"c":"d"}]}}"#, None, "fuzz", &mut Trace::default());
        }
        let Ok(rules) = Redaction::parse("builtin", super::BUILTIN) else { unreachable!("our rules are rules") };
        let trace = &mut Trace::default();
        rules.parameters(data, "fuzz", trace);
        rules.urls(data, "fuzz", trace);
        rules.crumbs(data, "fuzz", trace);
        document::redact(&text, &rules, "fuzz", trace);
        if let json::Outcome::Changed(changed) = rules.json_text(data, Some("variables"), "fuzz", trace) {
            assert_eq!(rules.json_text(&changed, Some("variables"), "fuzz", trace), json::Outcome::Same);
        }
    }
}

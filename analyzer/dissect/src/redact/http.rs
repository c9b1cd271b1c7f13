//! HTTP exchanges: fields, cookies, targets, bodies.

use super::body::Body;
use super::json::Outcome;
use super::{REDACTED, Redaction, Trace, hit};
use crate::protocols::http::{Exchange, Fields, Message};

/// Fields that say how a message is to be read: without them rows would say something else of it.
pub const KEPT: [&str; 8] = [
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-status",
    "grpc-timeout",
    "transfer-encoding",
    "upgrade",
];

/// Where the parts of a message stand in the table.
struct Places {
    headers: &'static str,
    trailers: &'static str,
    body: &'static str,
}

const REQUEST: Places =
    Places { headers: "http.request_headers", trailers: "http.request_trailers", body: "http.request_body" };
const RESPONSE: Places =
    Places { headers: "http.response_headers", trailers: "http.response_trailers", body: "http.response_body" };

impl Redaction {
    /// Redacts an exchange, and its bodies where `bodies` says so: they are needed for what they carry.
    pub(super) fn exchange(&self, exchange: &mut Exchange, bodies: bool, trace: &mut Trace) {
        let texts = [(&mut exchange.path, "http.path"), (&mut exchange.query, "http.query")];
        for (text, place) in texts {
            let redacted = match (text.as_deref(), place) {
                (Some(query), "http.query") => self.parameters(query, place, trace),
                (Some(path), _) => self.urls(path, place, trace),
                (None, _) => None,
            };
            *text = redacted.or(text.take());
        }
        if let Some(path) = exchange.path.as_deref().and_then(|path| self.target(path, "http.path", trace)) {
            exchange.path = Some(path);
        }
        if let Some(host) = exchange.host.as_deref().and_then(|host| self.authority(host, "http.host", trace)) {
            exchange.host = Some(host);
        }
        let mut notes: Vec<String> = exchange.body_note.take().into_iter().collect();
        for (side, message, places) in
            [("request", &mut exchange.request, REQUEST), ("response", &mut exchange.response, RESPONSE)]
        {
            let Some(message) = message else { continue };
            self.fields(&mut message.headers, places.headers, trace);
            self.fields(&mut message.trailers, places.trailers, trace);
            if let Some(counted) = &mut message.grpc {
                self.fields(&mut counted.trailers, places.trailers, trace);
            }
            let whole = !notes.iter().any(|note| note.contains(&format!("{side} body: ")));
            let packed = !whole && notes.iter().any(|note| note.contains("kept as sent"));
            if bodies && self.message_body(message, (whole, packed), places.body, trace) {
                let rule = self.rule_name(self.first_of_bodies());
                notes.push(format!("{side} body: left out, rule '{rule}' cannot be applied to it"));
            }
        }
        exchange.body_note = (!notes.is_empty()).then(|| notes.join("; "));
    }

    /// Redacts a body; says whether it was left out.
    fn message_body(
        &self,
        message: &mut Message,
        (whole, packed): (bool, bool),
        place: &'static str,
        trace: &mut Trace,
    ) -> bool {
        let body = Body {
            bytes: &message.body,
            content_type: message.headers.get("content-type").unwrap_or_default(),
            whole: whole && !message.damaged && !message.doubtful,
            packed,
        };
        match self.body(&body, place, trace) {
            Outcome::Same => {}
            Outcome::Changed(body) => message.body = body,
            Outcome::Unsure => {
                message.body.clear();
                trace.left_out(self.first_of_bodies(), place);
                return true;
            }
        }
        false
    }

    /// Redacts fields by name, and what their values hold.
    fn fields(&self, fields: &mut Fields, place: &'static str, trace: &mut Trace) {
        let mut redacted = Fields::default();
        let mut changed = false;
        for (name, value) in fields.known() {
            let value_now = value.and_then(|value| self.field(name, value, place, trace));
            changed |= value_now.is_some();
            let value = value_now.as_deref().or(value);
            match name {
                Some(name) if !self.headers.is_empty() && !is_token(name) => {
                    trace.redacted(self.headers.first().map_or(0, |(rule, _)| *rule), place);
                    changed = true;
                    redacted.push(REDACTED.as_bytes(), value.unwrap_or_default());
                }
                Some(name) => redacted.push(name, value.unwrap_or_default()),
                None => redacted.push_unknown(value),
            }
        }
        if changed {
            *fields = redacted;
        }
    }

    /// What a field has instead of its value.
    fn field(&self, name: Option<&[u8]>, value: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        if value.is_empty() {
            return None;
        }
        let by_name = self.headers.first().or(self.cookies.first()).map(|(rule, _)| *rule);
        // A field whose name is not known, or is none, may be any; a bare CR or NUL may hide another field.
        let sound = |name: &&[u8]| is_token(name) && memchr::memchr2(b'\r', 0, value).is_none();
        let Some(name) = name.filter(|name| by_name.is_none() || sound(name)) else {
            return match by_name {
                Some(rule) => {
                    trace.redacted(rule, place);
                    Some(REDACTED.into())
                }
                None => self.urls(value, place, trace),
            };
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("host") || is(":authority") {
            return self.authority(value, place, trace);
        }
        if let Some(rule) = hit(&self.headers, name).filter(|_| !KEPT.into_iter().any(is)) {
            trace.redacted(rule, place);
            return Some(REDACTED.into());
        }
        if is("cookie") || is("set-cookie") {
            return self.crumbs(value, place, trace);
        }
        self.urls(value, place, trace)
    }
}

/// Whether bytes are a name of a field (RFC 9110 §5.6.2), or of a pseudo field.
fn is_token(name: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = name.strip_prefix(b":").unwrap_or(name);
    !name.is_empty() && name.iter().all(of_token)
}

//! GraphQL over WebSocket: many operations at a time, each with an id of its own (graphql-transport-ws, and
//! subscriptions-transport-ws before it, which calls the same messages by other names).
//!
//!     subscribe, start ──▶ next, data … ──▶ complete, error; or complete, stop of the client
//!
//! Messages are known by what they say, for the name of the protocol in the Upgrade need not have been seen.

use super::answer::Errors;
use super::request::of_object;
use super::{Operation, operation};
use crate::protocols::value::Value;
use crate::protocols::{Anomaly, Call, End, Row, Side, Sink, Stamp, json};
use memchr::memmem;
use std::collections::VecDeque;

/// Operations that are open on one connection. Browsers have some dozens; the oldest is handed on past that.
pub const OPEN_MAX: usize = 128;

/// Operations remembered as over: results of them may still be under way.
const OVER_MAX: usize = 128;

/// The longest id: those of libraries are numbers or UUIDs.
const ID_BYTES_MAX: usize = 128;

/// An operation whose results come.
#[derive(Debug)]
struct Open {
    id: String,
    /// What is asked for; nothing where that was not seen.
    operation: Operation,
    request: Option<Stamp>,
    response: Option<Stamp>,
    errors: Errors,
    /// Whether results may be missing.
    lost: bool,
}

/// The operations of one connection.
#[derive(Debug, Default)]
pub struct OverWebsocket {
    open: VecDeque<Open>,
    /// Operations that became rows before the server had ended them.
    over: VecDeque<String>,
    /// Whether GraphQL is spoken here, by the name of the protocol or by what was read.
    pub known: bool,
}

impl OverWebsocket {
    /// Takes in a text.
    pub fn text(&mut self, from: Side, text: &[u8], stamp: Stamp, out: &mut dyn Sink) {
        // Most texts are of something else: looking for the name costs far less than reading it.
        if !text.starts_with(b"{") || memmem::find(text, b"\"type\"").is_none() {
            return;
        }
        let Some(message) = json::parse(text) else { return };
        let (Some(kind), Some(id)) = (message.get("type").and_then(Value::text), id(&message)) else { return };
        match (from, kind) {
            (Side::Client, "subscribe" | "start") => self.begin(id, message, stamp, out),
            (Side::Client, "complete" | "stop") => self.stop(&id, out),
            (Side::Server, "next" | "data") => self.result(id, &message, stamp),
            (Side::Server, "error") => self.failed(&id, &message, stamp, out),
            (Side::Server, "complete") => self.finish(&id, stamp, out),
            _ => {}
        }
    }

    /// Takes note that messages of a side may be missing.
    pub fn lose(&mut self, from: Side) {
        for open in &mut self.open {
            match (from, &mut open.response) {
                (Side::Server, Some(response)) => response.lose(),
                (Side::Client, _) => open.request.iter_mut().for_each(|request| request.damaged = true),
                (Side::Server, None) => {}
            }
            open.lost |= from == Side::Server;
        }
    }

    /// Nothing more comes: what is open becomes rows.
    pub fn end(&mut self, how: End, out: &mut dyn Sink) {
        self.open.drain(..).for_each(|open| open.hand_on(how == End::Cut, out));
        self.over.clear();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let over = self.over.iter().map(|id| size_of::<String>() + id.len()).sum::<usize>();
        over + self.open.iter().map(Open::held_bytes).sum::<usize>()
    }

    fn begin(&mut self, id: String, message: Value<'_>, stamp: Stamp, out: &mut dyn Sink) {
        let Some(asked) = asked(message) else { return };
        match asked {
            Ok(operation) => {
                self.known = true;
                // The same id again: the first operation is over, and its end was not seen.
                self.take(&id).into_iter().for_each(|open| open.hand_on(true, out));
                self.over.retain(|over| *over != id);
                let request = Some(stamp);
                self.add(Open { operation, request, ..Open::new(id) }, out);
            }
            Err(error) if self.known => out.anomaly(0..0, Anomaly::with("graphql_not_read", error)),
            Err(_) => {}
        }
    }

    fn result(&mut self, id: String, message: &Value<'_>, stamp: Stamp) {
        let Some(payload) = message.get("payload") else { return };
        let open = match self.open.iter_mut().position(|open| open.id == id) {
            Some(at) => self.open.get_mut(at),
            None if self.over.contains(&id) => None,
            // Joined in the middle: results alone.
            None if Errors::default().result(payload) && self.open.len() < OPEN_MAX => {
                self.known = true;
                self.open.push_back(Open { lost: true, ..Open::new(id) });
                self.open.back_mut()
            }
            None => None,
        };
        if let Some(open) = open {
            open.errors.result(payload);
            open.answered(stamp);
        }
    }

    /// Errors in place of results: a list of them, or the one that keeps the operation from being run.
    fn failed(&mut self, id: &str, message: &Value<'_>, stamp: Stamp, out: &mut dyn Sink) {
        let Some(mut open) = self.take(id) else { return };
        match message.get("payload") {
            Some(Value::List(errors)) => open.errors.list(errors),
            Some(error) => open.errors.list(std::slice::from_ref(error)),
            None => open.errors.list(&[Value::Null]),
        }
        open.answered(stamp);
        open.hand_on(false, out);
    }

    /// The client wants no more of it; the server may have sent more by then.
    fn stop(&mut self, id: &str, out: &mut dyn Sink) {
        let Some(open) = self.take(id) else { return };
        self.remember(open.id.clone());
        open.hand_on(false, out);
    }

    fn finish(&mut self, id: &str, stamp: Stamp, out: &mut dyn Sink) {
        self.over.retain(|over| over != id);
        let Some(mut open) = self.take(id) else { return };
        open.answered(stamp);
        open.hand_on(false, out);
    }

    fn remember(&mut self, id: String) {
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(id);
    }

    fn take(&mut self, id: &str) -> Option<Open> {
        let at = self.open.iter().position(|open| open.id == id)?;
        self.open.remove(at)
    }

    fn add(&mut self, open: Open, out: &mut dyn Sink) {
        if self.open.len() >= OPEN_MAX {
            out.anomaly(0..0, Anomaly::new("graphql_too_many_open"));
            if let Some(oldest) = self.open.pop_front() {
                self.remember(oldest.id.clone());
                oldest.hand_on(true, out);
            }
        }
        self.open.push_back(open);
    }
}

impl Open {
    fn new(id: String) -> Self {
        let (operation, errors) = (Operation::default(), Errors::default());
        Self { id, operation, request: None, response: None, errors, lost: false }
    }

    fn answered(&mut self, mut stamp: Stamp) {
        match &mut self.response {
            Some(response) => response.extend(stamp),
            None => {
                stamp.begin_unseen = self.lost;
                stamp.damaged |= self.lost && self.request.is_some();
                self.response = Some(stamp);
            }
        }
    }

    fn hand_on(self, cut: bool, out: &mut dyn Sink) {
        let (error_count, errors) = self.errors.told();
        // Of results that were not seen nobody knows the errors.
        let error_count = error_count.filter(|_| !self.lost);
        // A loss may have taken the results, all of them.
        let cut = cut || self.lost && self.response.is_none();
        let call = Call::new(self.request, self.response);
        let call = if cut { call.cut() } else { call };
        out.row(&call, Row::Graphql(&Operation { error_count, errors, ..self.operation }));
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.operation.held_bytes() + self.errors.held_bytes()
    }
}

/// Ids are texts; some clients count.
fn id(message: &Value<'_>) -> Option<String> {
    match message.get("id")? {
        Value::Text(id) | Value::Number(id) => Some(id.clone().into_owned()),
        _ => None,
    }
    .filter(|id| id.len() <= ID_BYTES_MAX)
}

/// The operation in a message's payload, or why it is none; nothing where it does not look like one.
fn asked(message: Value<'_>) -> Option<Result<Operation, String>> {
    let Value::Map(entries) = message else { return None };
    let (_, payload) = entries.into_iter().rev().find(|(name, _)| name == "payload")?;
    // AWS AppSync has it as JSON in a text.
    match payload.get("data").and_then(Value::text) {
        Some(data) => Some(operation(of_object(json::parse(data.as_bytes())?)?)),
        None => Some(operation(of_object(payload)?)),
    }
}

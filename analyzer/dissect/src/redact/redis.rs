//! Redis commands, by their keys, and by the fields of values that are JSON. Secrets of AUTH, HELLO and their like never come as far as here.

use super::json::Outcome;
use super::pattern::Pattern;
use super::{REDACTED, Redaction, Trace};
use crate::protocols::json;
use crate::protocols::redis::Exchange;
use crate::protocols::value::Value;
use std::borrow::Cow;

/// What a rule hides of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hides {
    /// Keys, arguments and reply.
    All,
    /// What is not a key.
    Values,
}

/// Commands whose reply or text is of other commands, which rules cannot know.
const OF_OTHERS: [&str; 3] = ["EXEC", "MONITOR", "SLOWLOG GET"];

/// Replies that quote commands, their arguments in part.
const QUOTES: [&str; 2] = ["MONITOR", "SLOWLOG GET"];

impl Redaction {
    /// Redacts a command with its reply.
    pub(super) fn redis(&self, exchange: &mut Exchange, trace: &mut Trace) {
        self.by_keys(exchange, trace);
        if !self.json.is_empty() {
            self.json_args(exchange, trace);
            self.json_reply(exchange, trace);
        }
    }

    /// Redacts values that are JSON; what is cut is left out.
    fn json_args(&self, exchange: &mut Exchange, trace: &mut Trace) {
        for arg in exchange.args.iter_mut().flatten().filter(|arg| may_be_json(arg)) {
            match self.json_text(arg.as_bytes(), None, "redis.args", trace) {
                Outcome::Changed(text) => *arg = String::from_utf8_lossy(&text).into_owned(),
                Outcome::Unsure if front(arg).is_some() => {
                    REDACTED.clone_into(arg);
                    trace.left_out(self.first_of_json(), "redis.args");
                }
                Outcome::Same | Outcome::Unsure => {}
            }
        }
    }

    fn json_reply(&self, exchange: &mut Exchange, trace: &mut Trace) {
        let Some(reply) = exchange.reply.as_deref() else { return };
        let quotes = exchange.command.as_deref().is_some_and(|command| QUOTES.contains(&command));
        let value = json::parse(reply.as_bytes()).filter(|_| !quotes || !reply.contains(['{', '[']));
        let changed = match value {
            Some(mut value) => {
                let cut = self.cut_json(&mut value, trace);
                (self.value(&mut value, None, false, "redis.reply", trace) || cut).then(|| value.json())
            }
            None => {
                trace.left_out(self.first_of_json(), "redis.reply");
                Some(Value::from(REDACTED).json())
            }
        };
        exchange.reply = changed.or(exchange.reply.take());
    }

    /// Leaves out texts that are cut and begin as JSON does; says whether there were any.
    fn cut_json(&self, value: &mut Value<'_>, trace: &mut Trace) -> bool {
        match value {
            Value::List(values) => {
                // All of them, not up to the first.
                values.iter_mut().map(|value| self.cut_json(value, trace)).fold(false, |changed, now| changed | now)
            }
            Value::Map(entries) => {
                let cut =
                    |(name, value): &(Cow<'_, str>, Value<'_>)| name == "$cut" && value.text().is_some_and(may_be_json);
                if entries.iter().any(cut) {
                    *value = Value::from(REDACTED);
                    trace.left_out(self.first_of_json(), "redis.reply");
                    return true;
                }
                let values = entries.iter_mut().map(|(_, value)| self.cut_json(value, trace));
                values.fold(false, |changed, now| changed | now)
            }
            _ => false,
        }
    }

    /// Redacts a command by its keys.
    fn by_keys(&self, exchange: &mut Exchange, trace: &mut Trace) {
        let Some(first) = self.redis_keys.first().or(self.redis_values.first()).map(|(rule, _)| *rule) else { return };
        let keys = || exchange.key.iter().chain(exchange.args.iter().flatten());
        let by_key = keys().find_map(|key| self.of_key(key));
        let all_seen = !keys().any(|key| key.starts_with('…'));
        let of_others = exchange.command.as_deref().is_some_and(|command| OF_OTHERS.contains(&command));
        // A reply whose command was not seen may be of any key, and so may that of keys which are not shown.
        let known = exchange.command.is_some() && (exchange.is_push || exchange.args.is_some());
        let unsure = of_others || !known || !all_seen;
        match by_key {
            Some((rule, Hides::All)) => {
                hide(exchange.key.iter_mut().chain(exchange.args.iter_mut().flatten()), rule, "redis.args", trace);
            }
            Some((rule, Hides::Values)) => {
                let key = exchange.key.clone();
                let is_key = |arg: &&mut String| Some(&**arg) == key.as_ref() || self.of_key(arg).is_some();
                let args = exchange.args.iter_mut().flatten().filter(|arg| !is_key(arg));
                hide(args, rule, "redis.args", trace);
            }
            None => {}
        }
        match by_key.map(|(rule, _)| rule).or(unsure.then_some(first)) {
            Some(rule) => {
                let error = exchange.error.as_mut().and_then(|error| {
                    // Its first word says what went wrong.
                    let end = error.find(' ').unwrap_or(error.len());
                    (end < error.len()).then(|| error.replace_range(end.., &format!(" {REDACTED}")))
                });
                error.into_iter().for_each(|()| trace.redacted(rule, "redis.error"));
                if exchange.reply.is_some() && exchange.reply.as_deref() != Some("null") {
                    exchange.reply = Some(Value::from(REDACTED).json());
                    trace.redacted(rule, "redis.reply");
                }
            }
            None => self.redis_reply(exchange, first, trace),
        }
    }

    /// Hides the keys that a reply lists, as that of SCAN.
    fn redis_reply(&self, exchange: &mut Exchange, first: usize, trace: &mut Trace) {
        let Some(reply) = exchange.reply.as_deref().filter(|_| !self.redis_keys.is_empty()) else { return };
        let changed = match json::parse(reply.as_bytes()) {
            Some(mut value) => self.keys_in(&mut value, trace).then(|| value.json()),
            None => {
                trace.redacted(first, "redis.reply");
                Some(Value::from(REDACTED).json())
            }
        };
        exchange.reply = changed.or(exchange.reply.take());
    }

    fn keys_in(&self, value: &mut Value<'_>, trace: &mut Trace) -> bool {
        match value {
            Value::Text(text) => self.listed(text, trace),
            Value::List(values) => {
                // All of them, not up to the first.
                values.iter_mut().map(|value| self.keys_in(value, trace)).fold(false, |changed, now| changed | now)
            }
            Value::Map(entries) => entries
                .iter_mut()
                .fold(false, |changed, (name, value)| self.listed(name, trace) | self.keys_in(value, trace) || changed),
            _ => false,
        }
    }

    fn listed(&self, text: &mut Cow<'_, str>, trace: &mut Trace) -> bool {
        let Some((rule, Hides::All)) = self.of_key(text) else { return false };
        *text = REDACTED.into();
        trace.redacted(rule, "redis.reply");
        true
    }

    /// The rule for a key. Of one that is cut, the front has to do.
    fn of_key(&self, key: &str) -> Option<(usize, Hides)> {
        let fits = |pattern: &Pattern| match front(key) {
            Some(front) => pattern.may_match(front.as_bytes()),
            None => pattern.matches(key.as_bytes()),
        };
        let rule = |rules: &[(usize, Pattern)]| rules.iter().find(|(_, pattern)| fits(pattern)).map(|(rule, _)| *rule);
        let all = rule(&self.redis_keys).map(|rule| (rule, Hides::All));
        all.or_else(|| rule(&self.redis_values).map(|rule| (rule, Hides::Values)))
    }
}

/// What is shown of an argument that is cut.
fn front(arg: &str) -> Option<&str> {
    arg.strip_suffix(" bytes)").and_then(|arg| arg.rsplit_once("…(")).map(|(front, _)| front)
}

fn may_be_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn hide<'a>(texts: impl Iterator<Item = &'a mut String>, rule: usize, place: &'static str, trace: &mut Trace) {
    for text in texts {
        REDACTED.clone_into(text);
        trace.redacted(rule, place);
    }
}

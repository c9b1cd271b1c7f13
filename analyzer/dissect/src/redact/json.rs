//! Fields of JSON values, by path.

use super::document;
use super::pattern::{Path, Step};
use super::{REDACTED, Redaction, Trace};
use crate::protocols::json;
use crate::protocols::value::{Field, Value};

/// JSON inside of a text of JSON: past it a text is left as it is found, and hidden.
const TEXTS_NESTED_MAX: usize = 4;

/// A path on its way: its rule, and the steps still to go.
type Going<'r> = (usize, &'r [Step]);

/// One walk through a value.
struct Walk<'r, 't> {
    rules: &'r Redaction,
    trace: &'t mut Trace,
    place: &'static str,
    /// Whether types are known: what a field is that its type does not declare, and what is in bytes, nobody knows.
    typed: bool,
    changed: bool,
    /// Whether a GraphQL document changed: its hash goes too.
    document_changed: bool,
}

/// What became of a text.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Nothing.
    Same,
    /// It is another.
    Changed(Vec<u8>),
    /// Nobody can tell what is in it.
    Unsure,
}

impl Redaction {
    /// Paths, all at their begin.
    fn roots(&self) -> Vec<Going<'_>> {
        self.json.iter().map(|(rule, path)| (*rule, path.0.as_slice())).collect()
    }

    /// Redacts a JSON text that may stand by itself or below `name`.
    pub(super) fn json_text(&self, text: &[u8], name: Option<&str>, place: &'static str, trace: &mut Trace) -> Outcome {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let Some(mut value) = json::parse(text) else { return Outcome::Unsure };
        match self.value(&mut value, name, false, place, trace) {
            true => Outcome::Changed(value.json().into_bytes()),
            false => Outcome::Same,
        }
    }

    /// Redacts a value; says whether anything was.
    pub(super) fn value(
        &self,
        value: &mut Value<'_>,
        name: Option<&str>,
        typed: bool,
        place: &'static str,
        trace: &mut Trace,
    ) -> bool {
        let mut walk = Walk { rules: self, trace, place, typed, changed: false, document_changed: false };
        let mut going = self.roots();
        if let Some(name) = name {
            let (hit, below) = step(&going, &[name]);
            if let Some(rule) = hit {
                walk.hide(value, rule);
                return walk.changed;
            }
            going.extend(below);
        }
        walk.value(value, &going, 0);
        if walk.document_changed {
            walk.hash(value);
        }
        walk.changed
    }
}

impl<'r> Walk<'r, '_> {
    fn hide(&mut self, value: &mut Value<'_>, rule: usize) {
        let is_hidden = matches!(value, Value::Text(text) if text == REDACTED);
        if *value != Value::Null && !is_hidden {
            *value = Value::Text(REDACTED.into());
            self.trace.redacted(rule, self.place);
            self.changed = true;
        }
    }

    fn value(&mut self, value: &mut Value<'_>, going: &[Going<'r>], nested: usize) {
        match value {
            Value::List(values) => values.iter_mut().for_each(|value| self.value(value, going, nested)),
            Value::Map(entries) => {
                for (name, value) in entries {
                    self.field(&[name], value, going, nested);
                }
            }
            Value::Message(fields) => {
                for Field { number, name, value } in fields {
                    let number = number.to_string();
                    match name {
                        Some(name) => self.field(&[name, &number], value, going, nested),
                        // Rules by number alone mean it as they mean all others.
                        None if self.typed && !self.rules.is_by_number() => {
                            self.hide(value, self.rules.first_of_json());
                        }
                        None => self.field(&[&number], value, going, nested),
                    }
                }
            }
            Value::Text(text) if !going.is_empty() => {
                if let Some(redacted) = inside(text).and_then(|inside| self.inside(inside, going, nested)) {
                    *text = redacted.into();
                }
            }
            // A message perhaps, and no rule can look into it.
            Value::Bytes(bytes) if self.typed && !going.is_empty() && !bytes.is_empty() => {
                let redacted = match std::str::from_utf8(bytes).ok().and_then(inside) {
                    Some(inside) => self.inside(inside, going, nested),
                    None => {
                        self.trace.left_out(self.rules.first_of_json(), self.place);
                        self.changed = true;
                        Some(REDACTED.to_owned())
                    }
                };
                if let Some(redacted) = redacted {
                    *value = Value::Text(redacted.into());
                }
            }
            _ => {}
        }
    }

    /// A field, by whatever it is called.
    fn field(&mut self, names: &[&str], value: &mut Value<'_>, going: &[Going<'r>], nested: usize) {
        match step(going, names) {
            (Some(rule), _) => self.hide(value, rule),
            (None, below) => {
                if names.contains(&"query") {
                    self.document(value);
                }
                self.value(value, &below, nested);
            }
        }
    }

    /// JSON is often sent as a text of JSON: what that becomes, if it does.
    fn inside(&mut self, mut inside: Value<'_>, going: &[Going<'r>], nested: usize) -> Option<String> {
        let before = std::mem::take(&mut self.changed);
        if nested < TEXTS_NESTED_MAX {
            self.value(&mut inside, going, nested + 1);
        } else {
            self.hide(&mut inside, self.rules.first_of_json());
        }
        let redacted = self.changed.then(|| inside.json());
        self.changed |= before;
        redacted
    }

    fn document(&mut self, value: &mut Value<'_>) {
        if let Value::Text(text) = value
            && let Some(changed) = document::redact(text, self.rules, self.place, self.trace)
        {
            *text = changed.into();
            (self.changed, self.document_changed) = (true, true);
        }
    }

    /// Hides what a changed document could be guessed by.
    fn hash(&mut self, value: &mut Value<'_>) {
        match value {
            Value::List(values) => values.iter_mut().for_each(|value| self.hash(value)),
            Value::Map(entries) => {
                for (name, value) in entries {
                    match &**name {
                        "sha256Hash" => self.hide(value, self.rules.first_of_json()),
                        _ => self.hash(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The list or the object that a text is, if it is one.
fn inside(text: &str) -> Option<Value<'_>> {
    if text.trim_start().starts_with(['{', '[']) { json::parse(text.as_bytes()) } else { None }
}

/// The rule whose path ends at a field that has these names, and the paths that go on below it.
fn step<'r>(going: &[Going<'r>], names: &[&str]) -> (Option<usize>, Vec<Going<'r>>) {
    let mut below: Vec<Going<'r>> = Vec::new();
    let mut go = |rule: usize, steps: &'r [Step]| {
        // One and the same may be reached in several ways.
        if !below.iter().any(|known| known.0 == rule && std::ptr::eq(known.1, steps)) {
            below.push((rule, steps));
        }
    };
    for &(rule, steps) in going {
        let steps = match steps {
            [Step::Deep, behind @ ..] => {
                go(rule, steps);
                behind
            }
            _ => steps,
        };
        match steps {
            [Step::Name(pattern), behind @ ..] if names.iter().any(|name| pattern.matches(name.as_bytes())) => {
                match behind {
                    [] => return (Some(rule), Vec::new()),
                    _ => go(rule, behind),
                }
            }
            _ => {}
        }
    }
    (None, below)
}

impl Redaction {
    /// The first rule that has paths: it answers for what no path could be looked for in.
    pub(super) fn first_of_json(&self) -> usize {
        self.json.first().map_or(0, |(rule, _)| *rule)
    }

    /// Whether all paths are of numbers, and can be meant of messages without names.
    pub(super) fn is_by_number(&self) -> bool {
        self.json.iter().all(|(_, path)| path.fits_numbers())
    }

    /// The rule of a path whose field is called so.
    pub(super) fn of_field(&self, name: &[u8]) -> Option<usize> {
        let named = |path: &Path| path.last().is_some_and(|last| last.matches(name));
        self.json.iter().find(|(_, path)| named(path)).map(|(rule, _)| *rule)
    }
}

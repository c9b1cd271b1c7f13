//! Rule files: YAML, every word checked.

use super::Redaction;
use super::http::KEPT;
use super::pattern::{Path, Pattern};
use crate::limits::{REDACT_PATTERNS_MAX, REDACT_RULES_BYTES_MAX, REDACT_RULES_MAX};
use formats::hash::Hash256;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// The rules called 'builtin'.
pub const BUILTIN: &str = include_str!("builtin.yaml");

/// Why rules cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// Words that do not go together.
    #[error("line {line} column {column}: {what}")]
    Invalid {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        what: String,
    },
    /// Larger than any rules.
    #[error("has {bytes} bytes, rules have at most {REDACT_RULES_BYTES_MAX}")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
    /// More patterns than are looked for.
    #[error(
        "{rules} rules with {patterns} names and paths; there may be {REDACT_RULES_MAX} with {REDACT_PATTERNS_MAX}"
    )]
    TooMany {
        /// How many rules there are.
        rules: usize,
        /// How many patterns they have.
        patterns: usize,
    },
    /// Not YAML, or not our words. The message names line and column.
    #[error("{0}")]
    Yaml(#[from] Box<serde_saphyr::Error>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: Spanned<String>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    #[serde(default)]
    cookies: Vec<Pattern>,
    #[serde(default)]
    parameters: Vec<Pattern>,
    #[serde(default)]
    json: Vec<Path>,
    #[serde(default)]
    redis_keys: Vec<Pattern>,
    #[serde(default)]
    redis_values: Vec<Pattern>,
    #[serde(default)]
    userinfo: bool,
}

/// Longest name of a rule: it stands in every row that tells of it.
const NAME_BYTES_MAX: usize = 64;

impl Redaction {
    /// Reads the rules of one file.
    ///
    /// # Bounds
    /// [`REDACT_RULES_BYTES_MAX`], [`REDACT_RULES_MAX`] and [`REDACT_PATTERNS_MAX`].
    /// # Errors
    /// [`RulesError`], with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, RulesError> {
        let mut all = Self::default();
        all.add(name, text)?;
        Ok(all)
    }

    /// Adds the rules of a further file.
    ///
    /// # Errors
    /// As [`Self::parse`]; then the rules are not to be used.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), RulesError> {
        if text.len() > REDACT_RULES_BYTES_MAX {
            return Err(RulesError::TooLong { bytes: text.len() });
        }
        let file: File = serde_saphyr::from_str(text).map_err(Box::new)?;
        for rule in file.rules {
            self.add_rule(rule)?;
        }
        let names = [&self.headers, &self.cookies, &self.parameters, &self.redis_keys, &self.redis_values];
        let patterns = names.into_iter().map(Vec::len).sum::<usize>() + self.json.len();
        if self.names.len() > REDACT_RULES_MAX || patterns > REDACT_PATTERNS_MAX {
            return Err(RulesError::TooMany { rules: self.names.len(), patterns });
        }
        let between = if self.label.is_empty() { "" } else { ", " };
        self.label.push_str(&format!("{between}{name} sha256:{}", Hash256::of(text.as_bytes())));
        Ok(())
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), RulesError> {
        let at = self.names.len();
        let name = &rule.name.value;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return invalid(&rule.name, format!("the name of a rule has 1 to {NAME_BYTES_MAX} bytes on one line"));
        }
        if self.names.contains(name) {
            return invalid(&rule.name, format!("another rule is called '{name}'"));
        }
        let mut headers = Vec::new();
        for header in &rule.headers {
            if let Some(kept) = KEPT.iter().find(|kept| header.value.eq_ignore_ascii_case(kept)) {
                return invalid(header, format!("'{kept}' says how a message is to be read, and is never redacted"));
            }
            match Pattern::parse(&header.value) {
                Ok(pattern) => headers.push(pattern),
                Err(what) => return invalid(header, what),
            }
        }
        let named = [&headers, &rule.cookies, &rule.parameters, &rule.redis_keys, &rule.redis_values];
        if !rule.userinfo && rule.json.is_empty() && named.iter().all(|patterns| patterns.is_empty()) {
            return invalid(
                &rule.name,
                "the rule names nothing: give it headers, cookies, parameters, json, redis_keys, redis_values or \
                 userinfo",
            );
        }
        self.names.push(name.clone());
        let of = |patterns: Vec<Pattern>| patterns.into_iter().map(move |pattern| (at, pattern));
        self.headers.extend(of(headers));
        self.cookies.extend(of(rule.cookies));
        self.parameters.extend(of(rule.parameters));
        self.json.extend(rule.json.into_iter().map(|path| (at, path)));
        self.redis_keys.extend(of(rule.redis_keys));
        self.redis_values.extend(of(rule.redis_values));
        self.userinfo = self.userinfo.or(rule.userinfo.then_some(at));
        Ok(())
    }
}

fn invalid<T>(place: &Spanned<T>, what: impl ToString) -> Result<(), RulesError> {
    let (line, column) = (place.referenced.line(), place.referenced.column());
    Err(RulesError::Invalid { line, column, what: what.to_string() })
}

//! Texts of URLs and cookies: parameters, logins, values by name.

use super::json::Outcome;
use super::{REDACTED, Redaction, Trace, hit};
use crate::protocols::http::{Target, unescape};
use std::ops::Range;

impl Redaction {
    /// Whether a text may hold anything that [`Self::parameters`] looks for.
    fn wants_parameters(&self) -> bool {
        !self.parameters.is_empty() || !self.json.is_empty() || self.userinfo.is_some()
    }

    /// A query, or a form, without the values that rules name.
    pub(super) fn parameters(&self, query: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        if !self.wants_parameters() {
            return None;
        }
        let mut hidden = Vec::new();
        for pair in pieces(query, b'&') {
            // Some servers take a semicolon for a separator, others for a part of the value: both are looked at.
            let text = query.get(pair.clone()).unwrap_or_default();
            let found = pieces(text, b';').find_map(|part| {
                let rest = part.start..text.len();
                let value = value_of(text.get(rest.clone()).unwrap_or_default())?;
                let whole = rest.start + value.start..rest.start + value.end;
                let name = text.get(rest.start..whole.start.checked_sub(1)?)?;
                let rule = self.parameter(name, text.get(whole.clone())?, place)?;
                Some((rule, pair.start + whole.start..pair.start + whole.end))
            });
            hidden.extend(found);
        }
        replace(query, hidden, place, trace)
    }

    /// The rule that hides a parameter: by its name, or by what its value holds.
    fn parameter(&self, name: &[u8], value: &[u8], place: &'static str) -> Option<usize> {
        let spaced = |text: &[u8]| -> Vec<u8> { text.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect() };
        let (name, value) = (spaced(name), spaced(value));
        let (name, value) = (unescape(&name), unescape(&value));
        if value.is_empty() {
            return None;
        }
        if let Some(rule) = hit(&self.parameters, &name) {
            return Some(rule);
        }
        if let Some(rule) = self.userinfo
            && logins(&value).next().is_some()
        {
            return Some(rule);
        }
        // What is found in there is counted once, for the parameter as a whole.
        let mut found = Trace::default();
        let name = String::from_utf8_lossy(&name);
        let text = String::from_utf8_lossy(&value);
        let unsure = match value.trim_ascii_start().first() {
            Some(b'{' | b'[') if !self.json.is_empty() => {
                let outcome = self.json_text(&value, Some(&name), place, &mut found);
                // A document begins like an object does.
                outcome == Outcome::Unsure && name != "query"
            }
            _ => false,
        };
        super::document::redact(&text, self, place, &mut found);
        found.first_rule().or(unsure.then(|| self.first_of_json()))
    }

    /// A text in which URLs may stand, such as the value of a header, without what rules name in these.
    pub(super) fn urls(&self, text: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        if !self.wants_parameters() {
            return None;
        }
        let mut hidden: Vec<(usize, Range<usize>)> = Vec::new();
        if let Some(rule) = self.userinfo {
            hidden.extend(logins(text).map(|login| (rule, login)));
        }
        let begins = text.iter().enumerate().filter(|(_, byte)| matches!(byte, b'?' | b'&' | b'#' | b';'));
        for (at, _) in begins {
            let rest = text.get(at + 1..).unwrap_or_default();
            let end = rest.iter().position(|byte| matches!(byte, b'&' | b'#' | b'"' | b'<' | b'>' | b' ' | b'\t'));
            let pair = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let found = value_of(pair).and_then(|value| {
                let name = pair.get(..value.start.checked_sub(1)?)?;
                Some((self.parameter(name, pair.get(value.clone())?, place)?, value))
            });
            hidden.extend(found.map(|(rule, value)| (rule, at + 1 + value.start..at + 1 + value.end)));
        }
        hidden.sort_by_key(|(_, range)| range.start);
        replace(text, hidden, place, trace)
    }

    /// The rule that hides whom a request is for: the field is called one way in HTTP/1 and another in HTTP/2.
    fn of_host(&self) -> Option<usize> {
        hit(&self.headers, b"host").or_else(|| hit(&self.headers, b":authority"))
    }

    /// An authority without its login, or hidden as a whole.
    pub(super) fn authority(&self, host: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        if let Some(rule) = self.of_host() {
            return replace(host, vec![(rule, 0..host.len())], place, trace);
        }
        let rule = self.userinfo?;
        let end = host.iter().rposition(|&byte| byte == b'@').filter(|&end| end > 0)?;
        replace(host, vec![(rule, 0..end)], place, trace)
    }

    /// A target in absolute form without its authority, where that is hidden as a whole (RFC 9112 §3.2.2).
    pub(super) fn target(&self, target: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        let rule = self.of_host()?;
        let parts = Target::split(b"", target);
        let (scheme, host) = parts.scheme.zip(parts.host)?;
        let begin = scheme.len() + b"://".len();
        replace(target, vec![(rule, begin..begin + host.len())], place, trace)
    }

    /// The value of `cookie`, or of `set-cookie`, without the values of cookies that rules name.
    pub(super) fn crumbs(&self, text: &[u8], place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
        let mut hidden: Vec<(usize, Range<usize>)> = Vec::new();
        for piece in pieces(text, b';') {
            if hidden.last().is_some_and(|(_, last)| last.end > piece.start) {
                continue;
            }
            let cookie = text.get(piece.clone()).unwrap_or_default();
            // Several cookies were joined with commas once, which values may hold too.
            let found = pieces(cookie, b',').find_map(|part| {
                let rest = cookie.get(part.start..)?;
                let value = value_of(rest).unwrap_or(0..rest.len());
                let name = rest.get(..value.start.saturating_sub(1)).unwrap_or_default().trim_ascii();
                Some((hit(&self.cookies, name)?, part.start + value.start..cookie.len()))
            });
            if let Some((rule, value)) = found.filter(|(_, value)| !value.is_empty()) {
                let begin = piece.start + value.start;
                // A quoted value may hold a semicolon, against the grammar.
                let quoted = text.get(begin..).and_then(|rest| rest.strip_prefix(b"\""));
                let close = quoted
                    .map(|rest| rest.iter().position(|&byte| byte == b'"').map_or(text.len(), |at| begin + at + 2));
                hidden.push((rule, begin..(piece.start + value.end).max(close.unwrap_or_default())));
            }
        }
        replace(text, hidden, place, trace)
    }
}

/// The pieces of a text between separators.
fn pieces(text: &[u8], separator: u8) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    text.split(move |&byte| byte == separator).map(move |piece| {
        let range = begin..begin + piece.len();
        begin += piece.len() + 1;
        range
    })
}

/// Where the value of `name=value` is.
fn value_of(pair: &[u8]) -> Option<Range<usize>> {
    memchr::memchr(b'=', pair).map(|at| at + 1..pair.len())
}

/// Where logins of URLs are (RFC 3986 §3.2.1).
fn logins(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    memchr::memmem::find_iter(text, b"//").filter_map(move |at| {
        let begin = at + 2;
        let rest = text.get(begin..)?;
        let ends =
            |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\') || byte.is_ascii_whitespace();
        let authority = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
        let end = authority.iter().rposition(|&byte| byte == b'@').filter(|&end| end > 0)?;
        Some(begin..begin + end)
    })
}

/// The text with something else in these places, which stand in order; nothing where there are none.
fn replace(text: &[u8], hidden: Vec<(usize, Range<usize>)>, place: &'static str, trace: &mut Trace) -> Option<Vec<u8>> {
    if hidden.is_empty() {
        return None;
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    for (rule, range) in hidden {
        if range.start < at {
            at = at.max(range.end);
            continue;
        }
        out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(REDACTED.as_bytes());
        at = range.end;
        trace.redacted(rule, place);
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Redaction {
        Redaction::parse("test", &format!("rules: [{{name: r, {text}}}]")).unwrap()
    }

    fn shown(text: Option<Vec<u8>>) -> String {
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }

    #[test]
    fn parameters() {
        let rules = rules("parameters: [token, '*secret'], json: ['variables.pin', '**.password'], userinfo: true");
        for (query, want) in [
            ("a=1&token=s3&b=2", "a=1&token=[redacted]&b=2"),
            ("TOK%45N=s3", "TOK%45N=[redacted]"),
            ("a=1;token=s3;4&b=2", "a=1;token=[redacted]&b=2"),
            ("my_secret=a=b", "my_secret=[redacted]"),
            ("token", ""),
            ("token=", ""),
            ("tokens=1", ""),
            ("variables=%7B%22pin%22%3A1%7D&a=%7B%22pin%22%3A1%7D", "variables=[redacted]&a=%7B%22pin%22%3A1%7D"),
            ("x=%5B%7B%22password%22%3A%22s3%22%7D%5D", "x=[redacted]"),
            ("x=%7Bcut", "x=[redacted]"),
            ("query=%7Blogin(password%3A%22s3%22)%7D", "query=[redacted]"),
            ("query=%7Bping%7D", ""),
            ("to=https%3A%2F%2Fu%3As3%40h%2F", "to=[redacted]"),
        ] {
            assert_eq!(shown(rules.parameters(query.as_bytes(), "t", &mut Trace::default())), want, "{query}");
        }
    }

    #[test]
    fn urls() {
        let rules = rules("parameters: [token], userinfo: true");
        for (text, want) in [
            ("https://h/?token=s3&a=1", "https://h/?token=[redacted]&a=1"),
            ("<https://h/?a=1&token=s,3>; rel=next", "<https://h/?a=1&token=[redacted]>; rel=next"),
            ("https://h/#token=s3", "https://h/#token=[redacted]"),
            ("https://u:s3@h/?a=b", "https://[redacted]@h/?a=b"),
            ("//u:s3@h", "//[redacted]@h"),
            ("https://u:s3@h/?token=s3", "https://[redacted]@h/?token=[redacted]"),
            ("https://h/a@b", ""),
            ("a=1; token=2", ""),
        ] {
            assert_eq!(shown(rules.urls(text.as_bytes(), "t", &mut Trace::default())), want, "{text}");
        }
        let of_host = |host: &str| shown(rules.authority(host.as_bytes(), "t", &mut Trace::default()));
        assert_eq!((of_host("u:s3@h:80"), of_host("h:80")), ("[redacted]@h:80".into(), String::new()));
    }

    #[test]
    fn cookies() {
        let rules = rules("cookies: [sid, 'auth*']");
        for (text, want) in [
            ("a=1; sid=s3; b=2", "a=1; sid=[redacted]; b=2"),
            ("SID=s3=; Path=/; HttpOnly", "SID=[redacted]; Path=/; HttpOnly"),
            ("a=1; sid=\"s;3\"; b=2", "a=1; sid=[redacted]; b=2"),
            ("a=1; Path=/, sid=s3; Path=/", "a=1; Path=/, sid=[redacted]; Path=/"),
            ("auth_x=s,3", "auth_x=[redacted]"),
            ("a=sid", ""),
            ("sid=", ""),
        ] {
            assert_eq!(shown(rules.crumbs(text.as_bytes(), "t", &mut Trace::default())), want, "{text}");
        }
    }
}

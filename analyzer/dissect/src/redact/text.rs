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
        let pairs = pieces(query, |byte| byte == b'&');
        let hidden = pairs.filter_map(|pair| self.pair(query, pair, |byte| byte == b';', place)).collect();
        replace(query, hidden, place, trace)
    }

    /// Where the value is that is to be hidden of a pair in `text`. Some take what `separates` for a separator, others for a
    /// part of the value: the pair is looked at as a whole, and then each of its parts by itself, so that no byte is looked
    /// at more than twice.
    fn pair(
        &self,
        text: &[u8],
        pair: Range<usize>,
        separates: fn(u8) -> bool,
        place: &'static str,
    ) -> Option<(usize, Range<usize>)> {
        let parts = pieces(text.get(pair.clone())?, separates).skip(1);
        let parts = parts.map(|part| pair.start + part.start..pair.start + part.end);
        std::iter::once(pair.clone()).chain(parts).find_map(|part| {
            let part_text = text.get(part.clone())?;
            let (name, value) = part_text.split_at_checked(equals(part_text)?)?;
            let rule = self.parameter(name, value.get(1..)?, place)?;
            Some((rule, part.start + name.len() + 1..pair.end))
        })
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
        let separates = |byte: u8| matches!(byte, b'?' | b';');
        let ends = |byte: u8| matches!(byte, b'&' | b'#' | b'"' | b'<' | b'>' | b' ' | b'\t');
        for piece in pieces(text, ends) {
            let goes_on = piece.start.checked_sub(1).is_some_and(|at| matches!(text.get(at), Some(b'&' | b'#')));
            // Elsewhere a pair begins with a query.
            let begin = if goes_on {
                Some(piece.start)
            } else {
                let found = pieces(text.get(piece.clone()).unwrap_or_default(), separates).nth(1);
                found.map(|behind| piece.start + behind.start)
            };
            hidden.extend(begin.and_then(|begin| self.pair(text, begin..piece.end, separates, place)));
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
        for piece in pieces(text, |byte| byte == b';') {
            if hidden.last().is_some_and(|(_, last)| last.end > piece.start) {
                continue;
            }
            let cookie = text.get(piece.clone()).unwrap_or_default();
            // Several cookies were joined with commas once, which values may hold too.
            let parts = pieces(cookie, |byte| byte == b',').skip(1);
            let found = std::iter::once(0..cookie.len()).chain(parts).find_map(|part| {
                let text = cookie.get(part.clone())?;
                let (name, value) = equals(text).map_or((0, 0), |at| (at, at + 1));
                Some((hit(&self.cookies, text.get(..name)?.trim_ascii())?, part.start + value..cookie.len()))
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
fn pieces(text: &[u8], separates: impl Fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    text.split(move |&byte| separates(byte)).map(move |piece| {
        let range = begin..begin + piece.len();
        begin += piece.len() + 1;
        range
    })
}

/// Where the name of `name=value` ends.
fn equals(pair: &[u8]) -> Option<usize> {
    memchr::memchr(b'=', pair)
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
            ("a;token=s3", "a;token=[redacted]"),
            ("a=1;x=%7B%22password%22%3A%22s;3%22%7D", "a=1;x=[redacted]"),
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

    /// Were they looked at again behind each separator, this would take hours.
    #[test]
    fn separators_cost_what_they_are() {
        let rules = rules("parameters: [token], cookies: [sid], json: ['**.password'], userinfo: true");
        for piece in [";", "?", ",", "a=1;", "a=1?", "a=1,", "query={;", "//"] {
            let text = [piece.repeat((1 << 20) / piece.len()).as_bytes(), b"=x"].concat();
            let trace = &mut Trace::default();
            let (query, url) = (rules.parameters(&text, "t", trace), rules.urls(&text, "t", trace));
            assert_eq!((query, url, rules.crumbs(&text, "t", trace)), (None, None, None), "{piece}");
        }
    }

    #[test]
    fn urls() {
        let rules = rules("parameters: [token], userinfo: true");
        for (text, want) in [
            ("https://h/?token=s3&a=1", "https://h/?token=[redacted]&a=1"),
            ("<https://h/?a=1&token=s,3>; rel=next", "<https://h/?a=1&token=[redacted]>; rel=next"),
            ("https://h/#token=s3", "https://h/#token=[redacted]"),
            ("https://h/;a=1;token=s3?b=2&c=3", "https://h/;a=1;token=[redacted]&c=3"),
            ("token=1 https://h/?a=1#token=s3?b", "token=1 https://h/?a=1#token=[redacted]"),
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

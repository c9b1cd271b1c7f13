//! A request target, taken apart (RFC 9112 §3.2).

/// What a request target says; parts as sent, `None` where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Scheme of an absolute target.
    pub scheme: Option<&'a [u8]>,
    /// Authority of an absolute target, or of CONNECT.
    pub host: Option<&'a [u8]>,
    /// Path; `*` where the server itself is meant.
    pub path: Option<&'a [u8]>,
    /// Query without its question mark.
    pub query: Option<&'a [u8]>,
    /// Which of the forms it has.
    pub form: Form,
}

/// The forms of a target, and what has none of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// `http://host/path?query`, as proxies are asked (§3.2.2).
    Absolute,
    /// `*` (§3.2.4).
    Asterisk,
    /// `host:port`, of CONNECT alone (§3.2.3).
    Authority,
    /// `/path?query` (§3.2.1).
    Origin,
    /// None of them: all before the question mark is taken for the path.
    #[default]
    Other,
}

impl<'a> Target<'a> {
    /// Takes `target` apart. Total: every byte string is a target of some form.
    pub fn split(method: &[u8], target: &'a [u8]) -> Self {
        if method == b"CONNECT" {
            return Self { host: Some(target), form: Form::Authority, ..Self::default() };
        }
        if target == b"*" {
            return Self { path: Some(target), form: Form::Asterisk, ..Self::default() };
        }
        let Some((scheme, rest)) = absolute(target) else {
            let form = if target.starts_with(b"/") { Form::Origin } else { Form::Other };
            return Self { form, ..Self::path_and_query(target) };
        };
        let authority = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(authority);
        let mut parts = Self::path_and_query(rest);
        // An empty path is the same as "/" (RFC 9110 §4.2.3), but for OPTIONS it is "*" (RFC 9112 §3.2.4).
        if parts.path.is_some_and(<[u8]>::is_empty) {
            let server_itself = method == b"OPTIONS" && parts.query.is_none();
            parts.path = Some(if server_itself { b"*" } else { b"/" });
        }
        Self { scheme: Some(scheme), host: Some(host), form: Form::Absolute, ..parts }
    }

    /// Parts of `:path` (RFC 9113 §8.3.1) or of an origin form.
    pub fn path_and_query(target: &'a [u8]) -> Self {
        let (path, query) = match memchr::memchr(b'?', target).and_then(|at| target.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (target, None),
        };
        Self { path: Some(path), query, form: Form::Origin, ..Self::default() }
    }
}

/// Scheme and what follows its `://` (RFC 3986 §3.1).
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = target.split_at_checked(memchr::memchr(b':', target)?)?;
    let rest = rest.strip_prefix(b"://")?;
    let (first, others) = scheme.split_first()?;
    let of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (first.is_ascii_alphabetic() && others.iter().all(of_scheme)).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(method: &str, target: &str) -> String {
        let parts = Target::split(method.as_bytes(), target.as_bytes());
        let text = |part: Option<&[u8]>| part.map_or("-".into(), |part| String::from_utf8_lossy(part).into_owned());
        let [scheme, host] = [parts.scheme, parts.host].map(text);
        let [path, query] = [parts.path, parts.query].map(text);
        format!("{:?} {scheme} {host} {path} {query}", parts.form)
    }

    #[test]
    fn cases() {
        for (method, target, want) in [
            ("GET", "/", "Origin - - / -"),
            ("GET", "/a?b?c", "Origin - - /a b?c"),
            ("GET", "/a?", "Origin - - /a "),
            ("GET", "/r?u=http://h/", "Origin - - /r u=http://h/"),
            ("GET", "http://h:81/a?b", "Absolute http h:81 /a b"),
            ("GET", "HTTP://h", "Absolute HTTP h / -"),
            ("GET", "http://h?q", "Absolute http h / q"),
            ("GET", "http://u:p@[::1]:8/x", "Absolute http u:p@[::1]:8 /x -"),
            ("OPTIONS", "http://h", "Absolute http h * -"),
            ("OPTIONS", "*", "Asterisk - - * -"),
            ("CONNECT", "h:443", "Authority - h:443 - -"),
            ("GET", "a.html?b", "Other - - a.html b"),
            ("GET", "h:443", "Other - - h:443 -"),
            ("GET", "://h/", "Other - - ://h/ -"),
        ] {
            assert_eq!(show(method, target), want, "{method} {target}");
        }
    }
}

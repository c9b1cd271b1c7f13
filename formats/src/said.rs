//! What went wrong, in one line. Of a store that takes more than to print it: errors of object_store repeat on their way up
//! what was asked, with its whole address, and end with what the server sent, which is XML.

use std::error::Error;

/// Longest line [characters].
const SAID_MAX: usize = 300;

/// Where clouds tell a machine its credentials: asked when none are set.
const METADATA: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// What is at the bottom of an error, and what was tried, with whom.
pub fn said(error: &(dyn Error + 'static)) -> String {
    let mut bottom = error;
    while let Some(below) = bottom.source() {
        bottom = below;
    }
    let (all, text) = (error.to_string(), bottom.to_string());
    let behind = |text: &str, mark: &str| text.split_once(mark).map(|(_, rest)| rest.to_owned());
    let tried = behind(&all, "Error performing ").unwrap_or_default();
    let mut tried = tried.split(' ');
    let (verb, host) = (tried.next().unwrap_or_default(), tried.next().and_then(host).unwrap_or_default());
    // Where the bottom repeats it too, what matters stands behind the dash.
    let text = if text.contains("Error performing ") { behind(&text, " - ").unwrap_or(text) } else { text };
    let retries =
        behind(&all, ", after ").and_then(|rest| rest.split_once(" retries").map(|(count, _)| count.to_owned()));
    let body = text.find('<').map_or("", |at| text.get(at..).unwrap_or_default());
    let element = |name: &str| {
        let inside = behind(body, &format!("<{name}>"))?;
        Some(inside.split('<').next()?.trim().to_owned()).filter(|inside| !inside.is_empty())
    };
    let words = text.get(..text.len() - body.len()).unwrap_or(&text);
    let words = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let mut line = String::new();
    if METADATA.contains(&host) {
        line.push_str("no credentials are set, and this machine has none of its own: ");
    }
    let tried = format!("{verb} {host}");
    if !verb.is_empty() {
        line.push_str(&format!("{}: ", tried.trim_end()));
    }
    line.push_str(words.trim_end_matches([' ', ':']));
    for part in ["Code", "Message"].iter().filter_map(|name| element(name)) {
        line.push_str(", ");
        line.push_str(&part);
    }
    if let Some(retries) = retries.filter(|retries| retries != "0") {
        line.push_str(&format!(", after {retries} retries"));
    }
    line.chars().filter(|letter| !letter.is_control()).take(SAID_MAX).collect()
}

/// Server and port of an address: neither a login before it nor what is asked for behind.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?']).next()?.rsplit('@').next()
}

/// An error and those below it. What an error says of the one below is not said again.
pub fn once<'a>(errors: impl IntoIterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut line = String::new();
    for error in errors {
        let text = error.to_string();
        let text = text.trim_end();
        if line.is_empty() {
            line.push_str(text);
        } else if !line.ends_with(text) {
            line.push_str(": ");
            line.push_str(text);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[test]
    fn what_is_below_is_said_once() {
        let errors = |texts: &[&'static str]| texts.iter().map(|text| Above(text, None)).collect::<Vec<_>>();
        for (texts, want) in [
            (&["no store"][..], "no store"),
            (&["--store", "no store", "it is shut\n"], "--store: no store: it is shut"),
            (&["a.yaml: line 3: unclosed", "line 3: unclosed\n", "unclosed"], "a.yaml: line 3: unclosed"),
            (&[], ""),
        ] {
            let errors = errors(texts);
            assert_eq!(once(errors.iter().map(|error| error as &(dyn Error + 'static))), want);
        }
    }

    /// An error above another, which says both.
    #[derive(Debug)]
    struct Above(&'static str, Option<Box<Above>>);

    impl fmt::Display for Above {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Above {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|below| below as _)
        }
    }

    #[test]
    fn one_line_with_what_matters() {
        let url = "Error performing PUT http://127.0.0.1:9/captures/x/000001.pcapng.zst in 3.25s, after 10 retries, \
                   max_retries: 10, retry_timeout: 180s  - HTTP error: error sending request";
        let refused = Above("tcp connect error: Connection refused (os error 111)", None);
        let sending = Above("HTTP error: error sending request", Some(Box::new(refused)));
        let refused = Above(url, Some(Box::new(sending)));
        let denied = "Error performing PUT http://127.0.0.1:9/captures/x in 5.1ms - Server returned non-2xx status code: \
                      403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied.\
                      </Message><Resource>/captures/x</Resource></Error>";
        for (source, want) in [
            (
                Above(
                    "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: no route",
                    None,
                ),
                "no credentials are set, and this machine has none of its own: PUT 169.254.169.254: HTTP error: no route",
            ),
            (Above("Error performing POST REDACTED in 1s - HTTP error: no route", None), "POST: HTTP error: no route"),
            (
                Above("Error performing GET https://key:secret@sts.example/x?y in 1s - HTTP error: no route", None),
                "GET sts.example: HTTP error: no route",
            ),
            (refused, "PUT 127.0.0.1:9: tcp connect error: Connection refused (os error 111), after 10 retries"),
            (
                Above(denied, None),
                "PUT 127.0.0.1:9: Server returned non-2xx status code: 403 Forbidden, AccessDenied, Access Denied.",
            ),
            (Above("no such bucket", None), "no such bucket"),
        ] {
            assert_eq!(said(&source), want);
        }
    }
}

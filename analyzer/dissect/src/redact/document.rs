//! Values that stand in a GraphQL document itself, by the name of their argument or field (GraphQL §2).

use super::{REDACTED, Redaction, Trace};

/// What stands at the front of a document.
enum Token<'a> {
    /// A list or an object begins.
    Opens,
    Name(&'a str),
    /// A number, or a text.
    Literal,
    Other(char),
}

/// The document without the values of arguments, fields and variables that rules name by the last step of a path;
/// nothing where there are none. Total: what is no document is looked through all the same.
pub fn redact(text: &str, rules: &Redaction, place: &'static str, trace: &mut Trace) -> Option<String> {
    if rules.json.is_empty() || !text.contains('{') {
        return None;
    }
    let mut out = String::new();
    let (mut rest, mut kept_from) = (text, text);
    // The name before a colon; that of the variable whose default may follow; the rule of the value that comes next.
    let (mut name, mut variable, mut due): (&str, Option<&str>, Option<usize>) = ("", None, None);
    let mut dollar = false;
    while let Some((token, bytes)) = token(rest) {
        let (front, behind) = rest.split_at(bytes);
        rest = behind;
        let mut after = None;
        match (due.take(), token) {
            (Some(_), Token::Literal)
                if front.strip_prefix('"').is_some_and(|text| text.strip_suffix('"') == Some(REDACTED)) => {}
            (Some(rule), token @ (Token::Literal | Token::Opens)) => {
                let before = kept_from.len() - rest.len() - front.len();
                out.push_str(kept_from.get(..before).unwrap_or_default());
                out.push_str(&format!("\"{REDACTED}\""));
                if matches!(token, Token::Opens) {
                    rest = closed(rest);
                }
                kept_from = rest;
                trace.redacted(rule, place);
            }
            (waiting, Token::Other(' ')) => after = waiting,
            (_, Token::Name(word)) => {
                if std::mem::take(&mut dollar) {
                    variable = Some(word);
                }
                name = word;
            }
            (_, Token::Other(':')) if variable != Some(name) => after = rules.of_field(name.as_bytes()),
            (_, Token::Other('=')) => after = variable.take().and_then(|name| rules.of_field(name.as_bytes())),
            (_, Token::Other('$')) => dollar = true,
            // The list of variables is over, and with it their types.
            (_, Token::Other(')')) => variable = None,
            _ => {}
        }
        due = after;
    }
    if kept_from.len() == text.len() {
        return None;
    }
    out.push_str(kept_from);
    Some(out)
}

/// The next token, with what is ignored in front of it, and its length.
fn token(text: &str) -> Option<(Token<'_>, usize)> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}'));
        match rest.strip_prefix('#') {
            Some(comment) => rest = comment.find(['\n', '\r']).and_then(|at| comment.get(at..)).unwrap_or_default(),
            None => break,
        }
    }
    let ignored = text.len() - rest.len();
    let first = rest.chars().next()?;
    let length = |of: fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
    let (token, bytes) = match first {
        '"' => (Token::Literal, string(rest)),
        '{' | '[' => (Token::Opens, 1),
        '-' | '0'..='9' => (Token::Literal, length(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))),
        'a'..='z' | 'A'..='Z' | '_' => {
            let bytes = length(|c| c.is_ascii_alphanumeric() || c == '_');
            (Token::Name(rest.get(..bytes)?), bytes)
        }
        other => (Token::Other(other), other.len_utf8()),
    };
    // What is ignored stays in front of a value that is hidden.
    match token {
        Token::Literal | Token::Opens if ignored > 0 => Some((Token::Other(' '), ignored)),
        token => Some((token, ignored + bytes)),
    }
}

/// Length of the text at the front; one that does not end goes on to the end.
fn string(text: &str) -> usize {
    let (open, close) = if text.starts_with("\"\"\"") { (3, "\"\"\"") } else { (1, "\"") };
    let mut at = open;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(close) {
            return at + close.len();
        }
        let escaped = if open == 3 { rest.starts_with("\\\"\"\"") } else { rest.starts_with('\\') };
        at += match (escaped, open) {
            (true, 3) => 4,
            (true, _) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (false, _) => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    text.len()
}

/// What is behind the end of the list or object that has begun.
fn closed(mut rest: &str) -> &str {
    let mut depth = 1_usize;
    while let Some((token, bytes)) = token(rest) {
        rest = rest.get(bytes..).unwrap_or_default();
        match token {
            Token::Opens => depth += 1,
            Token::Other('}' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return rest;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_named_arguments_are_hidden() {
        let rules = Redaction::parse("test", "rules: [{name: p, json: ['**.password', '**.card']}]").unwrap();
        for (document, want) in [
            (
                r#"{ login(user: "a", password: "s3") { id } }"#,
                r#"{ login(user: "a", password: "[redacted]") { id } }"#,
            ),
            (r#"{login(password:"s\"3")}"#, r#"{login(password:"[redacted]")}"#),
            ("{login(password:\"\"\"s\\\"\"\"3\"\"\")}", r#"{login(password:"[redacted]")}"#),
            ("{login(password: 42, a: 1)}", r#"{login(password: "[redacted]", a: 1)}"#),
            (r#"{pay(card: {n: ["]"], c: 1}, a: 2)}"#, r#"{pay(card: "[redacted]", a: 2)}"#),
            (
                r#"query q($password: [String!] = ["x"], $a: Int = 1) {f(password: $password)}"#,
                r#"query q($password: [String!] = "[redacted]", $a: Int = 1) {f(password: $password)}"#,
            ),
            (
                r#"{login(password: # "no"
                "s3")}"#,
                "{login(password: # \"no\"\n                \"[redacted]\")}",
            ),
            (r#"{login(password:"s3"#, r#"{login(password:"[redacted]""#),
            (r#"{password: hash, a(b: "password: 1")}"#, ""),
            ("no document", ""),
        ] {
            let got = redact(document, &rules, "test", &mut Trace::default());
            assert_eq!(got.unwrap_or_default(), want, "{document}");
        }
    }
}

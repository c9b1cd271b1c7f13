//! `json_get`: values of a JSON text, as they stand in it.
//!
//! Numbers keep all their digits and keys their order, for the text is only looked through.

use arrow::array::{Array, AsArray, StringViewArray};
use datafusion::common::Result;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Deserializer;
use std::sync::Arc;

/// `json_get(text, 'a.b[0]["c.d"]')`: a text as it is, anything else as compact JSON; NULL where there is nothing.
pub fn json_get(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let (texts, paths) = (arguments[0].as_string_view(), arguments[1].as_string_view());
    let values: StringViewArray = texts.iter().zip(paths).map(|(text, path)| get(text?, path?)).collect();
    Ok(Arc::new(values))
}

fn get(text: &str, path: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let value = steps(path)?.iter().try_fold(text, |value, step| enter(value, step))?.trim();
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'n' => None,
        _ => Some(compact(value)),
    }
}

/// Names and places on the way: `a`, `[0]`, or `["a.b"]`, a JSON text, for a name with a dot in it.
fn steps(path: &str) -> Option<Vec<String>> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('[').filter(|quoted| quoted.starts_with('"')) {
            let (step, taken) = first::<String>(quoted)?;
            steps.push(step);
            rest = quoted.get(taken..)?.strip_prefix(']')?;
        } else {
            let inner = rest.trim_start_matches(['.', '[']);
            let (step, behind) = inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()));
            let step = step.trim_end_matches(']');
            steps.extend((!step.is_empty()).then(|| step.to_owned()));
            rest = behind;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    Some(steps)
}

/// What is called `step` in an object, or stands at that place in a list. Of several of a name the last, as most readers
/// have it.
fn enter<'a>(value: &'a str, step: &str) -> Option<&'a str> {
    let value = value.trim_start();
    let is_object = value.starts_with('{');
    let place = if is_object { None } else { Some(step.parse::<usize>().ok()?) };
    let (mut rest, mut found) = (value.strip_prefix(['{', '['])?.trim_start(), None);
    for at in 0.. {
        if rest.starts_with(['}', ']']) {
            break;
        }
        let mut is_it = place == Some(at);
        if is_object {
            let (name, taken) = first::<String>(rest)?;
            is_it = name == step;
            rest = rest.get(taken..)?.trim_start().strip_prefix(':')?;
        }
        let (_, taken) = first::<IgnoredAny>(rest)?;
        if is_it {
            found = rest.get(..taken);
        }
        rest = rest.get(taken..)?.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    found
}

/// The first value of a text, and where it ends.
fn first<T: DeserializeOwned>(text: &str) -> Option<(T, usize)> {
    let mut values = Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// JSON without white space between its parts.
fn compact(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |&c: &char| {
        let quotes = c == '"' && !escaped;
        let kept = inside || !c.is_ascii_whitespace();
        escaped = inside && c == '\\' && !escaped;
        inside ^= quotes;
        kept
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_lead_into_json() {
        let json = r#" {"z" : 1, "a":{"b":[1,{"c":"x"}]},"n":null, "app.io/name":"web", "w": [ "a \" b" , 1.10 ],
            "large":12345678901234567890123,"more":1E400,"two":1,"two":2, "0":"zero"} "#;
        for (path, want) in [
            ("a.b[0]", Some("1")),
            ("a.b[1].c", Some("x")),
            ("a.b", Some(r#"[1,{"c":"x"}]"#)),
            ("a.b.1.c", Some("x")),
            ("n", None),
            ("a.z", None),
            ("a.b[2]", None),
            ("a.b.c", None),
            ("z.a", None),
            (r#"["app.io/name"]"#, Some("web")),
            (r#"a["b"][1]["c"]"#, Some("x")),
            ("w", Some(r#"["a \" b",1.10]"#)),
            ("w[0]", Some("a \" b")),
            ("large", Some("12345678901234567890123")),
            ("more", Some("1E400")),
            ("two", Some("2")),
            ("[0]", Some("zero")),
        ] {
            assert_eq!(super::get(json, path).as_deref(), want, "{path}");
        }
        assert_eq!(super::get(r#"{"b":1,"a":2}"#, "").as_deref(), Some(r#"{"b":1,"a":2}"#));
        assert_eq!(super::get(r#"{"a":1} {"a":2}"#, "a"), None);
        assert_eq!(super::get(r#"{"a":1,"#, "a"), None);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(super::get(&deep, "[0]").map(|text| text.len()), Some(199_999));
    }
}

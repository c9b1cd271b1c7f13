//! Functions over text.

use arrow::array::{Array, AsArray, StringArray};
use datafusion::common::Result;
use serde_json::Value;
use std::sync::Arc;

/// `json_get(text, 'a.b[0]')`: a text as it is, anything else as compact JSON; NULL where there is nothing.
pub fn json_get(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let (texts, paths) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let values: StringArray = texts.iter().zip(paths).map(|(text, path)| get(text?, path?)).collect();
    Ok(Arc::new(values))
}

fn get(text: &str, path: &str) -> Option<String> {
    let whole: Value = serde_json::from_str(text).ok()?;
    let mut value = &whole;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty()) {
        value = match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            other => other.get(step)?,
        };
    }
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// `url_decode(text)`: percent-encoding undone, and '+' read as a space (WHATWG URL §5.1).
pub fn url_decode(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let texts: StringArray = arguments[0].as_string::<i32>().iter().map(|text| text.map(decode)).collect();
    Ok(Arc::new(texts))
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_lead_into_json() {
        let json = r#"{"a":{"b":[1,{"c":"x"}]},"n":null}"#;
        for (path, want) in [
            ("a.b[0]", Some("1")),
            ("a.b[1].c", Some("x")),
            ("a.b", Some(r#"[1,{"c":"x"}]"#)),
            ("n", None),
            ("a.z", None),
        ] {
            assert_eq!(super::get(json, path).as_deref(), want, "{path}");
        }
    }
}

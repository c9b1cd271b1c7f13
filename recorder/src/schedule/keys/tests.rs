//! The keys that are explained, beside those that are read.

use super::super::Config;
use super::*;

/// Names of the keys that are read below a path, by the complaint about one that is none; no names where no keys
/// can stand.
fn read_below(path: &str) -> Vec<String> {
    let text = wrap(path, "{'?': 1}");
    let error = Config::from_yaml(&text).map(drop).expect_err("no key is called that").to_string();
    let first = error.lines().next().unwrap_or_default();
    let Some((_, expected)) = first.split_once("unknown field `?`, expected one of ") else { return Vec::new() };
    expected.split(", ").map(str::to_owned).collect()
}

/// A value in the place of a key.
fn wrap(path: &str, value: &str) -> String {
    path.rsplit('.').filter(|name| !name.is_empty()).fold(value.to_owned(), |inner, name| {
        match name.strip_suffix("[]") {
            Some(name) => format!("{{{name}: [{inner}]}}"),
            None => format!("{{{name}: {inner}}}"),
        }
    })
}

fn walk(path: &str, found: &mut Vec<String>) {
    for name in read_below(path) {
        let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
        let before = found.len();
        walk(&inner, found);
        if found.len() == before {
            walk(&format!("{inner}[]"), found);
            found.push(inner);
        }
    }
}

#[test]
fn every_key_that_is_read_is_explained_and_no_other() {
    let mut read = Vec::new();
    walk("", &mut read);
    // What is left out has the words of what is chosen: they are explained once.
    let words_of = |list: &str| -> Vec<_> { read.iter().filter_map(|key| key.strip_prefix(list)).collect() };
    assert_eq!(words_of("windows[].exclude[]."), words_of("windows[].targets[]."));
    read.retain(|key| !key.starts_with("windows[].exclude[]."));
    let mut explained: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    read.sort_unstable();
    explained.sort_unstable();
    assert_eq!(explained, read);
}

#[test]
fn defaults_are_what_holds_without_a_key() {
    let config = |text: &str| Config::from_yaml(text).map(|config| format!("{config:?}"));
    let meant = |text: &str| config(text).map(|shown| shown.split(", sha256").next().map(str::to_owned));
    for key in KEYS {
        // Keys that stand beside the one in question, and are needed.
        let mut lines = vec![("cluster", "c"), ("store", "/s")];
        let mut window =
            vec![("name", "w"), ("duration", "1m"), ("interfaces", "[any]"), ("at", "'2026-01-01T00:00:00Z'")];
        let write = |lines: &[(&str, &str)], window: &[(&str, &str)]| {
            let put = |pairs: &[(&str, &str)]| {
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                pairs.join(", ")
            };
            format!("{{{}, windows: [{{{}}}]}}", put(lines), put(window))
        };
        let without = meant(&write(&lines, &window)).unwrap();
        let (pairs, path) = match key.path.strip_prefix("windows[].") {
            Some(path) => (&mut window, path),
            None => (&mut lines, key.path),
        };
        let (name, inner) = path.split_once('.').unwrap_or((path, ""));
        pairs.retain(|(known, _)| *known != name);
        match key.without {
            Required => {
                let text = write(&lines, &window);
                let error = config(&text).expect_err(key.path).to_string();
                assert!(error.contains(name), "{}: {error}", key.path);
            }
            Value(value) => {
                let value = wrap(inner, value);
                pairs.push((name, &value));
                assert_eq!(meant(&write(&lines, &window)).unwrap(), without, "{}", key.path);
            }
            _ => {}
        }
    }
}

#[test]
fn examples_are_read() {
    let config = Config::from_yaml(EXAMPLE).unwrap();
    assert_eq!(config.windows.len(), 2);
    for key in KEYS {
        // A value that is refused is named; keys that are missing beside it do not count here.
        let error = Config::from_yaml(&wrap(key.path, key.example)).map(drop).err().map(|error| error.to_string());
        let beside = ["missing field", "nothing names the cluster", "a target needs a word"];
        let is_read = |error: &str| beside.iter().any(|missing| error.contains(missing));
        assert!(error.as_deref().is_none_or(is_read), "{}: {error:?}", key.path);
    }
    assert!(explain_keys().contains("\nspool.bytes_max: 64GiB\n    size [bytes], default 4GiB\n    Most bytes"));
}

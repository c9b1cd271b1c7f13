//! What only the two ends should know: passwords, and the hashes of them.
//!
//! Enters: arguments of a command, its reply, or an error that quotes it. Leaves: which of the arguments are meant, the others with
//! `(redacted)` in their place.
//! Where a word was not seen whole, what stands behind it is hidden too.

use super::effect::Effect;
use super::node::{Node, Str};

/// What stands in the place of a secret.
pub const REDACTED: &str = "(redacted)";

/// Commands of which some arguments are secrets.
const KEEP_SECRETS: &[&str] = &["ACL SETUSER", "CONFIG SET", "HELLO", "MIGRATE", "SENTINEL CONFIG", "SENTINEL SET"];

/// Whether a configuration parameter holds a secret.
fn is_secret(parameter: &[u8]) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    let has = |part: &[u8]| parameter.windows(part.len()).any(|window| window == part);
    has(b"pass") && parameter != b"nopass" || parameter == b"masterauth"
}

/// Which arguments only the two ends should know.
pub fn hidden(name: &str, args: &[&Str], no_subcommand: bool) -> Vec<usize> {
    let mut hidden = Vec::new();
    let mut hide = |at: usize| hidden.push(at);
    let behind = |word: &str, count: usize| {
        args.iter()
            .enumerate()
            .filter(|(_, arg)| arg.is(word))
            .flat_map(|(at, _)| at + 1..=at + count)
            .collect::<Vec<_>>()
    };
    match name {
        "AUTH" => (0..args.len()).for_each(&mut hide),
        "ACL SETUSER" => (1..args.len())
            .filter(|&at| {
                args.get(at).is_some_and(|rule| matches!(rule.bytes.first(), Some(b'>' | b'<' | b'#' | b'!')))
            })
            .for_each(&mut hide),
        "CONFIG SET" | "SENTINEL CONFIG" | "SENTINEL SET" => (0..args.len())
            .filter(|&at| at > 0 && args.get(at - 1).is_some_and(|parameter| is_secret(&parameter.bytes)))
            .for_each(&mut hide),
        "HELLO" => behind("AUTH", 2).into_iter().for_each(&mut hide),
        "MIGRATE" => {
            behind("AUTH", 1).into_iter().for_each(&mut hide);
            behind("AUTH2", 2).into_iter().for_each(&mut hide);
        }
        _ => {}
    }
    // Behind a word that was not seen whole, anything could be a secret.
    if KEEP_SECRETS.contains(&name) || no_subcommand {
        let seen = args.iter().take_while(|arg| arg.is_whole()).count();
        (if no_subcommand { 0 } else { seen + 1 }..args.len()).for_each(hide);
    }
    hidden
}

/// Hides the secrets of a reply to a command of that effect.
pub fn redact_reply(effect: Effect, node: &mut Node) {
    match node {
        Node::Attributed(both) => return redact_reply(effect, &mut both.1),
        Node::Aggregate(_, items, _) if effect == Effect::Exec => {
            items.iter_mut().for_each(|item| redact_reply(Effect::TellSecrets, item));
        }
        // The password that `ACL GENPASS` made up.
        Node::Text(_, text) if effect != Effect::None && text.bytes.iter().all(u8::is_ascii_hexdigit) => {
            return hide(node);
        }
        _ => {}
    }
    redact_named(node);
}

/// Hides, at any depth, what stands behind the name of a parameter, and the hashes of a user's rules.
fn redact_named(node: &mut Node) {
    match node {
        Node::Attributed(both) => redact_named(&mut both.1),
        Node::Aggregate(_, items, _) => {
            let mut secret = false;
            for item in items {
                if secret {
                    hide(item);
                }
                secret = item.bytes().is_some_and(is_secret);
                redact_named(item);
            }
        }
        Node::Text(_, text) if text.bytes.starts_with(b"user ") => hide_hashes(text),
        _ => {}
    }
}

/// Hides what an error quotes of a command whose arguments, if it was seen, hold a secret, or may.
pub fn redact_error(mut error: String, args: Option<&[String]>) -> String {
    const QUOTES: [&str; 2] = [" with args beginning with: ", "argument '"];
    let may_hold = |args: &[String]| args.iter().any(|arg| arg == REDACTED || arg.starts_with('…'));
    if args.is_none_or(may_hold)
        && let Some(kept) = QUOTES.iter().filter_map(|quotes| Some(error.find(quotes)? + quotes.len())).min()
    {
        error.truncate(kept);
        error.push_str(REDACTED);
    }
    error
}

/// Hides all texts that are not empty.
fn hide(node: &mut Node) {
    match node {
        Node::Attributed(both) => hide(&mut both.1),
        Node::Aggregate(_, items, _) => items.iter_mut().for_each(hide),
        Node::Text(_, text) => {
            let hidden = if text.length > 0 { REDACTED } else { "" };
            *text = Str { bytes: hidden.into(), length: hidden.len() as u64, cut: false };
        }
        _ => {}
    }
}

/// Hides the hashes of passwords in a line that `ACL SETUSER` would take: its words with a `#`.
fn hide_hashes(text: &mut Str) {
    let is_hash = |word: &[u8]| word.strip_prefix(b"#").is_some_and(|hash| hash.iter().all(u8::is_ascii_hexdigit));
    let mut words: Vec<&[u8]> = text.bytes.split(|&byte| byte == b' ').collect();
    for word in words.iter_mut().filter(|word| is_hash(word)) {
        *word = REDACTED.as_bytes();
    }
    text.bytes = words.join(&b' ');
}

//! A command: its name, its key, its arguments as texts, and what it does to the connection.
//!
//! There is no list of commands. The first argument is the key, but for the few commands below that are known
//! to have none or to have it elsewhere (Redis command reference, key specifications). The channel of pub/sub
//! commands counts as one. Secrets never leave this file.

use super::node::{Kind, Node, Str, TextKind};
use super::wire;

/// What a command does to the connection once it was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    Discard,
    Exec,
    /// `HELLO`, with the version asked for.
    Hello(Option<u8>),
    Monitor,
    Multi,
    #[default]
    None,
    /// `REPLCONF ACK`: a replica says how far it is, and gets no answer.
    ReplicaAck,
    /// `CLIENT REPLY`.
    Reply(Replies),
    /// `PSYNC`, or `SYNC` of old.
    Replicate {
        answered: bool,
    },
    Reset,
    /// `SELECT`, with the database.
    Select(Option<i32>),
    /// Answered by one push for each channel, if it names them.
    Subscribe {
        channels: u32,
    },
    /// `ACL GENPASS`, `ACL GETUSER`, `ACL LIST`, `CONFIG GET`: its reply may hold secrets.
    TellSecrets,
    /// Bytes of the words that tell are missing: it may be any of these.
    Unknown,
}

/// What `CLIENT REPLY` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    Off,
    On,
    Skip,
}

/// One command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Command {
    /// Name in upper case, with the subcommand where it has one; nothing if it was not seen.
    pub name: Option<String>,
    /// Key, or channel.
    pub key: Option<String>,
    /// Arguments behind the name.
    pub args: Option<Vec<String>>,
    /// What it does.
    pub effect: Effect,
}

/// Longest name kept; the longest of Redis has 20 characters.
const NAME_BYTES_MAX: usize = 64;

const REDACTED: &str = "(redacted)";

/// Commands whose first argument is a subcommand, and which argument of which subcommand is a key.
const CONTAINERS: &[(&str, &[&str])] = &[
    ("ACL", &[]),
    ("CLIENT", &[]),
    ("CLUSTER", &[]),
    ("COMMAND", &[]),
    ("CONFIG", &[]),
    ("DEBUG", &["OBJECT"]),
    ("FUNCTION", &[]),
    ("LATENCY", &[]),
    ("MEMORY", &["USAGE"]),
    ("MODULE", &[]),
    ("OBJECT", &["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"]),
    ("PUBSUB", &[]),
    ("SCRIPT", &[]),
    ("SENTINEL", &[]),
    ("SLOWLOG", &[]),
    ("XGROUP", &["CREATE", "CREATECONSUMER", "DELCONSUMER", "DESTROY", "SETID"]),
    ("XINFO", &["CONSUMERS", "GROUPS", "STREAM"]),
];

/// Commands without a key whose arguments are something else.
const KEYLESS: &[&str] = &[
    "AUTH",
    "BGREWRITEAOF",
    "BGSAVE",
    "DISCARD",
    "ECHO",
    "EXEC",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "HELLO",
    "INFO",
    "KEYS",
    "LOLWUT",
    "MONITOR",
    "MULTI",
    "PING",
    "PSYNC",
    "QUIT",
    "RANDOMKEY",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "REPLICAOF",
    "RESET",
    "ROLE",
    "SAVE",
    "SCAN",
    "SELECT",
    "SHUTDOWN",
    "SLAVEOF",
    "SWAPDB",
    "SYNC",
    "TIME",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
];

/// Commands whose key is behind the number of keys, and which argument that number is.
const COUNTED: &[(&str, usize)] = &[
    ("BLMPOP", 1),
    ("BZMPOP", 1),
    ("EVAL", 1),
    ("EVALSHA", 1),
    ("EVALSHA_RO", 1),
    ("EVAL_RO", 1),
    ("FCALL", 1),
    ("FCALL_RO", 1),
    ("LMPOP", 0),
    ("SINTERCARD", 0),
    ("ZDIFF", 0),
    ("ZINTER", 0),
    ("ZINTERCARD", 0),
    ("ZMPOP", 0),
    ("ZUNION", 0),
];

/// Commands of which some arguments are secrets.
const KEEP_SECRETS: &[&str] = &["ACL SETUSER", "CONFIG SET", "HELLO", "MIGRATE", "SENTINEL CONFIG", "SENTINEL SET"];

/// Pub/sub commands that are answered by pushes.
pub const SUBSCRIBING: &[&str] =
    &["PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"];

impl Command {
    /// Of an array of bulk strings, or as much of it as was seen.
    pub fn of(node: &Node) -> Option<Self> {
        let Node::Aggregate(Kind::Array, items, left_out) = node else { return None };
        let words: Vec<&Str> = items
            .iter()
            .filter_map(|item| match item {
                Node::Text(TextKind::Bulk, text) => Some(text),
                _ => None,
            })
            .collect();
        Some(Self::of_words(&words, *left_out))
    }

    fn of_words(words: &[&Str], left_out: u64) -> Self {
        let first = words.first().copied();
        // What is behind a name that was not seen could be a secret.
        let Some((name, args)) = words.split_first().filter(|_| first.is_some_and(is_name)) else {
            let effect = if is_unseen(first, left_out) { Effect::Unknown } else { Effect::None };
            return Self { effect, ..Self::default() };
        };
        let mut name = name.text().to_ascii_uppercase();
        let mut args = args;
        let container = CONTAINERS.iter().find(|(container, _)| *container == name);
        let sub = container.and(args.first()).filter(|sub| is_name(sub));
        if let Some(sub) = sub {
            name.push(' ');
            name.push_str(&sub.text().to_ascii_uppercase());
            args = args.get(1..).unwrap_or_default();
        }
        let key = match container {
            Some((_, keyed)) => args.first().filter(|_| keyed.iter().any(|sub| name.ends_with(&format!(" {sub}")))),
            None => key(&name, args).and_then(|at| args.get(at)),
        };
        let effect = effect(&name, args, left_out);
        let key = key.map(|key| key.text());
        let mut texts: Vec<String> = args.iter().map(|arg| arg.text()).collect();
        redact(&name, args, &mut texts, container.is_some() && sub.is_none());
        if left_out > 0 {
            texts.push(format!("…({left_out} more)"));
        }
        // A subcommand that was not seen leaves the command unknown.
        let unseen = container.is_some() && sub.is_none() && is_unseen(args.first().copied(), left_out);
        Self { name: Some(name).filter(|_| !unseen), key, args: Some(texts), effect }
    }

    /// Of a line: words as redis-cli would split them. `None` for an empty line.
    ///
    /// Says also whether the quotes are as they should be; if not, the line is split at its spaces alone.
    pub fn of_line(line: &Str) -> Option<(Self, bool)> {
        let (words, balanced) = match split(&line.bytes) {
            Some(words) => (words, true),
            None => (
                line.bytes.split(u8::is_ascii_whitespace).map(<[u8]>::to_vec).filter(|word| !word.is_empty()).collect(),
                false,
            ),
        };
        let count = words.len();
        let words = words.into_iter().enumerate().map(|(at, bytes)| Str {
            length: bytes.len() as u64,
            bytes,
            cut: line.cut && at + 1 == count,
        });
        let words: Vec<Str> = words.collect();
        let words: Vec<&Str> = words.iter().collect();
        (!words.is_empty()).then(|| (Self::of_words(&words, 0), balanced))
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let args = self.args.iter().flatten().map(|arg| arg.len() + size_of::<String>()).sum::<usize>();
        args + [&self.name, &self.key].into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// Its texts, for the row; what it does stays.
    pub fn take_texts(&mut self) -> Self {
        let effect = self.effect;
        std::mem::replace(self, Self { effect, ..Self::default() })
    }

    /// Gives up the arguments: too much waits for its answer.
    pub fn shed(&mut self) {
        if let Some(args) = self.args.as_mut().filter(|args| args.len() > 1) {
            *args = vec![format!("…({} more)", args.len())];
        }
    }
}

/// Which argument is the first key.
fn key(name: &str, args: &[&Str]) -> Option<usize> {
    if KEYLESS.contains(&name) {
        return None;
    }
    if let Some(&(_, at)) = COUNTED.iter().find(|(counted, _)| *counted == name) {
        let keys = wire::number(&args.get(at)?.bytes)?;
        return (keys > 0).then_some(at + 1);
    }
    match name {
        "BITOP" => Some(1),
        "MIGRATE" if args.get(2).is_some_and(|key| key.bytes.is_empty()) => word(args, "KEYS").map(|at| at + 1),
        "MIGRATE" => Some(2),
        "XREAD" | "XREADGROUP" => word(args, "STREAMS").map(|at| at + 1),
        _ => Some(0),
    }
}

/// Which argument is that word.
fn word(args: &[&Str], word: &str) -> Option<usize> {
    args.iter().position(|arg| is(arg, word))
}

fn is(arg: &Str, word: &str) -> bool {
    arg.is_whole() && arg.bytes.eq_ignore_ascii_case(word.as_bytes())
}

/// Whether it may be the name of a command.
fn is_name(word: &Str) -> bool {
    word.is_whole() && word.bytes.len() <= NAME_BYTES_MAX
}

/// Whether a word may be anything, for bytes of it are missing. What is cut for its length alone is no word of Redis.
fn is_unseen(word: Option<&Str>, left_out: u64) -> bool {
    word.map_or(left_out > 0, |word| !word.is_whole() && word.bytes.len() <= NAME_BYTES_MAX)
}

fn effect(name: &str, args: &[&Str], left_out: u64) -> Effect {
    let first = |word: &str| args.first().is_some_and(|arg| is(arg, word));
    let number = || args.first().filter(|arg| arg.is_whole()).and_then(|arg| wire::number(&arg.bytes));
    match name {
        "ACL" | "CLIENT" | "CLIENT REPLY" | "CONFIG" | "HELLO" | "REPLCONF"
            if is_unseen(args.first().copied(), left_out) =>
        {
            Effect::Unknown
        }
        "CLIENT REPLY" if first("OFF") => Effect::Reply(Replies::Off),
        "CLIENT REPLY" if first("ON") => Effect::Reply(Replies::On),
        "CLIENT REPLY" if first("SKIP") => Effect::Reply(Replies::Skip),
        "ACL GENPASS" | "ACL GETUSER" | "ACL LIST" | "CONFIG GET" => Effect::TellSecrets,
        "DISCARD" => Effect::Discard,
        "EXEC" => Effect::Exec,
        "HELLO" => Effect::Hello(number().and_then(|version| u8::try_from(version).ok())),
        "MONITOR" => Effect::Monitor,
        "MULTI" => Effect::Multi,
        "PSYNC" => Effect::Replicate { answered: true },
        "REPLCONF" if first("ACK") => Effect::ReplicaAck,
        "RESET" => Effect::Reset,
        "SELECT" => Effect::Select(number().and_then(|db| i32::try_from(db).ok())),
        "SYNC" => Effect::Replicate { answered: false },
        _ if SUBSCRIBING.contains(&name) => Effect::Subscribe {
            channels: (args.len() as u64).saturating_add(left_out).clamp(1, u32::MAX.into()) as u32,
        },
        _ => Effect::None,
    }
}

/// Whether a configuration parameter holds a secret.
pub fn is_secret(parameter: &[u8]) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    let has = |part: &[u8]| parameter.windows(part.len()).any(|window| window == part);
    has(b"pass") && parameter != b"nopass" || parameter == b"masterauth"
}

/// Replaces what only the two ends should know.
fn redact(name: &str, args: &[&Str], texts: &mut [String], no_subcommand: bool) {
    let mut hide = |at: usize| {
        if let Some(text) = texts.get_mut(at) {
            *text = REDACTED.to_owned();
        }
    };
    let behind = |word: &str, count: usize| {
        args.iter()
            .enumerate()
            .filter(|(_, arg)| is(arg, word))
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

/// The words of an inline command; quotes and escapes as Redis reads them (`sdssplitargs`).
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'"' | b'\'' => {
                    rest = quoted(byte, rest, &mut word)?;
                    if rest.first().is_some_and(|next| !next.is_ascii_whitespace()) {
                        return None;
                    }
                }
                _ if byte.is_ascii_whitespace() => break,
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// Reads to the closing quote; what is behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match (quote, rest) {
            (b'"', [b'\\', b'x', high, low, tail @ ..]) if is_escape(*high, *low) => {
                (hex(*high) << 4 | hex(*low), tail)
            }
            (b'"', [b'\\', escaped, tail @ ..]) => {
                let byte = match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                };
                (byte, tail)
            }
            (b'\'', [b'\\', b'\'', tail @ ..]) => (b'\'', tail),
            (_, [byte, tail @ ..]) if *byte == quote => return Some(tail),
            (_, [byte, tail @ ..]) => (*byte, tail),
            (_, []) => return None,
        };
        word.push(byte);
        rest = tail;
    }
}

fn is_escape(high: u8, low: u8) -> bool {
    high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

//! A command: its name, its key, its arguments as texts, and what it does to the connection.
//!
//! There is no list of commands. The first argument is the key, but for the few commands below that are known
//! to have none or to have it elsewhere (Redis command reference, key specifications). The channel of pub/sub
//! commands counts as one. Secrets are hidden before a [`Command`] is made.

use super::effect::Effect;
use super::node::{Kind, Node, Str, TextKind};
use super::secrets;
use super::wire;
use super::words::{self, is_name, is_unseen};

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

impl Command {
    /// Of an array of bulk strings, or as much of it as was seen.
    pub fn of(node: Node) -> Option<Self> {
        let Node::Aggregate(Kind::Array, items, left_out) = node else { return None };
        let words = items.into_iter().filter_map(|item| match item {
            Node::Text(TextKind::Bulk, text) => Some(text),
            _ => None,
        });
        Some(Self::of_words(words.collect(), left_out))
    }

    fn of_words(all: Vec<Str>, left_out: u64) -> Self {
        let words: Vec<&Str> = all.iter().collect();
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
        let effect = Effect::of(&name, args, left_out);
        let key = key.map(|key| key.text());
        let hidden = secrets::hidden(&name, args, container.is_some() && sub.is_none());
        let unseen = container.is_some() && sub.is_none() && is_unseen(args.first().copied(), left_out);
        let args_at = all.len() - args.len();
        // Not collected in the place of the words, which is larger.
        let mut texts: Vec<String> = Vec::with_capacity(all.len() - args_at + usize::from(left_out > 0));
        texts.extend(all.into_iter().skip(args_at).map(Str::into_text));
        for at in hidden {
            if let Some(text) = texts.get_mut(at) {
                *text = secrets::REDACTED.to_owned();
            }
        }
        if left_out > 0 {
            texts.push(format!("…({left_out} more)"));
        }
        // A subcommand that was not seen leaves the command unknown.
        Self { name: Some(name).filter(|_| !unseen), key, args: Some(texts), effect }
    }

    /// Of a line: words as redis-cli would split them. `None` for an empty line.
    ///
    /// Says also whether the quotes are as they should be; if not, the line is split at its spaces alone.
    pub fn of_line(line: &Str) -> Option<(Self, bool)> {
        let (words, balanced) = match words::split(&line.bytes) {
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
        (count > 0).then(|| (Self::of_words(words.collect(), 0), balanced))
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
        "MIGRATE" if args.get(2).is_some_and(|key| key.bytes.is_empty()) => {
            words::position(args, "KEYS").map(|at| at + 1)
        }
        "MIGRATE" => Some(2),
        "XREAD" | "XREADGROUP" => words::position(args, "STREAMS").map(|at| at + 1),
        _ => Some(0),
    }
}

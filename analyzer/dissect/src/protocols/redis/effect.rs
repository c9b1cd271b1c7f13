//! What a command does to the connection.
//!
//! Enters: its name and arguments, as far as they were seen. Leaves: an [`Effect`], unknown where the words that tell are
//! damaged.

use super::node::Str;
use super::wire;
use super::words::is_unseen;

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

/// Pub/sub commands that are answered by pushes.
const SUBSCRIBING: &[&str] = &["PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"];

impl Effect {
    /// Of a command with these arguments, and so many more behind them that were not kept.
    pub fn of(name: &str, args: &[&Str], left_out: u64) -> Self {
        let first = |word: &str| args.first().is_some_and(|arg| arg.is(word));
        let number = || args.first().filter(|arg| arg.is_whole()).and_then(|arg| wire::number(&arg.bytes));
        match name {
            "ACL" | "CLIENT" | "CLIENT REPLY" | "CONFIG" | "HELLO" | "REPLCONF"
                if is_unseen(args.first().copied(), left_out) =>
            {
                Self::Unknown
            }
            "CLIENT REPLY" if first("OFF") => Self::Reply(Replies::Off),
            "CLIENT REPLY" if first("ON") => Self::Reply(Replies::On),
            "CLIENT REPLY" if first("SKIP") => Self::Reply(Replies::Skip),
            "ACL GENPASS" | "ACL GETUSER" | "ACL LIST" | "CONFIG GET" => Self::TellSecrets,
            "DISCARD" => Self::Discard,
            "EXEC" => Self::Exec,
            "HELLO" => Self::Hello(number().and_then(|version| u8::try_from(version).ok())),
            "MONITOR" => Self::Monitor,
            "MULTI" => Self::Multi,
            "PSYNC" => Self::Replicate { answered: true },
            "REPLCONF" if first("ACK") => Self::ReplicaAck,
            "RESET" => Self::Reset,
            "SELECT" => Self::Select(number().and_then(|db| i32::try_from(db).ok())),
            "SYNC" => Self::Replicate { answered: false },
            _ if SUBSCRIBING.contains(&name) => Self::Subscribe {
                channels: (args.len() as u64).saturating_add(left_out).clamp(1, u32::MAX.into()) as u32,
            },
            _ => Self::None,
        }
    }
}

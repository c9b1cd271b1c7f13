use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "redis",
    row: "a command with its reply, or a push",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const RESP: &str = "Redis serialization protocol specification";
const COMMANDS: &str = "Redis command reference";
const NO_REPLY: &str = "no reply was seen: there was none, or pushes confirmed the command";

const COLUMNS: &[Column] = &[
    column("resp_version", Int, "Version of RESP: 2, or 3 once HELLO asked for it or values only it has were seen.")
        .null("joined in the middle, behind a loss of commands, or not known for want of a reply, and nothing told")
        .source(RESP),
    column("command", Text, "Command in upper case, with its subcommand ('CONFIG GET'); of a push what it is about: 'MESSAGE', 'SUBSCRIBE', 'INVALIDATE', 'MONITOR', or what a master sends its replica, 'RDB' for a snapshot.")
        .null("the command was not seen, or its name was cut")
        .source(COMMANDS)
        .looked_up(),
    column("key", Text, "First key of the command, or channel of pub/sub: the first argument, except of commands known to have none or to have it elsewhere. Written as `args` are.")
        .null("the command has none, or was not seen")
        .source("Redis command reference, key specifications")
        .looked_up(),
    column("args", TextList, "Arguments behind the command. What is no UTF-8, control characters, and a backslash that would read as such an escape are written '\\xNN'. An argument that is cut ends with '…(<true length> bytes)', a list that is cut with '…(<n> more)'. Secrets (AUTH, HELLO, MIGRATE, ACL SETUSER, CONFIG SET) are '(redacted)'.")
        .null("the command was not seen, or its name was cut")
        .source(RESP),
    column("reply_type", Text, "Type of the reply: 'simple_string', 'error', 'integer', 'bulk_string', 'array', 'null', 'boolean', 'double', 'big_number', 'blob_error', 'verbatim_string', 'map', 'set' or 'push'.")
        .null(NO_REPLY)
        .source(RESP),
    column("reply", Text, "Reply as JSON text: nil is null; errors within it are {\"$error\"}, cut strings {\"$cut\",\"bytes\"} with their true length, values left out {\"$left_out\"} with their number, values with attributes {\"$attributes\",\"$value\"}, verbatim strings that are no plain text {\"$verbatim\"}. Secrets that CONFIG GET, ACL GENPASS, ACL GETUSER and ACL LIST tell are '(redacted)'.")
        .null("no reply was seen, or it is an error")
        .source(RESP),
    column("error", Text, "Text of an error, its prefix in front ('WRONGTYPE …', 'MOVED 3999 …').")
        .null("the reply is no error, or none was seen")
        .source(RESP),
    column("is_push", Boolean, "Whether it answers no command: messages and confirmations of pub/sub, pushes of RESP3, lines of MONITOR, what a master sends its replica.")
        .source(RESP),
    column("db", Int, "Database the command ran in: SELECT is followed where its reply was seen.")
        .null("joined in the middle, behind a loss, or not known for want of a reply")
        .source(COMMANDS),
    column("request_bytes", BigInt, "Length of the command as sent.")
        .unit("bytes")
        .null("the command was not seen, or not its end")
        .source(RESP),
    column("reply_bytes", BigInt, "Length of the reply or push as sent; so far where `pair` is 'cut'.")
        .unit("bytes")
        .null(NO_REPLY)
        .source(RESP),
];

mod losses;
mod properties;
mod pushes;
mod values;

use super::PROTOCOL;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, Detection, End, Look, Options, Row, Side, Start};

/// `COMMAND key args > type reply` with what else there is to say.
fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Redis(row) = row else { panic!("{row:?}") };
    let mut line = String::new();
    if row.is_push {
        line.push_str("push ");
    }
    line.push_str(row.command.as_deref().unwrap_or("?"));
    if let Some(key) = &row.key {
        line.push_str(&format!(" key={key}"));
    }
    if let Some(args) = row.args.as_ref().filter(|args| !args.is_empty()) {
        line.push_str(&format!(" {args:?}"));
    }
    if let Some(kind) = row.reply_type {
        line.push_str(&format!(" > {kind} {}", row.reply.as_ref().or(row.error.as_ref()).unwrap()));
    }
    if call.pair.name() != "complete" && !row.is_push {
        line.push_str(&format!(" {}", call.pair.name()));
    }
    if [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged) {
        line.push_str(" damaged");
    }
    line
}

fn play_from(from_start: bool, steps: &[Step], render: fn(&Call, Row<'_>) -> String) -> Vec<String> {
    let options = Options { body_bytes_max: 4096 };
    let start = Start { options, from_start, datagram: false, server_port: 6379, multicast: false };
    let mut dissector = (PROTOCOL.start)(&start);
    drive(dissector.as_mut(), PROTOCOL.unread_bytes_max, steps, render).lines
}

fn play(steps: &[Step]) -> String {
    play_from(true, steps, render).join(", ")
}

fn joined(steps: &[Step]) -> String {
    play_from(false, steps, render).join(", ")
}

fn check(cases: &[(&str, Vec<Step>, &str)], play: fn(&[Step]) -> String) {
    for (name, steps, want) in cases {
        assert_eq!(play(steps), *want, "{name}");
        assert_eq!(play(&cut(steps, 1)), *want, "{name}, byte by byte");
    }
}

/// A command as an array of bulk strings.
fn resp(words: &str) -> Vec<u8> {
    let words: Vec<_> = words.split(' ').collect();
    let strings: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{strings}", words.len()).into_bytes()
}

fn ask(words: &str) -> Step {
    client(resp(words))
}

#[test]
fn commands_and_replies() {
    let pipeline = [resp("SET a 1"), resp("GET a"), resp("GET b")].concat();
    check(
        &[
            ("one", vec![ask("get user:1"), server("$2\r\nhi\r\n")], r#"GET key=user:1 ["user:1"] > bulk_string "hi""#),
            (
                "nil and empty",
                vec![
                    ask("GET a"),
                    server("$-1\r\n"),
                    ask("GET b"),
                    server("$0\r\n\r\n"),
                    ask("LRANGE c 0 1"),
                    server("*0\r\n"),
                ],
                r#"GET key=a ["a"] > null null, GET key=b ["b"] > bulk_string "", LRANGE key=c ["c", "0", "1"] > array []"#,
            ),
            (
                "a pipeline",
                vec![client(pipeline), server("+OK\r\n$1\r\n1\r\n$-1\r\n")],
                r#"SET key=a ["a", "1"] > simple_string "OK", GET key=a ["a"] > bulk_string "1", GET key=b ["b"] > null null"#,
            ),
            (
                "an error keeps its prefix",
                vec![
                    ask("LPUSH s x"),
                    server("-WRONGTYPE Operation\r\n"),
                    ask("GET k"),
                    server("-MOVED 3999 127.0.0.1:6381\r\n"),
                ],
                r#"LPUSH key=s ["s", "x"] > error WRONGTYPE Operation, GET key=k ["k"] > error MOVED 3999 127.0.0.1:6381"#,
            ),
            (
                "inline",
                vec![client("set \"a b\" 'c\\'d'\r\n\r\nPING\n"), server("+OK\r\n+PONG\r\n")],
                r#"SET key=a b ["a b", "c'd"] > simple_string "OK", PING > simple_string "PONG""#,
            ),
            (
                "quotes that do not close",
                vec![client("SET a \"b\r\n"), server("-ERR Protocol error: unbalanced quotes in request\r\n")],
                r#"!redis_unbalanced_quotes, SET key=a ["a", "\"b"] > error ERR Protocol error: unbalanced quotes in request"#,
            ),
            (
                "a HELLO that is passed over",
                vec![
                    client([resp("HELLO 3 AUTH u p"), resp("PING")].concat()),
                    server("+PONG\r\n"),
                    ask("GET a"),
                    server("$-1\r\n"),
                ],
                r#"HELLO ["3", "AUTH", "(redacted)", "(redacted)"] request_only, PING > simple_string "PONG", GET key=a ["a"] > null null"#,
            ),
            ("not answered", vec![ask("BLPOP l 0")], r#"BLPOP key=l ["l", "0"] cut"#),
            (
                "not answered before the end",
                vec![ask("BLPOP l 0"), Step::End(Side::Client, End::Closed), Step::End(Side::Server, End::Closed)],
                r#"BLPOP key=l ["l", "0"] request_only"#,
            ),
            (
                "an empty array is no command",
                vec![client("*0\r\n*-1\r\n"), ask("PING"), server("+PONG\r\n")],
                r#"PING > simple_string "PONG""#,
            ),
            (
                "not RESP, then RESP",
                vec![
                    client("*1\r\n:1\r\n"),
                    server("-ERR Protocol error: expected '$', got ':'\r\n"),
                    ask("PING"),
                    server("+PONG\r\n"),
                ],
                r#"!redis_malformed, ? > error ERR Protocol error: expected '$', got ':' cut, !redis_skipped, PING > simple_string "PONG""#,
            ),
        ],
        play,
    );
}

#[test]
fn the_key_is_the_first_argument_but_for_a_few() {
    for (words, want) in [
        ("DEL a b", "DEL a"),
        ("JSON.GET doc $", "JSON.GET doc"),
        ("OBJECT ENCODING k", "OBJECT ENCODING k"),
        ("CONFIG GET max*", "CONFIG GET -"),
        ("XGROUP CREATE st g 0", "XGROUP CREATE st"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS st >", "XREADGROUP st"),
        ("EVAL x 1 k a", "EVAL k"),
        ("EVAL x 0 a", "EVAL -"),
        ("FCALL f 2 k l", "FCALL k"),
        ("ZUNION 2 a b", "ZUNION a"),
        ("BLMPOP 0 1 l LEFT", "BLMPOP l"),
        ("BITOP AND dst a", "BITOP dst"),
        ("MIGRATE h 1 k 0 10", "MIGRATE k"),
        ("SELECT 1", "SELECT -"),
        ("PUBLISH ch hi", "PUBLISH ch"),
        ("PING", "PING -"),
    ] {
        let named = |_: &Call, row: Row<'_>| match row {
            Row::Redis(row) => format!("{} {}", row.command.as_ref().unwrap(), row.key.as_deref().unwrap_or("-")),
            other => panic!("{other:?}"),
        };
        assert_eq!(play_from(true, &[ask(words), server("+OK\r\n")], named).join(","), want);
    }
}

#[test]
fn secrets_are_hidden() {
    for words in [
        "AUTH s3cret",
        "auth user s3cret",
        "HELLO 3 AUTH user s3cret SETNAME n",
        "ACL SETUSER bob on >s3cret ~*",
        "CONFIG SET maxmemory 1 requirepass s3cret",
        "CONFIG SET tls-key-file-pass s3cret",
        "MIGRATE h 1 k 0 10 AUTH s3cret",
        "MIGRATE h 1 k 0 10 AUTH2 user s3cret",
        "SENTINEL SET main auth-pass s3cret",
    ] {
        let shown = play(&[ask(words), server("+OK\r\n")]);
        assert!(!shown.contains("s3cret") && shown.contains("(redacted)"), "{shown}");
        let inline = play(&[client(format!("{words}\r\n")), server("+OK\r\n")]);
        assert_eq!(inline, shown);
        let quoted = format!("-ERR unknown command, with args beginning with: '{}'\r\n", words.replace(' ', "' '"));
        let refused = play(&[ask(words), server(&quoted)]);
        assert!(!refused.contains("s3cret") && refused.contains("beginning with: (redacted)"), "{refused}");
        assert!(!joined(&[server(&quoted)]).contains("s3cret"));
        let asked = resp(words);
        for lost in 0..asked.len() {
            let gap = Step::Gap(Side::Client, 1);
            for reply in ["+OK\r\n", &quoted] {
                let lossy = [client(&asked[..lost]), gap.clone(), client(&asked[lost + 1..]), server(reply)];
                let shown = play(&lossy);
                assert!(!shown.contains("s3cret"), "{lost}: {shown}");
            }
        }
    }
    let (hash, line) = ("5ec4e7".repeat(10), "user bob on #");
    for reply in [
        format!("*4\r\n+flags\r\n*2\r\n+nopass\r\n+on\r\n+passwords\r\n*1\r\n+{hash}\r\n"),
        format!("%1\r\n+passwords\r\n*1\r\n+{hash}\r\n"),
        format!("*1\r\n${}\r\n{line}{hash} #{hash} ~*\r\n", line.len() + 2 * hash.len() + 5),
    ] {
        for words in ["ACL GETUSER bob", "ACL LIST"] {
            let shown = play(&[ask(words), server(&reply)]);
            assert!(!shown.contains("5ec4e7") && shown.contains("(redacted)"), "{shown}");
            assert!(shown.contains(r#"["nopass","on"]"#) == reply.contains("nopass"), "{shown}");
            let queued = [ask("MULTI"), ask(words), ask("EXEC"), server("+OK\r\n+QUEUED\r\n*1\r\n"), server(&reply)];
            assert!(!play(&queued).contains("5ec4e7"));
        }
        assert!(!joined(&[server(&reply)]).contains("5ec4e7"));
    }
    for reply in ["$8\r\n05ec4e71\r\n", "$2\r\n5e\r\n"] {
        let shown = play(&[ask("ACL GENPASS 32"), server(reply)]);
        assert!(!shown.contains("5e") && shown.contains("(redacted)"), "{shown}");
        let queued = [ask("MULTI"), ask("ACL GENPASS"), ask("EXEC"), server("+OK\r\n+QUEUED\r\n*1\r\n"), server(reply)];
        assert!(!play(&queued).contains("5e"));
    }
    for reply in ["*2\r\n$11\r\nrequirepass\r\n$6\r\ns3cret\r\n", "%1\r\n$10\r\nmasterauth\r\n$6\r\ns3cret\r\n"] {
        let shown = play(&[ask("CONFIG GET *"), server(reply)]);
        assert!(!shown.contains("s3cret") && shown.contains("(redacted)"), "{shown}");
        assert!(!joined(&[server(reply)]).contains("s3cret"));
    }
}

#[test]
fn what_is_redis_and_what_is_not() {
    let (yes, no, more) = (Detection::Yes, Detection::No, Detection::More);
    for (bytes, from_port, to_port, want) in [
        ("*1\r\n$4\r\nPING\r\n", 5000, 6000, yes(None)),
        ("*1\r\n$4\r\nPING\r\n", 5000, 6379, yes(Some(Side::Client))),
        ("*1\r\n$4\r\nPI", 5000, 6000, more),
        ("*1\r\n$4\r\nP NG\r\n", 5000, 6000, yes(Some(Side::Server))),
        ("$5\r\nhello\r\n", 6000, 5000, yes(Some(Side::Server))),
        ("$5\r\nhello!\r\n", 6000, 5000, no),
        ("+PONG\r\n", 6000, 5000, yes(Some(Side::Server))),
        ("+OK\r\n", 6000, 5000, no),
        ("+OK\r\n", 6379, 5000, yes(Some(Side::Server))),
        ("+OK POP3 ready\r\n", 110, 5000, no),
        ("-ERR bad\r\n", 110, 5000, no),
        (":12\r\n", 6379, 5000, yes(Some(Side::Server))),
        ("PING\r\n", 5000, 6379, yes(Some(Side::Client))),
        ("\r\nPING\r\n", 5000, 6379, yes(Some(Side::Client))),
        ("\r\n", 5000, 6379, more),
        ("PING\r\n", 5000, 6667, no),
        ("PING", 5000, 6379, more),
        ("GET / HTTP/1.1\r\n", 5000, 6379, no),
        ("EHLO me\r\n", 5000, 6379, no),
        ("USER anonymous\r\n", 5000, 21, no),
        ("NICK me\r\n", 5000, 6379, no),
        ("get key\r\n", 5000, 11211, no),
        ("VALUE key 0 5\r\nhello\r\nEND\r\n", 11211, 5000, no),
        ("220 mail ready\r\n", 6379, 5000, no),
        ("* OK IMAP ready\r\n", 143, 5000, no),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", 5000, 6379, no),
        ("\u{16}\u{3}\u{3}\0\u{7a}\u{2}", 6379, 5000, no),
        ("SSH-2.0-OpenSSH\r\n", 5000, 6379, no),
    ] {
        let look = Look { bytes: bytes.as_bytes(), datagram: false, from_port, to_port };
        assert_eq!((PROTOCOL.detect)(&look), want, "{bytes:?} {from_port} {to_port}");
    }
}

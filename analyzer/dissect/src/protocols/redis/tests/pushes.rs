//! What answers nothing, what is not answered, and what a connection's state does.

use super::*;

fn push(kind: &str, words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    let value = |word: &&str| match word.strip_prefix(':') {
        Some(number) => format!(":{number}\r\n"),
        None => format!("${}\r\n{word}\r\n", word.len()),
    };
    format!("{kind}{}\r\n{}", words.len(), words.iter().map(value).collect::<String>())
}

#[test]
fn pushes() {
    let message = push("*", "message ch hi");
    check(
        &[
            (
                "RESP2",
                vec![
                    ask("SUBSCRIBE ch d"),
                    server(push("*", "subscribe ch :1") + &push("*", "subscribe d :2") + &message),
                    ask("PING"),
                    server("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
                ],
                r#"push SUBSCRIBE key=ch > array ["subscribe","ch",1], push SUBSCRIBE key=d > array ["subscribe","d",2], SUBSCRIBE key=ch ["ch", "d"], push MESSAGE key=ch > array ["message","ch","hi"], PING > array ["pong",""]"#,
            ),
            (
                "RESP3 between replies",
                vec![
                    ask("HELLO 3"),
                    server("%1\r\n+proto\r\n:3\r\n"),
                    client([resp("GET a"), resp("GET b")].concat()),
                    server(format!("$1\r\n1\r\n{}$1\r\n2\r\n", push(">", "message ch hi"))),
                ],
                r#"HELLO ["3"] > map {"proto":3}, GET key=a ["a"] > bulk_string "1", push MESSAGE key=ch > push ["message","ch","hi"], GET key=b ["b"] > bulk_string "2""#,
            ),
            (
                "channels of shards are counted apart",
                vec![
                    ask("SUBSCRIBE ch"),
                    server(push("*", "subscribe ch :1")),
                    ask("SSUBSCRIBE d"),
                    server(push("*", "ssubscribe d :1")),
                    ask("SUNSUBSCRIBE d"),
                    server(push("*", "sunsubscribe d :0")),
                    ask("PING"),
                    server(message.clone() + "*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
                ],
                r#"push SUBSCRIBE key=ch > array ["subscribe","ch",1], SUBSCRIBE key=ch ["ch"], push SSUBSCRIBE key=d > array ["ssubscribe","d",1], SSUBSCRIBE key=d ["d"], push SUNSUBSCRIBE key=d > array ["sunsubscribe","d",0], SUNSUBSCRIBE key=d ["d"], push MESSAGE key=ch > array ["message","ch","hi"], PING > array ["pong",""]"#,
            ),
            (
                "a list that looks like a message",
                vec![ask("LRANGE l 0 2"), server(&message)],
                r#"LRANGE key=l ["l", "0", "2"] > array ["message","ch","hi"]"#,
            ),
            (
                "a refused subscription",
                vec![ask("SUBSCRIBE ch"), server("-NOPERM no\r\n"), ask("PING"), server("+PONG\r\n")],
                r#"SUBSCRIBE key=ch ["ch"] > error NOPERM no, PING > simple_string "PONG""#,
            ),
            (
                "MONITOR",
                vec![ask("MONITOR"), server("+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"\r\n")],
                r#"MONITOR > simple_string "OK", push MONITOR > simple_string "1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"""#,
            ),
            (
                "replies switched off",
                vec![
                    client(
                        "CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\nCLIENT REPLY SKIP\r\nGET a\r\nGET b\r\n",
                    ),
                    server("+OK\r\n+PONG\r\n$-1\r\n"),
                ],
                r#"CLIENT REPLY ["OFF"] request_only, PING request_only, CLIENT REPLY ["SKIP"] request_only, CLIENT REPLY ["ON"] > simple_string "OK", PING > simple_string "PONG", CLIENT REPLY ["SKIP"] request_only, GET key=a ["a"] request_only, GET key=b ["b"] > null null"#,
            ),
            (
                "a transaction",
                vec![client("MULTI\r\nINCR a\r\nEXEC\r\n"), server("+OK\r\n+QUEUED\r\n*1\r\n:2\r\n")],
                r#"MULTI > simple_string "OK", INCR key=a ["a"] > simple_string "QUEUED", EXEC > array [2]"#,
            ),
        ],
        play,
    );
}

#[test]
fn replication() {
    let stream = [resp("SELECT 1"), resp("SET a 1")].concat();
    let rows = r#"PSYNC ["?", "-1"] > simple_string "FULLRESYNC id 1", push RDB, push SELECT ["1"], push SET key=a ["a", "1"], REPLCONF ["ACK", "9"] request_only"#;
    let play_with = |snapshot: &[u8]| {
        let steps = vec![
            ask("PSYNC ? -1"),
            server("\n"),
            server("\n+FULLRESYNC id 1\r\n\n\n"),
            server([snapshot, &stream].concat()),
            ask("REPLCONF ACK 9"),
        ];
        (play(&steps), play(&cut(&steps, 1)))
    };
    let mark = "0123456789012345678901234567890123456789";
    let marked = format!("$EOF:{mark}\r\nREDIS*1\r\n{mark}");
    let of_its_own = format!("$ENDOFF:18446744073709551615 {mark} 15 4294967295\r\n{marked}");
    for snapshot in [&b"$9\r\nREDIS*1\r\n"[..], marked.as_bytes(), of_its_own.as_bytes()] {
        let (whole, cut) = play_with(snapshot);
        assert_eq!(whole, rows);
        assert_eq!(cut, rows);
    }
}

fn databases(_: &Call, row: Row<'_>) -> String {
    let Row::Redis(row) = row else { panic!("{row:?}") };
    let known = |number: Option<i32>| number.map_or("?".to_owned(), |number| number.to_string());
    format!("{}@{}/{}", row.command.as_deref().unwrap_or("?"), known(row.db), known(row.resp_version.map(i32::from)))
}

#[test]
fn the_database_and_the_version_are_followed() {
    let gap = Step::Gap(Side::Client, 9);
    for (name, from_start, steps, want) in [
        (
            "from the start",
            true,
            vec![client("PING\r\nSELECT 2\r\nPING\r\n"), server("+PONG\r\n+OK\r\n+PONG\r\n")],
            "PING@0/2 SELECT@0/2 PING@2/2",
        ),
        (
            "refused",
            true,
            vec![client("SELECT 99\r\nPING\r\n"), server("-ERR DB index is out of range\r\n+PONG\r\n")],
            "SELECT@0/2 PING@0/2",
        ),
        (
            "joined",
            false,
            vec![ask("PING"), server("+PONG\r\n"), ask("SELECT 2"), server("+OK\r\n"), ask("GET a"), server("$-1\r\n")],
            "PING@?/? SELECT@?/? GET@2/2",
        ),
        (
            "a loss",
            true,
            vec![
                client("PING\r\n"),
                server("+PONG\r\n"),
                gap,
                ask("PING"),
                server("+PONG\r\n"),
                ask("SELECT 1"),
                server("+OK\r\n"),
                ask("PING"),
                server("+PONG\r\n"),
            ],
            "PING@0/2 !redis_gap PING@?/? SELECT@?/? PING@1/?",
        ),
        (
            "the reply to HELLO is lost",
            true,
            vec![
                ask("HELLO 3"),
                Step::Gap(Side::Server, 30),
                ask("PING"),
                server("+PONG\r\n"),
                ask("GET a"),
                server("_\r\n"),
            ],
            "!redis_gap HELLO@?/? PING@0/? GET@0/3",
        ),
        (
            "in a transaction",
            true,
            vec![
                client("MULTI\r\nSELECT 5\r\nGET a\r\nEXEC\r\nPING\r\n"),
                server("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$-1\r\n+PONG\r\n"),
            ],
            "MULTI@0/2 SELECT@0/2 GET@?/2 EXEC@0/2 PING@5/2",
        ),
        (
            "a transaction that was given up",
            true,
            vec![client("MULTI\r\nSELECT 5\r\nEXEC\r\nPING\r\n"), server("+OK\r\n+QUEUED\r\n*-1\r\n+PONG\r\n")],
            "MULTI@0/2 SELECT@0/2 EXEC@0/2 PING@0/2",
        ),
        (
            "RESP3",
            true,
            vec![
                client("HELLO 3\r\nPING\r\nRESET\r\nPING\r\n"),
                server("%1\r\n+proto\r\n:3\r\n+PONG\r\n+RESET\r\n+PONG\r\n"),
            ],
            "HELLO@0/3 PING@0/3 RESET@0/3 PING@0/2",
        ),
        (
            "HELLO is refused",
            true,
            vec![client("HELLO 9\r\nPING\r\n"), server("-NOPROTO no\r\n+PONG\r\n")],
            "HELLO@0/2 PING@0/2",
        ),
        (
            "SELECT is not answered",
            true,
            vec![client("CLIENT REPLY OFF\r\nSELECT 1\r\nCLIENT REPLY ON\r\n"), server("+OK\r\n")],
            "CLIENT REPLY@0/2 SELECT@0/2 CLIENT REPLY@?/2",
        ),
    ] {
        assert_eq!(play_from(from_start, &steps, databases).join(" "), want, "{name}");
    }
}

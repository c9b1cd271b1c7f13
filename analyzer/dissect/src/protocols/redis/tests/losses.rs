//! Gaps, and connections joined in the middle.

use super::*;

fn lost(from: Side, bytes: u64) -> Step {
    Step::Gap(from, bytes)
}

#[test]
fn losses() {
    let (asking, answering) = (Side::Client, Side::Server);
    check(
        &[
            (
                "inside a string of a reply",
                vec![
                    ask("GET a"),
                    server("$6\r\nab"),
                    lost(answering, 2),
                    server("ef\r\n"),
                    ask("PING"),
                    server("+PONG\r\n"),
                ],
                r#"!redis_gap, GET key=a ["a"] > bulk_string {"$cut":"ab","bytes":6} damaged, PING > simple_string "PONG""#,
            ),
            (
                "the end of a string",
                vec![ask("GET a"), server("$4\r\nab"), lost(answering, 4), ask("PING"), server("+PONG\r\n")],
                r#"!redis_gap, GET key=a ["a"] > bulk_string {"$cut":"ab","bytes":4} damaged, PING > simple_string "PONG""#,
            ),
            (
                "past a string",
                vec![
                    ask("MGET a b"),
                    server("*2\r\n$4\r\nab"),
                    lost(answering, 9),
                    server("x\r\n"),
                    ask("PING"),
                    server("+PONG\r\n"),
                    ask("PING"),
                    server("+PONG\r\n"),
                ],
                r#"!redis_gap, MGET key=a ["a", "b"] > array [{"$cut":"ab","bytes":4},{"$left_out":1}] cut damaged, !redis_skipped, PING > simple_string "PONG" damaged, PING > simple_string "PONG""#,
            ),
            (
                "a whole reply",
                vec![
                    ask("GET a"),
                    lost(answering, 9),
                    ask("GET b"),
                    server("$1\r\nb\r\n"),
                    ask("GET c"),
                    server("$1\r\nc\r\n"),
                ],
                r#"!redis_gap, GET key=a ["a"] cut, GET key=b ["b"] > bulk_string "b" damaged, GET key=c ["c"] > bulk_string "c""#,
            ),
            (
                "a whole reply, known of when the next is there",
                vec![
                    ask("GET a"),
                    ask("GET b"),
                    lost(answering, 9),
                    server("$1\r\nb\r\n"),
                    ask("GET c"),
                    server("$1\r\nc\r\n"),
                ],
                r#"!redis_gap, GET key=a ["a"] cut, GET key=b ["b"] > bulk_string "b" damaged, GET key=c ["c"] > bulk_string "c""#,
            ),
            (
                "a reply to a client that pipelines",
                vec![
                    client([resp("GET a"), resp("GET b")].concat()),
                    server("$1\r\na\r\n$1\r\nb\r\n"),
                    client([resp("GET c"), resp("GET d"), resp("GET e")].concat()),
                    lost(answering, 7),
                    server("$1\r\nd\r\n$1\r\ne\r\n"),
                    client([resp("GET f"), resp("GET g")].concat()),
                    server("$1\r\nf\r\n$1\r\ng\r\n"),
                ],
                r#"GET key=a ["a"] > bulk_string "a", GET key=b ["b"] > bulk_string "b", !redis_gap, GET key=c ["c"] cut, GET key=d ["d"] cut, GET key=e ["e"] cut, !redis_skipped, GET key=f ["f"] > bulk_string "f" damaged, GET key=g ["g"] > bulk_string "g""#,
            ),
            (
                "inside an argument",
                vec![
                    client("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nb"),
                    lost(asking, 2),
                    client("c\r\n"),
                    server("+OK\r\n"),
                ],
                r#"!redis_gap, SET key=a ["a", "b…(4 bytes)"] > simple_string "OK" damaged"#,
            ),
            (
                "inside the name of a command that pushes confirm",
                vec![
                    ask("SUBSCRIBE c"),
                    server("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"),
                    client("*2\r\n$11\r\nUNSUB"),
                    lost(asking, 2),
                    client("RIBE\r\n$1\r\nc\r\n"),
                    server("*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"),
                    ask("GET a"),
                    server("$1\r\na\r\n"),
                    ask("GET b"),
                    server("$1\r\nb\r\n"),
                ],
                r#"push SUBSCRIBE key=c > array ["subscribe","c",1], SUBSCRIBE key=c ["c"], !redis_gap, push UNSUBSCRIBE key=c > array ["unsubscribe","c",0], ? damaged, GET key=a ["a"] > bulk_string "a" damaged, GET key=b ["b"] > bulk_string "b""#,
            ),
            (
                "inside a command that silences another",
                vec![
                    client("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSK"),
                    lost(asking, 1),
                    client("P\r\n"),
                    ask("GET a"),
                    ask("GET b"),
                    server("$1\r\nb\r\n"),
                ],
                r#"!redis_gap, ? > bulk_string "b" response_only damaged, CLIENT REPLY ["SK…(4 bytes)"] cut damaged, GET key=a ["a"] cut, GET key=b ["b"] cut"#,
            ),
            (
                "inside a subcommand",
                vec![client("*2\r\n$6\r\nCONFIG\r\n$9\r\nRESET"), lost(asking, 6), server("+OK\r\n")],
                r#"!redis_gap, ? ["(redacted)"] > simple_string "OK" damaged"#,
            ),
            (
                "past an argument",
                vec![
                    client("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nb"),
                    lost(asking, 40),
                    server("+OK\r\n"),
                    ask("GET c"),
                    server("$1\r\nc\r\n"),
                ],
                r#"!redis_gap, SET key=a ["a", "b…(4 bytes)"] > simple_string "OK" cut, GET key=c ["c"] > bulk_string "c" damaged"#,
            ),
            (
                "a whole command",
                vec![
                    ask("PING"),
                    server("+PONG\r\n"),
                    lost(asking, 20),
                    server(":1\r\n"),
                    ask("GET c"),
                    server("$1\r\nc\r\n"),
                    ask("GET d"),
                    server("$1\r\nd\r\n"),
                ],
                r#"PING > simple_string "PONG", !redis_gap, ? > integer 1 response_only damaged, GET key=c ["c"] > bulk_string "c" damaged, GET key=d ["d"] > bulk_string "d""#,
            ),
            (
                "replies and the next command",
                vec![
                    ask("GET a"),
                    ask("GET b"),
                    lost(answering, 14),
                    server("$1\r\nc\r\n"),
                    lost(asking, 20),
                    ask("GET d"),
                    server("$1\r\nd\r\n"),
                ],
                r#"!redis_gap, GET key=a ["a"] cut, !redis_gap, GET key=b ["b"] cut, ? > bulk_string "c" response_only damaged, GET key=d ["d"] > bulk_string "d" damaged"#,
            ),
            (
                "replies and the next command, which are both known of when its reply is there",
                vec![
                    ask("GET a"),
                    ask("GET b"),
                    lost(answering, 14),
                    lost(asking, 20),
                    server("$1\r\nc\r\n"),
                    ask("GET d"),
                    server("$1\r\nd\r\n"),
                ],
                r#"!redis_gap, !redis_gap, GET key=a ["a"] cut, GET key=b ["b"] cut, ? > bulk_string "c" response_only damaged, GET key=d ["d"] > bulk_string "d" damaged"#,
            ),
            (
                "a command and the replies before its own",
                vec![
                    ask("GET a"),
                    ask("SELECT 1"),
                    lost(asking, 20),
                    lost(answering, 12),
                    server("$1\r\nc\r\n"),
                    ask("GET d"),
                    server("$1\r\nd\r\n"),
                ],
                r#"!redis_gap, !redis_gap, GET key=a ["a"] cut, SELECT ["1"] cut, ? > bulk_string "c" response_only damaged, GET key=d ["d"] > bulk_string "d" damaged"#,
            ),
            (
                "a command of a pipeline",
                vec![
                    lost(asking, 20),
                    client([resp("GET b"), resp("GET c")].concat()),
                    server("$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"),
                    ask("GET d"),
                    server("$1\r\nd\r\n"),
                    ask("GET e"),
                    server("$1\r\ne\r\n"),
                ],
                r#"!redis_gap, ? > bulk_string "a" response_only damaged, ? > bulk_string "b" response_only damaged, ? > bulk_string "c" response_only damaged, GET key=b ["b"] request_only damaged, GET key=c ["c"] request_only damaged, GET key=d ["d"] > bulk_string "d", GET key=e ["e"] > bulk_string "e""#,
            ),
            (
                "a message to a subscriber",
                vec![
                    ask("SUBSCRIBE c"),
                    server("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmess"),
                    lost(answering, 20),
                    server("i\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nj\r\n"),
                ],
                r#"push SUBSCRIBE key=c > array ["subscribe","c",1], SUBSCRIBE key=c ["c"], !redis_gap, ? > array [{"$cut":"mess","bytes":7},{"$left_out":2}] cut damaged, !redis_skipped, push MESSAGE key=c > array ["message","c","j"] damaged"#,
            ),
        ],
        play,
    );
}

#[test]
fn how_long_a_reply_took_is_not_known_without_the_end_of_its_command() {
    let timed = |call: &Call, row: Row<'_>| {
        let Row::Redis(row) = row else { panic!("{row:?}") };
        format!("{} {:?} {}", call.pair.name(), row.request_bytes, call.latency_ns().is_some())
    };
    let asked = resp("SET a bcd");
    let end = asked.len() - 5;
    for (kept, behind, want) in [(end, 5, "complete Some(29) false"), (end + 3, 2, "complete Some(29) false")] {
        let steps = [client(&asked[..kept]), lost(Side::Client, behind), server("+OK\r\n")];
        assert_eq!(play_from(true, &steps, timed), ["!redis_gap", want]);
    }
    let past = [client(&asked[..end]), lost(Side::Client, 9), server("+OK\r\n")];
    assert_eq!(play_from(true, &past, timed), ["!redis_gap", "cut None false"]);
    assert_eq!(play_from(true, &[client(&asked), server("+OK\r\n")], timed), ["complete Some(29) true"]);
}

#[test]
fn joined_in_the_middle() {
    check(
        &[
            ("between calls", vec![ask("GET a"), server("$1\r\na\r\n")], r#"GET key=a ["a"] > bulk_string "a""#),
            (
                "before a reply",
                vec![server("+OK\r\n"), ask("GET a"), server("$1\r\na\r\n")],
                r#"? > simple_string "OK" response_only, GET key=a ["a"] > bulk_string "a""#,
            ),
            (
                "inside an argument",
                vec![client("}x\r\n"), server("+OK\r\n"), ask("GET a"), server("$1\r\na\r\n")],
                r#"!redis_skipped, ? > simple_string "OK" response_only, GET key=a ["a"] > bulk_string "a""#,
            ),
            (
                "inside a reply",
                vec![server("xxx\r\n:1\r\n"), ask("GET a"), server("$1\r\na\r\n")],
                r#"!redis_malformed, !redis_skipped, GET key=a ["a"] > bulk_string "a""#,
            ),
            (
                "in a subscription",
                vec![server("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nj\r\n")],
                r#"push MESSAGE key=c > array ["message","c","j"]"#,
            ),
        ],
        joined,
    );
}

#[test]
fn values_of_one_packet_that_nothing_asked_for_may_be_parts_of_one() {
    use crate::protocols::testing::connected;
    let said = |side, bytes: &[u8]| (side, bytes.to_vec());
    let (_, rows) = connected(
        false,
        &[
            said(Side::Server, b"*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n"),
            said(Side::Server, b":2\r\n*2\r\n$1\r\nc\r\n:3\r\n"),
            said(Side::Client, &resp("GET d")),
            said(Side::Server, b"$1\r\nd\r\n"),
        ],
        |call, row| Some(render(call, row)),
    );
    let got = r#"GET key=d ["d"] > bulk_string "d""#;
    assert_eq!(rows, ["redis_parts_of_a_reply", "redis_skipped", got]);
    let alone = r#"? > array ["a",1] response_only"#;
    let (_, rows) = connected(
        false,
        &[
            said(Side::Server, b"*2\r\n$1\r\na\r\n:1\r\n"),
            said(Side::Client, &resp("GET d")),
            said(Side::Server, b"$1\r\nd\r\n"),
        ],
        |call, row| Some(render(call, row)),
    );
    assert_eq!(rows, [alone, got]);
}

#[test]
fn joined_in_the_middle_of_a_pipeline() {
    let steps = |next: Step| [client(resp("GET c")), server("+a\r\n"), next, server("+c\r\n")];
    let shown = |call: &Call, row: Row<'_>| {
        let Row::Redis(row) = row else { panic!("{row:?}") };
        format!(
            "{} {} {}",
            row.command.as_deref().unwrap_or("-"),
            row.reply.as_deref().unwrap_or("-"),
            call.pair.name()
        )
    };
    let alone = ["GET - request_only", "- \"a\" response_only", "- \"b\" response_only", "- \"c\" response_only"];
    assert_eq!(play_from(false, &steps(server("+b\r\n")), shown), alone);
    let waits = ["GET \"a\" complete", "GET \"c\" complete"];
    assert_eq!(play_from(false, &steps(client(resp("GET d"))), shown), waits);
}

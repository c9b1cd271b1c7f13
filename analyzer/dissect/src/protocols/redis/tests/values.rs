//! Every type of RESP, bounds, and what is no RESP.

use super::*;

fn shown(reply: impl AsRef<[u8]>) -> String {
    play(&[ask("X"), server(reply)]).trim_start_matches("X > ").to_owned()
}

#[test]
fn every_type() {
    for (reply, want) in [
        ("+OK\r\n", r#"simple_string "OK""#),
        ("-ERR no\r\n", "error ERR no"),
        (":-7\r\n", "integer -7"),
        ("$3\r\na\r\n\r\n", "bulk_string \"a\\r\\n\""),
        ("*-1\r\n", "null null"),
        ("_\r\n", "null null"),
        ("#t\r\n", "boolean true"),
        (",1.5\r\n", "double 1.5"),
        (",inf\r\n", r#"double "inf""#),
        ("(12345678901234567890123\r\n", r#"big_number "12345678901234567890123""#),
        ("!5\r\nERR x\r\n", "blob_error ERR x"),
        ("=6\r\ntxt:hi\r\n", r#"verbatim_string "hi""#),
        ("=6\r\nmkd:hi\r\n", r#"verbatim_string {"$verbatim":"mkd:hi"}"#),
        ("%2\r\n+a\r\n:1\r\n:2\r\n*0\r\n", r#"map {"a":1,"2":[]}"#),
        ("~2\r\n+a\r\n+b\r\n", r#"set ["a","b"]"#),
        ("*3\r\n$1\r\na\r\n*1\r\n_\r\n-ERR in\r\n", r#"array ["a",[null],{"$error":"ERR in"}]"#),
        ("|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", r#"bulk_string {"$attributes":{"ttl":9},"$value":"v"}"#),
        ("*2\r\n|1\r\n+ttl\r\n:9\r\n:1\r\n:2\r\n", r#"array [{"$attributes":{"ttl":9},"$value":1},2]"#),
        ("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", r#"bulk_string "Hello""#),
        ("*?\r\n:1\r\n*?\r\n.\r\n:2\r\n.\r\n", "array [1,[],2]"),
        ("%?\r\n+a\r\n:1\r\n.\r\n", r#"map {"a":1}"#),
    ] {
        assert_eq!(shown(reply), want, "{reply:?}");
        assert_eq!(play(&cut(&[ask("X"), server(reply)], 1)), format!("X > {want}"), "{reply:?}");
    }
    assert_eq!(shown(b"$2\r\n\xff\0\r\n"), r#"bulk_string {"$binary":"/wA="}"#);
}

#[test]
fn arguments_lose_nothing() {
    let steps =
        [client(b"*4\r\n$1\r\nX\r\n$3\r\n\xff\x00a\r\n$4\r\n\\x41\r\n$4\r\n\\n\xc3\xa9\r\n"), server("+OK\r\n")];
    assert_eq!(play(&steps), r#"X key=\xff\x00a ["\\xff\\x00a", "\\x5cx41", "\\né"] > simple_string "OK""#);
}

#[test]
fn what_is_too_big_is_cut_and_keeps_its_length() {
    let long = "é".repeat(5000);
    let reply = shown(format!("*2\r\n$10000\r\n{long}\r\n:1\r\n"));
    let kept = "é".repeat(2048);
    assert_eq!(reply, format!(r#"array [{{"$cut":"{kept}","bytes":10000}},1]"#));
    let asked = [client(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\n{long}\r\n")), server("+OK\r\n")];
    let kept = "é".repeat(2046);
    assert_eq!(play(&asked), format!(r#"SET key=k ["k", "{kept}…(10000 bytes)"] > simple_string "OK""#));
    let many = format!("*20000\r\n{}", ":1\r\n".repeat(20000));
    assert!(shown(many).ends_with(r#",1,{"$left_out":3616}]"#));
    let line = format!("+{}\r\n", "x".repeat(70_000));
    assert!(shown(line).ends_with(r#"","bytes":70000}"#));
}

#[test]
fn hostile_values_are_refused_and_the_next_command_is_answered() {
    for hostile in [
        "*1\r\n".repeat(100_000),
        "*99999999999999\r\n".to_owned(),
        "$99999999999999999999\r\n".to_owned(),
        "%9223372036854775807\r\n".to_owned(),
        "$-2\r\n".to_owned(),
        "$3\r\nabcd\r\n".to_owned(),
        ":x\r\n".to_owned(),
        "~1".repeat(50),
        ".\r\n".to_owned(),
        "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
    ] {
        let rows = play_from(true, &[ask("X"), server(&hostile), ask("Y"), server("+fine\r\n")], render);
        let last = rows.last().unwrap();
        assert!(last.starts_with(r#"Y > simple_string "fine""#), "{:.40}: {rows:?}", hostile);
    }
}

/// With no more than [`PROTOCOL.unread_bytes_max`] bytes unread at a time no byte is looked at often.
#[test]
fn a_big_reply_is_taken_in_by_pieces() {
    let body = "x".repeat(1 << 20);
    let reply = format!("*16\r\n{}", format!("${}\r\n{body}\r\n", body.len()).repeat(16));
    let shown = play(&cut(&[ask("X"), server(reply)], 1448));
    assert!(shown.starts_with("X > array [") && shown.ends_with(r#"{"$cut":"","bytes":1048576}]"#), "{shown:.80}");
}

use super::*;
use crate::protocols::http1;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Options, Row, Side, Start};
use proptest::prelude::*;

/// "kind name [fields]" and what else there is to say.
fn render(_: &Call, row: Row<'_>) -> String {
    let Row::Graphql(operation) = row else { return "http".to_owned() };
    let mut words: Vec<String> = Vec::new();
    words.extend(operation.batch_index.map(|index| format!("{index}:")));
    words.extend(operation.kind.map(str::to_owned));
    words.extend(operation.name.clone());
    words.extend(operation.root_fields.as_ref().map(|fields| format!("[{}]", fields.join(" "))));
    words.extend(operation.query_sha256.as_ref().map(|hash| format!("#{}", &hash[..4])));
    words.extend(operation.variables.clone());
    words.extend(operation.error_count.map(|count| format!("errors={count}")));
    words.extend(operation.errors.clone());
    words.join(" ")
}

fn play_with(body_bytes_max: usize, steps: &[Step]) -> String {
    let start = Start {
        options: Options { body_bytes_max },
        from_start: true,
        datagram: false,
        server_port: 80,
        multicast: false,
    };
    let mut dissector = (http1::PROTOCOL.start)(&start);
    let mut lines = drive(dissector.as_mut(), http1::PROTOCOL.unread_bytes_max, steps, render).lines;
    lines.retain(|line| line != "http");
    lines.join(", ")
}

fn send(path: &str, kind: &str, body: &str) -> Step {
    client(format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn get(target: &str) -> Step {
    client(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
}

fn result(body: &str) -> Step {
    server(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

const JSON: &str = "application/json; charset=utf-8";
const DATA: &str = r#"{"data":{"a":1}}"#;

#[test]
fn operations() {
    let hash = "ab12".repeat(16);
    let persisted = format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#);
    let escaped =
        format!("/q?extensions=%7B%22persistedQuery%22:%7B%22sha256Hash%22:%22{hash}%22%7D%7D&operationName=N");
    let form = "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation Up($f: Upload!) { up(f: $f) }\",\"variables\":{\"f\":null}}\r\n--x\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a\"\r\n\r\nbytes\r\n--x--\r\n";
    for (name, steps, want) in [
        (
            "a query",
            vec![
                send("/q", JSON, r#"{"query":"query Q($i: Int) { a(i: $i) b: c { d } }","variables":{"i": 1}}"#),
                result(DATA),
            ],
            r#"query Q [a c] {"i":1} errors=0"#,
        ),
        (
            "errors",
            vec![
                send("/q", JSON, r#"{"query":"mutation{a}"}"#),
                result(r#"{"data": null, "errors":[{"message": "no"}, {}]}"#),
            ],
            r#"mutation [a] errors=2 [{"message":"no"},{}]"#,
        ),
        (
            "a fragment within itself, one met twice, one twice there, and one that is not",
            vec![
                send(
                    "/q",
                    JSON,
                    r#"{"query":"{...A ...B ...C a} fragment A on Q{b ...A ...B} fragment B on Q{c} fragment B on Q{d}"}"#,
                ),
                result(DATA),
            ],
            "query [b c a] errors=0",
        ),
        (
            "one of two, with fragments",
            vec![
                send(
                    "/q",
                    JSON,
                    r#"{"query":"query A{x} query B{...F ... on Q{b ...F}} fragment F on Q{f ...F}","operationName":"B"}"#,
                ),
                result(DATA),
            ],
            "query B [f b] errors=0",
        ),
        (
            "one of two, not said which",
            vec![send("/q", JSON, r#"{"query":"query A{x} query B{y}"}"#), result(DATA)],
            "errors=0",
        ),
        (
            "a batch",
            vec![
                send("/q", JSON, r#"[{"query":"{a}"},{"x":1},{"query":"subscription S{b}"}]"#),
                result(r#"[{"data":{}},{},{"errors":[1]}]"#),
            ],
            "0: query [a] errors=0, 2: subscription S [b] errors=1 [1]",
        ),
        (
            "GET",
            vec![get("/q?query=%7Ba+b%7D&variables=%7B%22x%22:+1%7D"), result(DATA)],
            r#"query [a b] {"x":1} errors=0"#,
        ),
        (
            "application/graphql",
            vec![send("/q?operationName=Q", "application/graphql", "query Q { a }"), result(DATA)],
            "query Q [a] errors=0",
        ),
        (
            "a hash",
            vec![send("/q", JSON, &persisted), result(r#"{"errors":[{"message":"PersistedQueryNotFound"}]}"#)],
            r##"#ab12 errors=1 [{"message":"PersistedQueryNotFound"}]"##,
        ),
        ("a hash by GET", vec![get(&escaped), result(DATA)], "N #ab12 errors=0"),
        (
            "an upload",
            vec![send("/q", "multipart/form-data; boundary=x", form), result(DATA)],
            r#"mutation Up [up] {"f":null} errors=0"#,
        ),
        ("no result", vec![send("/q", JSON, r#"{"query":"{a}"}"#), result("[1]")], "query [a]"),
        ("not answered", vec![send("/q", JSON, r#"{"query":"{a}"}"#)], "query [a]"),
        (
            "a search",
            vec![send("/s", JSON, r#"{"query":"shoes"}"#), get("/s?query=red+shoes"), get("/s?query=%7B%7D")],
            "",
        ),
        (
            "another search",
            vec![send("/s", JSON, r#"{"query":{"match":{}}}"#), get("/m?query=up%7Bjob=%22x%22%7D")],
            "",
        ),
        ("types", vec![send("/s", JSON, r#"{"query":"type A { b: Int }"}"#)], ""),
        ("a broken document", vec![send("/graphql", JSON, r#"{"query":"{ a "}"#)], "!graphql_not_read"),
        ("no request", vec![send("/graphql", JSON, "{")], "!graphql_not_read"),
        (
            "too deep",
            vec![send("/graphql", JSON, &format!(r#"{{"query":"{}"}}"#, "{a".repeat(10_000)))],
            "!graphql_not_read",
        ),
        (
            "too many words",
            vec![send("/graphql", JSON, &format!(r#"{{"query":"{{{}}}"}}"#, "a ".repeat(40_000)))],
            "!graphql_not_read",
        ),
        ("a page", vec![get("/graphql"), result("[]")], ""),
    ] {
        for body_bytes_max in [0, 100, 1 << 20] {
            assert_eq!(play_with(body_bytes_max, &steps), want, "{name}");
        }
        assert_eq!(play_with(0, &cut(&steps, 7)), want, "{name}, in pieces");
    }
}

#[test]
fn a_coded_result_is_read_whatever_rows_keep() {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut coder, DATA.as_bytes()).unwrap();
    let body = coder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/graphql-response+json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let steps = [send("/q", JSON, r#"{"query":"{a}"}"#), server([head.into_bytes(), body].concat())];
    for body_bytes_max in [0, 5, 1000] {
        assert_eq!(play_with(body_bytes_max, &steps), "query [a] errors=0");
    }
}

/// The response to a query, of that content type.
fn answered_by(kind: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![send("/q", JSON, r#"{"query":"{a}"}"#), server([head.as_bytes(), body.as_bytes()].concat())]
}

#[test]
fn results_that_come_in_pieces() {
    let mixed = "multipart/mixed; boundary=\"-\"; deferSpec=20220824";
    let part = |json: &str| format!("\r\n---\r\nContent-Type: application/json\r\n\r\n{json}");
    let first = part(r#"{"data":{"a":1},"hasNext":true}"#);
    let later = part(r#"{"incremental":[{"data":{},"path":["a"],"errors":[{"message":"x"}]}],"hasNext":false}"#);
    let enveloped = part(r#"{"payload":{"data":null,"errors":[{"message":"y"}]}}"#);
    let end = "\r\n-----\r\n";
    for (name, kind, body, want) in [
        ("deferred", mixed, [&first, &later, end].concat(), r#"query [a] errors=1 [{"message":"x"}]"#),
        (
            "of a subscription",
            mixed,
            [&part("{}"), &enveloped, end].concat(),
            r#"query [a] errors=1 [{"message":"y"}]"#,
        ),
        ("without its end", mixed, first.clone(), "query [a]"),
        (
            "events",
            "text/event-stream",
            ": hi\n\nevent: next\ndata: {\"data\":{\"a\":1}}\n\nevent: complete\n\n".to_owned(),
            "query [a] errors=0",
        ),
        (
            "events without their end",
            "text/event-stream",
            "event: next\ndata: {\"data\":1}\n\n".to_owned(),
            "query [a]",
        ),
    ] {
        for body_bytes_max in [0, 1 << 20] {
            assert_eq!(play_with(body_bytes_max, &answered_by(kind, &body)), want, "{name}");
        }
    }
}

#[test]
fn losses_invent_nothing() {
    let Step::Bytes(_, whole) = send("/q", JSON, r#"{"query":"query Q{a bc}","variables":{"i":12}}"#) else {
        unreachable!()
    };
    for begin in 0..whole.len() {
        for length in 1..=whole.len() - begin {
            let steps = [
                client(&whole[..begin]),
                Step::Gap(Side::Client, length as u64),
                client(&whole[begin + length..]),
                result(DATA),
            ];
            let lines = play_with(0, &steps);
            assert!(
                lines.split(", ").all(|line| line.is_empty() || line.starts_with('!')),
                "{begin} {length}: {lines}"
            );
        }
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_read(data: Vec<u8>, text in r#"[{}()\[\]!$:@|=a-z"0-9 .#]{0,60}"#) {
        fuzz::fuzz_graphql(&data);
        fuzz::fuzz_graphql(text.as_bytes());
    }
}

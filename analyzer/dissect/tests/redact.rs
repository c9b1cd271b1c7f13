//! Nothing that rules name is found in a dataset, however the connection was cut into packets and whatever bodies keep.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use dissect::redact::{BUILTIN, Redaction};
use dissect::{Input, Origin, Plan, Unit};
use etherparse::PacketBuilder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

const SECRET: &str = "PLANTED-s3cr3t";

const RULES: &str = "
rules:
- {name: own headers, headers: ['x-*-pin'], cookies: [sid]}
- {name: own fields, json: ['**.pin', 'variables.card'], parameters: [pin], userinfo: true}
- {name: own keys, redis_keys: ['hidden:*'], redis_values: ['user:*']}
";

/// Columns as text, of all tables but those that name packets; `anomalies` of the room 'redact' apart.
type Texts = BTreeMap<String, Vec<String>>;

fn dissected(capture: Vec<u8>, body_bytes_max: usize, rules: Option<&Redaction>, threads: usize) -> Texts {
    let out = tempfile::tempdir().unwrap();
    let open = Box::new(move || Ok(Box::new(Cursor::new(capture)) as _));
    let inputs = vec![Input { name: "case.pcap".to_owned(), origin: Origin::default(), open }];
    let mut plan = Plan::new(out.path());
    (plan.threads, plan.body_bytes_max) = (threads, body_bytes_max);
    plan.redaction = rules.map(|rules| Arc::new(rules.clone()));
    let report = dissect::pipeline::dissect(Unit { inputs }, &plan, &()).unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let mut texts = Texts::new();
    for file in &report.files {
        let table = file.strip_prefix(out.path()).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                // Bodies are bytes, and shown as hex.
                let format = ArrayFormatter::try_new(column, &FormatOptions::new().with_null("-"));
                let Ok(format) = format else { continue };
                let shown = (0..column.len()).map(|row| format.value(row).to_string());
                texts.entry(format!("{table}.{}", field.name())).or_default().extend(shown);
            }
        }
    }
    texts
}

fn find(texts: &Texts, what: &str) -> Vec<String> {
    let hex: String = what.bytes().map(|byte| format!("{byte:02x}")).collect();
    let has = |text: &String| text.contains(what) || text.contains(&hex);
    texts.iter().filter(|(_, texts)| texts.iter().any(has)).map(|(column, _)| column.clone()).collect()
}

/// A connection to `port`, its bytes in segments of at most `size`.
fn connection(port: u16, said: &[(bool, String)], size: usize) -> Vec<Vec<u8>> {
    let (mut client, mut server) = (1000_u32, 9000_u32);
    let mut frames = Vec::new();
    let mut send = |from_client: bool, seq: u32, ack: u32, syn: bool, bytes: &[u8]| {
        let mut builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4(
                if from_client { [10, 0, 0, 1] } else { [10, 0, 0, 2] },
                if from_client { [10, 0, 0, 2] } else { [10, 0, 0, 1] },
                9,
            )
            .tcp(if from_client { 40_000 } else { port }, if from_client { port } else { 40_000 }, seq, 60_000);
        if syn {
            builder = builder.syn();
        }
        if !(syn && from_client) {
            builder = builder.ack(ack);
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, bytes).unwrap();
        frames.push(frame);
    };
    send(true, client - 1, 0, true, b"");
    send(false, server - 1, client, true, b"");
    send(true, client, server, false, b"");
    for (from_client, text) in said {
        for piece in text.as_bytes().chunks(size) {
            let (seq, ack) = if *from_client { (&mut client, server) } else { (&mut server, client) };
            send(*from_client, *seq, ack, false, piece);
            *seq += piece.len() as u32;
        }
    }
    frames
}

fn capture(connections: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    for (at, frame) in connections.iter().flatten().enumerate() {
        let head =
            [1_700_000_000 + at as u32 / 1000, at as u32 % 1000 * 1_000_000, frame.len() as u32, frame.len() as u32];
        bytes.extend(head.map(u32::to_le_bytes).concat());
        bytes.extend_from_slice(frame);
    }
    bytes
}

fn planted(text: &str) -> String {
    text.replace("SECRET", SECRET)
}

fn post(target: &str, fields: &str, body: &str) -> String {
    let [target, fields, body] = [target, fields, body].map(planted);
    format!("POST {target} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn answer(fields: &str, body: &str) -> String {
    let [fields, body] = [fields, body].map(planted);
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn command(words: &[&str]) -> String {
    let texts: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{texts}", words.len())
}

/// Requests and commands, each with a secret where the rules say that one is.
fn conversations() -> [Vec<(bool, String)>; 2] {
    let json = "Content-Type: application/json\r\n";
    let http = [
        (
            post("/a?pin=SECRET&b=1", "X-My-Pin: SECRET\r\nCookie: a=1; sid=SECRET\r\n", ""),
            answer("Set-Cookie: sid=SECRET; Path=/\r\n", ""),
        ),
        (post("/b", json, r#"{"a":[{"pin":"SECRET"}],"n":1}"#), answer(json, r#"{"text":"{\"pin\":\"SECRET\"}"}"#)),
        (
            post("http://u:SECRET@h/c", "Referer: https://h/?pin=SECRET\r\n", ""),
            answer("Location: //u:SECRET@h/\r\n", "ok"),
        ),
        (post("/d", "Content-Type: application/x-www-form-urlencoded\r\n", "a=1&pin=SECRET"), answer("", "ok")),
        (
            post("/e", "bad line SECRET\r\nX-a-pin : SECRET\r\nX-b-Pin: SECRET\r\n folded SECRET\r\n", ""),
            answer("", "ok"),
        ),
        (
            post(
                "/graphql",
                json,
                r#"{"query":"query q($card: C) {pay(card: $card, pin: \"SECRET\")}","variables":{"card":{"n":"SECRET"}}}"#,
            ),
            answer(json, r#"{"data":{"pay":{"pin":"SECRET"}}}"#),
        ),
        (
            post("/f", "Content-Type: multipart/form-data; boundary=b\r\n", "--b\r\n\r\nSECRET\r\n--b--\r\n"),
            answer("", "ok"),
        ),
    ];
    let redis = [
        (command(&["AUTH", SECRET]), "-WRONGPASS\r\n".to_owned()),
        (command(&["SET", "user:1", SECRET]), "+OK\r\n".to_owned()),
        (command(&["GET", "user:1"]), format!("${}\r\n{SECRET}\r\n", SECRET.len())),
        (command(&["GET", &format!("hidden:{SECRET}")]), "$-1\r\n".to_owned()),
        (command(&["SET", "doc:1", &format!(r#"{{"a":{{"pin":"{SECRET}"}}}}"#)]), "+OK\r\n".to_owned()),
        (command(&["GET", "doc:1"]), format!("${}\r\n{{\"pin\":\"{SECRET}\"}}\r\n", 10 + SECRET.len())),
        (command(&["KEYS", "*"]), format!("*1\r\n${}\r\nhidden:{SECRET}\r\n", 7 + SECRET.len())),
    ];
    let said = |pairs: &[(String, String)]| {
        pairs.iter().flat_map(|(asked, answered)| [(true, asked.clone()), (false, answered.clone())]).collect()
    };
    [said(&http), said(&redis)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_planted_secret_is_in_no_table(size in 1..200_usize, body_bytes_max in prop::sample::select(vec![0, 10, 40, 1 << 16])) {
        let rules = Redaction::parse("rules.yaml", RULES).unwrap();
        let [http, redis] = conversations();
        let capture = capture(&[connection(80, &http, size), connection(6379, &redis, size)]);
        let plain = dissected(capture.clone(), body_bytes_max, None, 1);
        prop_assert!(!find(&plain, SECRET).is_empty());
        let redacted = dissected(capture.clone(), body_bytes_max, Some(&rules), 1);
        prop_assert_eq!(find(&redacted, SECRET), Vec::<String>::new());
        // The same rows otherwise, and for any number of threads.
        for table in ["http.call_id", "redis.call_id", "graphql.call_id", "flows.flow_id"] {
            prop_assert_eq!(plain.get(table), redacted.get(table), "{}", table);
        }
        prop_assert_eq!(&dissected(capture, body_bytes_max, Some(&rules), 3), &redacted);
    }
}

#[test]
fn what_was_hidden_is_told() {
    let rules = Redaction::parse("rules.yaml", RULES).unwrap();
    let [http, redis] = conversations();
    let texts =
        dissected(capture(&[connection(80, &http, 100), connection(6379, &redis, 100)]), 1 << 16, Some(&rules), 1);
    assert_eq!(texts["captures.redaction"], [rules.label()]);
    let rows = texts["anomalies.room"].iter().zip(&texts["anomalies.kind"]).zip(&texts["anomalies.detail"]);
    let told: Vec<_> = rows
        .filter(|((room, _), _)| *room == "redact")
        .map(|((_, kind), detail)| (kind.as_str(), detail.as_str()))
        .collect();
    for want in [
        ("redacted", "own headers: 2 in http.request_headers, 1 in http.response_headers"),
        ("redacted", "own fields: 1 in http.query"),
        ("redacted", "own fields: 1 in http.request_body, 1 in http.response_body"),
        ("redacted", "own fields: 1 in graphql.query, 1 in graphql.variables"),
        ("left_out", "own fields: 1 in http.request_body"),
        ("redacted", "own keys: 1 in redis.args, 1 in redis.reply"),
    ] {
        assert!(told.contains(&want), "{want:?} in {told:#?}");
    }
    assert!(
        texts["anomalies.call_id"].iter().zip(&texts["anomalies.room"]).all(|(id, room)| room != "redact" || id != "-")
    );
    let notes = &texts["http.body_note"];
    assert!(
        notes.contains(&"request body: left out, rule 'own fields' cannot be applied to it".to_owned()),
        "{notes:?}"
    );
}

#[test]
fn our_rules_change_no_row_but_what_they_hide() {
    let rules = Redaction::parse("builtin", BUILTIN).unwrap();
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pcaps");
    for case in std::fs::read_dir(cases).unwrap() {
        let case = std::fs::read(case.unwrap().path().join("input.pcapng.zst")).unwrap();
        let plain = dissected(case.clone(), 1 << 16, None, 2);
        let redacted = dissected(case, 1 << 16, Some(&rules), 2);
        for (column, texts) in &redacted {
            let (table, name) = column.split_once('.').unwrap();
            match table {
                "anomalies" | "captures" => continue,
                _ if name == "body_note" => continue,
                _ => {}
            }
            let changed = texts.iter().zip(&plain[column]).filter(|(now, before)| now != before);
            for (now, before) in changed {
                let hex = "5b72656461637465645d";
                let is_hidden = now.contains("[redacted]") || now.contains(hex) || now == "-" || now.is_empty();
                assert!(is_hidden, "{column}: {before} became {now}");
            }
            assert_eq!(texts.len(), plain[column].len(), "{column}");
        }
    }
}

//! Rows as rules leave them: nothing planted is found in what comes out.

mod messages;

use super::*;
use crate::protocols::graphql::Operation;
use crate::protocols::http::{Exchange, Fields, Message, unescape};
use crate::protocols::{Side, amqp, redis};
use proptest::prelude::*;

const SECRET: &str = "s3cr3t-PLANTED";

fn rules(text: &str) -> Redaction {
    Redaction::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

fn fields(fields: &[(&str, &str)]) -> Fields {
    let mut made = Fields::default();
    fields.iter().for_each(|(name, value)| made.push(name.as_bytes(), value.as_bytes()));
    made
}

fn post(content_type: &str, body: &str) -> Exchange {
    let request = Message {
        headers: fields(&[("Content-Type", content_type)]),
        body: body.into(),
        body_bytes: body.len() as u64,
        ..Message::default()
    };
    Exchange { method: b"POST".into(), request: Some(request), ..Exchange::default() }
}

/// The exchange as it is kept, and what is told of it.
fn http(rules: &Redaction, exchange: &Exchange) -> (Exchange, String) {
    let (mut trace, mut kept) = (Trace::default(), None);
    rules.row(Row::Http(exchange), &mut trace, &mut |row| {
        let Row::Http(exchange) = row else { unreachable!() };
        kept = Some(exchange.clone());
    });
    (kept.unwrap(), told(rules, &trace))
}

fn told(rules: &Redaction, trace: &Trace) -> String {
    rules.told(trace).map(|(kind, detail)| format!("{kind} {detail}")).collect::<Vec<_>>().join("; ")
}

fn body(exchange: &Exchange) -> String {
    String::from_utf8_lossy(&exchange.request.as_ref().unwrap().body).into_owned()
}

#[test]
fn fields_are_hidden_by_name() {
    let rules = rules("rules: [{name: h, headers: ['authorization', 'x-*-key', '*']}]");
    let mut exchange = post("text/plain", "");
    let request = exchange.request.as_mut().unwrap();
    request.headers = fields(&[("AUTHORIZATION", "Basic x"), ("Content-Type", "text/plain"), ("a b", "c")]);
    request.headers.push_unknown(Some(b"what"));
    request.headers.push_unknown(None);
    let (kept, told) = http(&rules, &exchange);
    let shown: Vec<_> = kept.request.as_ref().unwrap().headers.known().collect();
    let hidden = Some(REDACTED.as_bytes());
    let want = [
        (Some(&b"AUTHORIZATION"[..]), hidden),
        (Some(b"Content-Type"), Some(&b"text/plain"[..])),
        (hidden, hidden),
        (None, hidden),
        (None, None),
    ];
    assert_eq!(shown, want);
    assert_eq!(told, "redacted h: 4 in http.request_headers");
}

#[test]
fn whom_a_request_is_for_is_hidden_by_either_name() {
    let userinfo = rules("rules: [{name: u, userinfo: true}]");
    for named in ["host", ":authority", "*"] {
        let rules = rules(&format!("rules: [{{name: h, headers: ['{named}']}}]"));
        let mut exchange = post("application/grpc", "");
        exchange.host = Some("u:p@secret.test:80".into());
        exchange.path = Some("http://u:p@secret.test:80/a.B/C".into());
        let request = exchange.request.as_mut().unwrap();
        request.headers = fields(&[("Content-Type", "application/grpc"), ("Host", "secret.test")]);
        let (kept, said) = http(&rules, &exchange);
        let shown = [kept.host.as_deref(), kept.path.as_deref(), kept.request.as_ref().unwrap().headers.get("host")];
        assert_eq!(shown, [Some(&b"[redacted]"[..]), Some(b"http://[redacted]/a.B/C"), Some(b"[redacted]")], "{named}");
        assert_eq!(said, "redacted h: 1 in http.path, 1 in http.host, 1 in http.request_headers");
        let (mut trace, mut authority) = (Trace::default(), None);
        rules.row(Row::Grpc(&grpc::Call::of(&exchange).unwrap()), &mut trace, &mut |row| {
            let Row::Grpc(call) = row else { unreachable!() };
            authority = call.authority().map(<[u8]>::to_vec);
        });
        assert_eq!(authority.as_deref(), Some(REDACTED.as_bytes()), "{named}");
        assert_eq!(told(&rules, &trace), "redacted h: 1 in grpc.method, 1 in grpc.authority");
        assert_eq!(http(&userinfo, &exchange).0.host.unwrap(), b"[redacted]@secret.test:80");
    }
}

#[test]
fn bodies_are_rewritten_or_left_out() {
    let rules = rules("rules: [{name: j, json: ['**.pin', a.b]}, {name: p, parameters: [pin]}]");
    let left_out = "request body: left out, rule 'j' cannot be applied to it";
    for (content_type, text, want, note) in [
        (
            "application/json",
            r#"{"pin": 1, "a": {"b": {"c": 2}, "d": [true]}}"#,
            r#"{"pin":"[redacted]","a":{"b":"[redacted]","d":[true]}}"#,
            "",
        ),
        (
            "application/json",
            r#"[{"PIN": null}, {"x": "{\"pin\":1}"}]"#,
            r#"[{"PIN":null},{"x":"{\"pin\":\"[redacted]\"}"}]"#,
            "",
        ),
        (
            "application/json",
            r#"{"pin":1,"id":12345678901234567890123,"price":1.10,"far":1e400}"#,
            r#"{"pin":"[redacted]","id":12345678901234567890123,"price":1.10,"far":1e400}"#,
            "",
        ),
        ("application/json", r#"{ "x": 1 }"#, r#"{ "x": 1 }"#, ""),
        ("", r#" {"pin": 1}"#, r#"{"pin":"[redacted]"}"#, ""),
        ("text/plain", "\u{feff}{\"pin\": 1}", r#"{"pin":"[redacted]"}"#, ""),
        ("application/problem+json; charset=utf-8", r#"{"pin": 1"#, "", left_out),
        ("text/plain", "{no json", "", left_out),
        ("text/plain", "pin: 1", "pin: 1", ""),
        ("application/x-ndjson", "{\"pin\":1}\n{\"x\": 1}\n", "{\"pin\":\"[redacted]\"}\n{\"x\": 1}\n", ""),
        ("text/event-stream", "event: a\ndata: {\"pin\":1}\n\n", "event: a\ndata: {\"pin\":\"[redacted]\"}\n\n", ""),
        ("text/event-stream", "data: {\"pin\":\ndata: 1}\n\n", "", left_out),
        ("application/x-www-form-urlencoded", "a=1&pin=2", "a=1&pin=[redacted]", ""),
        ("multipart/form-data; boundary=x", "--x\r\n\r\n1\r\n--x--", "", left_out),
        ("application/grpc+proto", "\0\0\0\0\x03\x0a\x011", "", left_out),
        ("application/graphql", "{a(pin: 1)}", "{a(pin: \"[redacted]\")}", ""),
        (
            "application/json",
            r#"{"query":"{a(pin: 1)}","extensions":{"persistedQuery":{"sha256Hash":"00"}}}"#,
            r#"{"query":"{a(pin: \"[redacted]\")}","extensions":{"persistedQuery":{"sha256Hash":"[redacted]"}}}"#,
            "",
        ),
    ] {
        let (kept, _) = http(&rules, &post(content_type, text));
        assert_eq!(
            (&*body(&kept), kept.body_note.as_deref().unwrap_or_default()),
            (want, note),
            "{content_type} {text}"
        );
    }
    // Of what is cut, what stands behind the cut could say what it is.
    let mut cut = post("application/json", r#"{"x": 1}"#);
    cut.body_note = Some("request body: cut at byte 8".into());
    let (kept, told) = http(&rules, &cut);
    assert_eq!(body(&kept), "");
    assert_eq!(kept.body_note.unwrap(), format!("request body: cut at byte 8; {left_out}"));
    assert_eq!(told, "left_out j: 1 in http.request_body");
    let mut packed = post("text/plain", "\u{b}brotli");
    packed.body_note = Some("request body: br not undone, kept as sent".into());
    assert_eq!(body(&http(&rules, &packed).0), "");
    cut.body_note = Some("response body: cut at byte 8".into());
    assert_eq!(body(&http(&rules, &cut).0), r#"{"x": 1}"#);
}

#[test]
fn rules_say_where_they_are_wrong() {
    for (text, want) in [
        ("rules:\n- name: a\n", "line 2 column 9: the rule names nothing"),
        ("rules:\n- name: a\n  header: [x]\n", "header"),
        ("rules:\n- {name: a, json: ['a.']}\n", "step without a name"),
        ("rules:\n- {name: a, headers: [Content-Type]}\n", "line 2 column 23: 'content-type' says how"),
        (
            "rules:\n- {name: a, userinfo: true}\n- {name: a, userinfo: true}\n",
            "line 3 column 10: another rule is called 'a'",
        ),
        ("rules: []\nmore: 1\n", "more"),
        ("rules: {", "line"),
        ("", "line 1"),
    ] {
        let said = Redaction::parse("test", text).unwrap_err().to_string();
        assert!(said.contains(want), "{text}: {said}");
    }
    let long = format!("rules: []\n#{}", "x".repeat(crate::limits::REDACT_RULES_BYTES_MAX));
    assert!(matches!(Redaction::parse("test", &long), Err(RulesError::TooLong { .. })));
    let many: String = (0..300).map(|n| format!("- {{name: r{n}, userinfo: true}}\n")).collect();
    assert!(matches!(Redaction::parse("test", &format!("rules:\n{many}")), Err(RulesError::TooMany { .. })));
    let mut rules = rules(BUILTIN);
    rules.add("more.yaml", "rules: [{name: more, userinfo: true}]").unwrap();
    assert!(rules.label().starts_with("test sha256:") && rules.label().contains(", more.yaml sha256:"));
}

fn command(command: &str, key: &str, args: &[&str], reply: &str) -> redis::Exchange {
    redis::Exchange {
        command: Some(command.into()),
        key: Some(key.into()).filter(|key: &String| !key.is_empty()),
        args: Some(args.iter().map(|&arg| arg.to_owned()).collect()),
        reply: Some(reply.into()).filter(|reply: &String| !reply.is_empty()),
        ..redis::Exchange::default()
    }
}

#[test]
fn redis_commands_are_hidden_by_their_keys() {
    let rules = rules("rules: [{name: k, redis_keys: ['sess:*']}, {name: v, redis_values: ['user:*']}]");
    let long = format!("{}…(9000 bytes)", "x".repeat(20));
    for (exchange, want) in [
        (command("SET", "sess:1", &["sess:1", "v"], "\"OK\""), "[redacted] [redacted],[redacted] \"[redacted]\""),
        (command("SET", "user:1", &["user:1", "v"], "\"OK\""), "user:1 user:1,[redacted] \"[redacted]\""),
        (command("MGET", "a", &["a", "user:1"], "[1,2]"), "a a,user:1 \"[redacted]\""),
        (command("SET", "a", &["a", &long], "\"OK\""), &format!("a a,{long} \"OK\"")),
        (command("SET", "a", &["a", "ses…(90 bytes)"], "\"OK\""), "[redacted] [redacted],[redacted] \"[redacted]\""),
        (command("KEYS", "", &["*"], r#"["sess:1","user:1"]"#), r#"- * ["[redacted]","user:1"]"#),
        (command("MGET", "a", &["a", "…(3 more)"], "[1]"), "a a,…(3 more) \"[redacted]\""),
        (command("EXEC", "", &[], "[1]"), "-  \"[redacted]\""),
        (command("GET", "a", &["a"], "1"), "a a 1"),
        (redis::Exchange { reply: Some("1".into()), ..Default::default() }, "-  \"[redacted]\""),
    ] {
        let (mut trace, mut shown) = (Trace::default(), String::new());
        rules.row(Row::Redis(&exchange), &mut trace, &mut |row| {
            let Row::Redis(kept) = row else { unreachable!() };
            let args = kept.args.iter().flatten().cloned().collect::<Vec<_>>().join(",");
            let [key, reply] = [&kept.key, &kept.reply].map(|text| text.as_deref().unwrap_or("-"));
            shown = format!("{key} {args} {reply}");
        });
        assert_eq!(shown, want);
    }
    let mut wrong = command("GET", "user:1", &["user:1"], "");
    wrong.error = Some("WRONGTYPE of v".into());
    rules.redis(&mut wrong, &mut Trace::default());
    assert_eq!(wrong.error.unwrap(), "WRONGTYPE [redacted]");
}

#[test]
fn redis_values_that_are_json_are_looked_into() {
    let rules = rules("rules: [{name: j, json: ['card.number', '**.pin']}]");
    let cut = r#"{"card":{"number":"12…(90 bytes)"#;
    for (exchange, want) in [
        (
            command("SET", "a", &["a", r#"{"card":{"number": 1, "x": 2}}"#], "\"OK\""),
            r#"a,{"card":{"number":"[redacted]","x":2}} "OK""#,
        ),
        (command("SET", "a", &["a", r#"{ "x": 2 }"#], "\"OK\""), r#"a,{ "x": 2 } "OK""#),
        (command("SET", "a", &["a", cut], "\"OK\""), r#"a,[redacted] "OK""#),
        (command("KEYS", "", &["[ab]*"], "[]"), "[ab]* []"),
        (command("GET", "a", &["a"], r#""{\"pin\":7}""#), r#"a "{\"pin\":\"[redacted]\"}""#),
        (command("MGET", "a", &["a"], r#"[null,"{\"pin\":7}",7]"#), r#"a [null,"{\"pin\":\"[redacted]\"}",7]"#),
        (command("HGETALL", "a", &["a"], r#"{"pin":"7","b":"8"}"#), r#"a {"pin":"[redacted]","b":"8"}"#),
        (command("GET", "a", &["a"], r#"{"$cut":"{\"pi","bytes":99}"#), r#"a "[redacted]""#),
        (command("GET", "a", &["a"], r#"{"$cut":"text","bytes":99}"#), r#"a {"$cut":"text","bytes":99}"#),
        (command("MONITOR", "", &[], r#""1.2 [0 ::1] \"SET\" \"a\"""#), r#" "[redacted]""#),
        (command("EXEC", "", &[], r#"["{\"pin\":7}"]"#), r#" ["{\"pin\":\"[redacted]\"}"]"#),
    ] {
        let mut exchange = exchange;
        rules.redis(&mut exchange, &mut Trace::default());
        assert_eq!(format!("{} {}", exchange.args.unwrap_or_default().join(","), exchange.reply.unwrap()), want);
    }
}

#[test]
fn what_http_carries_is_hidden_too() {
    let rules = rules("rules: [{name: j, json: ['variables.card', '**.pin']}]");
    let mut operation = Operation {
        query: Some("query($p: Int = 1) {a(pin: 2)}".into()),
        query_sha256: Some("00".into()),
        variables: Some(r#"{"card":{"n":1},"a":{"pin":2}}"#.into()),
        errors: Some(r#"[{"pin":1}]"#.into()),
        ..Operation::default()
    };
    rules.graphql(&mut operation, &mut Trace::default());
    let shown =
        [operation.query, operation.query_sha256, operation.variables, operation.errors].map(Option::unwrap_or_default);
    let want = [
        r#"query($p: Int = 1) {a(pin: "[redacted]")}"#,
        "",
        r#"{"card":"[redacted]","a":{"pin":"[redacted]"}}"#,
        r#"[{"pin":"[redacted]"}]"#,
    ];
    assert_eq!(shown, want);
}

#[test]
fn values_and_headers_of_messages_are_hidden() {
    let rules = rules("rules: [{name: j, json: ['**.pin']}, {name: h, headers: [token]}]");
    let trace = &mut Trace::default();
    let registered = b"\0\0\0\0\x07{\"pin\":1}";
    for (value, bytes, want) in [
        (&br#"{"pin":1}"#[..], 9, &br#"{"pin":"[redacted]"}"#[..]),
        (registered, registered.len(), b"\0\0\0\0\x07{\"pin\":\"[redacted]\"}"),
        (br#"{"x":1}"#, 70, b"[redacted]"),
        (b"plain", 70, b"plain"),
    ] {
        let kept = rules.blob(Some(value), (b"", Some(bytes as u64)), "kafka_records.value", trace);
        assert_eq!(kept.as_deref(), Some(want));
    }
    let properties = r#"{"content_type":"application/json","headers":{"Token":"t","a":1}}"#;
    let mut message = amqp::Message::new(Side::Client, 1, "basic");
    message.properties = Some(properties.into());
    (message.body, message.body_bytes) = (Some(br#"{"pin":1}"#.into()), Some(9));
    rules.amqp(&mut message, trace);
    let want = r#"{"content_type":"application/json","headers":{"Token":"[redacted]","a":1}}"#;
    assert_eq!(message.properties.as_deref(), Some(want));
    assert_eq!(message.body.as_deref(), Some(&br#"{"pin":"[redacted]"}"#[..]));
}

/// JSON with the secret in a field called `pin`, somewhere.
fn planted() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::json!({ "pin": SECRET })),
        Just(serde_json::json!({ "PIN": [SECRET, { "x": SECRET }] })),
        Just(serde_json::json!({ "text": format!(r#"{{"pin":"{SECRET}"}}"#) })),
        Just(serde_json::json!({ "query": format!("{{a(pin: \"{SECRET}\")}}") })),
        Just(serde_json::json!(null)),
        any::<i64>().prop_map(|number| number.into()),
        "[a-z{\"\\[ ]{0,8}".prop_map(|text| text.into()),
    ];
    leaf.prop_recursive(6, 40, 5, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c.*]{1,3}", inside, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_planted_secret_is_never_kept(
        value in planted(),
        content_type in prop::sample::select(vec![
            "application/json", "", "text/plain", "application/x-ndjson", "text/event-stream", "application/vnd.x+json",
        ]),
        cut in prop::option::of(0..200_usize),
        pretty: bool,
    ) {
        let rules = rules("rules: [{name: j, json: ['**.pin']}]");
        let mut text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut exchange = post(content_type, "");
        if let Some(cut) = cut.filter(|cut| *cut < text.len()) {
            text.truncate((0..=cut).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default());
            exchange.body_note = Some(format!("request body: cut at byte {}", text.len()));
        }
        exchange.request.as_mut().unwrap().body = text.clone().into();
        // In a URL, and in a header that holds one.
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        exchange.query = Some(format!("x={escaped}").into());
        exchange.request.as_mut().unwrap().headers.push(b"Referer", format!("https://h/?x={escaped}").as_bytes());
        let (kept, _) = http(&rules, &exchange);
        let request = kept.request.as_ref().unwrap();
        let referer = request.headers.get("referer").unwrap();
        for shown in [&*request.body, kept.query.as_ref().unwrap(), referer] {
            let shown = unescape(shown);
            prop_assert!(memchr::memmem::find(&shown, SECRET.as_bytes()).is_none(), "{}", shown.escape_ascii());
        }
    }

    #[test]
    fn no_text_breaks_it(
        text in ".{0,60}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        value in planted(),
    ) {
        fuzz::fuzz_redact(text.as_bytes());
        fuzz::fuzz_redact(value.to_string().replace("pin", "password").as_bytes());
        fuzz::fuzz_redact(&bytes);
    }
}

//! Messages of gRPC.

use super::*;
use crate::protocols::value::{Field, Value};

#[test]
fn fields_are_meant_by_name_and_by_number() {
    let by_name = rules("rules: [{name: j, json: ['**.pin']}]");
    let grpc = |rules: &Redaction, message: Value<'_>, names| {
        let mut message = message;
        let kept = rules.grpc(&mut message, names, "grpc.request", &mut Trace::default());
        kept.then(|| message.json())
    };
    let field =
        |number, name: &'static str, value| Field { number, name: (!name.is_empty()).then(|| name.into()), value };
    let of_maps = || Value::Map(vec![("7".into(), Value::Message(vec![field(1, "pin", Value::Int(9))]))]);
    let message = |name| Value::Message(vec![field(1, "a", Value::Int(2)), field(2, name, of_maps())]);
    let by_number = rules("rules: [{name: j, json: ['2.*.1']}]");
    for (rules, names, name, want) in [
        (&by_name, true, "b", Some(r#"{"a":2,"b":{"7":{"pin":"[redacted]"}}}"#)),
        (&by_name, true, "pin", Some(r#"{"a":2,"pin":"[redacted]"}"#)),
        (&by_name, true, "", Some(r#"{"a":2,"2":"[redacted]"}"#)),
        (&by_name, false, "", None),
        (&by_number, true, "b", Some(r#"{"a":2,"b":{"7":{"pin":"[redacted]"}}}"#)),
        (&by_number, true, "", Some(r#"{"a":2,"2":{"7":{"pin":"[redacted]"}}}"#)),
        (&by_number, false, "", Some(r#"{"a":2,"2":{"7":{"pin":"[redacted]"}}}"#)),
    ] {
        assert_eq!(grpc(rules, message(name), names).as_deref(), want, "{name}");
    }
    assert_eq!(grpc(&by_name, "text".into(), true), None);
}

#[test]
fn bytes_of_a_message_are_hidden_where_a_rule_could_look_into_them() {
    let several = rules("rules: [{name: j, json: ['a.pin', '**.card']}, {name: k, json: ['c.**.x']}]");
    let only_a = rules("rules: [{name: j, json: ['a.pin']}]");
    let bytes = |bytes: &'static [u8]| Value::Map(vec![("a".into(), bytes.into()), ("b".into(), bytes.into())]);
    for (rules, inside, want, said) in [
        (&several, &b"\n\x03pin"[..], r#"{"a":"[redacted]","b":"[redacted]"}"#, "left_out j: 2 in grpc.request"),
        (&only_a, b"\n\x03pin", r#"{"a":"[redacted]","b":"\n\u0003pin"}"#, "left_out j: 1 in grpc.request"),
        (&only_a, b"\xff", r#"{"a":"[redacted]","b":{"$binary":"/w=="}}"#, "left_out j: 1 in grpc.request"),
        (
            &only_a,
            br#"{"pin":1}"#,
            r#"{"a":"{\"pin\":\"[redacted]\"}","b":"{\"pin\":1}"}"#,
            "redacted j: 1 in grpc.request",
        ),
        (&several, br#"{"x":1}"#, r#"{"a":"{\"x\":1}","b":"{\"x\":1}"}"#, ""),
        (&several, b"", r#"{"a":"","b":""}"#, ""),
    ] {
        let (mut message, mut trace) = (bytes(inside), Trace::default());
        assert!(rules.grpc(&mut message, true, "grpc.request", &mut trace));
        assert_eq!((&*message.json(), &*told(rules, &trace)), (want, said));
    }
}

//! Messages as JSON, with their types and without.

use super::*;

#[test]
fn messages_without_types() {
    let nested = |depth: usize| {
        (0..depth).fold(vec![], |inner: Vec<u8>, _| {
            let mut outer = vec![0x0a];
            let mut length = inner.len();
            while length > 0x7f {
                outer.push(length as u8 | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(inner);
            outer
        })
    };
    for (bytes, want) in [
        (&b""[..], "{}"),
        (b"\x08\x96\x01", r#"{"1":150}"#),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"1":-1}"#),
        (b"\x10\x01\x08\x02\x10\x03", r#"{"1":2,"2":[1,3]}"#),
        (b"\x0d\0\0\x80\x3f", r#"{"1":1.0}"#),
        (b"\x0d\xcd\xcc\xcc\x3d", r#"{"1":0.1}"#),
        (b"\x0d\x05\0\0\0", r#"{"1":5}"#),
        (b"\x09\x1f\x85\xeb\x51\xb8\x1e\x09\x40", r#"{"1":3.14}"#),
        (b"\x09\x05\0\0\0\0\0\0\0", r#"{"1":5}"#),
        (b"\x0a\x00", r#"{"1":""}"#),
        (b"\x0a\x04\x0a\x02hi", r#"{"1":{"1":"hi"}}"#),
        (b"\x0a\x02h\n", r#"{"1":"h\n"}"#),
        (b"\x0a\x03\n x", r#"{"1":"\n x"}"#),
        (b"\x0a\x02\xff\0", r#"{"1":{"$binary":"/wA="}}"#),
        (b"\x0b\x08\x05\x0c", r#"{"1":{"1":5}}"#),
        (b"\x0b\x0b\x08\x05\x0c\x0c", r#"{"1":{"1":{"1":5}}}"#),
    ] {
        assert_eq!(protobuf::message(bytes, None).map(|value| value.json()).as_deref(), Some(want), "{bytes:x?}");
    }
    for bytes in [
        &b"\x00\x01"[..],
        b"\x08",
        b"\x0a\x05hi",
        b"\x0f",
        b"\x0b\x08\x05",
        b"\x0b\x14",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
    ] {
        assert_eq!(protobuf::message(bytes, None), None, "{bytes:x?}");
    }
    assert!(protobuf::message(&nested(20_000), None).is_some(), "deeper ones are bytes");
    assert_eq!(protobuf::message(&vec![0x0b; 100_000], None), None);
}

const PROTO: &str = r#"
syntax = "proto3";
package a;
enum Color { RED = 0; BLUE = 3; }
message Item { string sku = 1; sint32 delta = 2; repeated int32 sizes = 3; map<string, Item> parts = 4; Color color = 5;
  bool gone = 6; double price = 7; float rate = 8; bytes raw = 9; int32 low = 10; fixed32 code = 11; uint64 big = 12;
  map<int32, Color> counts = 13; Item inner = 14; oneof one { string text = 15; int32 number = 16; Item item = 17; } }
service B { rpc C (Item) returns (stream Item); }
"#;

#[test]
fn messages_of_a_known_type() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proto");
    std::fs::write(&file, PROTO).unwrap();
    let protos = Protos::load(std::slice::from_ref(&file)).unwrap();
    let set = folder.path().join("a.bin");
    std::fs::write(&set, prost_set(&file)).unwrap();
    for protos in [protos, Protos::load(&[set]).unwrap()] {
        let method = protos.method("prefix/a.B", "C").unwrap();
        assert!(method.is_server_streaming() && protos.method("a.B", "D").is_none());
        for (bytes, want) in [
            (&b"\x0a\x02hi\x10\x03"[..], r#"{"sku":"hi","delta":-2}"#),
            (b"\x1a\x03\x01\x02\x03\x18\x04", r#"{"sizes":[1,2,3,4]}"#),
            (b"\x22\x09\x0a\x01k\x12\x04\x0a\x02hi", r#"{"parts":{"k":{"sku":"hi"}}}"#),
            (b"\x28\x03\x30\x01", r#"{"color":"BLUE","gone":true}"#),
            (b"\x28\x09", r#"{"color":9}"#),
            (b"\x0a\x01a\x0a\x01b", r#"{"sku":"b"}"#),
            (b"\x45\xcd\xcc\xcc\x3d\x4a\x01\xff", r#"{"rate":0.1,"raw":{"$binary":"/w=="}}"#),
            (b"\x50\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"low":-2}"#),
            (
                b"\x5d\0\0\x80\x3f\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                r#"{"code":1065353216,"big":18446744073709551615}"#,
            ),
            // The last of a map's key counts, and an entry may lack either.
            (b"\x22\x00", r#"{"parts":{"":{}}}"#),
            (
                b"\x22\x03\x0a\x01k\x22\x09\x0a\x01l\x12\x04\x0a\x02hi\x22\x09\x0a\x01k\x12\x04\x0a\x02yo",
                r#"{"parts":{"l":{"sku":"hi"},"k":{"sku":"yo"}}}"#,
            ),
            (b"\x6a\x00\x6a\x02\x08\x05\x6a\x02\x10\x02", r#"{"counts":{"5":"RED","0":2}}"#),
            // A message in parts is one.
            (
                b"\x72\x04\x0a\x02hi\x72\x04\x1a\x02\x01\x02\x72\x05\x10\x03\x1a\x01\x03",
                r#"{"inner":{"sku":"hi","delta":-2,"sizes":[1,2,3]}}"#,
            ),
            (b"\x72\x04\x0a\x02hi\x72\x01\xff", r#"{"14":[{"1":"hi"},{"$binary":"/w=="}]}"#),
            // The last member of a oneof counts.
            (b"\x7a\x01a\x80\x01\x05", r#"{"number":5}"#),
            (b"\x80\x01\x05\x7a\x01a\x7a\x01b", r#"{"text":"b"}"#),
            (
                b"\x8a\x01\x04\x0a\x02hi\x7a\x01a\x8a\x01\x02\x10\x03\x8a\x01\x02\x50\x01",
                r#"{"item":{"delta":-2,"low":1}}"#,
            ),
            // Of 32 bits, whatever was sent.
            (b"\x10\x83\x80\x80\x80\x10", r#"{"delta":-2}"#),
            (b"\x1a\x00", "{}"),
            // Of the wrong wire type, and not declared.
            (b"\x08\x05\xa2\x06\x01x", r#"{"1":5,"100":"x"}"#),
        ] {
            let value = protobuf::message(bytes, Some(&method.input())).map(|value| value.json());
            assert_eq!(value.as_deref(), Some(want), "{bytes:x?}");
        }
    }
    // As other tools write it that know editions.
    let set = folder.path().join("edition.bin");
    std::fs::write(&set, b"\x0a\x1b\x0a\x07a.proto\x12\x01a\x62\x08editions\x70\xe8\x07\x22\x00").unwrap();
    let said = Protos::load(std::slice::from_ref(&set)).unwrap_err().to_string();
    assert!(
        said.ends_with("a.proto in it is of syntax 'editions'; proto2 and proto3 are read, editions are not"),
        "{said}"
    );
    fn is_shareable(_: &(impl std::error::Error + Send + Sync + 'static)) {}
    std::fs::write(&file, "message {").unwrap();
    is_shareable(&Protos::load(std::slice::from_ref(&file)).unwrap_err());
    assert!(matches!(Protos::load(std::slice::from_ref(&file)), Err(ProtosError::Compile { .. })));
    assert!(matches!(Protos::load(&[folder.path().join("none")]), Err(ProtosError::Io { .. })));
    let text = folder.path().join("text");
    std::fs::write(&text, "text").unwrap();
    assert!(matches!(Protos::load(&[text]), Err(ProtosError::Descriptors { .. })));
}

#[test]
fn what_an_any_holds_is_shown_where_its_type_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proto");
    let source = r#"syntax = "proto3"; package a; import "google/protobuf/any.proto";
        message M { google.protobuf.Any any = 1; string s = 2; } service B { rpc C (M) returns (M); }"#;
    std::fs::write(&file, source).unwrap();
    let kind = Protos::load(&[file]).unwrap().method("a.B", "C").unwrap().input();
    let any = |name: &str, held: &[u8]| {
        let fields = [b"\x0a", &[name.len() as u8][..], name.as_bytes(), b"\x12", &[held.len() as u8], held].concat();
        [b"\x0a", &[fields.len() as u8][..], &fields].concat()
    };
    let inner = any("x/a.M", b"\x12\x01s");
    for (bytes, want) in [
        (inner.clone(), r#"{"any":{"@type":"x/a.M","s":"s"}}"#),
        (any("x/a.M", &inner), r#"{"any":{"@type":"x/a.M","any":{"@type":"x/a.M","s":"s"}}}"#),
        (any("x/a.N", b"\x12\x01s"), r#"{"any":{"type_url":"x/a.N","value":"\u0012\u0001s"}}"#),
        (any("x/a.M", b"\xff"), r#"{"any":{"type_url":"x/a.M","value":{"$binary":"/w=="}}}"#),
        (b"\x0a\x07\x0a\x05x/a.M".to_vec(), r#"{"any":{"@type":"x/a.M"}}"#),
        (b"\x0a\x00".to_vec(), r#"{"any":{}}"#),
    ] {
        assert_eq!(protobuf::message(&bytes, Some(&kind)).map(|value| value.json()).as_deref(), Some(want));
    }
}

fn prost_set(file: &std::path::Path) -> Vec<u8> {
    let mut compiler = protox::Compiler::new([file.parent().unwrap()]).unwrap();
    compiler.open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
}

#[test]
fn what_is_not_unfolded_to_its_end_takes_room_too() {
    let zstd = |text: &[u8]| frame(1, &zstd::encode_all(text, 1).unwrap());
    let noise: Vec<u8> = (0..6_u32 << 10).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let half = noise.repeat(22);
    let shown = |frames: &[Vec<u8>]| {
        let mut headers = Fields::default();
        headers.push(b"grpc-encoding", b"zstd");
        let message = Message { headers, body: frames.concat(), ..Message::default() };
        let counted = Counter::new(Framing::Plain).end(true);
        let json = message::json(&message, &counted, "proto", &message::Known::default(), &mut |_| true);
        json.is_some_and(|json| json.ends_with(r#"{"1":"hi"}]"#))
    };
    assert!(shown(&[zstd(&half), zstd(HI)]));
    assert!(!shown(&[zstd(&half), zstd(&half), zstd(HI)]));
}

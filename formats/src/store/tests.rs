//! Names, read and written.

use super::*;
use jiff::Timestamp;
use proptest::prelude::*;

#[test]
fn names() {
    for good in ["a", "prod-eu.1", "ip-10-0-0-1.internal", "_x", "A_B", &"n".repeat(253)] {
        assert_eq!(good.parse::<Name>().map(String::from), Ok(good.to_owned()));
    }
    for bad in [
        "",
        ".",
        "..",
        "a..b",
        "../x",
        "/etc",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a b",
        "~",
        "a%2fb",
        "ü",
        ".git",
        "-rf",
        "a:b",
        "C:",
        "a*",
        &"n".repeat(254),
    ] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}

#[test]
fn starts() {
    for good in ["20261123T100000Z", "20261123T100000.25Z", "20261123T235959.999Z", "19700101T000000Z"] {
        assert_eq!(good.parse::<Start>().map(|start| start.to_string()), Ok(good.to_owned()));
    }
    for bad in [
        "",
        "20261123",
        "20261123T100000",
        "20261123T100000+0000",
        "2026-11-23T10:00:00Z",
        "20261323T100000Z",
        "20261123T100000.Z",
        "20261123T100000.250Z",
        "20261123T100000.2500001Z",
        "20261123T100060Z",
        "../../..",
    ] {
        assert!(bad.parse::<Start>().is_err(), "{bad:?}");
    }
}

#[test]
fn files() {
    for (name, sequence) in [
        ("000001.pcapng.zst", Some(1)),
        ("000001.tls.pcapng.zst", Some(1)),
        ("999999.inventory.jsonl.zst", Some(999_999)),
        ("1000000.seal.json", Some(1_000_000)),
        ("close.json", None),
        ("close.json.minisig", None),
    ] {
        let file: FileName = name.parse().expect(name);
        assert_eq!((file.sequence(), file.to_string().as_str()), (sequence, name));
    }
    for bad in [
        "",
        "close",
        "000000.seal.json",
        "1.seal.json",
        "+00001.seal.json",
        "0000001.seal.json",
        "000001",
        "000001.",
        "000001..",
        "000001./x",
        "000001.a..b",
        "000001.PCAP",
        "99999999999.x",
        "000001.a/b",
        "000001.x\0",
    ] {
        assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_path_is_read_as_it_was_built(
        cluster in "[A-Za-z0-9_][A-Za-z0-9_-]{0,9}", window in "[a-z]{1,5}(\\.[a-z]{1,5})?", node in "[a-z0-9]{1,12}",
        milliseconds in 0i64..4_102_444_800_000, sequence in 1u32.., suffix in "[a-z]{1,6}(\\.[a-z]{1,6})?",
    ) {
        let id = RecordingId {
            cluster: cluster.parse().unwrap(),
            window: window.parse().unwrap(),
            start: Timestamp::from_millisecond(milliseconds).unwrap().into(),
            node: node.parse().unwrap(),
        };
        let file = FileName::segment(sequence, &suffix);
        prop_assert_eq!(RecordingId::parse_path(&id.path(&file)), Ok((id, file)));
    }

    #[test]
    fn whatever_is_read_stays_inside_the_store(path in "[a-z0-9./TZ\\\\\0-]{0,60}|\\PC{0,60}") {
        if let Ok((id, file)) = RecordingId::parse_path(&path) {
            prop_assert_eq!(id.path(&file), path.clone());
            let parts: Vec<_> = std::path::Path::new(&path).components().collect();
            prop_assert!(parts.len() == 5);
            prop_assert!(parts.iter().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
}

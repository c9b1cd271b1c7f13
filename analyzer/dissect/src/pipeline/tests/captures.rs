//! What was read, what was not, and what is left of a run that fails.

use super::*;
use crate::plan::NotKept;
use formats::seal::Volume;

#[test]
fn what_gave_no_packet_is_covered() {
    let mut bytes = capture(&(0..10).map(query).collect::<Vec<_>>());
    let framing_bytes = 24 + 10 * 16;
    bytes.extend([0xff; 50]);
    let captured_bytes = (bytes.len() - framing_bytes) as i64;
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(bytes, out.path(), 1);
    assert_eq!(numbers(&report, "captures", "bytes"), [captured_bytes]);
    assert_eq!(numbers(&report, "captures", "packets"), [10]);
    assert_eq!(numbers(&report, "coverage", "bytes").iter().sum::<i64>(), captured_bytes);
    assert_eq!(numbers(&report, "coverage", "packets").iter().sum::<i64>(), 10);
}

#[test]
fn what_cannot_be_read_stands_with_what_its_seal_says() {
    let out = tempfile::tempdir().unwrap();
    let lost =
        NotKept { stage: "ring", reason: "writing too slow".into(), target: None, packets: Some(3), bytes: Some(9) };
    let paused = NotKept { reason: "no ring was open".into(), packets: None, bytes: None, ..lost.clone() };
    let sealed = |packets| Some(Volume { packets, bytes: 0 });
    let input = |name: &str, not_kept: &[&NotKept], sealed, content: Option<Vec<u8>>| Input {
        name: name.into(),
        origin: Origin { not_kept: not_kept.iter().map(|&lost| lost.clone()).collect(), sealed, ..Origin::default() },
        open: Box::new(move || match content {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes)) as _),
            None => Err(std::io::Error::other("locked")),
        }),
    };
    let inputs = vec![
        input("1", &[&lost], sealed(2), Some(capture(&[query(1), query(2)]))),
        input("2", &[&lost], sealed(5), None),
        input("3", &[], None, None),
        // Its file was cut since.
        input("4", &[&lost, &paused], sealed(8), Some(capture(&[query(3)]))),
    ];
    let report = dissect(Unit { inputs }, &Plan { threads: 2, ..Plan::new(out.path()) }, &()).unwrap();
    assert_eq!((report.captures.len(), report.refused.len()), (2, 2));
    assert_eq!(numbers(&report, "captures", "packets"), [0, 2, 1]);
    let mut counted = texts(&report, "coverage", "packets");
    counted.retain(|packets| packets.as_deref() != Some("0"));
    counted.sort_unstable();
    assert_eq!(
        counted,
        [None, Some("1"), Some("2"), Some("3"), Some("3"), Some("3"), Some("5"), Some("7")]
            .map(|text| text.map(str::to_owned))
    );
}

#[test]
fn what_cannot_be_finished_leaves_nothing_behind() {
    let out = tempfile::tempdir().unwrap();
    let dissected = || {
        let open = Box::new(|| Ok(Box::new(Cursor::new(capture(&[query(1)]))) as _));
        let input = Input { name: "test".into(), origin: Origin::default(), open };
        dissect(Unit { inputs: vec![input] }, &Plan { threads: 1, ..Plan::new(out.path()) }, &())
    };
    let files = dissected().unwrap().files;
    let [.., taken] = &*files else { panic!("{files:?}") };
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    // A file cannot take the name of a folder.
    std::fs::create_dir(taken).unwrap();
    assert!(dissected().is_err());
    for file in &files {
        let left = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(left.collect::<Vec<_>>(), if file == taken { vec![taken.clone()] } else { vec![] });
    }
}

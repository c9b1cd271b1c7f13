//! What was sealed and is not there any more: `coverage` says how much that is.

use crate::run::Remora;
use crate::stored::{FOLDER, recording, write};
use formats::seal::{Close, Seal};
use std::collections::BTreeMap;

#[test]
fn what_was_sealed_and_is_not_there_is_said() {
    const STORE: &str = "select capture, packets, bytes from coverage where stage = 'store' order by 1";
    let place = |name: &str| format!("{FOLDER}/{name}");
    type Edit<'a> = &'a dyn Fn(&mut BTreeMap<String, Vec<u8>>);
    let remora = Remora::new();
    let cases: [(&str, Edit<'_>, &str, &str); 8] = [
        ("whole", &|_| {}, "", ""),
        (
            "packets",
            &|files| drop(files.remove(&place("000001.pcapng.zst"))),
            "000002.pcapng.zst,80,8716\n",
            "packets of 1 segments were sealed and are not there, the first 000001",
        ),
        (
            "packets that were given up",
            &|files| {
                files.remove(&place("000001.pcapng.zst"));
                let mut close = Close::from_bytes(&files[&place("close.json")]).unwrap();
                close.forgotten = vec![1];
                files.insert(place("close.json"), close.to_bytes());
            },
            "",
            "",
        ),
        (
            "the first, with its seal",
            &|files| files.retain(|path, _| !path.contains("000001")),
            "000002.pcapng.zst,80,8716\n",
            "nothing is there of 1 segments, not even their seals, the first 000001",
        ),
        (
            "the last, with its seal",
            &|files| files.retain(|path, _| !path.contains("000002")),
            "000001.pcapng.zst,80,8716\n",
            "nothing is there of 1 segments, not even their seals, the first 000002",
        ),
        (
            "the first, with its seal, but not its signature",
            &|files| {
                files.retain(|path, _| !path.contains("000001"));
                files.insert(place("000001.seal.json.minisig"), b"of a key".to_vec());
            },
            "000002.pcapng.zst,80,8716\n",
            "nothing is there of 1 segments, not even their seals, the first 000001",
        ),
        (
            "an edited seal",
            &|files| {
                let mut seal = Seal::from_bytes(&files[&place("000001.seal.json")]).unwrap();
                seal.counts.dropped.kernel_packets = 6;
                files.insert(place("000001.seal.json"), seal.to_bytes());
            },
            "",
            "000002.seal.json does not follow 000001.seal.json",
        ),
        (
            "a seal of another",
            &|files| {
                let mut seal = Seal::from_bytes(&files[&place("000002.seal.json")]).unwrap();
                seal.recording.node = "node-2".parse().unwrap();
                files.insert(place("000002.seal.json"), seal.to_bytes());
            },
            "",
            "000002.seal.json belongs to prod/nightly/20261124T100000Z/node-2",
        ),
    ];
    for (at, (case, edit, want, warning)) in cases.iter().enumerate() {
        let mut files = recording();
        edit(&mut files);
        let store = remora.path(&format!("store-{at}"));
        write(&files, &store);
        let said = remora.run(&["sql", &store, "--format", "csv", STORE]);
        let rows = said.text().split_once('\n').map_or("", |(_, rows)| rows);
        assert_eq!(rows, *want, "{case}: {said:?}");
        assert!(said.error.contains(warning), "{case}: {said:?}");
        assert_eq!(said.error.contains("warning"), !warning.is_empty(), "{case}: {said:?}");
    }
    // Whoever asks for one segment does not ask for the others.
    let one = format!("{}/{}", remora.path("store-3"), place("000002.pcapng.zst"));
    let said = remora.run(&["sql", &one, "--format", "csv", STORE]);
    assert!(said.error.contains("the first 000001"), "there are no others: {said:?}");
    let one = format!("{}/{}", remora.path("store-1"), place("000002.pcapng.zst"));
    let said = remora.run(&["sql", &one, "--format", "csv", STORE]);
    assert!(said.text().contains("000002.pcapng.zst,80,8716"), "{said:?}");
}

#[test]
fn what_is_cut_off_a_sealed_file_is_said() {
    const READ: &str = "select sum(packets), sum(bytes) from coverage where stage not in \
        ('kernel', 'ring', 'filter', 'disk', 'upload') and reason <> 'damaged'";
    const DAMAGE: &str = "select bytes from coverage where reason = 'damaged'";
    let (remora, mut files) = (Remora::new(), recording());
    let packets = files.get_mut(&format!("{FOLDER}/000002.pcapng.zst")).unwrap();
    let plain = zstd::decode_all(&packets[..]).unwrap();
    let (front, rest) = plain.split_at(plain.len() / 2);
    let rest = zstd::encode_all(rest, 1).unwrap();
    *packets = [zstd::encode_all(front, 1).unwrap(), rest[..100].to_vec()].concat();
    let store = remora.path("store");
    write(&files, &store);
    let said = remora.run(&["sql", &store, "--format", "csv", READ]);
    assert_eq!(said.text().lines().nth(1), Some("160,17432"), "as much as was sealed: {said:?}");
    let said = remora.run(&["sql", &store, "--format", "csv", DAMAGE]);
    assert!(said.text().lines().nth(1).is_some_and(|bytes| bytes.parse::<u64>().unwrap() >= 100), "{said:?}");
}

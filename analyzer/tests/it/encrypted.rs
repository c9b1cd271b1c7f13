//! Captures that only the owner of a key can read.

use crate::run::{Remora, Said, capture};
use crate::stored::{FOLDER, recording, write};
use formats::age::{Encrypt, Identity, Recipient};
use formats::hash::Hash256;
use formats::seal::{Close, Encrypted, Seal, SealedFile};
use formats::store::{FileName, RecordingId};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

fn key(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}

/// A file with a key.
pub fn identity(remora: &Remora, number: u8) -> String {
    let path = remora.path(&format!("identity-{number}.txt"));
    fs::write(&path, key(number).to_text()).unwrap();
    path
}

fn encrypt(plain: &[u8], to: &[Recipient]) -> Vec<u8> {
    let mut file = Encrypt::new(Vec::new(), to).unwrap();
    file.write_all(plain).unwrap();
    file.finish().unwrap()
}

/// The same recording, encrypted to the first key, as the recorder would have sealed it.
pub fn encrypted(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let id = RecordingId::parse_folder(FOLDER).unwrap();
    let recipients = vec![key(1).recipient()];
    let mut previous_sha256 = None;
    for sequence in 1.. {
        let Some(bytes) = files.get(&id.path(&FileName::seal(sequence))) else { break };
        let mut seal = Seal::from_bytes(bytes).unwrap();
        let SealedFile { name, bytes, sha256, .. } = seal.files[0].clone();
        let stored = encrypt(&files.remove(&id.path(&name)).unwrap(), &recipients);
        seal.files[0] = SealedFile {
            name: name.encrypted(),
            bytes: stored.len() as u64,
            sha256: Hash256::of(&stored),
            encrypted: Some(Encrypted { name: name.clone(), bytes, sha256, recipients: recipients.clone() }),
        };
        files.insert(id.path(&name.encrypted()), stored);
        seal.previous_sha256 = previous_sha256;
        previous_sha256 = Some(Hash256::of(&seal.to_bytes()));
        files.insert(id.path(&FileName::seal(sequence)), seal.to_bytes());
    }
    let mut close = Close::from_bytes(&files[&id.path(&FileName::Close)]).unwrap();
    (close.last_seal_sha256, close.forgotten) = (previous_sha256, Vec::new());
    files.insert(id.path(&FileName::Close), close.to_bytes());
    files
}

const ROWS: &str = "select method, path, status, latency_ms from http order by ts, path";

fn rows(remora: &Remora, input: &str, arguments: &[&str]) -> Said {
    remora.run(&[&["sql", input, "--format", "csv", ROWS], arguments].concat())
}

#[test]
fn a_key_reads_what_is_encrypted_to_it_wherever_it_lies() {
    let remora = Remora::new();
    let (plain, store) = (remora.path("plain"), remora.path("store"));
    write(&recording(), &plain);
    write(&encrypted(recording()), &store);
    let identity = identity(&remora, 1);
    let with = ["--identity", &identity];
    let want = rows(&remora, &plain, &[]);
    assert_eq!(want.text().lines().count(), 17, "{want:?}");
    let glob = format!("{store}/{FOLDER}/*.age");
    for input in [&store, &format!("file://{store}"), &glob] {
        assert_eq!(rows(&remora, input, &with).text(), want.text(), "{input}");
    }
    let segment = format!("{store}/{FOLDER}/000001.pcapng.zst.age");
    let one = rows(&remora, &segment, &with);
    assert_eq!(one.text().lines().count(), 9, "{one:?}");
    let sealed = fs::read(&segment).unwrap();
    let said = remora.run_with(&["sql", "-", "--format", "csv", ROWS, "--identity", &identity], &sealed);
    assert_eq!(said.text(), one.text(), "{}", said.error);

    let dataset = remora.path("dataset");
    let said = remora.run(&["dissect", &store, "-o", &dataset, "--identity", &identity]);
    assert_eq!((said.code, rows(&remora, &dataset, &[]).text()), (0, want.text()), "{said:?}");
    let carved = remora.path("carved.pcapng");
    let carve = ["carve", &store, "--where", "http.path = '/missing'", "-o", &carved];
    let said = remora.run(&[&carve[..], &with].concat());
    assert!(said.code == 0 && said.error.contains("4 packets"), "{said:?}");
    for command in ["calls", "flows"] {
        let said = remora.run(&[&[command, &store, "--format", "csv"], &with[..]].concat());
        let want = remora.run(&[command, &plain, "--format", "csv"]);
        assert_eq!(said.text().replace(".zst.age", ".zst"), want.text(), "{command}");
    }

    // Whoever decrypted one has it twice, and it counts once.
    fs::copy(capture(), segment.strip_suffix(".age").unwrap()).unwrap();
    for input in [store.clone(), format!("file://{store}"), format!("{store}/{FOLDER}/*.zst*")] {
        assert_eq!(rows(&remora, &input, &with).text(), want.text(), "{input}");
    }
}

#[test]
fn what_cannot_be_decrypted_is_named_and_the_rest_is_read() {
    let remora = Remora::new();
    let store = remora.path("store");
    let files = encrypted(recording());
    write(&files, &store);
    let ours = key(1).recipient().to_string();
    let (another, right) = (identity(&remora, 2), identity(&remora, 1));
    for (arguments, what) in [(&[][..], "and none was given"), (&["--identity", another.as_str()][..], "none of them")]
    {
        let said = rows(&remora, &store, arguments);
        assert_eq!((said.code, said.text()), (2, ""), "{said:?}");
        for word in ["000001.pcapng.zst.age", what, &ours, "--identity"] {
            assert!(said.error.contains(word), "{word}: {said:?}");
        }
        let dataset = remora.path("none");
        let said = remora.run(&[&["dissect", &store, "-o", &dataset], arguments].concat());
        assert!(said.code == 2 && said.error.contains("000002.pcapng.zst.age"), "{said:?}");
    }
    // Of a recording that is encrypted in part the rest is read, and it is said that it is not all.
    let second = format!("{FOLDER}/000002.pcapng.zst");
    fs::write(format!("{store}/{second}"), &recording()[&second]).unwrap();
    for again in [false, true] {
        let said = rows(&remora, &store, &[]);
        assert_eq!((said.code, said.text().lines().count()), (2, 9), "{again} {said:?}");
        assert!(said.error.contains("000001.pcapng.zst.age") && !said.error.contains("000002"), "{said:?}");
    }
    // What was read without a key is not taken for all once there is one.
    assert_eq!(rows(&remora, &store, &["--identity", &right]).text().lines().count(), 17);
    let said = remora.run(&["sql", &store, ROWS, "--identity", &store]);
    assert_eq!(said.code, 2);
    let no_key = remora.path("no-key");
    fs::write(&no_key, &ours).unwrap();
    let said = rows(&remora, &store, &["--identity", &no_key]);
    assert!(said.code == 2 && said.error.contains("line 1 is no secret key"), "{said:?}");
}

#[test]
fn what_seals_say_needs_no_key() {
    let remora = Remora::new();
    let store = remora.path("store");
    write(&encrypted(recording()), &store);
    let lost = "select sum(packets) as lost from coverage where stage in ('kernel', 'ring', 'disk', 'upload')";
    let read = "select distinct stage, reason from coverage where stage = 'read'";
    let damage = "select capture, packets from captures where damage like '%encrypted%' order by 1";
    let unread = "capture,packets\n000001.pcapng.zst.age,0\n000002.pcapng.zst.age,0\n";
    for (sql, want) in [(lost, "lost\n37\n"), (read, "stage,reason\nread,not read\n"), (damage, unread)] {
        for again in [false, true] {
            let said = remora.run(&["sql", &store, sql, "--format", "csv"]);
            assert_eq!((said.code, said.text()), (2, want), "{again} {said:?}");
            assert!(said.error.contains("000002.pcapng.zst.age") && said.error.contains("--identity"), "{said:?}");
        }
    }
    // As many as the seals tell of, whoever counts.
    for command in ["list", "verify"] {
        let said = remora.run(&["snapshot", command, &store]);
        assert!(said.code == 0 && said.text().contains("37"), "{said:?}");
    }
}

#[test]
fn damage_is_counted_behind_what_is_whole() {
    let remora = Remora::new();
    let identity = identity(&remora, 1);
    // Stored blocks, so that they are longer than a piece.
    let plain = zstd::stream::decode_all(fs::File::open(capture()).unwrap()).unwrap();
    let whole = encrypt(&plain.repeat(1 + (200 << 10) / plain.len()), &[key(1).recipient()]);
    let (file, sql) =
        (remora.path("a.pcapng.age"), "select packets > 100 as many, damage is null as whole from captures");
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (content, want) in
        [(&whole[..], "true,true"), (&whole[..whole.len() - 9], "true,false"), (&flipped, "true,false")]
    {
        fs::write(&file, content).unwrap();
        let said = remora.run(&["sql", &file, "--format", "csv", sql, "--identity", &identity]);
        assert_eq!(said.text(), format!("many,whole\n{want}\n"), "{said:?}");
    }
    fs::write(&file, &whole[..300]).unwrap();
    let said = remora.run(&["sql", &file, sql, "--identity", &identity]);
    assert!(said.code == 2 && said.error.contains("a.pcapng.age"), "{said:?}");
}

#[test]
fn a_snapshot_is_proved_without_a_key_and_further_with_one() {
    let remora = Remora::new();
    let (store, copy) = (remora.path("store"), remora.path("copy"));
    let mut files = encrypted(recording());
    write(&files, &store);
    let (right, another) = (identity(&remora, 1), identity(&remora, 2));
    let verify = |store: &str, arguments: &[&str]| remora.run(&[&["snapshot", "verify", store], arguments].concat());
    for arguments in [&[][..], &["--identity", right.as_str()]] {
        let said = verify(&store, arguments);
        assert!(said.code == 0 && said.text().contains("encrypted to 1 keys"), "{said:?}");
    }
    let said = verify(&store, &["--identity", &another]);
    assert!(said.code == 2 && said.text().contains("000001.pcapng.zst.age is encrypted to 1 keys"), "{said:?}");
    let said = remora.run(&["snapshot", "download", &store, "-o", &copy, "--identity", &right]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(verify(&copy, &["--identity", &right]).code, 0);

    // Sealed as something else than it is: nobody sees it without the key.
    let id = RecordingId::parse_folder(FOLDER).unwrap();
    let name = id.path(&FileName::seal(2));
    let mut seal = Seal::from_bytes(&files[&name]).unwrap();
    seal.files[0].encrypted.as_mut().unwrap().sha256 = Hash256::of(b"another");
    files.insert(name, seal.to_bytes());
    let close = id.path(&FileName::Close);
    let mut totals = Close::from_bytes(&files[&close]).unwrap();
    totals.last_seal_sha256 = Some(Hash256::of(&seal.to_bytes()));
    files.insert(close, totals.to_bytes());
    write(&files, &store);
    assert_eq!(verify(&store, &[]).code, 0);
    let said = verify(&store, &["--identity", &right]);
    assert!(said.code == 2 && said.text().contains("000002.pcapng.zst.age decrypted was changed"), "{said:?}");
    let said = remora.run(&["snapshot", "download", &store, "-o", &remora.path("again"), "--identity", &right]);
    assert!(said.code == 2 && said.text().contains("000002.pcapng.zst.age decrypted was changed"), "{said:?}");
}

#[test]
fn a_key_hides_nothing_that_is_wrong_without_it() {
    let remora = Remora::new();
    let files = encrypted(recording());
    let (right, another) = (identity(&remora, 1), identity(&remora, 2));
    let place = |name: &str| format!("{FOLDER}/{name}");
    let plain = recording()[&place("000002.pcapng.zst")].clone();
    type Edit<'a> = &'a dyn Fn(&mut BTreeMap<String, Vec<u8>>);
    // With the right key, and with another.
    let cases: [(&str, Edit<'_>, [&str; 2]); 5] = [
        ("whole", &|_| {}, ["ok ", "000001.pcapng.zst.age is encrypted to 1 keys"]),
        (
            "decrypted",
            &|files| drop(files.insert(place("000002.pcapng.zst"), plain.clone())),
            ["ok ", "000001.pcapng.zst.age is encrypted to 1 keys"],
        ),
        (
            "forged",
            &|files| drop(files.insert(place("000002.pcapng.zst"), b"forged".to_vec())),
            ["node-1/000002.pcapng.zst has 6 bytes"; 2],
        ),
        (
            "changed",
            &|files| *files.get_mut(&place("000002.pcapng.zst.age")).unwrap().last_mut().unwrap() ^= 1,
            ["node-1/000002.pcapng.zst.age was changed"; 2],
        ),
        (
            "changed, and a seal less before it",
            &|files| {
                files.remove(&place("000001.seal.json"));
                files.get_mut(&place("000002.pcapng.zst.age")).unwrap()[200] ^= 1;
            },
            ["node-1/000001.seal.json is missing"; 2],
        ),
    ];
    for (at, (case, edit, want)) in cases.iter().enumerate() {
        let mut files = files.clone();
        edit(&mut files);
        let store = remora.path(&format!("store-{at}"));
        write(&files, &store);
        for (identity, want) in [&right, &another].into_iter().zip(want) {
            let copy = remora.path(&format!("copy-{at}-{want}").replace('/', " "));
            for arguments in [&["verify", &store][..], &["download", &store, "-o", &copy]] {
                let said = remora.run(&[&["snapshot"], arguments, &["--identity", identity]].concat());
                assert!(said.text().contains(want), "{case} {arguments:?}: {said:?}");
                assert_eq!(said.code, if *want == "ok " { 0 } else { 2 }, "{case} {arguments:?}: {said:?}");
            }
            if *want == "ok " {
                let there = fs::read_dir(format!("{copy}/{FOLDER}")).unwrap().count();
                assert_eq!(there, files.len(), "{case}");
            }
        }
    }
}

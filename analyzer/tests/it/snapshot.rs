//! `remora snapshot` over folders and S3.

use crate::seaweed::Seaweed;
use formats::hash::Hash256;
use formats::seal::{Close, Counts, DropsByTarget, EndReason, Pause, Seal, SealedFile, TlsCounts, VERSION, Volume};
use formats::store::{FileName, INVENTORY, PACKETS, RecordingId};
use jiff::SignedDuration;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

/// Path below the store, and content.
type Files = BTreeMap<String, Vec<u8>>;

/// Two recordings of one window at 10:00, one of another at 12:00 that has not ended.
fn store() -> Files {
    let mut files = recording("prod/nightly/20261124T100000Z/node-1", 3, true);
    files.extend(recording("prod/nightly/20261124T100000Z/node-2", 2, true));
    files.extend(recording("test/black-box/20261124T120000.5Z/node-1", 1, false));
    files
}

fn recording(folder: &str, segments: u32, is_closed: bool) -> Files {
    let id = RecordingId::parse_folder(folder).unwrap();
    let mut files = Files::new();
    let mut previous_sha256 = None;
    let mut counts = Counts::default();
    let pause = Pause { from: id.start.time(), until: id.start.time() + SignedDuration::from_secs(5) };
    for sequence in 1..=segments {
        let packets: Vec<u8> = format!("packets {sequence} of {folder} ").into_bytes().repeat(1000);
        let contents = [(PACKETS, packets), (INVENTORY, format!("inventory {sequence} of {folder}").into_bytes())];
        let mut sealed = Vec::new();
        for (suffix, content) in contents {
            let name = FileName::segment(sequence, suffix);
            sealed.push(SealedFile {
                name: name.clone(),
                bytes: content.len() as u64,
                sha256: Hash256::of(&content),
                encrypted: None,
            });
            files.insert(id.path(&name), content);
        }
        let volume = Volume { packets: 7, bytes: 700 };
        let mut these = Counts { seen: volume, written: volume, ..Counts::default() };
        these.dropped.kernel_packets = 1;
        counts += these;
        let seal = Seal {
            version: VERSION,
            recording: id.clone(),
            sequence,
            files: sealed,
            first_packet: None,
            last_packet: None,
            counts: these,
            targets: DropsByTarget::default(),
            tls: TlsCounts::default(),
            forgotten: Vec::new(),
            clock: None,
            recorder: "test".into(),
            configuration_sha256: Hash256::of(b""),
            recovered: None,
            pause: (sequence == 2).then_some(pause),
            previous_sha256,
        };
        previous_sha256 = Some(Hash256::of(&seal.to_bytes()));
        files.insert(id.path(&FileName::seal(sequence)), seal.to_bytes());
    }
    if is_closed {
        let close = Close {
            version: VERSION,
            recording: id.clone(),
            ended: id.start.time() + SignedDuration::from_mins(10),
            reason: EndReason::Duration,
            segments,
            first_packet: None,
            last_packet: None,
            counts,
            tls: TlsCounts::default(),
            forgotten: Vec::new(),
            forgotten_volume: Volume { packets: 5, bytes: 500 },
            trigger: None,
            clock: None,
            pauses: (segments > 1).then_some(pause).into_iter().collect(),
            recorder: "test".into(),
            last_seal_sha256: previous_sha256,
        };
        files.insert(id.path(&FileName::Close), close.to_bytes());
    }
    files
}

/// A folder with these files.
fn written(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Every file below a folder.
fn read(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    files
}

/// Runs `remora snapshot` and gives exit code, standard output and standard error.
fn remora(arguments: &[&str], environment: &[(String, String)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora"));
    command.arg("snapshot").args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn shown(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

#[test]
fn list_shows_what_is_there() {
    let mut files = store();
    let close = files.get_mut("prod/nightly/20261124T100000Z/node-2/close.json").unwrap();
    *close = Close { reason: EndReason::Crash, ..Close::from_bytes(close).unwrap() }.to_bytes();
    let folder = written(&files);
    let (code, table, _) = remora(&["list", shown(&folder)], &[]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((code, rows.len()), (0, 4), "{table}");
    let want = "2026-11-24T10:00:00Z prod nightly node-1 2026-11-24T10:10:00Z duration 3";
    assert_eq!(rows[1][..7].join(" "), want);
    assert_eq!(rows[1][9..].join(" "), "16 8 + 5s", "{table}");
    assert_eq!(rows[2][9..].join(" "), "9 7 + 5s + ?", "{table}");
    let (_, report, _) = remora(&["verify", shown(&folder), "--node", "node-2"], &[]);
    assert!(
        report.contains("9 packets, 7 packets lost (kernel 2, upload 5), ended: crash, nobody counted"),
        "{report}"
    );
    assert_eq!(rows[3][3..7].join(" "), "node-1 - - 1", "not ended: {table}");
    let (_, json, _) = remora(&["list", shown(&folder), "--format", "json"], &[]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json[0]["close"]["segments"].as_u64(), &json[2]["close"]), (Some(3), &Value::Null));
}

#[test]
fn a_selection_selects() {
    let folder = written(&store());
    for (arguments, want) in [
        (&[][..], 3),
        (&["--node", "node-1"], 2),
        (&["--node", "node-1,node-2"], 3),
        (&["--window", "nightly", "--node", "node-2"], 1),
        (&["--cluster", "test"], 1),
        (&["--to", "2026-11-24 12:00"], 2),
        (&["--to", "2026-11-24T12:00:01+00:00"], 3),
        (&["--from", "2026-11-24T10:09:59Z"], 3),
        (&["--from", "2026-11-24T11:10:00+01:00"], 1),
        (&["--from", "2026-11-25"], 1),
        (&["--from", "2026-11-24T10:05:00Z", "--to", "2026-11-24T10:06:00Z"], 2),
        (&["--to", "2026-11-24"], 0),
        (&["--cluster", "elsewhere"], 0),
    ] {
        let (code, table, _) = remora(&[&["list", shown(&folder)], arguments].concat(), &[]);
        assert_eq!(table.lines().count().saturating_sub(1), want, "{arguments:?}: {table}");
        assert_eq!(code, i32::from(want == 0), "{arguments:?}");
    }
}

#[test]
fn verify_names_the_first_broken_thing() {
    let sound = written(&store());
    let (code, report, _) = remora(&["verify", shown(&sound), "--window", "nightly"], &[]);
    assert_eq!((code, report.lines().count()), (0, 2), "{report}");
    assert!(
        report.lines().all(|line| {
            line.starts_with("ok ") && line.contains(", upload 5), ended: duration, no ring open 1 times (5s)")
        }),
        "{report}"
    );

    let folder = "prod/nightly/20261124T100000Z/node-1";
    let good = recording(folder, 3, true);
    let broken = |files: &Files, name: &str, what: &str| {
        let place = written(files);
        let (code, report, _) = remora(&["verify", shown(&place)], &[]);
        let want = format!("BROKEN  {}/{name} ", shown(&place));
        assert!(code == 2 && report.starts_with(&want), "{what} of {name}: exit {code}, {report}");
    };
    let names: Vec<&String> = good.keys().collect();
    for (at, name) in names.iter().enumerate() {
        let mut flipped = good.clone();
        flipped.get_mut(*name).unwrap()[10] ^= 1;
        broken(&flipped, name, "a flipped byte");
        let mut removed = good.clone();
        removed.remove(*name);
        broken(&removed, name, "removal");
        // With the next of its kind, so that each is whole.
        if let Some(other) = names.get(at + 3).filter(|other| other.ends_with(&name[folder.len() + 7..])) {
            let mut swapped = good.clone();
            swapped.insert((*name).clone(), good[*other].clone());
            swapped.insert((*other).clone(), good[*name].clone());
            broken(&swapped, name, "a swap");
        }
    }
    let (code, report, _) = remora(&["verify", shown(&written(&store())), "--format", "json"], &[]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (code, report[2]["state"].as_str(), report[2]["file"].as_str()),
        (2, Some("broken"), Some("close.json"))
    );
    let said = ["packets", "lost_packets", "reason", "ended"].map(|name| report[0][name].to_string());
    assert_eq!(said, ["16", "8", "\"duration\"", "\"2026-11-24T10:10:00Z\""], "{report}");
}

#[test]
fn nothing_and_no_store_are_told_apart() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(remora(&["verify", shown(&empty)], &[]).0, 1);
    let (code, _, error) = remora(&["verify", "/no/such/folder"], &[]);
    assert!(code == 2 && error.contains("/no/such/folder"), "{error}");
    let (code, _, error) = remora(&["list", shown(&empty), "--from", "yesterday"], &[]);
    assert!(code == 2 && error.contains("is no time"), "{error}");
    for url in ["s3://AKIA:sekret@b/x", "s3://AKIA:se/kret@b/x", "s3://sekret@b", "https://b.example/x?sig=sekret"] {
        let (code, out, error) = remora(&["list", url], &[]);
        assert!(code == 2 && !error.is_empty() && !(out + &error).contains("kret"), "{url}: {error}");
    }
    let endpoint = [("AWS_ENDPOINT".to_owned(), "minio:9000".to_owned())];
    let (code, _, error) = remora(&["list", "s3://captures/x"], &endpoint);
    assert!(code == 2 && error.contains("AWS_ENDPOINT is not like http"), "{error}");
}

#[test]
fn what_lies_in_a_store_and_was_sealed_by_nobody_is_named() {
    let recording = recording("a/b/20261124T100000Z/c", 1, true);
    for (path, stranger) in [
        ("x.pcap", "x.pcap"),
        ("a/x.pcap", "a/x.pcap"),
        ("a/b/x.pcap", "a/b/x.pcap"),
        ("a/b/20261124T100000Z/x.pcap", "a/b/20261124T100000Z/x.pcap"),
        ("lost+found/x", "lost+found"),
        ("a/b/2026/c/x.pcap", "a/b/2026"),
    ] {
        let folder = written(&iter::once((path.to_owned(), vec![0])).chain(recording.clone()).collect());
        let (code, _, error) = remora(&["list", shown(&folder)], &[]);
        assert!(code == 0 && error.contains(&format!("/{stranger} is no recording")), "{path}: {error}");
        let (code, report, error) = remora(&["verify", shown(&folder)], &[]);
        let want = format!("BROKEN  {}/{stranger} was sealed by nobody\n", shown(&folder));
        assert!(code == 2 && report.starts_with("ok ") && report.ends_with(&want), "{report}{error}");
        let (_, report, _) = remora(&["verify", shown(&folder), "--format", "json"], &[]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((report[1]["state"].as_str(), report[1]["file"].as_str()), (Some("broken"), Some(stranger)));
    }
    // A new disk has an empty folder.
    let folder = written(&recording);
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    assert_eq!(remora(&["verify", shown(&folder)], &[]).0, 0);
}

#[test]
fn an_odd_name_is_a_fault_of_its_recording_alone() {
    let (odd, good) = ("a/b/20261124T100000Z/odd", "a/b/20261124T100000Z/well");
    type Add = fn(&Path);
    let cases: [(Add, &str); 4] = [
        (|place| fs::write(place.join(OsStr::from_bytes(b"\xff.pcap")), "").unwrap(), "\u{fffd}.pcap"),
        (|place| fs::write(place.join("a\n\x1b[31mok"), "").unwrap(), "a\\n\\u{1b}[31mok"),
        (|place| symlink(".", place.join("loop")).unwrap(), "loop/"),
        (
            |place| {
                fs::create_dir(place.join("sub")).unwrap();
                fs::write(place.join("sub/x.pcap"), "").unwrap();
            },
            "sub/x.pcap",
        ),
    ];
    for (add, name) in cases {
        let folder = written(&recording(odd, 1, true).into_iter().chain(recording(good, 1, true)).collect());
        add(&folder.path().join(odd));
        let (code, report, error) = remora(&["verify", shown(&folder)], &[]);
        let want = format!("BROKEN  {}/{odd}/{name} was sealed by nobody\nok ", shown(&folder));
        assert!(code == 2 && report.starts_with(&want), "{report}{error}");
    }
}

#[test]
fn a_download_is_a_copy_and_goes_on_where_it_ended() {
    let files = recording("prod/nightly/20261124T100000Z/node-1", 3, true);
    let (source, copy) = (written(&files), tempfile::tempdir().unwrap());
    let download = || {
        let (code, report, error) = remora(&["download", shown(&source), "-o", shown(&copy), "--format", "json"], &[]);
        let report: Value = serde_json::from_str(&report).unwrap_or_else(|_| panic!("{report}{error}"));
        (code, report[0]["fetched_bytes"].as_u64().unwrap())
    };
    let all = files.iter().filter(|(name, _)| !name.ends_with("json")).map(|(_, content)| content.len() as u64).sum();
    assert_eq!(download(), (0, all));
    assert_eq!(read(copy.path()), files);
    assert_eq!(remora(&["verify", shown(&copy)], &[]).0, 0);
    assert_eq!(download(), (0, 0), "everything is there");

    let place = copy.path().join("prod/nightly/20261124T100000Z/node-1/000002.pcapng.zst");
    let part = place.with_file_name("000002.pcapng.zst.part");
    let content = fs::read(&place).unwrap();
    for (case, left, fetched) in [
        ("cut", &content[..100], content.len() - 100),
        ("whole, not renamed", &content[..], 0),
        ("of something else", b"what is this", 2 * content.len() - 12),
        ("longer than it can be", &content.repeat(2)[..], content.len()),
    ] {
        fs::remove_file(&place).unwrap();
        fs::write(&part, left).unwrap();
        assert_eq!(download(), (0, fetched as u64), "{case}");
        assert_eq!(read(copy.path()), files, "{case}");
    }
    fs::write(&place, b"changed here").unwrap();
    assert_eq!(download(), (0, content.len() as u64), "changed here");
    assert_eq!(read(copy.path()), files);
}

#[test]
fn a_broken_recording_is_not_copied_as_if_it_were_whole() {
    let mut files = recording("prod/nightly/20261124T100000Z/node-1", 2, true);
    files.get_mut("prod/nightly/20261124T100000Z/node-1/000001.pcapng.zst").unwrap()[99] ^= 1;
    files.insert("prod/nightly/20261124T100000Z/node-1/notes.txt".into(), b"not ours".to_vec());
    let (source, copy) = (written(&files), tempfile::tempdir().unwrap());
    let (code, report, _) = remora(&["download", shown(&source), "-o", shown(&copy)], &[]);
    assert!(code == 2 && report.contains("node-1/000001.pcapng.zst was changed"), "{report}");
    let names: Vec<_> = read(copy.path()).into_keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    let want = [
        "000001.inventory.jsonl.zst",
        "000001.seal.json",
        "000002.inventory.jsonl.zst",
        "000002.pcapng.zst",
        "000002.seal.json",
        "close.json",
    ];
    assert_eq!(names, want);
}

/// One test, for one server: each start costs seconds.
#[tokio::test(flavor = "multi_thread")]
async fn from_s3() {
    let Some(server) = Seaweed::start() else { return };
    let url = "s3://captures/some/where".parse().unwrap();
    let (objects, prefix) = object_store::parse_url_opts(&url, server.options("all")).unwrap();
    let at = |path: &str| path.split('/').fold(prefix.clone(), |location, part| location.join(part));
    let files = store();
    for (path, content) in &files {
        objects.put(&at(path), PutPayload::from(content.clone())).await.unwrap();
    }
    let environment = server.options("all");
    let remora = |arguments: &[&str]| remora(arguments, &environment);

    let (code, table, error) = remora(&["list", url.as_str()]);
    assert_eq!((code, table.lines().count()), (0, 4), "{table}{error}");
    let (code, report, _) = remora(&["verify", url.as_str(), "--window", "nightly"]);
    assert_eq!((code, report.lines().count()), (0, 2), "{report}");
    let copy = tempfile::tempdir().unwrap();
    let arguments = ["download", url.as_str(), "--cluster", "prod", "-o", shown(&copy)];
    assert_eq!(remora(&arguments).0, 0);
    let want: Files =
        files.iter().filter(|(path, _)| path.starts_with("prod")).map(|(p, c)| (p.clone(), c.clone())).collect();
    assert_eq!(read(copy.path()), want);
    // A part that an interrupted download left is completed by a request for the rest.
    let path = "prod/nightly/20261124T100000Z/node-2/000001.pcapng.zst";
    let place = copy.path().join(path);
    fs::remove_file(&place).unwrap();
    fs::write(place.with_file_name("000001.pcapng.zst.part"), &files[path][..1000]).unwrap();
    assert_eq!(remora(&arguments).0, 0);
    assert_eq!(read(copy.path()), want);

    let mut changed = files[path].clone();
    changed[5] ^= 1;
    objects.put(&at(path), PutPayload::from(changed)).await.unwrap();
    let (code, report, _) = remora(&["verify", url.as_str()]);
    assert!(code == 2 && report.contains(&format!("BROKEN  {url}/{path} was changed")), "{report}");

    let wrong: Vec<_> = environment
        .iter()
        .cloned()
        .map(|(name, value)| {
            let value = if name == "AWS_SECRET_ACCESS_KEY" { "wrong".to_owned() } else { value };
            (name, value)
        })
        .collect();
    let (code, _, error) = self::remora(&["verify", url.as_str()], &wrong);
    assert!(code == 2 && error.contains(url.as_str()), "{error}");
}

#[test]
fn links_that_lead_nowhere_or_back_up_are_passed_by() {
    let folder = written(&store());
    for (link, to) in [("self", "self"), ("gone", "nothing"), ("up", "."), ("prod/back", ".."), ("more", "prod")] {
        symlink(to, folder.path().join(link)).unwrap();
    }
    let (code, out, error) = remora(&["list", shown(&folder), "--format", "json"], &[]);
    let recordings: Vec<Value> = serde_json::from_str(&out).unwrap();
    // A link to a folder is followed: there are two of 'prod'.
    assert!(code == 0 && error.is_empty() && recordings.len() == 5, "{out} {error}");
}

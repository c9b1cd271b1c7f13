mod encrypted;
mod properties;
mod signatures;

use super::*;
use crate::seal::{DropsByTarget, EndReason, Recovered, VERSION};
use crate::store::{INVENTORY, PACKETS, TLS};

fn id(node: &str) -> RecordingId {
    RecordingId::parse_folder(&format!("prod/nightly/20261123T020000Z/{node}")).unwrap()
}

const PAUSE: Pause = Pause { from: Timestamp::UNIX_EPOCH, until: Timestamp::MAX };

/// A recording as the recorder leaves it: name and bytes of every file, in order.
type Files = Vec<(String, Vec<u8>)>;

fn recording(id: &RecordingId, segments: u32) -> Files {
    recording_with(id, segments, |_| {})
}

/// `change` is applied to each seal before it is written: what a recorder says, not what somebody edits.
fn recording_with(id: &RecordingId, segments: u32, change: impl Fn(&mut Seal)) -> Files {
    let mut files = Files::new();
    let mut sound = Sound::default();
    let mut previous_sha256 = None;
    let at = |second: u32| Timestamp::from_second(1_795_399_200 + i64::from(second)).unwrap();
    for sequence in 1..=segments {
        let mut sealed = Vec::new();
        for suffix in [PACKETS, TLS, INVENTORY] {
            let name = FileName::segment(sequence, suffix);
            let bytes = format!("what is in {name} of {id}").into_bytes();
            sealed.push(SealedFile {
                name: name.clone(),
                bytes: bytes.len() as u64,
                sha256: Hash256::of(&bytes),
                encrypted: None,
            });
            files.push((name.to_string(), bytes));
        }
        let packets = Volume { packets: 10 * u64::from(sequence), bytes: 1000 };
        let mut seal = Seal {
            version: VERSION,
            recording: id.clone(),
            sequence,
            files: sealed,
            first_packet: Some(at(sequence * 10)),
            last_packet: Some(at(sequence * 10 + 9)),
            counts: Counts { seen: packets, written: packets, ..Counts::default() },
            targets: DropsByTarget::default(),
            tls: TlsCounts::default(),
            forgotten: Vec::new(),
            clock: None,
            recorder: "0.1.0".into(),
            configuration_sha256: Hash256::of(b"configuration"),
            recovered: None,
            pause: None,
            previous_sha256,
        };
        change(&mut seal);
        let bytes = seal.to_bytes();
        previous_sha256 = Some(Hash256::of(&bytes));
        sound.add(&seal, false);
        files.push((FileName::seal(sequence).to_string(), bytes));
    }
    let close = Close {
        version: VERSION,
        recording: id.clone(),
        ended: at(1000),
        reason: EndReason::Duration,
        segments,
        first_packet: sound.first_packet,
        last_packet: sound.last_packet,
        counts: sound.counts,
        tls: sound.tls,
        forgotten: Vec::new(),
        forgotten_volume: Volume::default(),
        trigger: None,
        clock: sound.clock.clone(),
        pauses: sound.pauses.clone(),
        recorder: "0.1.0".into(),
        last_seal_sha256: previous_sha256,
    };
    files.push((FileName::Close.to_string(), close.to_bytes()));
    files
}

fn check(files: &Files) -> Result<Sound, String> {
    verify(&id("node-1"), &found(files)).map_err(|fault| fault.to_string())
}

fn found(files: &Files) -> Vec<Found> {
    files
        .iter()
        .map(|(name, bytes)| Found {
            name: name.clone(),
            content: match Found::is_ledger(name) {
                true => Content::Ledger(bytes.clone()),
                false => Content::Hashed { bytes: bytes.len() as u64, sha256: Hash256::of(bytes) },
            },
        })
        .collect()
}

fn at(files: &Files, name: &str) -> usize {
    files.iter().position(|(found, _)| found == name).expect(name)
}

#[test]
fn a_sound_recording() {
    for segments in 0..4 {
        let sound = check(&recording(&id("node-1"), segments)).unwrap();
        assert_eq!((sound.segments, sound.files), (segments, 3 * u64::from(segments)));
    }
    let sound = check(&recording(&id("node-1"), 3)).unwrap();
    assert_eq!((sound.counts.written.packets, sound.first_packet < sound.last_packet), (60, true));
}

#[test]
fn the_first_wrong_thing_is_named() {
    type Edit = fn(&mut Files);
    fn exchange(files: &mut Files, a: &str, b: &str) {
        let (a, b) = (at(files, a), at(files, b));
        let bytes = std::mem::take(&mut files[a].1);
        files[a].1 = std::mem::replace(&mut files[b].1, bytes);
    }
    fn remove(files: &mut Files, name: &str) {
        files.remove(at(files, name));
    }
    fn reseal(files: &mut Files, sequence: u32, change: fn(&mut Seal)) {
        let seal = at(files, &FileName::seal(sequence).to_string());
        let mut edited = Seal::from_bytes(&files[seal].1).unwrap();
        change(&mut edited);
        files[seal].1 = edited.to_bytes();
    }
    fn reclose(files: &mut Files, change: fn(&mut Close)) {
        let (_, bytes) = files.last_mut().unwrap();
        let mut edited = Close::from_bytes(bytes).unwrap();
        change(&mut edited);
        *bytes = edited.to_bytes();
    }
    let cases: &[(&str, Edit, &str)] = &[
        ("segment missing", |files| remove(files, "000002.pcapng.zst"), "000002.pcapng.zst is missing"),
        (
            "the earlier of two faults",
            |files| {
                remove(files, "000003.pcapng.zst");
                remove(files, "000002.tls.pcapng.zst");
            },
            "000002.tls.pcapng.zst is missing",
        ),
        ("one byte", |files| files[0].1[3] ^= 1, "000001.pcapng.zst was changed: its SHA-256 is "),
        ("cut", |files| files[1].1.truncate(71), "000001.tls.pcapng.zst has 71 bytes, 72 were sealed"),
        (
            "two segments swapped",
            |files| exchange(files, "000001.pcapng.zst", "000003.pcapng.zst"),
            "000001.pcapng.zst holds what was sealed as 000003.pcapng.zst: swapped or renamed",
        ),
        (
            "two seals swapped",
            |files| exchange(files, "000001.seal.json", "000002.seal.json"),
            "000001.seal.json is the seal of segment 2: swapped or renamed",
        ),
        (
            "seal and segment swapped",
            |files| exchange(files, "000001.seal.json", "000001.pcapng.zst"),
            "000001.seal.json was edited: it does not have the hash it ends with",
        ),
        ("first seal missing", |files| remove(files, "000001.seal.json"), "000001.seal.json is missing"),
        ("last seal missing", |files| remove(files, "000003.seal.json"), "000003.seal.json is missing"),
        (
            "seal edited",
            |files| *files[3].1.iter_mut().find(|byte| **byte == b'1').unwrap() = b'2',
            "000001.seal.json was edited: it does not have the hash it ends with",
        ),
        (
            "seal edited, with a new hash",
            |files| reseal(files, 2, |seal| seal.counts.seen.packets += 1),
            "000003.seal.json does not follow 000002.seal.json: one of them was edited or exchanged",
        ),
        (
            "last seal edited, with a new hash",
            |files| reseal(files, 3, |seal| seal.counts.seen.packets += 1),
            "close.json does not match the seals: another last seal",
        ),
        (
            "seal of another node",
            |files| files[7].1 = recording(&id("node-2"), 3)[7].1.clone(),
            "000002.seal.json belongs to prod/nightly/20261123T020000Z/node-2",
        ),
        (
            "a loss edited away",
            |files| reseal(files, 3, |seal| seal.forgotten = vec![1]),
            "close.json does not match the seals: another last seal",
        ),
        ("no close", |files| remove(files, "close.json"), "close.json is missing: still being recorded, "),
        (
            "a cut close",
            |files| files[12].1.truncate(90),
            "close.json was edited: it does not have the hash it ends with",
        ),
        (
            "other counts",
            |files| reclose(files, |close| close.counts.dropped.kernel_packets = 1),
            "close.json does not match the seals: other counts",
        ),
        (
            "other times",
            |files| reclose(files, |close| close.last_packet = None),
            "close.json does not match the seals: other times",
        ),
        (
            "other pauses",
            |files| reclose(files, |close| close.pauses = vec![PAUSE]),
            "close.json does not match the seals: other pauses",
        ),
        ("fewer segments", |files| reclose(files, |close| close.segments = 2), "close.json does not match the seals"),
        ("more segments", |files| reclose(files, |close| close.segments = u32::MAX), "000004.seal.json is missing"),
        (
            "from later",
            |files| reclose(files, |close| close.version = 2),
            "close.json has version 2, this program reads up to 1",
        ),
        (
            "a file more",
            |files| files.push(("000002.keys.json".into(), Vec::new())),
            "000002.keys.json was sealed by nobody",
        ),
        ("a stranger", |files| files.push(("../x".into(), Vec::new())), "../x was sealed by nobody"),
        (
            "a stranger who speaks to the terminal",
            |files| files.push(("a\n\x1b[31mok".into(), Vec::new())),
            "a\\n\\u{1b}[31mok was sealed by nobody",
        ),
        (
            "a segment behind the end",
            |files| files.push(("000004.pcapng.zst".into(), Vec::new())),
            "000004.pcapng.zst was sealed by nobody",
        ),
        ("nothing left", Vec::clear, "close.json is missing: still being recorded, "),
    ];
    for (case, edit, want) in cases {
        let mut files = recording(&id("node-1"), 3);
        edit(&mut files);
        let fault = check(&files).expect_err(case);
        assert!(fault.starts_with(want), "{case}: {fault}");
    }
}

#[test]
fn what_the_ledger_tells_is_no_fault() {
    let mut files = recording_with(&id("node-1"), 3, |seal| match seal.sequence {
        2 => seal.recovered = Some(Recovered { cut_bytes: 7, nothing_after: seal.last_packet }),
        3 => (seal.forgotten, seal.pause) = (vec![1], Some(PAUSE)),
        _ => {}
    });
    files.retain(|(name, _)| !name.starts_with("000001.") || name.ends_with("seal.json"));
    let sound = check(&files).unwrap();
    assert_eq!((sound.forgotten, sound.recovered, sound.files), ([1].into(), vec![2], 6));
    assert_eq!((sound.pauses, sound.reason), (vec![PAUSE], Some(EndReason::Duration)));
    assert!(sound.nothing_after.is_some() && sound.ended.is_some());
}

#[test]
fn a_segment_on_its_way_is_not_held_against_an_open_recording() {
    let mut files = recording(&id("node-1"), 3);
    files.retain(|(name, _)| !["000003.seal.json", "close.json"].contains(&name.as_str()));
    assert!(check(&files).unwrap_err().starts_with("close.json is missing"));
}

#[test]
fn what_a_recorder_leaves_beside_a_recording_is_no_fault() {
    for (name, bytes, is_closed, is_sound) in [
        ("000001.probe", PROBE_BYTES, true, true),
        ("000001.pcapng.zst.probe", PROBE_BYTES, true, true),
        ("000001.probe", b"evidence", true, false),
        ("000004.pcapng.zst", PROBE_BYTES, true, false),
        ("000002.pcapng.zst#17", b"", false, true),
        ("000002.pcapng.zst#17", b"", true, false),
        ("000002.pcapng.zst#", b"", false, false),
        ("x#17", b"", false, false),
    ] {
        let mut files = recording(&id("node-1"), 3);
        files.push((name.into(), bytes.to_vec()));
        if !is_closed {
            files.retain(|(name, _)| name != "close.json");
        }
        let want = match (is_sound, is_closed) {
            (false, _) => format!("{name} was sealed by nobody"),
            (true, false) => "close.json is missing: still being recorded, ".to_owned(),
            (true, true) => String::new(),
        };
        let fault = check(&files).err().unwrap_or_default();
        assert!(fault.starts_with(&want) && fault.is_empty() == want.is_empty(), "{name}: {fault}");
    }
}

#[test]
fn members_of_later_versions_are_ignored() {
    let bytes = recording(&id("node-1"), 1)[3].1.clone();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let (members, _) = text.rsplit_once(",\"sha256\"").unwrap();
    let members = format!("{members},\"weather\":{{\"rain\":[1,2]}}");
    let later = format!("{members},\"sha256\":\"{}\"}}\n", Hash256::of(members.as_bytes()));
    assert_eq!(Seal::from_bytes(later.as_bytes()).unwrap(), Seal::from_bytes(&bytes).unwrap());
}

#[test]
fn an_end_of_a_later_version_is_kept() {
    let reason: EndReason = serde_json::from_str("\"lightning\"").unwrap();
    assert_eq!(reason, EndReason::Other("lightning".into()));
    assert_eq!(serde_json::to_string(&EndReason::SpoolFull).unwrap(), "\"spool_full\"");
    assert_eq!(serde_json::from_str::<EndReason>("\"spool_full\"").unwrap(), EndReason::SpoolFull);
}

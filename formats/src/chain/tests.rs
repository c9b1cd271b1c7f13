use super::*;
use crate::age::Identity;
use crate::seal::{DropsByTarget, Encrypted, EndReason, Recovered, VERSION};
use crate::signature::SecretKey;
use crate::store::{INVENTORY, PACKETS, TLS};
use proptest::prelude::*;

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

/// Signs every seal and the close.
fn sign(files: &mut Files, key: &SecretKey) {
    for (name, bytes) in files.clone() {
        match name.parse::<FileName>() {
            Ok(name) if name.is_ledger() => {
                files.push((name.signature().to_string(), key.sign(&bytes, &name.to_string())));
            }
            _ => {}
        }
    }
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
    assert_eq!(sound.pauses, [PAUSE]);
}

#[test]
fn who_signed_is_asked_only_where_keys_are_given() {
    let [ours, theirs] = [1, 2].map(|number| SecretKey::generate([number; 8], &[number; 32]).0);
    let keys = [theirs.public(), ours.public()];
    let signed = || {
        let mut files = recording(&id("node-1"), 3);
        sign(&mut files, &ours);
        files
    };
    let asked = |files: &Files, keys: &[_]| {
        verify_signed(&id("node-1"), &found(files), keys).map_err(|fault| fault.to_string())
    };
    assert_eq!(asked(&signed(), &keys).unwrap().signatures, 4);
    assert_eq!(check(&signed()).unwrap().signatures, 4);
    let fault = asked(&recording(&id("node-1"), 3), &keys).unwrap_err();
    assert_eq!(fault, "000001.seal.json is not signed");
    let fault = asked(&signed(), &keys[..1]).unwrap_err();
    assert_eq!(fault, "000001.seal.json was signed with the key 0101010101010101, which is none of those given");
    type Edit = fn(&mut Files);
    let cases: &[(&str, Edit, &str)] = &[
        ("close", |files| files.retain(|(name, _)| name != "close.json.minisig"), "close.json is not signed"),
        (
            "another file's",
            |files| {
                let signature = files[at(files, "000001.seal.json.minisig")].1.clone();
                let second = at(files, "000002.seal.json.minisig");
                files[second].1 = signature;
            },
            "000002.seal.json does not have the signature of the key 0101010101010101: one of both was changed",
        ),
        (
            "cut",
            |files| {
                let third = at(files, "000003.seal.json.minisig");
                files[third].1.truncate(50);
            },
            "000003.seal.json.minisig is no signature of minisign: not 74 bytes in base64 in its second line",
        ),
        (
            "of nothing",
            |files| files.push(("000004.seal.json.minisig".into(), Vec::new())),
            "000004.seal.json.minisig was sealed by nobody",
        ),
    ];
    for (case, edit, want) in cases {
        let mut files = signed();
        edit(&mut files);
        assert_eq!(&asked(&files, &keys).expect_err(case), want, "{case}");
    }
    // Whoever forges the whole chain cannot forge these.
    let mut forged = recording_with(&id("node-1"), 3, |seal| seal.counts.seen.packets += 1);
    forged.extend(signed().into_iter().filter(|(name, _)| name.ends_with("minisig")));
    check(&forged).unwrap();
    assert!(asked(&forged, &keys).unwrap_err().starts_with("000001.seal.json does not have the signature"));
    // On its way: the signature comes before what it signs.
    let mut open = signed();
    open.retain(|(name, _)| !["000003.seal.json", "close.json", "close.json.minisig"].contains(&name.as_str()));
    assert!(check(&open).unwrap_err().starts_with("close.json is missing"));
}

#[test]
fn a_segment_on_its_way_is_not_held_against_an_open_recording() {
    let mut files = recording(&id("node-1"), 3);
    files.retain(|(name, _)| !["000003.seal.json", "close.json"].contains(&name.as_str()));
    assert!(check(&files).unwrap_err().starts_with("close.json is missing"));
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

proptest! {
    #[test]
    fn any_changed_byte_is_named(segments in 1u32..4, file: prop::sample::Index, byte: prop::sample::Index, flip in 1u8..) {
        let mut files = recording(&id("node-1"), segments);
        let (name, bytes) = file.get_mut(&mut files);
        *byte.get_mut(bytes) ^= flip;
        let name = name.clone();
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&name), "{} was changed, but: {}", name, fault);
    }

    #[test]
    fn any_removed_file_is_named(segments in 1u32..4, file: prop::sample::Index) {
        let mut files = recording(&id("node-1"), segments);
        let (name, _) = files.remove(file.index(files.len()));
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&format!("{name} is missing")), "{} was removed, but: {}", name, fault);
    }

    #[test]
    fn any_two_swapped_files_are_named(segments in 1u32..4, a: prop::sample::Index, b: prop::sample::Index) {
        let mut files = recording(&id("node-1"), segments);
        let (a, b) = (a.index(files.len()), b.index(files.len()));
        prop_assume!(a != b);
        let bytes = files[a].1.clone();
        files[a].1 = std::mem::replace(&mut files[b].1, bytes);
        let fault = check(&files).unwrap_err();
        prop_assert!(
            [a, b].iter().any(|&swapped| fault.starts_with(&files[swapped].0)),
            "{} and {} were swapped, but: {}", files[a].0, files[b].0, fault
        );
    }

    #[test]
    fn any_cut_or_longer_file_is_named(segments in 1u32..4, file: prop::sample::Index, cut: prop::sample::Index, more: Vec<u8>) {
        let mut files = recording(&id("node-1"), segments);
        let (name, bytes) = file.get_mut(&mut files);
        let name = name.clone();
        let before = bytes.clone();
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend(more);
        prop_assume!(*bytes != before);
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&name), "{} has another length, but: {}", name, fault);
    }

    #[test]
    fn hostile_bytes_are_refused_in_peace(data: Vec<u8>) {
        crate::seal::fuzz::fuzz_seal(&data);
    }
}

/// A recording whose packets are encrypted.
fn encrypted(segments: u32) -> Files {
    let recipients = vec![Identity::from_bytes([1; 32]).recipient()];
    let stored = |name: &FileName| format!("nobody reads {name}").into_bytes();
    let mut files = recording_with(&id("node-1"), segments, |seal| {
        let file = &mut seal.files[0];
        let name = file.name.encrypted();
        let bytes = stored(&name);
        let plain = SealedFile { bytes: bytes.len() as u64, sha256: Hash256::of(&bytes), name, encrypted: None };
        let SealedFile { name, bytes, sha256, .. } = std::mem::replace(file, plain);
        file.encrypted = Some(Encrypted { name, bytes, sha256, recipients: recipients.clone() });
    });
    for sequence in 1..=segments {
        let plain = FileName::segment(sequence, PACKETS);
        let file = at(&files, &plain.to_string());
        files[file] = (plain.encrypted().to_string(), stored(&plain.encrypted()));
    }
    files
}

#[test]
fn what_is_encrypted_is_proved_without_a_key_and_once_it_is_decrypted() {
    let files = encrypted(2);
    let sound = check(&files).unwrap();
    assert_eq!((sound.files, sound.recipients.len()), (6, 1));
    let plain = FileName::segment(1, PACKETS);
    let content = format!("what is in {plain} of {}", id("node-1")).into_bytes();
    let place = at(&files, &plain.encrypted().to_string());
    let mut beside = files.clone();
    beside.push((plain.to_string(), content.clone()));
    assert_eq!(check(&beside), Ok(sound.clone()), "beside it");
    let mut instead = files.clone();
    instead[place] = (plain.to_string(), content);
    assert_eq!(check(&instead), Ok(sound), "in its place");

    instead[place].1.push(b'!');
    assert!(check(&instead).unwrap_err().starts_with("000001.pcapng.zst has "));
    let last = beside.len() - 1;
    beside[last].1[0] ^= 1;
    assert!(check(&beside).unwrap_err().starts_with("000001.pcapng.zst was changed"));
    let mut gone = files.clone();
    gone.remove(place);
    assert_eq!(check(&gone).unwrap_err(), "000001.pcapng.zst.age is missing");
    let mut changed = files;
    changed[place].1[0] ^= 1;
    assert!(check(&changed).unwrap_err().starts_with("000001.pcapng.zst.age was changed"));
}

#[test]
fn what_a_key_opens_is_held_against_the_seal_and_hides_nothing_beside_it() {
    let plain = FileName::segment(1, PACKETS);
    let content = |sequence| format!("what is in {} of {}", FileName::segment(sequence, PACKETS), id("node-1"));
    // The packets are decrypted to `inside`, and `beside` lies there too.
    let opened = |inside: &str, beside: Option<&str>| {
        let mut found = found(&encrypted(2));
        let file = found.iter_mut().find(|file| file.name == plain.encrypted().to_string()).unwrap();
        let (bytes, sha256) = file.content.stored().unwrap();
        let (plain_bytes, plain_sha256) = (inside.len() as u64, Hash256::of(inside.as_bytes()));
        file.content = Content::Opened { bytes, sha256, plain_bytes, plain_sha256 };
        let beside = beside.map(|text| (plain.to_string(), text.as_bytes().to_vec()));
        found.extend(self::found(&beside.into_iter().collect()));
        verify(&id("node-1"), &found).map(drop).map_err(|fault| fault.to_string())
    };
    let (own, other) = (content(1), content(2));
    assert_eq!(opened(&own, None), Ok(()));
    assert_eq!(opened(&own, Some(&own)), Ok(()));
    let forged = opened(&own, Some("forged")).unwrap_err();
    assert!(forged.starts_with("000001.pcapng.zst has 6 bytes"), "{forged}");
    let swapped = opened(&other, Some(&own)).unwrap_err();
    let want = "000001.pcapng.zst.age decrypted holds what was sealed as 000002.pcapng.zst: swapped or renamed";
    assert_eq!(swapped, want);
}

//! Recordings as inputs: what the seals say in `coverage`, captures and datasets in object stores.

use crate::encrypted;
use crate::run::{Remora, capture};
use crate::seaweed::Seaweed;
use formats::hash::Hash256;
use formats::pcapng::kind;
use formats::pcapng::read::{Block, Order};
use formats::seal::{
    Clock, ClockStep, Close, Counts, Dropped, DropsByTarget, EndReason, Pause, Recovered, Seal, SealedFile,
    TargetDrops, TlsCounts, VERSION, Volume,
};
use formats::store::{FileName, PACKETS, RecordingId};
use jiff::SignedDuration;
use object_store::{ObjectStoreExt, PutPayload};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub const FOLDER: &str = "prod/nightly/20261124T100000Z/node-1";

/// Packets in the capture that stands for every segment.
const SEGMENT_PACKETS: u64 = 80;

/// And their captured bytes.
const SEGMENT_BYTES: u64 = 8716;

/// The same packets, sent again: at the same time they would be the same ones.
fn an_hour_later(packed: &[u8]) -> Vec<u8> {
    let (mut capture, mut at) = (zstd::decode_all(packed).unwrap(), 0);
    while let Ok(block) = Block::read(&capture[at..], Order::Little) {
        let (is_packet, end) = (block.kind == kind::ENHANCED_PACKET, at + block.bytes.len());
        if is_packet {
            let word = |from: usize| u64::from(u32::from_le_bytes(capture[from..from + 4].try_into().unwrap()));
            let ns = (word(at + 12) << 32 | word(at + 16)) + 3_600_000_000_000;
            capture[at + 12..at + 16].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
            capture[at + 16..at + 20].copy_from_slice(&(ns as u32).to_le_bytes());
        }
        at = end;
    }
    zstd::encode_all(&capture[..], 1).unwrap()
}

/// A recording of two segments: the first lost packets everywhere, in the second the clock was set back, and it was recovered
/// after a crash.
pub fn recording() -> BTreeMap<String, Vec<u8>> {
    let id = RecordingId::parse_folder(FOLDER).unwrap();
    let captured = fs::read(capture()).unwrap();
    let volume = |packets, bytes| Volume { packets, bytes };
    let written = volume(SEGMENT_PACKETS, SEGMENT_BYTES);
    let mut files = BTreeMap::new();
    let mut previous_sha256 = None;
    let mut total = Counts::default();
    let pause = Pause { from: id.start.time(), until: id.start.time() + SignedDuration::from_secs(5) };
    let step = ClockStep { at: id.start.time(), by_ns: -3_600_000_000_000 };
    let (source, steps) = ("kernel".to_owned(), vec![step]);
    let clock = Clock { offset_ns: 0, source, synchronised: None, error_max_ns: None, steps };
    for sequence in [1, 2] {
        let name = FileName::segment(sequence, PACKETS);
        let packets = if sequence == 1 { captured.clone() } else { an_hour_later(&captured) };
        files.insert(id.path(&name), packets.clone());
        let first = Counts {
            seen: volume(SEGMENT_PACKETS + 50, 0),
            written,
            snapped_bytes: 77,
            filtered: volume(20, 0),
            sampled: volume(0, 0),
            dropped: Dropped { kernel_packets: 11, ring: volume(10, 1000), disk: volume(9, 900), spool: volume(0, 0) },
        };
        let counts = if sequence == 1 { first } else { Counts { seen: written, written, ..Counts::default() } };
        total += counts;
        let seal = Seal {
            version: VERSION,
            recording: id.clone(),
            sequence,
            files: vec![SealedFile {
                name,
                bytes: packets.len() as u64,
                sha256: Hash256::of(&packets),
                encrypted: None,
            }],
            first_packet: None,
            last_packet: None,
            counts,
            targets: if sequence == 1 { targets() } else { DropsByTarget::default() },
            tls: TlsCounts::default(),
            forgotten: Vec::new(),
            clock: (sequence == 2).then_some(clock.clone()),
            recorder: "test".into(),
            configuration_sha256: Hash256::of(b""),
            recovered: (sequence == 2).then_some(Recovered { cut_bytes: 123, nothing_after: None }),
            pause: (sequence == 2).then_some(pause),
            previous_sha256,
        };
        previous_sha256 = Some(Hash256::of(&seal.to_bytes()));
        files.insert(id.path(&FileName::seal(sequence)), seal.to_bytes());
    }
    let close = Close {
        version: VERSION,
        recording: id.clone(),
        ended: id.start.time(),
        reason: EndReason::Crash,
        segments: 2,
        first_packet: None,
        last_packet: None,
        counts: total,
        tls: TlsCounts::default(),
        forgotten: vec![3],
        forgotten_volume: volume(7, 700),
        trigger: None,
        clock: Some(clock),
        pauses: vec![pause],
        recorder: "test".into(),
        last_seal_sha256: previous_sha256,
    };
    files.insert(id.path(&FileName::Close), close.to_bytes());
    files
}

/// What is known of the first segment's losses: all on the disk, and some of the kernel's.
fn targets() -> DropsByTarget {
    let of = |target: &str, kernel_packets, disk| TargetDrops {
        target: target.to_owned(),
        netns: 4_026_531_840,
        dropped: Dropped { kernel_packets, disk, ..Dropped::default() },
    };
    let disk = |packets, bytes| Volume { packets, bytes };
    DropsByTarget(vec![of("shop/web-1", 4, disk(3, 300)), of("host", 2, disk(6, 600))])
}

pub fn write(files: &BTreeMap<String, Vec<u8>>, folder: &str) {
    for (path, content) in files {
        let path = Path::new(folder).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

const LOST: &str = "select capture, stage, reason, sum(packets) as packets, sum(bytes) as bytes from coverage \
    where stage in ('kernel', 'ring', 'filter', 'disk', 'upload') \
    group by 1, 2, 3 having sum(packets) > 0 or sum(bytes) > 0 order by 1, 2, 3";

const NOT_COUNTED: &str = "select capture, stage, reason from coverage where packets is null order by stage";

const WANT_NOT_COUNTED: &str = "\
capture,stage,reason
000002.pcapng.zst,disk,behind the last write before a crash
000002.pcapng.zst,ring,no ring was open
";

const CLOCK: &str = "select capture, reason, packets, bytes from coverage where stage = 'clock'";

const BY_TARGET: &str = "select stage, target, packets, bytes from coverage \
    where stage in ('kernel', 'disk') and capture like '000001%' order by 1, 2";

const WANT: &str = "\
capture,stage,reason,packets,bytes
000001.pcapng.zst,disk,writing failed,9,900
000001.pcapng.zst,filter,beyond the snap length,0,77
000001.pcapng.zst,filter,refused by the filter,20,
000001.pcapng.zst,kernel,capture ring full,11,
000001.pcapng.zst,ring,writing too slow,10,1000
000002.pcapng.zst,disk,\"end of a segment that was found open, cut off, in bytes of the file\",0,123
000002.pcapng.zst,upload,\"segments given up at the end, before they were stored\",7,700
";

const BALANCE: &str = "select (select sum(packets) from coverage where stage in ('read', 'decode', 'flow', 'stream', 'protocol')) \
    - (select sum(packets) from captures) as off, node, recording from captures group by 2, 3";

#[test]
fn the_seals_say_what_the_recorder_lost() {
    let remora = Remora::new();
    let store = remora.path("store");
    write(&recording(), &store);
    let url = format!("file://{store}");
    let dataset = remora.path("dataset");
    assert_eq!(remora.run(&["dissect", &store, "-o", &dataset]).code, 0);
    for input in [&store, &url, &dataset] {
        let said = remora.run(&["sql", input, "--format", "csv", LOST]);
        assert_eq!(said.text(), WANT, "{input}: {}", said.error);
        assert!(said.error.contains("the recorders lost 37 packets"), "{input}: {}", said.error);
        assert!(said.error.contains("2 times nobody counted what the recorders lost"), "{input}: {}", said.error);
        let said = remora.run(&["sql", input, "--format", "csv", NOT_COUNTED]);
        assert_eq!(said.text(), WANT_NOT_COUNTED, "{input}");
        let said = remora.run(&["sql", input, "--format", "csv", CLOCK]);
        let want = "capture,reason,packets,bytes\n000002.pcapng.zst,clock set back 1h,0,0\n";
        assert_eq!(said.text(), want, "{input}: {}", said.error);
        let said = remora.run(&["sql", input, "--format", "csv", BY_TARGET]);
        let want = "stage,target,packets,bytes\ndisk,host,6,600\ndisk,shop/web-1,3,300\ndisk,,0,0\n\
            kernel,host,2,\nkernel,shop/web-1,4,\nkernel,,5,\n";
        assert_eq!(said.text(), want, "{input}: {}", said.error);
        let said = remora.run(&["sql", input, "--format", "csv", BALANCE]);
        assert_eq!(said.text(), format!("off,node,recording\n0,node-1,{FOLDER}\n"), "{input}");
    }
    // Zero is an answer: the second segment lost nothing in the kernel.
    let kernel = "select capture, sum(packets) as packets from coverage where stage = 'kernel' group by 1 order by 1";
    let said = remora.run(&["sql", &store, "--format", "csv", kernel]);
    assert_eq!(said.text(), "capture,packets\n000001.pcapng.zst,11\n000002.pcapng.zst,0\n");
}

#[test]
fn a_recording_without_a_packet_says_what_it_lost() {
    let remora = Remora::new();
    let store = remora.path("store");
    let mut files = recording();
    files.retain(|path, _| !path.ends_with(PACKETS));
    write(&files, &store);
    for input in [store.clone(), format!("file://{store}"), format!("{store}/{FOLDER}/close.json")] {
        let said = remora.run(&["sql", &input, "--format", "csv", LOST]);
        let lost = WANT.replace("000001.pcapng.zst", "close.json").replace("000002.pcapng.zst", "close.json");
        let mut want: Vec<&str> = lost.lines().skip(1).collect();
        want.sort_unstable();
        let mut rows: Vec<&str> = said.text().lines().skip(1).collect();
        rows.sort_unstable();
        assert_eq!(rows, want, "{input}: {}", said.error);
        let said = remora.run(&["sql", &input, "--format", "csv", BALANCE]);
        assert_eq!(said.text(), format!("off,node,recording\n0,node-1,{FOLDER}\n"), "{input}: {}", said.error);
    }
    files.remove(&format!("{FOLDER}/close.json"));
    let open = remora.path("open");
    write(&files, &open);
    let said = remora.run(&["sql", &open, LOST]);
    assert!(said.code == 2 && said.error.contains("no capture in this folder"), "{said:?}");
}

#[test]
fn a_segment_without_a_sound_seal_is_read_and_said() {
    let remora = Remora::new();
    let store = remora.path("store");
    let mut files = recording();
    files.remove(&format!("{FOLDER}/000001.seal.json"));
    files.get_mut(&format!("{FOLDER}/000002.seal.json")).unwrap()[20] ^= 1;
    write(&files, &store);
    let said = remora.run(&["sql", &store, "--format", "csv", "select count(*) >= 8 as many from http"]);
    assert_eq!((said.code, said.text()), (0, "many\ntrue\n"));
    assert!(said.error.contains("000001.seal.json is not there"), "{said:?}");
    assert!(said.error.contains("000002.seal.json was edited"), "{said:?}");
}

#[test]
fn a_folder_that_cannot_be_read_keeps_no_other_back() {
    let remora = Remora::new();
    let (store, locked) = (remora.path("store"), remora.path("store/locked"));
    write(&recording(), &store);
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if fs::read_dir(&locked).is_ok() {
        return;
    }
    let said = remora.run(&["sql", &store, "--format", "csv", "select count(*) from captures"]);
    assert!(said.code == 2 && said.text().ends_with("\n2\n") && said.error.contains(&locked), "{said:?}");
    let said = remora.run(&["dissect", &store, "-o", &remora.path("dataset")]);
    assert!(said.code == 2 && said.error.contains(&locked), "{said:?}");
    assert!(remora.run(&["sql", &locked, "select 1"]).error.contains(&locked));
    let said = remora.run(&["snapshot", "list", &store]);
    assert!(said.code == 2 && said.text().contains("node-1") && said.error.contains(&locked), "{said:?}");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
}

/// One test, for one server: each start costs seconds.
#[tokio::test(flavor = "multi_thread")]
async fn from_s3() {
    let Some(server) = Seaweed::start() else { return };
    let url: url::Url = "s3://captures/here".parse().unwrap();
    let (objects, prefix) = object_store::parse_url_opts(&url, server.options("all")).unwrap();
    let at = |path: &str| path.split('/').fold(prefix.clone(), |location, part| location.join(part));
    for (path, content) in recording() {
        objects.put(&at(&format!("store/{path}")), PutPayload::from(content)).await.unwrap();
    }
    let mut remora = Remora::new();
    remora.environment = server.options("all");

    let said = remora.run(&["sql", "s3://captures/here/store", "--format", "csv", LOST]);
    assert_eq!(said.text(), WANT, "{}", said.error);
    let said = remora.run(&["sql", "s3://captures/here/store/prod/nightly", "--format", "csv", BALANCE]);
    assert_eq!(said.text(), format!("off,node,recording\n0,node-1,{FOLDER}\n"), "{}", said.error);
    let segment = format!("s3://captures/here/store/{FOLDER}/000002.pcapng.zst");
    let said = remora.run(&["calls", &segment, "--format", "csv", "--where", "operation = 'A nothing.test'"]);
    assert_eq!(said.text().lines().count(), 2, "{said:?}");
    let carved = remora.path("carved.pcapng");
    let said = remora.run(&["carve", &segment, "--where", "http.path = '/missing'", "-o", &carved]);
    assert!(said.code == 0 && said.error.contains("2 packets"), "{said:?}");
    // Of one that is not compressed ranges are read.
    let packed = &recording()[&format!("{FOLDER}/000002.pcapng.zst")];
    let plain = zstd::decode_all(&packed[..]).unwrap();
    objects.put(&at("plain.pcapng"), PutPayload::from(plain)).await.unwrap();
    let (from_ranges, where_) = (remora.path("ranges.pcapng"), "http.path = '/missing'");
    let said = remora.run(&["carve", "s3://captures/here/plain.pcapng", "--where", where_, "-o", &from_ranges]);
    assert_eq!(said.code, 0, "{said:?}");
    let packets = |capture: &str| {
        let sql = "select ts_ns, captured_bytes, tcp_seq from packets order by packet";
        remora.run(&["sql", capture, "--format", "csv", sql]).text().to_owned()
    };
    assert_eq!(packets(&from_ranges), packets(&carved));

    // What is encrypted there needs a key here, and nothing else.
    let identity = encrypted::identity(&remora, 1);
    for (path, content) in encrypted::encrypted(recording()) {
        objects.put(&at(&format!("secret/{path}")), PutPayload::from(content)).await.unwrap();
    }
    let secret = ["sql", "s3://captures/here/secret", "--format", "csv", LOST];
    let said = remora.run(&[&secret[..], &["--identity", &identity]].concat());
    assert_eq!(said.text(), WANT.replace(".zst,", ".zst.age,"), "{}", said.error);
    let said = remora.run(&secret);
    assert!(said.code == 2 && said.error.contains("000001.pcapng.zst.age"), "{said:?}");
    let said = remora.run(&["snapshot", "verify", "s3://captures/here/secret", "--identity", &identity]);
    assert!(said.code == 0 && said.text().contains("encrypted to 1 keys"), "{said:?}");

    // A dataset in a store answers as one in a folder.
    let dataset = remora.path("dataset");
    assert_eq!(remora.run(&["dissect", &segment, "-o", &dataset]).code, 0);
    let mut folders = vec![Path::new(&dataset).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(&dataset).unwrap().to_str().unwrap();
                    let content = PutPayload::from(fs::read(&path).unwrap());
                    objects.put(&at(&format!("dataset/{name}")), content).await.unwrap();
                }
            }
        }
    }
    let sql = "select operation, status from calls order by ts";
    let want = remora.run(&["sql", &dataset, "--format", "csv", sql]);
    let said = remora.run(&["sql", "s3://captures/here/dataset", "--format", "csv", sql]);
    assert_eq!((said.code, said.text()), (0, want.text()), "{}", said.error);

    let said = remora.run(&["sql", "s3://captures/nowhere", "select 1 from http"]);
    assert!(said.code == 2 && said.error.contains("no capture and no dataset"), "{said:?}");
}

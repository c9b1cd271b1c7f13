//! The upload room over S3.

use crate::made::{self, Recording, verify};
use crate::seaweed::Seaweed;
use formats::age::{Decrypt, Identity};
use formats::hash::{Hash256, hex};
use formats::seal::{Counts, DropsByTarget, EndReason, SealedFile};
use formats::store::{FileName, PACKETS};
use jiff::{SignedDuration, Timestamp};
use md5::{Digest, Md5};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use recorder::clock::SystemClock;
use recorder::disk::SystemDisk;
use recorder::rotate::Finished;
use recorder::schedule::StoreTarget;
use recorder::seal::Chain;
use recorder::spool::Spool;
use recorder::upload::{Proof, Sender, Store, UploadError};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// One test, for one server: each start costs seconds.
#[tokio::test(flavor = "multi_thread")]
async fn segments_arrive_in_s3() {
    let Some(server) = Seaweed::start() else { return };
    let target = StoreTarget {
        url: "s3://captures/prod/eu".parse().unwrap(),
        write_only: false,
        encrypt_to: Vec::new(),
        object_lock: None,
    };
    let (objects, prefix) = object_store::parse_url_opts(target.url.url(), server.options("all")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();

    read_back(&server, &target, &spool, objects.as_ref(), &prefix).await;
    write_only(&server, &target, folder.path(), objects.as_ref(), &prefix).await;
    encrypted(&server, &target, &spool, objects.as_ref(), &prefix).await;
    locked(&server, folder.path()).await;
}

/// Nobody deletes what is locked: the server says until when, and refuses.
async fn locked(server: &Seaweed, folder: &std::path::Path) {
    server.curl(&["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true"], "locked");
    let target = StoreTarget {
        url: "s3://locked/prod".parse().unwrap(),
        write_only: false,
        encrypt_to: Vec::new(),
        object_lock: Some("compliance 3d".parse().unwrap()),
    };
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(3 * 24)).unwrap();
    let store = Store::open_with(&target, server.options("all")).unwrap();
    // In one request, and in parts.
    for (name, bytes) in [("one", 1000), ("parts", (16 << 20) + 5)] {
        let (file, content) = (folder.join(name), vec![7; bytes]);
        std::fs::write(&file, &content).unwrap();
        let receipt = store.send(&SystemDisk, name, &file, Hash256::of(&content)).await.unwrap();
        assert_eq!((receipt.proof, receipt.bytes), (Proof::ReadBack, bytes as u64), "{name}");

        let object = format!("locked/prod/{name}");
        let said = server.curl(&["--head"], &object).to_lowercase();
        let header =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
        assert_eq!(header("x-amz-object-lock-mode:"), "compliance", "{said}");
        let told: Timestamp = header("x-amz-object-lock-retain-until-date:").to_uppercase().parse().expect(&said);
        assert!(told.duration_since(until).abs() < SignedDuration::from_mins(10), "{told}, not {until}");
        let version = header("x-amz-version-id:");
        let refused = server.curl(&["-X", "DELETE"], &format!("{object}?versionId={version}"));
        assert!(refused.contains("AccessDenied"), "{refused}");
    }
}

/// Sealed, sent, fetched, decrypted: the same bytes, and nothing plain on the way.
async fn encrypted(server: &Seaweed, target: &StoreTarget, spool: &Spool, objects: &dyn ObjectStore, prefix: &Path) {
    let identity = Identity::from_bytes([7; 32]);
    let target = StoreTarget { encrypt_to: vec![identity.recipient()], ..target.clone() };
    let id = made::id("secret");
    let folder = spool.begin(&id, &target).unwrap();
    let mut chain = Chain::new(spool.clone(), id.clone(), Hash256::of(b""), Arc::new(SystemClock));
    let contents = [vec![1; 1000], vec![2; (6 << 20) + 3]];
    for (sequence, content) in (1..).zip(&contents) {
        let name = FileName::segment(sequence, PACKETS);
        let path = folder.join(format!("{name}.open"));
        std::fs::write(&path, content).unwrap();
        let file = SealedFile { name, bytes: content.len() as u64, sha256: Hash256::of(content), encrypted: None };
        let (counts, targets, steps) = (Counts::default(), DropsByTarget::default(), Vec::new());
        let segment = Finished {
            path,
            file,
            counts,
            targets,
            first_packet: None,
            last_packet: None,
            until: None,
            steps,
            pause: None,
        };
        chain.seal(segment, None).unwrap();
    }
    chain.close(EndReason::Duration, Timestamp::UNIX_EPOCH).unwrap();
    let plain = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(plain.filter(|name| name.contains("pcapng") && !name.ends_with(".age")).count(), 0);

    let store = Store::open_with(&target, server.options("all")).unwrap();
    Sender::new(spool.clone()).with_store(target, store).sweep().await.unwrap();
    let sound = verify(objects, prefix, &id).await.unwrap();
    assert_eq!((sound.segments, sound.recipients), (2, [identity.recipient()].into()));
    for (sequence, content) in (1..).zip(&contents) {
        let name = FileName::segment(sequence, PACKETS).encrypted();
        let place = id.path(&name).split('/').fold(prefix.clone(), |place, part| place.join(part));
        let stored = objects.get(&place).await.unwrap().bytes().await.unwrap();
        let mut read = Vec::new();
        Decrypt::open(&stored[..], std::slice::from_ref(&identity)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *content, "{name}");
    }
}

async fn read_back(server: &Seaweed, target: &StoreTarget, spool: &Spool, objects: &dyn ObjectStore, prefix: &Path) {
    let mut recording = Recording::begin(spool, "nightly", target);
    recording.segment(1000);
    recording.segment((8 << 20) + 17);
    recording.close();
    let store = Store::open_with(target, server.options("all")).unwrap();
    let mut sender = Sender::new(spool.clone()).with_store(target.clone(), store);
    sender.sweep().await.unwrap();
    assert_eq!(verify(objects, prefix, &made::id("nightly")).await.unwrap().segments, 2);
    assert!(spool.recordings().unwrap().is_empty());

    // The same names again, other bytes: what is stored stays.
    let mut again = Recording::begin(spool, "nightly", target);
    again.segment(999);
    again.close();
    let error = sender.sweep().await.unwrap_err();
    assert!(matches!(error, UploadError::Conflict { .. }), "{error}");
    assert_eq!(verify(objects, prefix, &made::id("nightly")).await.unwrap().segments, 2);
    assert_eq!(spool.waiting(&made::id("nightly")).unwrap(), [1]);
    spool.done(&made::id("nightly")).unwrap();
}

async fn write_only(
    server: &Seaweed,
    target: &StoreTarget,
    folder: &std::path::Path,
    objects: &dyn ObjectStore,
    prefix: &Path,
) {
    let target = StoreTarget { write_only: true, ..target.clone() };
    let store = Store::open_with(&target, server.options("recorder")).unwrap();
    for (name, bytes) in [("small", 1000), ("large", (16 << 20) + 5)] {
        let (file, content) = (folder.join(name), vec![7; bytes]);
        std::fs::write(&file, &content).unwrap();
        let sealed = formats::hash::Hash256::of(&content);
        let receipt = store.send(&SystemDisk, name, &file, sealed).await.unwrap();
        assert_eq!((receipt.proof, receipt.bytes), (Proof::StoreCompared, bytes as u64), "{name}");
        let stored = objects.get(&prefix.clone().join(name)).await.unwrap().bytes().await.unwrap();
        assert_eq!(formats::hash::Hash256::of(&stored), sealed, "{name}");
        // Somebody else's, as far as this spool knows; then its own.
        std::fs::write(folder.join("unsent"), b"").unwrap();
        std::fs::write(&file, vec![8; bytes]).unwrap();
        let other = formats::hash::Hash256::of(&vec![8; bytes]);
        for _ in 0..2 {
            let refused = store.send(&SystemDisk, name, &file, other).await;
            assert!(matches!(refused, Err(UploadError::Taken { .. })), "{refused:?}");
        }
        let kept = objects.get(&prefix.clone().join(name)).await.unwrap().bytes().await.unwrap();
        assert_eq!(kept, stored, "{name}");
        std::fs::rename(folder.join("unsent"), folder.join("tried")).unwrap();
        store.send(&SystemDisk, name, &file, other).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_compares_nothing_proves_nothing() {
    let proofs = [(true, false, Some(Proof::StoreCompared)), (false, true, Some(Proof::ETag)), (false, false, None)];
    for (compares, digests, proof) in proofs {
        let (address, kept) = server(compares, digests);
        let target = StoreTarget {
            url: "s3://captures".parse().unwrap(),
            write_only: true,
            encrypt_to: Vec::new(),
            object_lock: None,
        };
        let options = [("AWS_ENDPOINT", &*address), ("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "key")];
        let store =
            Store::open_with(&target, options.into_iter().chain([("AWS_SECRET_ACCESS_KEY", "secret")])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (file, content) = (folder.path().join("file"), b"evidence");
        std::fs::write(&file, content).unwrap();
        for _ in 0..2 {
            let sent = store.send(&SystemDisk, "file", &file, Hash256::of(content)).await;
            match proof {
                Some(proof) => assert_eq!(sent.unwrap().proof, proof),
                None => assert!(matches!(sent, Err(UploadError::Uncompared { .. })), "{sent:?}"),
            }
        }
        assert!(kept.lock().unwrap().contains(&content.to_vec()));
    }
}

/// A server that says yes to whatever comes, perhaps only where it has the hash that was signed, and perhaps with the MD5 for
/// its ETag; and what it kept.
fn server(compares: bool, digests: bool) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let (listener, kept) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(Mutex::new(Vec::new())));
    let (address, its_kept) = (format!("http://{}", listener.local_addr().unwrap()), kept.clone());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut read = BufReader::new(client.try_clone().unwrap());
            let head: Vec<String> =
                read.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let mut body = vec![0; header("content-length: ").parse().unwrap_or(0)];
            read.read_exact(&mut body).ok();
            let is_refused = compares && header("x-amz-content-sha256: ") != Hash256::of(&body).to_string();
            let status = if is_refused { "400 Bad Request" } else { "200 OK" };
            let e_tag = if digests { hex(&Md5::digest(&body)) } else { "1".to_owned() };
            write!(client, "HTTP/1.1 {status}\r\netag: \"{e_tag}\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .ok();
            if !is_refused {
                its_kept.lock().unwrap().push(body);
            }
        }
    });
    (address, kept)
}

//! The upload room over S3.

use crate::made::{self, Recording, verify};
use crate::seaweed::Seaweed;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use recorder::disk::SystemDisk;
use recorder::schedule::StoreTarget;
use recorder::spool::Spool;
use recorder::upload::{Proof, Sender, Store, UploadError};

/// One test, for one server: each start costs seconds.
#[tokio::test(flavor = "multi_thread")]
async fn segments_arrive_in_s3() {
    let Some(server) = Seaweed::start() else { return };
    let target = StoreTarget { url: "s3://captures/prod/eu".parse().unwrap(), write_only: false };
    let (objects, prefix) = object_store::parse_url_opts(target.url.url(), server.options("all")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();

    read_back(&server, &target, &spool, objects.as_ref(), &prefix).await;
    write_only(&server, &target, folder.path(), objects.as_ref(), &prefix).await;
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
    }
}

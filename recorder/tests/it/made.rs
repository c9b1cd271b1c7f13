//! Recordings made for a test, without a packet.

use formats::chain::{Content, Found, Sound};
use formats::hash::Hash256;
use formats::seal::{Close, Counts, DropsByTarget, EndReason, Seal, SealedFile, TlsCounts, VERSION, Volume};
use formats::store::{FileName, INVENTORY, PACKETS, RecordingId};
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use recorder::schedule::StoreTarget;
use recorder::spool::Spool;

/// A recording that fills a spool as the seal room does.
pub struct Recording<'a> {
    pub id: RecordingId,
    spool: &'a Spool,
    segments: u32,
    previous_sha256: Option<Hash256>,
    counts: Counts,
}

pub fn id(window: &str) -> RecordingId {
    RecordingId::parse_folder(&format!("prod/{window}/20261124T100000Z/node-1")).unwrap()
}

impl<'a> Recording<'a> {
    pub fn begin(spool: &'a Spool, window: &str, target: &StoreTarget) -> Self {
        let id = id(window);
        spool.begin(&id, target).unwrap();
        Self { id, spool, segments: 0, previous_sha256: None, counts: Counts::default() }
    }

    /// Seals a segment whose packets take `bytes`.
    pub fn segment(&mut self, bytes: usize) {
        self.segments += 1;
        let seed = self.segments.wrapping_mul(2_654_435_761);
        let packets: Vec<u8> = (0..bytes as u32).map(|at| (at.wrapping_mul(seed) >> 24) as u8).collect();
        let contents = [(PACKETS, packets), (INVENTORY, format!("inventory {}", self.segments).into_bytes())];
        let mut files = Vec::new();
        for (suffix, content) in contents {
            let name = FileName::segment(self.segments, suffix);
            self.spool.disk().write_durably(&self.spool.path(&self.id, &name), &content).unwrap();
            files.push(SealedFile {
                name,
                bytes: content.len() as u64,
                sha256: Hash256::of(&content),
                encrypted: None,
            });
        }
        let (forgotten, lost) = self.spool.untold(&self.id).unwrap();
        let volume = Volume { packets: 10, bytes: bytes as u64 };
        let mut counts = Counts { seen: volume, written: volume, ..Counts::default() };
        counts.dropped.spool = lost;
        self.counts += counts;
        let seal = Seal {
            version: VERSION,
            recording: self.id.clone(),
            sequence: self.segments,
            files,
            first_packet: None,
            last_packet: None,
            counts,
            targets: DropsByTarget::default(),
            tls: TlsCounts::default(),
            forgotten: forgotten.clone(),
            clock: None,
            recorder: "test".into(),
            configuration_sha256: Hash256::of(b""),
            recovered: None,
            pause: None,
            previous_sha256: self.previous_sha256,
        };
        self.previous_sha256 = Some(Hash256::of(&seal.to_bytes()));
        self.spool
            .disk()
            .write_durably(&self.spool.path(&self.id, &FileName::seal(self.segments)), &seal.to_bytes())
            .unwrap();
        self.spool.told(&self.id, &forgotten).unwrap();
    }

    pub fn close(self) {
        let close = Close {
            version: VERSION,
            recording: self.id.clone(),
            ended: Timestamp::UNIX_EPOCH,
            reason: EndReason::Duration,
            segments: self.segments,
            first_packet: None,
            last_packet: None,
            counts: self.counts,
            tls: TlsCounts::default(),
            forgotten: Vec::new(),
            forgotten_volume: Volume::default(),
            trigger: None,
            clock: None,
            pauses: Vec::new(),
            recorder: "test".into(),
            last_seal_sha256: self.previous_sha256,
        };
        self.spool.disk().write_durably(&self.spool.path(&self.id, &FileName::Close), &close.to_bytes()).unwrap();
    }
}

/// What the chain says of a recording in a store.
pub async fn verify(objects: &dyn ObjectStore, prefix: &Path, id: &RecordingId) -> Result<Sound, String> {
    let folder = id.folder().split('/').fold(prefix.clone(), |path, part| path.join(part));
    let mut found = Vec::new();
    for object in objects.list(Some(&folder)).try_collect::<Vec<_>>().await.unwrap() {
        let name = object.location.filename().unwrap().to_owned();
        let bytes = objects.get(&object.location).await.unwrap().bytes().await.unwrap();
        let content = match Found::is_ledger(&name) {
            true => Content::Ledger(bytes.into()),
            false => Content::Hashed { bytes: bytes.len() as u64, sha256: Hash256::of(&bytes) },
        };
        found.push(Found { name, content });
    }
    formats::chain::verify(id, &found).map_err(|fault| fault.to_string())
}

/// All recordings of a store that have ended.
pub async fn closes(objects: &dyn ObjectStore, prefix: &Path) -> Vec<Close> {
    let mut closes = Vec::new();
    for object in objects.list(Some(prefix)).try_collect::<Vec<_>>().await.unwrap() {
        if object.location.filename() == Some("close.json") {
            let bytes = objects.get(&object.location).await.unwrap().bytes().await.unwrap();
            closes.push(Close::from_bytes(&bytes).unwrap());
        }
    }
    closes
}

//! What recordings a store holds.

use super::{SnapshotError, Store};
use formats::seal::{Close, SEAL_BYTES_MAX};
use formats::store::{CLOSE, FileName, RecordingId, Start};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::path::Path as StorePath;

/// Requests under way at a time: they are small, and most of one is the way there and back.
const REQUESTS_AT_ONCE: usize = 16;

/// Which recordings are meant; what is empty selects all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Those that ended after this, or have not ended.
    pub from: Option<Timestamp>,
    /// Those that began before this.
    pub to: Option<Timestamp>,
    /// Those of one of these clusters.
    pub clusters: Vec<String>,
    /// Those of one of these windows.
    pub windows: Vec<String>,
    /// Those of one of these nodes.
    pub nodes: Vec<String>,
}

impl Selection {
    /// Whether a folder at this depth of the store may hold what is meant.
    fn admits(&self, depth: usize, name: &str) -> bool {
        let listed = |names: &[String]| names.is_empty() || names.iter().any(|wanted| wanted == name);
        match depth {
            0 => listed(&self.clusters),
            1 => listed(&self.windows),
            2 => self.to.is_none_or(|to| name.parse::<Start>().is_ok_and(|start| start.time() < to)),
            _ => listed(&self.nodes),
        }
    }
}

/// Recordings of a store.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Those that were meant, by time.
    pub recordings: Vec<Recorded>,
    /// Folders that are none of ours.
    pub strangers: Vec<String>,
}

/// A recording as it lies in a store.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Which recording.
    pub id: RecordingId,
    /// Where it lies.
    pub store: Store,
    /// Name and size of everything in its folder, by name.
    pub files: Vec<(String, u64)>,
    /// Its totals, as it says; none while it has not ended, or when nobody can read them. Not yet proved.
    pub close: Option<Close>,
}

impl Recorded {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Segments that are sealed.
    pub fn segments(&self) -> usize {
        let is_seal =
            |name: &str| name.parse::<FileName>().is_ok_and(|name| name.is_ledger() && name != FileName::Close);
        self.files.iter().filter(|(name, _)| is_seal(name)).count()
    }

    /// Where one of its files lies.
    pub fn location(&self, name: &FileName) -> StorePath {
        self.store.location(&self.id.path(name))
    }

    /// Its name, with that of its store.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.store.shown(), self.id)
    }
}

/// Finds the recordings of a store.
///
/// # Bounds
/// One request for each folder the selection admits, one for each recording's files, and one for its
/// `close.json`; segments are not opened.
pub async fn list(store: &Store, selection: &Selection) -> Result<Listing, SnapshotError> {
    let mut listing = Listing::default();
    let mut folders = vec![String::new()];
    for depth in 0..4 {
        let mut next = Vec::new();
        let inside = |folder: String| async move { store.folders(&folder).await.map(|names| (folder, names)) };
        let mut listed = stream::iter(folders).map(inside).buffered(REQUESTS_AT_ONCE);
        while let Some((folder, names)) = listed.try_next().await? {
            for name in names {
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                match is_ours(depth, &name) {
                    false => listing.strangers.push(path),
                    true if selection.admits(depth, &name) => next.push(path),
                    true => {}
                }
            }
        }
        folders = next;
    }
    let ids = folders.iter().filter_map(|folder| RecordingId::parse_folder(folder).ok());
    let mut opened = stream::iter(ids).map(|id| open(store, id)).buffered(REQUESTS_AT_ONCE);
    while let Some(recorded) = opened.try_next().await? {
        let ended = recorded.close.as_ref().map(|close| close.ended);
        if selection.from.is_none_or(|from| ended.is_none_or(|ended| ended > from)) {
            listing.recordings.push(recorded);
        }
    }
    listing.recordings.sort_by(|a, b| (a.id.start, &a.id).cmp(&(b.id.start, &b.id)));
    Ok(listing)
}

fn is_ours(depth: usize, name: &str) -> bool {
    match depth {
        2 => name.parse::<Start>().is_ok(),
        _ => name.parse::<formats::store::Name>().is_ok(),
    }
}

async fn open(store: &Store, id: RecordingId) -> Result<Recorded, SnapshotError> {
    let folder = store.location(&id.folder());
    let inside = |location: &StorePath| {
        let parts: Vec<_> = location.prefix_match(&folder)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    };
    let files = store.files(&folder).await?;
    let mut files: Vec<_> = files.iter().filter_map(|file| Some((inside(&file.location)?, file.size))).collect();
    files.sort_unstable();
    let mut close = None;
    if files.iter().any(|(name, _)| name == CLOSE) {
        let bytes = store.head(&folder.clone().join(CLOSE), SEAL_BYTES_MAX as u64 + 1).await?;
        close = Close::from_bytes(&bytes).ok();
    }
    Ok(Recorded { id, store: store.clone(), files, close })
}

//! What recordings a store holds.

use super::store::Names;
use super::{SnapshotError, Store};
use formats::seal::{Close, SEAL_BYTES_MAX};
use formats::store::{CLOSE, FileName, RecordingId, Start};
use futures::{StreamExt, stream};
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
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that were meant, by time.
    pub recordings: Vec<Recorded>,
    /// Files that are of no recording, and folders that are none of ours and have files in them; by their paths.
    pub strangers: Vec<String>,
    /// What could not be listed, or not be opened.
    pub failed: Vec<SnapshotError>,
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

/// Finds the recordings of a store. A folder that cannot be listed keeps none of the others back.
///
/// # Bounds
/// One request for each folder the selection admits, one for each recording's files, and one for its
/// `close.json`; segments are not opened.
pub async fn list(store: &Store, selection: &Selection) -> Listing {
    let mut listing = Listing::default();
    let mut folders = vec![String::new()];
    for depth in 0..4 {
        let mut next = Vec::new();
        let inside = |folder: String| async move { (store.names(&folder).await, folder) };
        let mut listed = stream::iter(folders).map(inside).buffered(REQUESTS_AT_ONCE);
        while let Some((names, folder)) = listed.next().await {
            let Names { folders, files } = names.unwrap_or_else(|error| {
                listing.failed.push(error);
                Names::default()
            });
            let path = |name: &String| if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            listing.strangers.extend(files.iter().map(path));
            for name in folders {
                match is_ours(depth, &name) {
                    false if has_files(store, &path(&name)).await => listing.strangers.push(path(&name)),
                    true if selection.admits(depth, &name) => next.push(path(&name)),
                    _ => {}
                }
            }
        }
        folders = next;
    }
    let ids = folders.iter().filter_map(|folder| RecordingId::parse_folder(folder).ok());
    let mut opened = stream::iter(ids).map(|id| open(store, id)).buffered(REQUESTS_AT_ONCE);
    while let Some(recorded) = opened.next().await {
        match recorded {
            Err(error) => listing.failed.push(error),
            Ok(recorded) => {
                let ended = recorded.close.as_ref().map(|close| close.ended);
                if selection.from.is_none_or(|from| ended.is_none_or(|ended| ended > from)) {
                    listing.recordings.push(recorded);
                }
            }
        }
    }
    listing.recordings.sort_by(|a, b| (a.id.start, &a.id).cmp(&(b.id.start, &b.id)));
    listing
}

/// Whether there are files below a folder: one that is empty, as every new disk has, is nobody's.
async fn has_files(store: &Store, path: &str) -> bool {
    // Of one that cannot be looked into nobody knows.
    store.is_remote() || !store.files(path).await.is_ok_and(|files| files.is_empty())
}

fn is_ours(depth: usize, name: &str) -> bool {
    match depth {
        2 => name.parse::<Start>().is_ok(),
        _ => name.parse::<formats::store::Name>().is_ok(),
    }
}

async fn open(store: &Store, id: RecordingId) -> Result<Recorded, SnapshotError> {
    let files = store.files(&id.folder()).await?;
    let mut close = None;
    if files.iter().any(|(name, _)| name == CLOSE) {
        let bytes = store.head(&store.location(&id.path(&FileName::Close)), SEAL_BYTES_MAX as u64 + 1).await?;
        close = Close::from_bytes(&bytes).ok();
    }
    Ok(Recorded { id, store: store.clone(), files, close })
}

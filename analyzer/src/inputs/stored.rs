//! Captures and datasets in object stores.

use super::capture::{Capture, Place};
use super::object::{Object, folder, runtime};
use super::seals::{self, Ledgers, Recording};
use super::{Found, recorded, recordings, to_read};
use crate::keys::{Keys, is_decrypted};
use crate::snapshot::{FILES_AT_ONCE, Store};
use anyhow::{Context, bail};
use formats::seal::SEAL_BYTES_MAX;
use formats::store::FileName;
use formats::tables::TABLES;
use futures::{StreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;
use query::Dataset;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files listed below one URL: a year of segments of ten minutes of one node, or a day of those of a hundred.
/// About 40 MiB of names.
const FILES_MAX: usize = 200_000;

/// Adds what lies behind a URL: a capture, a dataset, or the captures below a prefix.
pub fn find(url: &str, store: &Store, found: &mut Found) -> anyhow::Result<()> {
    let add = async {
        let (objects, prefix) = store.objects();
        if !prefix.as_ref().is_empty()
            && let Some(meta) = store.file(prefix).await?
        {
            // Only a recording has something to say beside its segments; what else lies there may have names we cannot read.
            let mut listed = BTreeSet::new();
            if recorded(Path::new(meta.location.as_ref())).is_some() {
                match store.children(&folder(&meta.location)).await {
                    Ok(beside) => listed.extend(beside.objects.into_iter().map(|file| file.location)),
                    Err(error) => found.warnings.push(error.to_string()),
                }
            }
            let captures = captures(store, vec![meta], &listed, &mut found.warnings).await;
            found.add(captures);
            return Ok(());
        }
        // What fails here fails below, where it is told.
        let folders = store.children(prefix).await.map(|inside| inside.common_prefixes).unwrap_or_default();
        let names: BTreeSet<&str> = folders.iter().filter_map(|folder| folder.filename()).collect();
        let tables: BTreeSet<&str> =
            TABLES.iter().map(|table| table.name).filter(|name| names.contains(name)).collect();
        if !tables.is_empty() {
            let root = root(url).with_context(|| format!("{url} cannot be asked as a dataset"))?;
            found.datasets.push(Dataset::Stored { root, prefix: prefix.to_string(), objects, tables });
            return Ok(());
        }
        let (mut files, failed) = store.first_files(prefix, FILES_MAX).await?;
        if files.len() > FILES_MAX {
            bail!("{url}: more than {FILES_MAX} files below it; name a cluster, a window, or a recording");
        }
        let listed = files.iter().map(|file| file.location.clone()).collect();
        if let (Some(error), true) = (failed.first(), files.is_empty()) {
            bail!("{error}");
        }
        found.failed.extend(failed.iter().map(ToString::to_string));
        files = to_read(url, files, |file| Path::new(file.location.as_ref()), &mut found.warnings);
        let all: BTreeSet<String> = files.iter().map(|file| file.location.to_string()).collect();
        let is_there = |plain: &Path| plain.to_str().is_some_and(|plain| all.contains(plain));
        files.retain(|file| !is_decrypted(Path::new(file.location.as_ref()), is_there));
        if files.is_empty() {
            bail!("{url}: no capture and no dataset there");
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        let captures = captures(store, files, &listed, &mut found.warnings).await;
        found.add(captures);
        Ok(())
    };
    runtime()?.block_on(add)
}

/// Scheme and bucket.
fn root(url: &str) -> anyhow::Result<url::Url> {
    let mut root = url::Url::parse(url)?;
    root.set_path("");
    root.set_query(None);
    Ok(root)
}

/// Captures with what their seals say; `listed` are the files beside them.
async fn captures(
    store: &Store,
    files: Vec<ObjectMeta>,
    listed: &BTreeSet<StorePath>,
    warnings: &mut Vec<String>,
) -> Vec<Capture> {
    let path = |location: &StorePath| PathBuf::from(location.as_ref());
    let read: Vec<PathBuf> = files.iter().map(|file| path(&file.location)).collect();
    let beside: Vec<PathBuf> = listed.iter().map(path).collect();
    let mut there = recordings(beside.iter().map(PathBuf::as_path));
    let recordings = recordings(read.iter().map(PathBuf::as_path)).into_iter().map(|(folder, (id, read))| {
        let beside = there.remove(&folder).map(|(_, files)| files).unwrap_or_default();
        let there = beside.into_iter().chain(read.iter().cloned()).collect();
        (Recording { id, shown: store.shown_at(&place(&folder)), there, read }, folder)
    });
    let asked = stream::iter(recordings).map(|(recording, folder)| async move {
        let ledgers = ledgers(store, &recording, &folder).await;
        (recording, folder, ledgers)
    });
    let mut asked = std::pin::pin!(asked.buffered(FILES_AT_ONCE));
    let mut told = BTreeMap::new();
    while let Some((recording, folder, ledgers)) = asked.next().await {
        let of_files = recording.told(&ledgers, warnings);
        told.extend(recording.read.iter().map(|file| folder.join(file.to_string())).zip(of_files));
    }
    let capture = |(meta, path): (ObjectMeta, PathBuf)| {
        let name = meta.location.filename().unwrap_or_default().to_owned();
        let (origin, recipients, is_close) = seals::origin(&path, told.remove(&path));
        let object = Object { store: store.clone(), meta };
        let place = if is_close { Place::Nothing } else { Place::Object(Arc::new(object)) };
        Capture { name, origin, recipients, keys: Keys::default(), place }
    };
    files.into_iter().zip(read).map(capture).collect()
}

async fn ledgers(store: &Store, recording: &Recording, folder: &Path) -> Ledgers {
    let read = |name: FileName| async move {
        let place = place(folder).join(name.to_string());
        let bytes = store.head(&place, SEAL_BYTES_MAX as u64 + 1).await;
        let ledger = recording.ledger(&name, bytes);
        (name, ledger)
    };
    stream::iter(recording.wanted()).map(read).buffered(FILES_AT_ONCE).collect().await
}

/// Where a folder lies whose path a store told.
fn place(folder: &Path) -> StorePath {
    StorePath::parse(folder.to_string_lossy()).unwrap_or_default()
}

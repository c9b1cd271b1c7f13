//! Captures and datasets in object stores.

use super::capture::{Capture, Place};
use super::object::{Object, folder, runtime};
use super::{Found, recorded, seals, to_read};
use crate::keys::{Keys, is_decrypted};
use crate::snapshot::{FILES_AT_ONCE, Store};
use anyhow::{Context, bail};
use dissect::Origin;
use formats::seal::SEAL_BYTES_MAX;
use formats::store::FileName;
use formats::tables::TABLES;
use futures::{StreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;
use query::Dataset;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
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
                let beside = store.children(&folder(&meta.location)).await?.objects;
                listed.extend(beside.into_iter().map(|file| file.location));
            }
            let captures = captures(store, vec![meta], &listed, &mut found.warnings).await;
            found.add(captures);
            return Ok(());
        }
        let folders = store.children(prefix).await?.common_prefixes;
        let names: BTreeSet<&str> = folders.iter().filter_map(|folder| folder.filename()).collect();
        let tables: BTreeSet<&str> =
            TABLES.iter().map(|table| table.name).filter(|name| names.contains(name)).collect();
        if !tables.is_empty() {
            let root = root(url).with_context(|| format!("{url} cannot be asked as a dataset"))?;
            found.datasets.push(Dataset::Stored { root, prefix: prefix.to_string(), objects, tables });
            return Ok(());
        }
        let (mut files, failed) = store.first_files(prefix, FILES_MAX).await?;
        found.warnings.extend(failed.iter().map(ToString::to_string));
        if files.len() > FILES_MAX {
            bail!("{url}: more than {FILES_MAX} files below it; name a cluster, a window, or a recording");
        }
        let listed = files.iter().map(|file| file.location.clone()).collect();
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

/// Captures with what their seals say.
async fn captures(
    store: &Store,
    files: Vec<ObjectMeta>,
    listed: &BTreeSet<StorePath>,
    warnings: &mut Vec<String>,
) -> Vec<Capture> {
    let made: Vec<(Capture, Option<String>)> =
        stream::iter(files).map(|meta| capture(store, meta, listed)).buffered(4 * FILES_AT_ONCE).collect().await;
    let (captures, said): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    warnings.extend(said.into_iter().flatten());
    captures
}

async fn capture(store: &Store, meta: ObjectMeta, listed: &BTreeSet<StorePath>) -> (Capture, Option<String>) {
    let name = meta.location.filename().unwrap_or_default().to_owned();
    let (mut origin, mut recipients, mut warning) = (Origin::default(), Vec::new(), None);
    if let Some((id, file)) = recorded(Path::new(meta.location.as_ref())) {
        origin = seals::origin(&id);
        let place = |name: &FileName| folder(&meta.location).join(name.to_string());
        let speakers = seals::speakers(&file, |name| listed.contains(&place(name)));
        // What ends the recording has something to say of its last segment only.
        let is_last = !listed.contains(&place(&FileName::seal(speakers.end().saturating_add(1))));
        let mut ledgers = BTreeMap::new();
        for name in speakers.clone().map(FileName::seal).chain([FileName::Close]) {
            let place = place(&name);
            if listed.contains(&place) && (name != FileName::Close || is_last) {
                let bytes = store.head(&place, SEAL_BYTES_MAX as u64 + 1).await;
                ledgers.insert(name, bytes.map(Some));
            }
        }
        match seals::told(&id, &file, speakers, |name| ledgers.remove(&name).unwrap_or(Ok(None))) {
            Ok(told) => (origin.not_kept, recipients) = (told.not_kept, told.recipients),
            Err(error) => warning = Some(format!("{}/{}: {error}", store.shown(), meta.location)),
        }
    }
    let is_close = recorded(Path::new(meta.location.as_ref())).is_some_and(|(_, file)| file == FileName::Close);
    let object = Object { store: store.clone(), meta };
    let place = if is_close { Place::Nothing } else { Place::Object(Arc::new(object)) };
    (Capture { name, origin, recipients, keys: Keys::default(), place }, warning)
}

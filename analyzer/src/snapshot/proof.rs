//! What `verify` and `download` share: the ledger is read first, then what it names, and the chain is held against both.

use super::hashed::Sealed;
use super::plain::Along;
use super::{FILES_AT_ONCE, Recorded, SnapshotError};
use formats::chain::{self, Content, Fault, Found, Sound};
use formats::seal::{SEAL_BYTES_MAX, Seal};
use formats::signature::PublicKey;
use formats::store::FileName;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use std::collections::BTreeMap;

/// A file that was looked into.
pub struct Looked {
    found: Found,
    /// Why nobody knows what is in it, though there are keys.
    locked: Option<SnapshotError>,
}

impl Looked {
    /// A file of that content, and what was in it, where it is encrypted and there are keys.
    pub fn into(name: &FileName, (bytes, sha256): Sealed, along: Option<Along>) -> Self {
        let (content, locked) = match along.map(Along::finish) {
            None => (Content::Hashed { bytes, sha256 }, None),
            Some(Ok((plain_bytes, plain_sha256))) => {
                (Content::Opened { bytes, sha256, plain_bytes, plain_sha256 }, None)
            }
            Some(Err(locked)) => (Content::Hashed { bytes, sha256 }, Some(locked)),
        };
        Self { found: Found { name: name.to_string(), content }, locked }
    }

    /// A file that no seal names: the chain says what that means, whatever is in it.
    pub fn passed_by(name: String) -> Self {
        Self { found: Found { name, content: Content::Unread }, locked: None }
    }
}

/// Every seal, `close.json` and signature, read no further than a seal can be long.
pub async fn ledgers(recorded: &Recorded, bar: &ProgressBar) -> Result<Vec<Found>, SnapshotError> {
    let ledgers = recorded.files.iter().filter(|(name, _)| Found::is_ledger(name));
    let read = ledgers.cloned().filter_map(|(name, bytes)| {
        let location = recorded.location(&name.parse().ok()?);
        let (store, bar) = (recorded.store.clone(), bar.clone());
        Some(async move {
            bar.inc(bytes);
            let content =
                if bytes == 0 { Vec::new() } else { store.head(&location, SEAL_BYTES_MAX as u64 + 1).await? };
            Ok(Found { name, content: Content::Ledger(content) })
        })
    });
    at_once(read).await
}

/// What every readable seal says of its files, and of what is in them.
pub fn sealed(ledgers: &[Found]) -> BTreeMap<FileName, Sealed> {
    let seals = ledgers.iter().filter_map(|file| match &file.content {
        Content::Ledger(bytes) => Seal::from_bytes(bytes).ok(),
        _ => None,
    });
    let of_file = |file: formats::seal::SealedFile| {
        let plain = file.encrypted.map(|plain| (plain.name, (plain.bytes, plain.sha256)));
        [Some((file.name, (file.bytes, file.sha256))), plain].into_iter().flatten()
    };
    seals.flat_map(|seal| seal.files).flat_map(of_file).collect()
}

/// Holds the chain against what was found. Without `keys` nobody was asked for signatures.
///
/// # Errors
/// Outside, that a file cannot be decrypted, where nothing else is wrong; inside, the first thing that is.
pub fn prove(
    recorded: &Recorded,
    ledgers: Vec<Found>,
    looked: Vec<Looked>,
    keys: &[PublicKey],
) -> Result<Result<Sound, Fault>, SnapshotError> {
    let (others, locked): (Vec<_>, Vec<_>) = looked.into_iter().map(|file| (file.found, file.locked)).unzip();
    let found = [ledgers, others].concat();
    let proof = match keys {
        [] => chain::verify(&recorded.id, &found),
        keys => chain::verify_signed(&recorded.id, &found, keys),
    };
    match locked.into_iter().flatten().next() {
        Some(locked) if proof.is_ok() => Err(locked),
        _ => Ok(proof),
    }
}

/// Runs a few at a time, each on its own, so that files are hashed on all cores.
pub async fn at_once<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = Result<T, SnapshotError>> + Send + 'static>,
) -> Result<Vec<T>, SnapshotError> {
    stream::iter(all)
        .map(tokio::spawn)
        .buffered(FILES_AT_ONCE)
        .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
        .try_collect()
        .await
}

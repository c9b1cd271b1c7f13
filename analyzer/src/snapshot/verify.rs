//! Reads a recording through and proves it.

use super::{FILES_AT_ONCE, Recorded, SnapshotError};
use formats::chain::{self, Content, Fault, Found, Sound};
use formats::hash::Hash256;
use formats::seal::SEAL_BYTES_MAX;
use formats::signature::PublicKey;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

/// Proves a recording where it lies, and its signatures if there are `keys`; what is read is counted on `bar`.
///
/// # Errors
/// Outside, that it could not be read; inside, the first thing that is wrong with it.
pub async fn verify(
    recorded: &Recorded,
    keys: &[PublicKey],
    bar: &ProgressBar,
) -> Result<Result<Sound, Fault>, SnapshotError> {
    let found: Vec<Found> = stream::iter(recorded.files.clone())
        .map(|(name, bytes)| {
            let (recorded, bar) = (recorded.clone(), bar.clone());
            // Each on its own, so that they are hashed on all cores.
            tokio::spawn(async move { found(&recorded, name, bytes, &bar).await })
        })
        .buffered(FILES_AT_ONCE)
        .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
        .try_collect()
        .await?;
    Ok(prove(recorded, &found, keys))
}

/// Without a key nobody was asked for signatures.
pub(super) fn prove(recorded: &Recorded, found: &[Found], keys: &[PublicKey]) -> Result<Sound, Fault> {
    match keys {
        [] => chain::verify(&recorded.id, found),
        keys => chain::verify_signed(&recorded.id, found, keys),
    }
}

async fn found(recorded: &Recorded, name: String, bytes: u64, bar: &ProgressBar) -> Result<Found, SnapshotError> {
    let location = recorded.location(&name);
    let content = if Found::is_ledger(&name) {
        bar.inc(bytes);
        ledger(recorded, &name, bytes).await?
    } else {
        let (mut bytes, mut hasher) = (0, Sha256::new());
        let hash = |piece: &[u8]| {
            bytes += piece.len() as u64;
            hasher.update(piece);
            bar.inc(piece.len() as u64);
            Ok(())
        };
        recorded.store.read(&location, 0, hash).await?;
        Content::Hashed { bytes, sha256: Hash256(hasher.finalize().into()) }
    };
    Ok(Found { name, content })
}

/// A seal, `close.json` or a signature, read no further than a seal can be long.
pub(super) async fn ledger(recorded: &Recorded, name: &str, bytes: u64) -> Result<Content, SnapshotError> {
    if bytes == 0 {
        return Ok(Content::Ledger(Vec::new()));
    }
    let location = recorded.location(name);
    Ok(Content::Ledger(recorded.store.head(&location, SEAL_BYTES_MAX as u64 + 1).await?))
}

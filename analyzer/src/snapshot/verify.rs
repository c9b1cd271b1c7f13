//! Reads a recording through and proves it.

use super::plain::Along;
use super::{FILES_AT_ONCE, Recorded, SnapshotError};
use crate::keys::Keys;
use formats::chain::{self, Content, Fault, Found, Sound};
use formats::hash::Hash256;
use formats::seal::SEAL_BYTES_MAX;
use formats::signature::PublicKey;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

/// What proves more than the chain alone.
#[derive(Debug, Default)]
pub struct ProofKeys {
    /// One of these signed every seal; nobody is asked for signatures where there is none.
    pub public: Vec<PublicKey>,
    /// These decrypt.
    pub secret: Keys,
}

/// Proves a recording where it lies, its signatures and what is in its encrypted files if there are `keys`; what is read is
/// counted on `bar`.
///
/// # Errors
/// Outside, that it could not be read; inside, the first thing that is wrong with it.
pub async fn verify(
    recorded: &Recorded,
    keys: &ProofKeys,
    bar: &ProgressBar,
) -> Result<Result<Sound, Fault>, SnapshotError> {
    let found: Vec<Vec<Found>> = stream::iter(recorded.files.clone())
        .map(|(name, bytes)| {
            let (recorded, bar, keys) = (recorded.clone(), bar.clone(), keys.secret.clone());
            // Each on its own, so that they are hashed on all cores.
            tokio::spawn(async move { found(&recorded, name, bytes, &keys, &bar).await })
        })
        .buffered(FILES_AT_ONCE)
        .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
        .try_collect()
        .await?;
    Ok(prove(recorded, &found.concat(), &keys.public))
}

/// Without a key nobody was asked for signatures.
pub(super) fn prove(recorded: &Recorded, found: &[Found], keys: &[PublicKey]) -> Result<Sound, Fault> {
    match keys {
        [] => chain::verify(&recorded.id, found),
        keys => chain::verify_signed(&recorded.id, found, keys),
    }
}

/// A file, and what is in it where it is encrypted and there is a key.
async fn found(
    recorded: &Recorded,
    name: String,
    bytes: u64,
    keys: &Keys,
    bar: &ProgressBar,
) -> Result<Vec<Found>, SnapshotError> {
    let mut along = Along::begin(&name, keys)?;
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
            along.as_mut().map_or(Ok(()), |along| along.add(piece))
        };
        recorded.store.read(&location, 0, hash).await?;
        Content::Hashed { bytes, sha256: Hash256(hasher.finalize().into()) }
    };
    let plain = along.map(Along::finish).transpose()?;
    Ok(std::iter::once(Found { name, content }).chain(plain).collect())
}

/// A seal, `close.json` or a signature, read no further than a seal can be long.
pub(super) async fn ledger(recorded: &Recorded, name: &str, bytes: u64) -> Result<Content, SnapshotError> {
    if bytes == 0 {
        return Ok(Content::Ledger(Vec::new()));
    }
    let location = recorded.location(name);
    Ok(Content::Ledger(recorded.store.head(&location, SEAL_BYTES_MAX as u64 + 1).await?))
}

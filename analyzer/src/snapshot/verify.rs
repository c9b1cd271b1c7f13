//! Reads a recording through and proves it.

use super::hashed::Hashed;
use super::plain::Along;
use super::proof::{Looked, at_once, ledgers, prove, sealed};
use super::{Recorded, SnapshotError};
use crate::keys::Keys;
use formats::chain::{Fault, Found, Sound};
use formats::signature::PublicKey;
use formats::store::FileName;
use indicatif::ProgressBar;

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
/// Outside, that it could not be read, or decrypted with these keys; inside, the first thing that is wrong with it.
pub async fn verify(
    recorded: &Recorded,
    keys: &ProofKeys,
    bar: &ProgressBar,
) -> Result<Result<Sound, Fault>, SnapshotError> {
    let ledgers = ledgers(recorded, bar).await?;
    let sealed = sealed(&ledgers);
    let others = recorded.files.iter().filter(|(name, _)| !Found::is_ledger(name)).cloned();
    let looked = at_once(others.map(|(name, bytes)| {
        let sealed = name.parse().ok().filter(|name| sealed.contains_key(name));
        let (recorded, bar, keys) = (recorded.clone(), bar.clone(), keys.secret.clone());
        async move {
            let Some(sealed) = sealed else {
                bar.inc(bytes);
                return Ok(Looked::passed_by(name));
            };
            look(&recorded, &sealed, &keys, &bar).await
        }
    }));
    prove(recorded, ledgers, looked.await?, &keys.public)
}

/// A file, and what is in it where it is encrypted and there is a key.
async fn look(recorded: &Recorded, name: &FileName, keys: &Keys, bar: &ProgressBar) -> Result<Looked, SnapshotError> {
    let mut along = Along::begin(&name.to_string(), keys)?;
    let mut hashed = Hashed::default();
    let hash = |piece: &[u8]| {
        hashed.add(piece);
        bar.inc(piece.len() as u64);
        along.as_mut().map_or(Ok(()), |along| along.add(piece))
    };
    recorded.store.read(&recorded.location(name), 0, hash).await?;
    Ok(Looked::into(name, hashed.sum(), along))
}

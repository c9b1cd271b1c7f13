//! Signatures over seals and `close.json`, and the keys they are made with: the files of `minisign`.
//!
//!     untrusted comment: …              anything; nobody signed it
//!     "ED", key id, Ed25519 of the BLAKE2b-512 of the file            in base64
//!     trusted comment: …                signed with the next line
//!     Ed25519 of the signature above and the trusted comment          in base64
//!
//! `minisign -V` proves what is signed here, and keys of `minisign -G -W` sign. A key with a password cannot: at
//! night nobody is there to type it.
//!
//! # Source
//! <https://jedisct1.github.io/minisign/>, sections "Signature format", "Public key format", "Secret key format".
//! Ed25519: RFC 8032. BLAKE2b: RFC 7693.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use blake2::digest::consts::U32;
use blake2::{Blake2b, Blake2b512, Digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use std::str::FromStr;

/// Longest signature or key that is read: theirs have below 500 bytes, and minisign's comments at most 8 KiB.
pub const SIGNATURE_BYTES_MAX: usize = 16 << 10;

/// Kind of key, and of a signature over the file itself, as old versions made them.
const ED25519_PLAIN: [u8; 2] = *b"Ed";
/// Kind of a signature over the hash of the file.
const ED25519_HASHED: [u8; 2] = *b"ED";
/// Kind of a key's checksum.
const BLAKE2B: [u8; 2] = *b"B2";
/// Kind of encryption of a key without a password.
const NOT_ENCRYPTED: [u8; 2] = [0; 2];

/// Salt and two limits of the encryption: zero, there is none.
const ENCRYPTION_BYTES: usize = 32 + 8 + 8;

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

/// Why something is not signed, or cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The secret key has a password.
    #[error(
        "the key has a password, which nobody could type: make one with `remora-recorder keygen` or `minisign -G -W`"
    )]
    Encrypted,
    /// The text is no key.
    #[error("is no {kind} key of minisign: {what}")]
    NotAKey {
        /// Which kind was wanted.
        kind: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The text is no signature.
    #[error("is no signature of minisign: {what}")]
    NotASignature {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Signed by somebody else.
    #[error("was signed with the key {found}, which is none of those given")]
    OtherKey {
        /// The key it says it was signed with.
        found: KeyId,
    },
    /// The signature is over something else, or was made without the key.
    #[error("does not have the signature of the key {key}: one of both was changed")]
    Wrong {
        /// The key it says it was signed with.
        key: KeyId,
    },
}

/// Tells keys apart; random, and no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What proves signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    point: [u8; 32],
}

impl PublicKey {
    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The file that `minisign -p` reads.
    pub fn to_text(&self) -> String {
        let bytes = [&ED25519_PLAIN[..], &self.id.0, &self.point].concat();
        format!("{UNTRUSTED}minisign public key {}\n{}\n", self.id, BASE64.encode(bytes))
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    /// Reads the file, or its second line alone.
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let not = |what| SignatureError::NotAKey { kind: "public", what };
        let bytes: [u8; 42] = decode(key_line(text)).ok_or_else(|| not("not 42 bytes in base64"))?;
        let mut input = &bytes[..];
        if take::<2>(&mut input) != Some(ED25519_PLAIN) {
            return Err(not("not for Ed25519"));
        }
        let (id, point) = (take(&mut input).map(KeyId), take(&mut input));
        Option::zip(id, point).map(|(id, point)| Self { id, point }).ok_or_else(|| not("too short"))
    }
}

/// What signs. It is never shown.
pub struct SecretKey {
    id: KeyId,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

impl SecretKey {
    /// Makes a key of random bytes, and the file that keeps it.
    pub fn generate(id: [u8; 8], seed: &[u8; 32]) -> (Self, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed");
        let secret = [&seed[..], pair.public_key().as_ref()].concat();
        let key = Self { id: KeyId(id), pair };
        let bytes = [
            &ED25519_PLAIN[..],
            &NOT_ENCRYPTED,
            &BLAKE2B,
            &[0; ENCRYPTION_BYTES],
            &id,
            &secret,
            &checksum(&id, &secret),
        ]
        .concat();
        let text = format!("{UNTRUSTED}minisign secret key {}\n{}\n", key.id, BASE64.encode(bytes));
        (key, text)
    }

    /// What proves its signatures.
    pub fn public(&self) -> PublicKey {
        let mut point = [0; 32];
        point.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey { id: self.id, point }
    }

    /// The signature file of a file with that content. The same file and comment give the same signature.
    ///
    /// `comment` is signed too. It must be one line.
    pub fn sign(&self, content: &[u8], comment: &str) -> Vec<u8> {
        debug_assert!(!comment.contains(['\r', '\n']), "a comment is one line");
        let signature = self.pair.sign(&Blake2b512::digest(content));
        let over_both = self.pair.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        let line = [&ED25519_HASHED[..], &self.id.0, signature.as_ref()].concat();
        format!(
            "{UNTRUSTED}signature from minisign key {}\n{}\n{TRUSTED}{comment}\n{}\n",
            self.id,
            BASE64.encode(line),
            BASE64.encode(over_both)
        )
        .into_bytes()
    }
}

impl FromStr for SecretKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let not = |what| SignatureError::NotAKey { kind: "secret", what };
        let bytes: [u8; 158] = decode(key_line(text)).ok_or_else(|| not("not 158 bytes in base64"))?;
        let mut input = &bytes[..];
        let kinds = [take::<2>(&mut input), take(&mut input), take(&mut input)];
        if kinds[0] != Some(ED25519_PLAIN) || kinds[2] != Some(BLAKE2B) {
            return Err(not("not for Ed25519 with BLAKE2b"));
        }
        if kinds[1] != Some(NOT_ENCRYPTED) {
            return Err(SignatureError::Encrypted);
        }
        take::<ENCRYPTION_BYTES>(&mut input);
        let (id, secret, sum) = (take::<8>(&mut input), take::<64>(&mut input), take::<32>(&mut input));
        let (Some(id), Some(secret), Some(sum)) = (id, secret, sum) else { return Err(not("too short")) };
        // minisign leaves the sum out where there is no password that it could prove.
        if sum != [0; 32] && sum != checksum(&id, &secret) {
            return Err(not("its checksum is wrong"));
        }
        let (seed, point) = secret.split_at(32);
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, point);
        Ok(Self { id: KeyId(id), pair: pair.map_err(|_| not("its two halves do not belong together"))? })
    }
}

/// Checks that one of `keys` signed a file with that content.
///
/// # Bounds
/// [`SIGNATURE_BYTES_MAX`].
/// # Errors
/// [`SignatureError`], which completes a sentence about the file.
pub fn verify(keys: &[PublicKey], content: &[u8], signature: &[u8]) -> Result<KeyId, SignatureError> {
    let not = |what| SignatureError::NotASignature { what };
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(not("longer than any"));
    }
    let text = std::str::from_utf8(signature).map_err(|_| not("not text"))?;
    let mut lines = text.lines();
    let untrusted = lines.next().filter(|line| line.starts_with(UNTRUSTED));
    untrusted.ok_or_else(|| not("no untrusted comment in its first line"))?;
    let bytes: [u8; 74] =
        lines.next().and_then(decode).ok_or_else(|| not("not 74 bytes in base64 in its second line"))?;
    let comment = lines.next().and_then(|line| line.strip_prefix(TRUSTED));
    let comment = comment.ok_or_else(|| not("no trusted comment in its third line"))?;
    let over_both: [u8; 64] =
        lines.next().and_then(decode).ok_or_else(|| not("not 64 bytes in base64 in its fourth line"))?;
    let mut input = &bytes[..];
    let (kind, id, signature) = (take::<2>(&mut input), take::<8>(&mut input), take::<64>(&mut input));
    let (Some(kind), Some(id), Some(signature)) = (kind, id.map(KeyId), signature) else {
        return Err(not("too short"));
    };
    let hashed;
    let signed: &[u8] = match kind {
        ED25519_HASHED => {
            hashed = Blake2b512::digest(content);
            &hashed
        }
        ED25519_PLAIN => content,
        _ => return Err(not("not of Ed25519")),
    };
    // Ids are not unique by force: whoever makes a key may choose its id.
    let mut same_id = keys.iter().filter(|key| key.id == id).peekable();
    if same_id.peek().is_none() {
        return Err(SignatureError::OtherKey { found: id });
    }
    let proves = |key: &PublicKey| {
        let key = UnparsedPublicKey::new(&ED25519, key.point);
        let both = [&signature[..], comment.as_bytes()].concat();
        key.verify(signed, &signature).is_ok() && key.verify(&both, &over_both).is_ok()
    };
    if same_id.any(proves) { Ok(id) } else { Err(SignatureError::Wrong { key: id }) }
}

/// The line of a key file that holds the key.
fn key_line(text: &str) -> &str {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first.starts_with(UNTRUSTED) { lines.next().unwrap_or_default() } else { first }
}

fn decode<const N: usize>(line: &str) -> Option<[u8; N]> {
    // What is too long is not decoded first.
    let line = line.trim_end();
    if line.len() > N.div_ceil(3) * 4 {
        return None;
    }
    BASE64.decode(line).ok()?.try_into().ok()
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*taken)
}

fn checksum(id: &[u8], secret: &[u8]) -> [u8; 32] {
    let hasher = Blake2b::<U32>::new().chain_update(ED25519_PLAIN).chain_update(id).chain_update(secret);
    hasher.finalize().into()
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    use super::{PublicKey, SecretKey, verify};

    /// Whatever it is, it is read to an end, and proves nothing.
    pub fn fuzz_signature(data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let key = SecretKey::generate([7; 8], &[7; 32]).0.public();
        assert!(verify(&[key], b"content", data).is_err(), "a signature was forged");
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(key.to_text().parse(), Ok(key));
        }
        drop(text.parse::<SecretKey>());
    }
}

#[cfg(test)]
mod tests;

//! Keys as text: `age1…` is public, `AGE-SECRET-KEY-1…` reads what was encrypted to it.

use super::RECIPIENTS_MAX;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use x25519_dalek::{PublicKey, StaticSecret};

const PUBLIC: Hrp = Hrp::parse_unchecked("age");
const SECRET: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// Most that is read of a file of keys [bytes]: 64 keys with a comment each.
pub const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret where a public key belongs: it must not be copied any further.
    #[error("{at}is a secret key; its public key, age1…, belongs here (`age-keygen -y FILE` tells it)")]
    NotPublic {
        /// Where it stands.
        at: Line,
    },
    /// Not a public key.
    #[error("{at}is no public key of age: age1 and 58 characters, as `age-keygen` prints them")]
    NotARecipient {
        /// Where it stands.
        at: Line,
    },
    /// Not a secret key.
    #[error("{at}is no secret key of age: AGE-SECRET-KEY-1 and 58 characters, as `age-keygen` writes them")]
    NotAnIdentity {
        /// Where it stands.
        at: Line,
    },
    /// There is no key.
    #[error("no key stands in it")]
    None,
    /// More than a file is encrypted to.
    #[error("more than {RECIPIENTS_MAX} keys")]
    TooMany,
}

/// A line of a file of keys, from 1; 0 for a key alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line(pub usize);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            line => write!(f, "line {line} "),
        }
    }
}

/// Whom a file is encrypted to: a public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Recipient(pub(super) [u8; 32]);

impl FromStr for Recipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let at = Line(0);
        if text.to_ascii_lowercase().starts_with("age-secret-key-") {
            return Err(KeyError::NotPublic { at });
        }
        decode(PUBLIC, text).map(Self).ok_or(KeyError::NotARecipient { at })
    }
}

impl TryFrom<String> for Recipient {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(PUBLIC, &self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What reads files that are encrypted to its [`Recipient`].
#[derive(Clone)]
pub struct Identity {
    pub(super) secret: StaticSecret,
    recipient: Recipient,
}

impl Identity {
    /// The identity of these 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bytes);
        let recipient = Recipient(PublicKey::from(&secret).to_bytes());
        Self { secret, recipient }
    }

    /// Its public key.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// The file that `age -i` reads.
    pub fn to_text(&self) -> String {
        let secret = encode(SECRET, self.secret.as_bytes()).to_ascii_uppercase();
        format!("# public key: {}\n{secret}\n", self.recipient)
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(SECRET, text).map(Self::from_bytes).ok_or(KeyError::NotAnIdentity { at: Line(0) })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient)
    }
}

/// The public keys in a file: one a line; empty lines and those that begin with `#` are none.
///
/// # Bounds
/// [`RECIPIENTS_MAX`].
/// # Errors
/// [`KeyError`], with the line.
pub fn recipients(text: &str) -> Result<Vec<Recipient>, KeyError> {
    lines(text, |at, error| match error {
        KeyError::NotPublic { .. } => KeyError::NotPublic { at },
        _ => KeyError::NotARecipient { at },
    })
}

/// The secret keys in a file, as `age-keygen` writes it.
///
/// # Bounds
/// [`RECIPIENTS_MAX`].
/// # Errors
/// [`KeyError`], with the line.
pub fn identities(text: &str) -> Result<Vec<Identity>, KeyError> {
    lines(text, |at, _| KeyError::NotAnIdentity { at })
}

fn lines<T: FromStr<Err = KeyError>>(
    text: &str,
    fault: impl Fn(Line, KeyError) -> KeyError,
) -> Result<Vec<T>, KeyError> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if keys.len() == RECIPIENTS_MAX {
            return Err(KeyError::TooMany);
        }
        keys.push(line.parse().map_err(|error| fault(Line(number + 1), error))?);
    }
    if keys.is_empty() { Err(KeyError::None) } else { Ok(keys) }
}

/// 32 bytes in Bech32 (BIP 173), in letters of one case.
fn decode(kind: Hrp, text: &str) -> Option<[u8; 32]> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok().filter(|checked| checked.hrp() == kind)?;
    checked.byte_iter().collect::<Vec<u8>>().try_into().ok()
}

fn encode(kind: Hrp, bytes: &[u8; 32]) -> String {
    bech32::encode::<Bech32>(kind, bytes).expect("kind and 32 bytes are shorter than what Bech32 allows")
}

//! The header: for each recipient the file's key, sealed to theirs, and a MAC over all of it.

use super::keys::{Identity, Recipient};
use super::{AgeError, RECIPIENTS_MAX};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use x25519_dalek::{PublicKey, StaticSecret};

/// What every file begins with.
pub const INTRO: &str = "age-encryption.org/v1\n";

/// Longest header that is read: 64 recipients of every known kind, and as much again.
pub const HEADER_BYTES_MAX: usize = 64 << 10;

/// Bytes of a file's key.
const FILE_KEY_BYTES: usize = 16;
/// A file's key, sealed.
const WRAPPED_BYTES: usize = FILE_KEY_BYTES + 16;
/// Columns of a line of a body; a shorter one is the last.
const COLUMNS: usize = 64;

const X25519: &str = "X25519";
const STANZA: &str = "-> ";
const MAC: &[u8] = b"---";

/// What decrypts the rest of a file.
pub(super) struct FileKey([u8; FILE_KEY_BYTES]);

impl FileKey {
    /// A new one.
    pub(super) fn random() -> io::Result<Self> {
        random().map(Self)
    }

    /// A key made of this one, for one purpose.
    pub(super) fn derive(&self, salt: &[u8], purpose: &[u8]) -> [u8; 32] {
        derive(&self.0, salt, purpose)
    }

    /// The MAC over a header, up to its last three dashes.
    fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(b"", b"header"))
    }
}

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| io::Error::other("the system has no random numbers"))
}

/// HKDF-SHA-256 (RFC 5869).
fn derive(secret: &[u8], salt: &[u8], purpose: &[u8]) -> [u8; 32] {
    use ring::hkdf::{HKDF_SHA256, Salt};
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    let filled = extracted.expand(&[purpose], HKDF_SHA256).and_then(|made| made.fill(&mut key));
    filled.expect("32 bytes are what one hash gives");
    key
}

/// A key that is used once, and so with a nonce of zeroes.
fn once(key: [u8; 32]) -> (LessSafeKey, Nonce) {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("32 bytes are a key");
    (LessSafeKey::new(key), Nonce::assume_unique_for_key([0; 12]))
}

/// The key that wraps a file's key for a recipient.
fn wrapping_key(shared: &[u8], share: &[u8; 32], recipient: &Recipient) -> [u8; 32] {
    derive(shared, &[share, recipient.0.as_slice()].concat(), b"age-encryption.org/v1/X25519")
}

/// The header of a file for these recipients, which is as long for each of them.
pub(super) fn write(key: &FileKey, recipients: &[Recipient]) -> io::Result<Vec<u8>> {
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return Err(io::Error::other("a file is encrypted to 1 to 64 keys"));
    }
    let mut header = INTRO.as_bytes().to_vec();
    for recipient in recipients {
        let ours = StaticSecret::from(random::<32>()?);
        let share = PublicKey::from(&ours).to_bytes();
        let shared = ours.diffie_hellman(&PublicKey::from(recipient.0));
        if !shared.was_contributory() {
            return Err(io::Error::other(format!("{recipient} is a key that anybody has")));
        }
        let mut wrapped = key.0.to_vec();
        let (wrapping, nonce) = once(wrapping_key(shared.as_bytes(), &share, recipient));
        let sealed = wrapping.seal_in_place_append_tag(nonce, Aad::empty(), &mut wrapped);
        sealed.map_err(|_| io::Error::other("a key could not be sealed"))?;
        let lines = format!("{STANZA}{X25519} {}\n{}\n", BASE64.encode(share), BASE64.encode(wrapped));
        header.extend_from_slice(lines.as_bytes());
    }
    header.extend_from_slice(MAC);
    let mac = hmac::sign(&key.mac(), &header);
    header.extend_from_slice(format!(" {}\n", BASE64.encode(mac)).as_bytes());
    Ok(header)
}

/// The key of the file that begins with `front`, and how long its header is.
///
/// # Bounds
/// [`HEADER_BYTES_MAX`], and as many stanzas as stand in there; a key is tried on each.
/// # Errors
/// [`AgeError::Header`], also where it does not end within `front`; and those of keys.
pub(super) fn open(front: &[u8], identities: &[Identity]) -> Result<(FileKey, usize), AgeError> {
    let wrong = |what| AgeError::Header { what };
    let front = front.get(..HEADER_BYTES_MAX).unwrap_or(front);
    let mut lines = Lines { rest: front.strip_prefix(INTRO.as_bytes()).ok_or_else(|| wrong("its first line"))? };
    let (mut found, mut recipients) = (None, 0);
    loop {
        let before = front.len() - lines.rest.len();
        let line = lines.next().ok_or_else(|| wrong("it does not end"))?;
        if let Some(mac) = line.strip_prefix(MAC) {
            let mac = mac.strip_prefix(b" ").and_then(|mac| BASE64.decode(mac).ok());
            let mac = mac.filter(|mac| mac.len() == 32).ok_or_else(|| wrong("its MAC"))?;
            let key: FileKey = found.ok_or(match identities {
                [] => AgeError::NoKey { recipients },
                _ => AgeError::NotOurs { recipients },
            })?;
            let signed = front.get(..before + MAC.len()).unwrap_or_default();
            hmac::verify(&key.mac(), signed, &mac).map_err(|_| AgeError::HeaderChanged)?;
            return Ok((key, front.len() - lines.rest.len()));
        }
        let stanza = line.strip_prefix(STANZA.as_bytes()).and_then(|line| std::str::from_utf8(line).ok());
        let stanza = stanza.ok_or_else(|| wrong("a line that begins otherwise"))?;
        let body = lines.body().ok_or_else(|| wrong("a stanza's body"))?;
        let mut words = stanza.split(' ');
        if words.clone().any(|word| word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(wrong("a stanza's words"));
        }
        recipients += 1;
        // Of other kinds, and what age puts there so that nobody relies on there being none.
        if words.next() != Some(X25519) {
            continue;
        }
        let (Some(share), None) = (words.next(), words.next()) else { return Err(wrong("a stanza's words")) };
        let share = BASE64.decode(share).ok().and_then(|share| <[u8; 32]>::try_from(share).ok());
        let share = share.ok_or_else(|| wrong("a stanza's share"))?;
        if body.len() != WRAPPED_BYTES {
            return Err(wrong("the length of a stanza's body"));
        }
        found = found.or_else(|| identities.iter().find_map(|identity| unwrap(identity, &share, &body)));
    }
}

/// The file's key, if it was wrapped for that identity.
fn unwrap(identity: &Identity, share: &[u8; 32], wrapped: &[u8]) -> Option<FileKey> {
    let shared = identity.secret.diffie_hellman(&PublicKey::from(*share));
    if !shared.was_contributory() {
        return None;
    }
    let (wrapping, nonce) = once(wrapping_key(shared.as_bytes(), share, &identity.recipient()));
    let mut wrapped = wrapped.to_vec();
    let key = wrapping.open_in_place(nonce, Aad::empty(), &mut wrapped).ok()?;
    <[u8; FILE_KEY_BYTES]>::try_from(&*key).ok().map(FileKey)
}

/// What lies ahead of a header, line by line.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line, without its end.
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(line)
    }

    /// A body: whole lines, and one that is shorter, or empty.
    fn body(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let line = self.next()?;
            text.extend_from_slice(line);
            match line.len() {
                COLUMNS => {}
                0..COLUMNS => return BASE64.decode(&text).ok(),
                _ => return None,
            }
        }
    }
}

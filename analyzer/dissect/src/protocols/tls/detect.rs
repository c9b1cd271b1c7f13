//! Whether bytes are TLS. Five bytes in front of each record have some 27 fixed bits, so a hello decides alone; records
//! of a connection joined in the middle are believed as far as the next header is in sight.

use super::messages::begins_message;
use super::registry;
use super::wire::{self, Content, NotWhole, RECORD_HEADER_BYTES, Record, kind};
use crate::protocols::{Detection, Look, Side};

/// Bytes that tell a hello: a message's header and the version in it.
const FRONT_BYTES: usize = 6;

/// The shortest encrypted record: a byte, and a tag or digest of 16 (RFC 8446 §5.2, RFC 5246 §6.2.3).
const SEALED_BYTES_MIN: usize = 17;

/// The longest encrypted alert: two bytes with vector, digest and padding of the longest block ciphers.
const SEALED_ALERT_BYTES_MAX: usize = 96;

pub fn detect(look: &Look<'_>) -> Detection {
    if look.datagram {
        return Detection::No;
    }
    let record = match wire::record(look.bytes) {
        Ok(record) => record,
        Err(NotWhole::Wanted(_)) => return Detection::More,
        Err(NotWhole::Malformed) => return detect_v2(look.bytes),
    };
    let body = look.bytes.get(RECORD_HEADER_BYTES..).unwrap_or_default();
    let front = FRONT_BYTES.min(record.bytes);
    if record.content == Content::Handshake && body.len() < front {
        return Detection::More;
    }
    let goes_on = || goes_on(look.bytes, record);
    match (record.content, body) {
        (Content::Handshake, _) => return detect_handshake(body, record, goes_on()),
        (Content::ChangeCipherSpec, []) | (Content::Alert, [] | [_]) if record.bytes <= 2 => return Detection::More,
        (Content::ChangeCipherSpec, [1, ..]) if record.bytes == 1 && goes_on() => {}
        (Content::Alert, [1..=2, code, ..]) if record.bytes == 2 && goes_on() => {
            if registry::alert_name(*code).is_none() {
                return Detection::No;
            }
        }
        (Content::Alert, _) if (SEALED_BYTES_MIN..=SEALED_ALERT_BYTES_MAX).contains(&record.bytes) && goes_on() => {}
        (Content::ApplicationData, _) if record.bytes >= SEALED_BYTES_MIN && goes_on() => {}
        _ => return Detection::No,
    }
    Detection::Yes(None)
}

fn detect_handshake(body: &[u8], record: Record, goes_on: bool) -> Detection {
    // A hello may come in records of a few bytes.
    let tiny = record.bytes < FRONT_BYTES && goes_on && body.len() > record.bytes;
    let side = match body.first() {
        Some(&kind::CLIENT_HELLO) if tiny || begins_hello(body, record.bytes) => Some(Side::Client),
        Some(&kind::SERVER_HELLO) if tiny || begins_hello(body, record.bytes) => Some(Side::Server),
        Some(&kind) if goes_on && kind != kind::HELLO_REQUEST && begins_message(body, record.bytes) => match kind {
            kind::CERTIFICATE_VERIFY | kind::CLIENT_KEY_EXCHANGE | kind::CERTIFICATE_URL => Some(Side::Client),
            kind::CERTIFICATE | kind::SUPPLEMENTAL_DATA => None,
            _ => Some(Side::Server),
        },
        // An encrypted message at the end of a handshake, seen whole.
        Some(_) if goes_on && (SEALED_BYTES_MIN..=body.len()).contains(&record.bytes) => None,
        _ => return Detection::No,
    };
    Detection::Yes(side)
}

fn detect_v2(bytes: &[u8]) -> Detection {
    match wire::v2_hello(bytes) {
        Ok(_) => Detection::Yes(Some(Side::Client)),
        Err(NotWhole::Wanted(_)) => Detection::More,
        Err(NotWhole::Malformed) => Detection::No,
    }
}

/// Whether a record begins with a hello in clear, as far as its first bytes tell.
pub fn begins_hello(front: &[u8], record_bytes: usize) -> bool {
    matches!(front.first(), Some(&(kind::CLIENT_HELLO | kind::SERVER_HELLO))) && begins_message(front, record_bytes)
}

/// Whether what lies behind a record, as far as it is there, is another.
fn goes_on(bytes: &[u8], record: Record) -> bool {
    let behind = bytes.get(RECORD_HEADER_BYTES + record.bytes..).unwrap_or_default();
    wire::record(behind) != Err(NotWhole::Malformed)
}

/// Whether two records begin here, one behind the other.
pub fn two_records(bytes: &[u8]) -> Result<(), NotWhole> {
    let record = wire::record(bytes)?;
    if record.bytes == 0 {
        return Err(NotWhole::Malformed);
    }
    let second = RECORD_HEADER_BYTES + record.bytes;
    match wire::record(bytes.get(second..).unwrap_or_default()) {
        Ok(_) => Ok(()),
        Err(NotWhole::Wanted(more)) => Err(NotWhole::Wanted(second + more)),
        Err(malformed) => Err(malformed),
    }
}

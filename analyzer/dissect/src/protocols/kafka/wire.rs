//! Headers of requests and responses: from bytes to what they say, pure and total
//! (<https://kafka.apache.org/protocol#protocol_messages>).

use super::schema::{self, API_VERSIONS, Api, CONTROLLED_SHUTDOWN, Message};
use super::walk::{Event, Scalar, Stuck, Walk};
use formats::bytes::Reader;

/// The length in front of every message.
pub const LENGTH_BYTES: usize = 4;

/// The longest message. Brokers take 100 MiB unless told otherwise, and answer with what consumers ask for.
const MESSAGE_BYTES_MAX: u32 = 1 << 30;

/// The longest message that is believed where one cannot be sure to look at one: what brokers take unless told
/// otherwise. A TLS record reads as a length of 320 MiB and more.
const UNSURE_BYTES_MAX: u32 = 100 << 20;

/// The longest client id that is believed there.
const CLIENT_ID_BYTES_MAX: u16 = 256;

/// Key, version and correlation id.
const REQUEST_HEADER_BYTES: u32 = 8;

/// Keys that brokers of the future and of others may have.
const KEY_MAX: i16 = 1023;
const VERSION_MAX: i16 = 99;

/// Bytes librdkafka sends behind the oldest ApiVersions request, which has no body: an empty list.
const EMPTY_LIST_BYTES: u64 = 4;

/// The longest response that is tried against all there is.
const ANY_RESPONSE_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a message that are read to tell whether it is one.
pub const PROBE_BYTES: usize = 512;

/// Bytes of names that speak for a response longer than that. Its header has numbers alone, and clients count from 0.
const NAMES_BYTES_MIN: usize = 8;

/// The length at the front of a message, without itself; nothing where there is none so long.
pub fn length(bytes: [u8; LENGTH_BYTES], from_client: bool) -> Option<u32> {
    let length = u32::from_be_bytes(bytes);
    let least = if from_client { REQUEST_HEADER_BYTES } else { 4 };
    (least..=MESSAGE_BYTES_MAX).contains(&length).then_some(length)
}

/// The header of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestHeader<'a> {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a [u8]>,
    /// Whether the tables have this key and version; else nothing behind the correlation id is read.
    pub known: bool,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header at the front of `input`; `room` bytes of the message lie ahead, and `input` has no others.
    pub fn read(input: &mut Reader<'a>, room: u64) -> Result<Self, Stuck> {
        let mut ahead = *input;
        let here = input.left();
        let mut read = || -> Result<Self, formats::bytes::Short> {
            let (key, version) = (ahead.u16_be()? as i16, ahead.u16_be()? as i16);
            let correlation_id = ahead.u32_be()? as i32;
            let known = schema::api(key).is_some_and(|api| api.request.versions.contain(version));
            let mut header = Self { key, version, correlation_id, client_id: None, known };
            if known && !(key == CONTROLLED_SHUTDOWN && version == 0) {
                let length = ahead.u16_be()?;
                if length != u16::MAX {
                    header.client_id = Some(ahead.take(length.into())?);
                }
            }
            Ok(header)
        };
        let header = read().map_err(|error| Stuck::short(error.missing_bytes, here, room))?;
        if !(0..=KEY_MAX).contains(&header.key) || !(0..=VERSION_MAX).contains(&header.version) {
            return Err(Stuck::Malformed);
        }
        let flexible = |api: &Api| api.request.flexible.contain(header.version);
        if header.known && schema::api(header.key).is_some_and(flexible) {
            let room = room.saturating_sub((ahead.at() - input.at()) as u64);
            skip_tags(&mut ahead, room)?;
        }
        *input = ahead;
        Ok(header)
    }

    /// What the message behind the header is.
    pub fn body(&self) -> Option<&'static Message> {
        schema::api(self.key).filter(|_| self.known).map(|api| &api.request)
    }

    /// Whether clients write such headers: for where one cannot be sure to look at one.
    fn is_usual(&self) -> bool {
        self.known && self.correlation_id >= 0
    }
}

/// Reads what is behind the correlation id of a response to that request, up to the body.
pub fn response_header(input: &mut Reader<'_>, room: u64, key: i16, version: i16) -> Result<(), Stuck> {
    let flexible = schema::api(key).is_some_and(|api| api.response.flexible.contain(version));
    if flexible && key != API_VERSIONS { skip_tags(input, room) } else { Ok(()) }
}

/// Steps over tagged fields of a header: none are in use.
fn skip_tags(input: &mut Reader<'_>, room: u64) -> Result<(), Stuck> {
    let mut ahead = *input;
    let (begin, here) = (input.at(), input.left());
    let short = |missing: usize| Stuck::short(missing, here, room);
    let varint = |ahead: &mut Reader<'_>| {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21] {
            let byte = ahead.u8().map_err(|error| short(error.missing_bytes))?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Stuck::Malformed)
    };
    let count = varint(&mut ahead)?;
    for _ in 0..count {
        varint(&mut ahead)?;
        let length = varint(&mut ahead)?;
        if u64::from(length) > room.saturating_sub((ahead.at() - begin) as u64) {
            return Err(Stuck::Malformed);
        }
        ahead.skip(length as usize).map_err(|error| short(error.missing_bytes))?;
    }
    *input = ahead;
    Ok(())
}

/// What bytes at an unsure place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A message, as far as the first [`PROBE_BYTES`] tell.
    Is,
    /// None.
    IsNot,
    /// So far it could be one.
    Perhaps,
}

/// Whether the client id of a header, as far as it is there, is one that clients have.
fn has_usual_name(header: &[u8]) -> bool {
    let mut input = Reader::new(header);
    let nameless = input.u32_be().is_ok_and(|api| api == (CONTROLLED_SHUTDOWN as u32) << 16);
    let length = input.skip(4).and_then(|()| input.u16_be());
    match length {
        Err(_) | Ok(u16::MAX) => true,
        Ok(_) if nameless => true,
        Ok(length) => {
            let name = input.rest().get(..input.left().min(length.into())).unwrap_or_default();
            length <= CLIENT_ID_BYTES_MAX && name.iter().all(|byte| (b' '..=b'~').contains(byte))
        }
    }
}

/// Whether a request begins at the front of `bytes`, with its length.
pub fn probe_request(bytes: &[u8]) -> Probe {
    probe(bytes, true, |input, room| {
        if !has_usual_name(input.rest()) {
            return Err(Stuck::Malformed);
        }
        let header = RequestHeader::read(input, room)?;
        let body = header.body().filter(|_| header.is_usual()).ok_or(Stuck::Malformed)?;
        Ok(Begun {
            body,
            version: header.version,
            behind: if header.key == API_VERSIONS { EMPTY_LIST_BYTES } else { 0 },
            name_bytes: header.client_id.unwrap_or_default().len(),
        })
    })
}

/// Whether a response to the request that `asked` knows by its correlation id begins at the front of `bytes`.
pub fn probe_response(bytes: &[u8], asked: impl Fn(i32) -> Option<(i16, i16)>) -> Probe {
    probe(bytes, false, |input, room| {
        let mut ahead = *input;
        let correlation_id = ahead.u32_be().map_err(|short| Stuck::Wanted(short.missing_bytes))? as i32;
        let (key, version) = asked(correlation_id).ok_or(Stuck::Malformed)?;
        response_header(&mut ahead, room - 4, key, version)?;
        *input = ahead;
        let api = schema::api(key).filter(|api| api.response.versions.contain(version)).ok_or(Stuck::Malformed)?;
        Ok(Begun { body: &api.response, version, behind: 0, name_bytes: 0 })
    })
}

/// A message whose header was read.
struct Begun {
    body: &'static Message,
    version: i16,
    /// Bytes that may stand behind the body.
    behind: u64,
    /// Length of the name in the header. Small numbers are everywhere: a message without a name is believed only when
    /// all of it fits.
    name_bytes: usize,
}

/// How long a name this is; nothing where it is none.
fn name_bytes(value: &Scalar<'_>) -> Option<usize> {
    match value {
        Scalar::Text(text) => (!text.iter().any(|&byte| byte < b'\t')).then_some(text.len()),
        // Ids of topics are random (RFC 9562 §5.4).
        Scalar::Uuid(id) if id[6] >> 4 == 4 && id[8] >> 6 == 2 => Some(id.len()),
        _ => Some(0),
    }
}

fn probe<'a>(
    bytes: &'a [u8],
    from_client: bool,
    header: impl FnOnce(&mut Reader<'a>, u64) -> Result<Begun, Stuck>,
) -> Probe {
    let mut input = Reader::new(bytes);
    let Ok(front) = input.array() else { return Probe::Perhaps };
    let length = match length(front, from_client) {
        Some(length) if length <= UNSURE_BYTES_MAX => length,
        _ => return Probe::IsNot,
    };
    let whole = LENGTH_BYTES as u64 + u64::from(length);
    // Only so many bytes are looked at, however many there are: the answer does not depend on how they come.
    let view = bytes.get(..bytes.len().min(whole.min(PROBE_BYTES as u64) as usize)).unwrap_or_default();
    let mut input = Reader::new(view);
    let read = input.skip(LENGTH_BYTES).map_err(|short| Stuck::Wanted(short.missing_bytes));
    let room = |input: &Reader<'_>| whole - input.at() as u64;
    let mut names = 0;
    let stuck = match read.and_then(|()| header(&mut input, u64::from(length))) {
        Ok(begun) => {
            names = begun.name_bytes;
            let mut walk = Walk::new(begun.body, begun.version);
            loop {
                let room = room(&input);
                match walk.next(&mut input, room) {
                    Ok(Event::End) if room > begun.behind => break Stuck::Malformed,
                    Ok(Event::End) => return Probe::Is,
                    // Records say little, and are many: what is in front of them has to do.
                    Ok(Event::Records { .. }) if names > 0 => return Probe::Is,
                    Ok(Event::Records { .. }) => break Stuck::Malformed,
                    Ok(Event::Value { value, .. }) if !from_client => match name_bytes(&value) {
                        Some(bytes) => names += bytes,
                        None => break Stuck::Malformed,
                    },
                    Ok(_) => {}
                    Err(stuck) => break stuck,
                }
            }
        }
        Err(stuck) => stuck,
    };
    let enough = if from_client { 1 } else { NAMES_BYTES_MIN };
    match stuck {
        Stuck::Malformed => Probe::IsNot,
        Stuck::Wanted(_) if view.len() == PROBE_BYTES && names >= enough => Probe::Is,
        Stuck::Wanted(_) if view.len() == PROBE_BYTES => Probe::IsNot,
        Stuck::Wanted(_) => Probe::Perhaps,
    }
}

/// Whether a whole response to anything one may ask for is at the front of `bytes`.
pub fn probe_any_response(bytes: &[u8]) -> Probe {
    let mut input = Reader::new(bytes);
    let Ok(front) = input.array() else { return Probe::Perhaps };
    let length = match length(front, false) {
        Some(length) if length <= ANY_RESPONSE_BYTES_MAX => length,
        _ => return Probe::IsNot,
    };
    let Ok(mut input) = input.sub(length as usize) else { return Probe::Perhaps };
    match input.u32_be() {
        Ok(correlation_id) if correlation_id <= i32::MAX as u32 => {}
        _ => return Probe::IsNot,
    }
    let fits = |api: &'static Api, version: i16| {
        let mut input = input;
        let room = input.left() as u64;
        let header = response_header(&mut input, room, api.key, version);
        let mut walk = Walk::new(&api.response, version);
        let mut fits = header;
        while fits.is_ok() {
            let room = input.left() as u64;
            match walk.next(&mut input, room) {
                Ok(Event::End) => return input.is_empty(),
                Ok(Event::Records { bytes, .. }) => match input.skip(bytes as usize) {
                    Ok(()) => walk.stepped_over(bytes),
                    Err(_) => return false,
                },
                Ok(_) => {}
                Err(stuck) => fits = Err(stuck),
            }
        }
        false
    };
    let any = schema::apis().any(|api| {
        (0..=VERSION_MAX)
            .take_while(|&version| api.response.versions.contain(version))
            .any(|version| fits(api, version))
    });
    if any { Probe::Is } else { Probe::IsNot }
}

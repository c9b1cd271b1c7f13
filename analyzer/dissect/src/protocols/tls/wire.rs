//! Bytes to borrowed records and messages: pure and total.

use formats::bytes::{Reader, Short};

/// Content type, version and length in front of each record (RFC 8446 §5.1).
pub const RECORD_HEADER_BYTES: usize = 5;

/// The longest record: 2¹⁴ bytes and what compression and encryption may add (RFC 5246 §6.2.3).
pub const RECORD_BYTES_MAX: usize = (1 << 14) + 2048;

/// Type and length in front of each handshake message (RFC 8446 §4).
pub const MESSAGE_HEADER_BYTES: usize = 4;

/// The longest SSL 2.0 hello that is believed: real ones name some 50 ciphers, and end with a challenge of 32 bytes.
pub const V2_HELLO_BYTES_MAX: usize = 1 << 10;

/// What a record carries (RFC 8446 §5.1, RFC 6520 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Alert,
    ApplicationData,
    ChangeCipherSpec,
    Handshake,
    Heartbeat,
}

/// Types of handshake messages (IANA TLS HandshakeType).
pub mod kind {
    pub const HELLO_REQUEST: u8 = 0;
    pub const CLIENT_HELLO: u8 = 1;
    pub const SERVER_HELLO: u8 = 2;
    pub const NEW_SESSION_TICKET: u8 = 4;
    /// Of the drafts before draft 22 of TLS 1.3.
    pub const HELLO_RETRY_REQUEST: u8 = 6;
    pub const CERTIFICATE: u8 = 11;
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    pub const CERTIFICATE_REQUEST: u8 = 13;
    pub const SERVER_HELLO_DONE: u8 = 14;
    pub const CERTIFICATE_VERIFY: u8 = 15;
    pub const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub const CERTIFICATE_URL: u8 = 21;
    pub const CERTIFICATE_STATUS: u8 = 22;
    pub const SUPPLEMENTAL_DATA: u8 = 23;
}

/// Codes of extensions (IANA TLS ExtensionType Values).
mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const EC_POINT_FORMATS: u16 = 11;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const PRE_SHARED_KEY: u16 = 41;
    pub const SUPPORTED_VERSIONS: u16 = 43;
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// Why there is nothing whole at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWhole {
    /// It is something else.
    Malformed,
    /// So many bytes are needed.
    Wanted(usize),
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub content: Content,
    /// Length of what follows.
    pub bytes: usize,
}

/// The header at the front; what is there of it already tells whether it can be one.
pub fn record(bytes: &[u8]) -> Result<Record, NotWhole> {
    let content = match bytes.first() {
        Some(20) => Content::ChangeCipherSpec,
        Some(21) => Content::Alert,
        Some(22) => Content::Handshake,
        Some(23) => Content::ApplicationData,
        Some(24) => Content::Heartbeat,
        Some(_) => return Err(NotWhole::Malformed),
        None => return Err(NotWhole::Wanted(RECORD_HEADER_BYTES)),
    };
    if bytes.get(1).is_some_and(|&major| major != 3) || bytes.get(2).is_some_and(|&minor| minor > 4) {
        return Err(NotWhole::Malformed);
    }
    let Some(&[_, _, _, high, low]) = bytes.first_chunk() else { return Err(NotWhole::Wanted(RECORD_HEADER_BYTES)) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > RECORD_BYTES_MAX {
        return Err(NotWhole::Malformed);
    }
    Ok(Record { content, bytes: length })
}

/// Type and length of the handshake message at the front.
pub fn message_header(bytes: &[u8]) -> Result<(u8, usize), Short> {
    let mut input = Reader::new(bytes);
    Ok((input.u8()?, input.u24_be()? as usize))
}

/// How far a message could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// Not all of it was there.
    #[default]
    Cut,
    /// A length in it leads beyond its end.
    Malformed,
    /// To its end.
    Whole,
}

/// A ClientHello (RFC 8446 §4.1.2), as far as it was there.
#[derive(Debug, Default)]
pub struct ClientHello<'a> {
    pub version: Option<u16>,
    pub random: Option<[u8; 32]>,
    pub ciphers: Vec<u16>,
    /// Codes of all extensions, in order.
    pub extensions: Vec<u16>,
    pub sni: Option<&'a [u8]>,
    pub alpns: Vec<&'a [u8]>,
    pub groups: Vec<u16>,
    pub point_formats: &'a [u8],
    pub signature_algorithms: Vec<u16>,
    /// Of `supported_versions`.
    pub versions: Vec<u16>,
    /// Whether it carries `encrypted_client_hello`.
    pub ech: bool,
    pub ending: Ending,
}

/// Reads the body of a ClientHello, of which a part may be missing at the end.
pub fn client_hello(body: &[u8], whole: bool) -> ClientHello<'_> {
    let mut hello = ClientHello::default();
    let read = read_client_hello(&mut hello, &mut Reader::new(body), whole);
    hello.ending = ending(read, whole);
    hello
}

fn ending(read: Result<(), Short>, whole: bool) -> Ending {
    match (read, whole) {
        (_, false) => Ending::Cut,
        (Err(_), true) => Ending::Malformed,
        (Ok(()), true) => Ending::Whole,
    }
}

fn read_client_hello<'a>(hello: &mut ClientHello<'a>, input: &mut Reader<'a>, whole: bool) -> Result<(), Short> {
    hello.version = Some(input.u16_be()?);
    hello.random = Some(input.array()?);
    vector8(input)?; // Session id.
    hello.ciphers = codes(vector16(input)?);
    vector8(input)?; // Compression methods.
    if input.is_empty() {
        return Ok(()); // Extensions are optional (RFC 5246 §7.4.1.2).
    }
    each_extension(input, whole, |code, data| {
        let first = !hello.extensions.contains(&code);
        hello.extensions.push(code);
        if first {
            read_client_extension(hello, code, data);
        }
    })
}

/// A broken extension has its code and no value.
fn read_client_extension<'a>(hello: &mut ClientHello<'a>, code: u16, data: &'a [u8]) {
    let mut input = Reader::new(data);
    match code {
        extension::SERVER_NAME => hello.sni = host_name(&mut input).ok().flatten(),
        extension::SUPPORTED_GROUPS => hello.groups = vector16(&mut input).map(codes).unwrap_or_default(),
        extension::EC_POINT_FORMATS => hello.point_formats = vector8(&mut input).unwrap_or_default(),
        extension::SIGNATURE_ALGORITHMS => {
            hello.signature_algorithms = vector16(&mut input).map(codes).unwrap_or_default();
        }
        extension::ALPN => hello.alpns = protocol_names(&mut input).unwrap_or_default(),
        extension::SUPPORTED_VERSIONS => hello.versions = vector8(&mut input).map(codes).unwrap_or_default(),
        extension::ENCRYPTED_CLIENT_HELLO => hello.ech = true,
        _ => {}
    }
}

/// A ServerHello or a request to say hello again (RFC 8446 §4.1.3, §4.1.4), as far as it was there.
#[derive(Debug, Default)]
pub struct ServerHello<'a> {
    /// Of the field that TLS 1.3 keeps for show.
    pub version: Option<u16>,
    pub cipher: Option<u16>,
    /// Codes of all extensions, in order.
    pub extensions: Vec<u16>,
    /// Of `supported_versions`.
    pub selected_version: Option<u16>,
    pub alpn: Option<&'a [u8]>,
    /// Whether it takes a key that the client named.
    pub psk: bool,
    /// Whether it asks for another hello.
    pub retry: bool,
    pub ending: Ending,
}

/// SHA-256 of `HelloRetryRequest`, in place of the random bytes (RFC 8446 §4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Reads the body of a ServerHello, of which a part may be missing at the end.
pub fn server_hello(body: &[u8], whole: bool) -> ServerHello<'_> {
    let mut hello = ServerHello::default();
    let read = read_server_hello(&mut hello, &mut Reader::new(body), whole);
    hello.ending = ending(read, whole);
    hello
}

/// Reads the HelloRetryRequest that drafts before 22 have; drafts 19 to 21 name a cipher in it.
pub fn draft_retry_request(body: &[u8], whole: bool) -> ServerHello<'_> {
    let mut input = Reader::new(body);
    let mut hello = ServerHello { retry: true, ..ServerHello::default() };
    hello.version = input.u16_be().ok();
    if hello.version.is_some_and(|version| version >= 0x7f13) {
        hello.cipher = input.u16_be().ok();
    }
    hello.ending = if whole { Ending::Whole } else { Ending::Cut };
    hello
}

fn read_server_hello<'a>(hello: &mut ServerHello<'a>, input: &mut Reader<'a>, whole: bool) -> Result<(), Short> {
    let version = input.u16_be()?;
    hello.version = Some(version);
    hello.retry = input.array()? == RETRY_RANDOM;
    // Drafts before 22 of TLS 1.3 have neither session id nor compression method.
    let short = (0x7f00..0x7f16).contains(&version);
    if !short {
        vector8(input)?; // Session id.
    }
    hello.cipher = Some(input.u16_be()?);
    if !short {
        input.u8()?;
    }
    if input.is_empty() {
        return Ok(());
    }
    each_extension(input, whole, |code, data| {
        hello.extensions.push(code);
        let mut input = Reader::new(data);
        match code {
            extension::ALPN => {
                hello.alpn = protocol_names(&mut input).ok().and_then(|names| names.first().copied());
            }
            extension::PRE_SHARED_KEY => hello.psk = true,
            extension::SUPPORTED_VERSIONS => hello.selected_version = input.u16_be().ok(),
            _ => {}
        }
    })
}

/// The first certificate of a Certificate message up to TLS 1.2 (RFC 5246 §7.4.2): the sender's own. `None` where it
/// sends none.
pub fn own_certificate(body: &[u8]) -> Result<Option<&[u8]>, Short> {
    let mut input = Reader::new(body);
    if input.u24_be()? == 0 {
        return Ok(None);
    }
    let length = input.u24_be()? as usize;
    input.take(length).map(Some)
}

/// An SSL 2.0 hello, which clients sent before they knew whether the server knows better (RFC 5246 appendix E.2).
#[derive(Debug, PartialEq, Eq)]
pub struct V2Hello {
    pub version: u16,
    /// Bytes with the length in front.
    pub bytes: usize,
}

/// The SSL 2.0 hello at the front.
pub fn v2_hello(bytes: &[u8]) -> Result<V2Hello, NotWhole> {
    let begins = bytes.first().is_none_or(|&first| first & 0xfc == 0x80)
        && bytes.get(2).is_none_or(|&kind| kind == kind::CLIENT_HELLO)
        && bytes.get(3).is_none_or(|&major| major == 3 || major == 0);
    if !begins {
        return Err(NotWhole::Malformed);
    }
    let mut input = Reader::new(bytes);
    let head = (|| {
        Ok::<_, Short>([
            input.u16_be()?,
            {
                input.u8()?;
                input.u16_be()?
            },
            input.u16_be()?,
            input.u16_be()?,
            input.u16_be()?,
        ])
    })();
    let Ok([length, version, ciphers, session_id, challenge]) = head else { return Err(NotWhole::Wanted(11)) };
    let length = usize::from(length & 0x7fff);
    let parts = 9 + usize::from(ciphers) + usize::from(session_id) + usize::from(challenge);
    let sound = parts == length
        && matches!(version, 0x0002 | 0x0300..=0x0303)
        && ciphers > 0
        && ciphers % 3 == 0
        && matches!(session_id, 0 | 16)
        && (16..=32).contains(&challenge);
    match 2 + length {
        _ if !sound => Err(NotWhole::Malformed),
        whole if whole > V2_HELLO_BYTES_MAX => Err(NotWhole::Malformed),
        whole if whole > bytes.len() => Err(NotWhole::Wanted(whole)),
        whole => Ok(V2Hello { version, bytes: whole }),
    }
}

/// Calls `take` for each extension that is there to its end.
fn each_extension<'a>(input: &mut Reader<'a>, whole: bool, mut take: impl FnMut(u16, &'a [u8])) -> Result<(), Short> {
    let length = usize::from(input.u16_be()?);
    // Of a message that is cut they go as far as the bytes do.
    let mut extensions = if whole { input.sub(length)? } else { input.sub(length.min(input.left()))? };
    while !extensions.is_empty() {
        let code = extensions.u16_be()?;
        take(code, vector16(&mut extensions)?);
    }
    Ok(())
}

/// The host name of a `server_name` extension (RFC 6066 §3).
fn host_name<'a>(input: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Short> {
    let mut names = Reader::new(vector16(input)?);
    while !names.is_empty() {
        let kind = names.u8()?;
        let name = vector16(&mut names)?;
        if kind == 0 {
            return Ok((!name.is_empty()).then_some(name));
        }
    }
    Ok(None)
}

/// The names of an ALPN extension (RFC 7301 §3.1).
fn protocol_names<'a>(input: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, Short> {
    let mut names = Reader::new(vector16(input)?);
    let mut found = Vec::new();
    while !names.is_empty() {
        found.push(vector8(&mut names)?);
    }
    Ok(found)
}

fn vector8<'a>(input: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let length = input.u8()?;
    input.take(length.into())
}

fn vector16<'a>(input: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let length = input.u16_be()?;
    input.take(length.into())
}

fn codes(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
}

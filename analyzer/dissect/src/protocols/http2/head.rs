//! What a header block says: pseudo fields take their columns, all others stay fields in order (RFC 9113 §8.3).

use super::hpack::{Decoder, Field, Outcome};
use crate::protocols::http::{Codings, Exchange, Fields, Target};

/// Most bytes of fields kept of one block: of a small block and a large entry of the table, gigabytes can be made.
pub const FIELD_BYTES_MAX: usize = 256 << 10;

/// The same of a small block, which takes most of them from the table: what Node takes of a whole header.
const FIELD_BYTES_MIN: usize = 16 << 10;

/// Bytes of fields that each byte of a block adds to that: those of the static table have as many.
const FIELD_BYTES_PER_BYTE: usize = 64;

/// What a field costs besides name and value, as in RFC 9113 §6.5.2.
const FIELD_BYTES: usize = 32;

/// One header block, as far as it is known.
#[derive(Debug, Default)]
pub struct Block {
    /// `:method`.
    pub method: Option<Vec<u8>>,
    /// `:scheme`.
    pub scheme: Option<Vec<u8>>,
    /// `:authority`.
    pub authority: Option<Vec<u8>>,
    /// `:path`.
    pub path: Option<Vec<u8>>,
    /// `:status`.
    pub status: Option<u16>,
    /// All that has no column, in order; of the pseudo fields, those that are odd or extensions.
    pub fields: Fields,
    /// What its body is coded with.
    pub codings: Codings,
    /// Fields whose names are not known.
    pub unknown: usize,
    /// Whether fields are missing: they were too many, or the block could not be read or was not seen to its end.
    pub short: bool,
    /// The first thing that is odd, and the field where it is.
    pub odd: Option<(&'static str, String)>,
    /// What decoding it came to.
    pub outcome: Outcome,
    /// Bytes of its fields, and how many are kept.
    bytes: usize,
    bytes_max: usize,
    /// Whether an ordinary field was seen.
    ordinary: bool,
}

impl Block {
    /// Reads a block, or what was seen of one.
    pub fn read(decoder: &mut Decoder, bytes: &[u8]) -> Self {
        let bytes_max = FIELD_BYTES_MAX.min(FIELD_BYTES_MIN + bytes.len().saturating_mul(FIELD_BYTES_PER_BYTE));
        let mut block = Self { bytes_max, ..Self::default() };
        block.fields.reserve(2 * bytes.len(), 8 + bytes.len() / 16);
        let outcome = decoder.decode(bytes, |field| block.field(field));
        block.short |= outcome.malformed.is_some();
        block.outcome = outcome;
        block
    }

    /// Whether it is known for the head of a message, by a pseudo field.
    pub fn is_head(&self) -> bool {
        self.status.is_some()
            || [&self.method, &self.scheme, &self.authority, &self.path].into_iter().any(Option::is_some)
    }

    /// Moves what a request says into its exchange.
    pub fn ask(&mut self, exchange: &mut Exchange) {
        exchange.method = self.method.take().unwrap_or_default();
        exchange.scheme = self.scheme.take();
        let host = || self.fields.get("host").map(<[u8]>::to_vec);
        exchange.host = self.authority.take().or_else(host);
        if let Some(mut path) = self.path.take() {
            let query = Target::path_and_query(&path).query.map(<[u8]>::to_vec);
            path.truncate(path.len() - query.as_ref().map_or(0, |query| query.len() + 1));
            exchange.path = Some(path);
            exchange.query = query;
        }
    }

    /// All that has no column, with the pseudo fields that are out of place. A last field of which nothing is known
    /// stands for those that are missing.
    pub fn rest(self) -> Fields {
        let mut fields = self.fields;
        let status = self.status.map(|status| status.to_string().into_bytes());
        for (name, value) in [
            (":method", self.method),
            (":scheme", self.scheme),
            (":authority", self.authority),
            (":path", self.path),
            (":status", status),
        ] {
            if let Some(value) = value {
                fields.push(name.as_bytes(), &value);
            }
        }
        if self.short {
            fields.push_unknown(None);
        }
        fields
    }

    fn field(&mut self, Field { name, value }: Field<'_>) {
        self.bytes += FIELD_BYTES + name.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if self.bytes > self.bytes_max {
            self.short = true;
            return self.odd("http2_header_list_too_large", "");
        }
        let (Some(name), Some(value)) = (name, value) else {
            self.unknown += 1;
            return self.fields.push_unknown(value);
        };
        if let [b':', pseudo @ ..] = name {
            return self.pseudo(pseudo, name, value);
        }
        self.ordinary = true;
        match name.len() {
            16 if name == b"content-encoding" => self.codings.push_list(value),
            // What HTTP/1 says about its connection has no place here (RFC 9113 §8.2.2).
            7 if name == b"upgrade" => self.odd_name(name),
            10 if name == b"connection" || name == b"keep-alive" => self.odd_name(name),
            16 if name == b"proxy-connection" => self.odd_name(name),
            17 if name == b"transfer-encoding" => self.odd_name(name),
            4 if name == b"host" && self.authority.as_deref().is_some_and(|authority| authority != value) => {
                self.odd("http2_authority_mismatch", &String::from_utf8_lossy(value));
            }
            0 => self.odd_name(name),
            _ if name.iter().any(|byte| byte.is_ascii_uppercase() || *byte <= b' ' || *byte >= 0x7f) => {
                self.odd_name(name);
            }
            _ => {}
        }
        self.fields.push(name, value);
    }

    fn pseudo(&mut self, pseudo: &[u8], name: &[u8], value: &[u8]) {
        if self.ordinary {
            self.odd_name(name);
        }
        let column = match pseudo {
            b"method" => &mut self.method,
            b"scheme" => &mut self.scheme,
            b"authority" => &mut self.authority,
            b"path" => &mut self.path,
            b"status" => match status(value) {
                Some(status) if self.status.is_none() => return self.status = Some(status),
                _ => {
                    self.odd_name(name);
                    return self.fields.push(name, value);
                }
            },
            // RFC 8441 §4.
            b"protocol" => return self.fields.push(name, value),
            _ => {
                self.odd_name(name);
                return self.fields.push(name, value);
            }
        };
        if column.is_some() {
            self.odd_name(name);
            return self.fields.push(name, value);
        }
        *column = Some(value.to_vec());
    }

    fn odd_name(&mut self, name: &[u8]) {
        const DETAIL_BYTES_MAX: usize = 80;
        let front = name.get(..DETAIL_BYTES_MAX).unwrap_or(name);
        self.odd("http2_bad_field", &String::from_utf8_lossy(front));
    }

    fn odd(&mut self, kind: &'static str, detail: &str) {
        self.odd.get_or_insert_with(|| (kind, detail.to_owned()));
    }
}

/// Three digits (RFC 9110 §15).
fn status(value: &[u8]) -> Option<u16> {
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = value else { return None };
    Some([hundreds, tens, ones].iter().fold(0, |status, &digit| status * 10 + u16::from(digit - b'0')))
}

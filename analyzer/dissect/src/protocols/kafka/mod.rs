//! Apache Kafka's protocol (<https://kafka.apache.org/protocol>), every key and version up to Kafka 4.
//!
//! Enters: one connection to a broker or controller that began, or is joined at, a request. Leaves: an exchange for each
//! request with its response, or the half of it that was seen, and every record produced or fetched. Refused: nothing;
//! of a key or version that is not known the header is read.
//!
//! `schema.rs` says which fields a message has, `walk.rs` walks a body by them while it passes, `body.rs` and `json.rs`
//! gather what the columns want, `batches.rs`, `batch.rs` and `codec.rs` read records. `wire.rs` reads headers, `over_tcp.rs` a
//! connection with its losses and its end, `frame.rs` one message of it, `rows.rs` pairs.

mod batch;
mod batches;
mod body;
mod codec;
mod frame;
mod json;
mod over_tcp;
pub mod registry;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

use super::{Detection, Look, Protocol, Side};
use wire::Probe;

pub use batch::write_headers;

/// What stands for the name of a topic where its id alone is known.
pub fn topic_id(id: &[u8; 16]) -> String {
    json::uuid(id).as_str().to_owned()
}

/// A request, its response, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Key and version; not known of a response alone.
    pub api: Option<(i16, i16)>,
    /// Name of the key, where it has one.
    pub api_name: Option<&'static str>,
    /// What request and response have in common.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// Topics named in the request, then further ones of the response.
    pub topics: Vec<String>,
    /// Whether these are all of them.
    pub topics_known: bool,
    /// The first group named.
    pub group_id: Option<String>,
    /// Records produced or fetched.
    pub records: Option<u64>,
    /// The first error code that is one, else 0.
    pub error_code: Option<i16>,
    /// JSON text of the request's body.
    pub request: Option<String>,
    /// JSON text of the response's body.
    pub response: Option<String>,
    /// Length of the request, without the length in front.
    pub request_bytes: Option<u64>,
    /// Length of the response, without the length in front.
    pub response_bytes: Option<u64>,
}

impl Exchange {
    /// Bytes of its texts.
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.client_id, &self.group_id, &self.request, &self.response].into_iter().flatten();
        texts.map(String::len).sum::<usize>()
            + self.topics.iter().map(|topic| size_of_val(topic) + topic.len()).sum::<usize>()
    }
}

/// Name and value of a record's header, which may have no value.
pub type Header<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A record produced or fetched.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// 'produce' or 'fetch'.
    pub direction: &'static str,
    /// Its topic, or the id of it where the connection did not show the name: another may.
    pub topic: Option<&'a str>,
    /// Its partition.
    pub partition: Option<i32>,
    /// Its offset; the broker gives it to what is produced.
    pub offset: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// The key, up to the body limit.
    pub key: Option<&'a [u8]>,
    /// The value, up to the body limit.
    pub value: Option<&'a [u8]>,
    /// Length of the key.
    pub key_bytes: Option<u64>,
    /// Length of the value.
    pub value_bytes: Option<u64>,
    headers: Option<&'a [u8]>,
    /// Compression of its batch.
    pub compression: &'static str,
    /// Producer, where it is idempotent.
    pub producer_id: Option<i64>,
    /// Whether brokers wrote it to mark the end of a transaction or a change of leader.
    pub control: bool,
}

impl<'a> Record<'a> {
    /// Names and values of its headers; none in the message formats that have no headers.
    pub fn headers(&self) -> Option<impl Iterator<Item = Header<'a>> + use<'a>> {
        self.headers.map(batch::headers)
    }

    /// The same record with other headers, as [`write_headers`] has them.
    pub fn with_headers<'b>(self, headers: Option<&'b [u8]>) -> Record<'b>
    where
        'a: 'b,
    {
        Record { headers, ..self }
    }
}

/// Ports brokers have at home: without and with SASL, and controllers.
const PORTS: &[u16] = &[9092, 9093, 9094, 19092];

/// The registry entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "kafka",
    cites: "Kafka protocol guide, \"Protocol Primitive Types\" to \"The Messages\"",
    ports: PORTS,
    over_tcp: true,
    over_udp: false,
    gives_way: false,
    unread_bytes_max: batches::UNREAD_BYTES_MAX,
    tables: &["kafka", "kafka_records"],
    detect,
    start: |start| Box::new(over_tcp::OverTcp::new(start)),
};

/// A request whose header and first fields are what the tables say; from a broker's port also a whole response.
fn detect(look: &Look<'_>) -> Detection {
    if look.datagram {
        return Detection::No;
    }
    match wire::probe_request(look.bytes) {
        Probe::Is => Detection::Yes(Some(Side::Client)),
        Probe::Perhaps => Detection::More,
        Probe::IsNot if !PORTS.contains(&look.from_port) => Detection::No,
        Probe::IsNot => match wire::probe_any_response(look.bytes) {
            Probe::Is => Detection::Yes(Some(Side::Server)),
            Probe::IsNot => Detection::No,
            Probe::Perhaps => Detection::More,
        },
    }
}

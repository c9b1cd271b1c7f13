mod losses;
mod messages;
mod properties;
mod records;

use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, Options, Row, Start};

/// "Fetch v4 7 complete [topics] request -> response" and then only what there is to say; records by themselves.
fn render(call: &Call, row: Row<'_>) -> String {
    let exchange = match row {
        Row::Kafka(exchange) => exchange,
        Row::KafkaRecord(record) => return render_record(record),
        other => panic!("{other:?}"),
    };
    let mut words = Vec::new();
    words.extend(exchange.api.map(|(key, version)| match exchange.api_name {
        Some(name) => format!("{name} v{version}"),
        None => format!("{key} v{version}"),
    }));
    words.push(exchange.correlation_id.to_string());
    words.push(call.pair.name().into());
    words.extend(exchange.client_id.clone().filter(|id| id != "me"));
    words.extend(
        Some(exchange.topics.join(" ")).filter(|topics| !topics.is_empty()).map(|topics| format!("[{topics}]")),
    );
    words.extend(exchange.group_id.as_ref().map(|group| format!("group {group}")));
    words.extend(exchange.records.map(|records| format!("{records} records")));
    words.extend(exchange.error_code.filter(|&code| code != 0).map(|code| registry::error(code).into_owned()));
    words.extend(exchange.request.clone());
    words.extend(exchange.response.as_ref().map(|response| format!("-> {response}")));
    if [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged) {
        words.push("damaged".into());
    }
    words.join(" ")
}

fn render_record(record: &Record<'_>) -> String {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut words =
        vec![format!("{} {}/{}", record.direction, record.topic.unwrap_or("?"), record.partition.unwrap_or(-1))];
    words.extend(record.offset.map(|offset| format!("@{offset}")));
    words.extend(record.timestamp_ms.map(|ms| format!("{ms}ms")));
    words.push(format!("{}={}", text(record.key).unwrap_or("-".into()), text(record.value).unwrap_or("-".into())));
    words.extend(record.value_bytes.filter(|&bytes| bytes > BODY_BYTES_MAX as u64).map(|bytes| format!("of {bytes}")));
    for (name, value) in record.headers().into_iter().flatten() {
        words.push(format!("{}:{}", text(name).unwrap_or("-".into()), text(value).unwrap_or("-".into())));
    }
    words.extend(Some(record.compression).filter(|&name| name != "none").map(str::to_owned));
    words.extend(record.producer_id.map(|id| format!("by {id}")));
    words.extend(record.control.then(|| "control".to_owned()));
    words.join(" ")
}

const BODY_BYTES_MAX: usize = 400;

fn start(from_start: bool) -> Start {
    let options = Options { body_bytes_max: BODY_BYTES_MAX };
    Start { options, from_start, datagram: false, server_port: 9092, multicast: false }
}

fn play_from(from_start: bool, steps: &[Step], render: fn(&Call, Row<'_>) -> String) -> Vec<String> {
    let mut dissector = over_tcp::OverTcp::new(&start(from_start));
    drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render).lines
}

fn play(steps: &[Step]) -> String {
    play_from(true, steps, render).join("\n")
}

fn joined(steps: &[Step]) -> String {
    play_from(false, steps, render).join("\n")
}

fn check(cases: &[(&str, Vec<Step>, &str)], play: fn(&[Step]) -> String) {
    for (name, steps, want) in cases {
        assert_eq!(play(steps), *want, "{name}");
        for size in [1, 7] {
            assert_eq!(play(&cut(steps, size)), *want, "{name}, in pieces of {size}");
        }
    }
}

/// Bytes of a message under construction.
#[derive(Default, Clone)]
struct Put(Vec<u8>);

fn put() -> Put {
    Put::default()
}

impl Put {
    fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }
    fn i8(self, number: i8) -> Self {
        self.raw(number.to_be_bytes())
    }
    fn i16(self, number: i16) -> Self {
        self.raw(number.to_be_bytes())
    }
    fn i32(self, number: i32) -> Self {
        self.raw(number.to_be_bytes())
    }
    fn i64(self, number: i64) -> Self {
        self.raw(number.to_be_bytes())
    }
    fn text(self, text: &str) -> Self {
        self.i16(text.len() as i16).raw(text)
    }
    /// A text of a flexible version.
    fn compact(self, text: &str) -> Self {
        self.i8(text.len() as i8 + 1).raw(text)
    }
    fn bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        self.i32(bytes.as_ref().len() as i32).raw(bytes)
    }
    /// A number in zigzag.
    fn var(mut self, number: i64) -> Self {
        let mut left = (number << 1 ^ number >> 63) as u64;
        while left > 0x7f {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
        self
    }
}

/// A request of a client called "me"; flexible versions have tags behind the name.
fn request(key: i16, version: i16, id: i32, body: Put) -> Vec<u8> {
    let flexible = schema::api(key).is_some_and(|api| api.request.flexible.contain(version));
    let header = put().i16(key).i16(version).i32(id).text("me").raw(if flexible { &b"\0"[..] } else { b"" });
    put().bytes(header.raw(body.0).0).0
}

fn asks(key: i16, version: i16, id: i32, body: Put) -> Step {
    client(request(key, version, id, body))
}

fn answers(id: i32, body: Put) -> Step {
    server(put().bytes(put().i32(id).raw(body.0).0).0)
}

/// A heartbeat, and its answer.
fn heartbeat(id: i32) -> Step {
    asks(12, 0, id, put().text("g").i32(1).text("m"))
}

const HEARTBEAT: &str = r#"complete group g {"group_id":"g","generation_id":1,"member_id":"m"} -> {"error_code":0}"#;

fn alive(id: i32) -> Step {
    answers(id, put().i16(0))
}

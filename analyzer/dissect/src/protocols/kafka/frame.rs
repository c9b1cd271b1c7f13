//! One message while it passes: header, then the body by its fields, then what is left of it.

use super::batches::{Batches, Found};
use super::body::Body;
use super::rows::{Asked, Rows};
use super::schema::{self, API_VERSIONS, Message};
use super::walk::{Event, Stuck, Walk};
use super::{Record, wire};
use crate::protocols::{Anomaly, Call, Row, Sink, Stamp};
use formats::bytes::Reader;

/// What a message is.
#[derive(Debug)]
pub enum Kind {
    Request(Asked),
    /// A response, with the request where that was seen; its body is not begun yet.
    Response {
        asked: Option<Asked>,
        correlation_id: i32,
    },
    /// One that is stepped over: of an authentication, or with a header that was lost.
    Unread,
}

/// One message.
#[derive(Debug)]
pub struct Frame {
    kind: Kind,
    /// Bytes that are still to come.
    left: u64,
    bytes: u64,
    /// Memory of the request, its own or the one it answers.
    asked_bytes: usize,
    stamp: Stamp,
    /// Where the body is; none where it is not read.
    walk: Option<Walk>,
    /// Whether a response's header was read up to its body.
    begun: bool,
    /// Whether the body is of a version the tables have.
    known: bool,
    batches: Option<Batches>,
    body: Body,
    body_bytes_max: usize,
    /// Whether all of the body was understood.
    whole: bool,
}

/// Unread bytes, and how many of them are done with.
pub struct Input<'a> {
    pub unread: &'a [u8],
    pub at: usize,
}

impl<'a> Input<'a> {
    /// What is not done with.
    pub fn rest(&self) -> &'a [u8] {
        self.unread.get(self.at..).unwrap_or_default()
    }
}

impl Frame {
    /// A message of `bytes` without its length, of which `left` are still to come.
    pub fn new(kind: Kind, (bytes, left): (u64, u64), stamp: Stamp, body_bytes_max: usize) -> Self {
        let asked = match &kind {
            Kind::Request(asked) | Kind::Response { asked: Some(asked), .. } => Some(asked),
            Kind::Response { asked: None, .. } | Kind::Unread => None,
        };
        Self {
            asked_bytes: asked.map_or(0, Asked::held_bytes),
            kind,
            left,
            bytes,
            stamp,
            walk: None,
            begun: false,
            known: false,
            batches: None,
            body: Body::new(body_bytes_max),
            body_bytes_max,
            whole: true,
        }
    }

    /// Has the body read as `message`.
    pub fn with_body(mut self, message: Option<(&'static Message, i16)>) -> Self {
        self.walk = message.map(|(message, version)| Walk::new(message, version));
        self.known = message.is_some();
        self.begun = true;
        self
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.asked_bytes + self.body.held_bytes()
    }

    /// Reads on; says how many unread bytes are wanted, or nothing at the end of the message.
    pub fn read(&mut self, input: &mut Input<'_>, rows: &mut Rows, out: &mut dyn Sink) -> Option<usize> {
        let from = input.at;
        let wanted = self.read_on(input, rows, out);
        if input.at > from {
            self.stamp.extend(out.stamp(from..input.at));
        }
        wanted
    }

    fn read_on(&mut self, input: &mut Input<'_>, rows: &mut Rows, out: &mut dyn Sink) -> Option<usize> {
        loop {
            let here = input.rest().len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let rest = input.rest().get(..here).unwrap_or_default();
            let before = input.at;
            let wanted = if let Some(batches) = self.batches.take() {
                self.batches(batches, rest, input, rows, out)
            } else if !self.begun {
                self.begin_response(rest, input)
            } else if let Some(walk) = self.walk.take() {
                self.fields(walk, rest, input, rows, out)
            } else {
                input.at += here;
                (here < self.left as usize).then_some(1)
            };
            self.left = self.left.saturating_sub((input.at - before) as u64);
            match wanted {
                Some(wanted) => return Some(wanted),
                None if self.left == 0 && self.walk.is_none() && self.batches.is_none() && self.begun => return None,
                None => {}
            }
        }
    }

    /// Reads what is between the correlation id of a response and its body.
    fn begin_response(&mut self, rest: &[u8], input: &mut Input<'_>) -> Option<usize> {
        let Kind::Response { asked: Some(asked), .. } = &self.kind else {
            self.begun = true;
            return None;
        };
        let (key, version) = asked.api();
        let mut reader = Reader::new(rest);
        match wire::response_header(&mut reader, self.left, key, version) {
            Err(Stuck::Wanted(missing)) => return Some(rest.len() + missing),
            Err(Stuck::Malformed) => self.whole = false,
            Ok(()) => {
                let mut version = version;
                // A broker that does not know the version answers in the first one (KIP-511).
                if key == API_VERSIONS {
                    match reader.rest() {
                        [0, 35, ..] => version = 0,
                        [] | [_] if self.left > rest.len() as u64 => return Some(rest.len() + 1),
                        _ => {}
                    }
                }
                let known = schema::api(key).filter(|api| api.response.versions.contain(version));
                self.walk = known.map(|api| Walk::new(&api.response, version));
                self.known = known.is_some();
            }
        }
        self.begun = true;
        input.at += reader.at();
        None
    }

    fn fields(
        &mut self,
        mut walk: Walk,
        rest: &[u8],
        input: &mut Input<'_>,
        rows: &mut Rows,
        out: &mut dyn Sink,
    ) -> Option<usize> {
        let mut reader = Reader::new(rest);
        loop {
            let room = self.left - reader.at() as u64;
            match walk.next(&mut reader, room) {
                Ok(Event::End) => {
                    if room > 0 {
                        self.odd("kafka_trailing_bytes", &format!("{room} bytes behind the body"), input, out);
                    }
                    input.at += reader.at();
                    return None;
                }
                Ok(Event::Records { name, bytes }) => {
                    self.batches = Some(Batches::new(name, bytes));
                    self.walk = Some(walk);
                    input.at += reader.at();
                    return None;
                }
                Ok(event) => {
                    self.body.event(&event, &mut rows.names);
                    rows.names.tell(out);
                }
                Err(Stuck::Wanted(missing)) => {
                    self.walk = Some(walk);
                    let left = rest.len() - reader.at();
                    input.at += reader.at();
                    return Some(left + missing);
                }
                Err(Stuck::Malformed) => {
                    self.whole = false;
                    let detail = format!("byte {} of the body does not fit the tables", walk.at());
                    self.odd("kafka_body_malformed", &detail, input, out);
                    input.at += reader.at();
                    return None;
                }
            }
        }
    }

    fn batches(
        &mut self,
        mut batches: Batches,
        rest: &[u8],
        input: &mut Input<'_>,
        rows: &Rows,
        out: &mut dyn Sink,
    ) -> Option<usize> {
        let mut at = 0;
        let wanted = batches.read(rest, &mut at, &mut |found| self.found(found, input, rows, out));
        input.at += at;
        if let Some(walk) = &mut self.walk {
            walk.stepped_over(at as u64);
        }
        match wanted {
            Some(_) => self.batches = Some(batches),
            None => self.body.records(batches.name, batches.bytes, batches.records),
        }
        wanted
    }

    /// Hands on what is found among records.
    fn found(&self, found: Found<'_>, input: &Input<'_>, rows: &Rows, out: &mut dyn Sink) {
        let record = match found {
            Found::Odd(kind, detail) => return self.odd(kind, &detail, input, out),
            Found::Record(record) => record,
        };
        let (direction, call) = match &self.kind {
            Kind::Request(asked) => ("produce", Call::new(Some(asked.stamp), None)),
            Kind::Response { asked, .. } => {
                ("fetch", Call::new(asked.as_ref().map(|asked| asked.stamp), Some(self.stamp)))
            }
            Kind::Unread => return,
        };
        let (topic, partition) = self.body.place(&rows.names);
        let bytes_max = self.body_bytes_max;
        let cut = |bytes: &'_ [u8]| bytes.len().min(bytes_max);
        let row = Record {
            direction,
            topic: topic.as_deref(),
            partition,
            offset: (direction == "fetch").then_some(record.offset),
            timestamp_ms: record.timestamp_ms.filter(|&ms| ms >= 0),
            key: record.key.filter(|_| bytes_max > 0).and_then(|key| key.get(..cut(key))),
            value: record.value.filter(|_| bytes_max > 0).and_then(|value| value.get(..cut(value))),
            key_bytes: record.key.map(|key| key.len() as u64),
            value_bytes: record.value_bytes,
            headers: record.headers,
            compression: record.codec.name(),
            producer_id: record.producer_id,
            control: record.control,
        };
        out.row(&call, Row::KafkaRecord(&row));
    }

    /// Takes note that `lost` bytes are missing behind the bytes at the front, the begin of something unfinished. Says
    /// whether the message goes on behind them.
    pub fn lose(&mut self, input: &Input<'_>, lost: u64, rows: &Rows, out: &mut dyn Sink) -> bool {
        let rest = input.rest();
        let gone = rest.len() as u64 + lost;
        let inside = gone <= self.left;
        if lost > 0 {
            self.stamp.lose();
        }
        self.whole = false;
        self.left = self.left.saturating_sub(gone);
        self.begun = true;
        match self.batches.take() {
            None => self.walk = None,
            Some(mut batches) => {
                let among_them = gone <= batches.left();
                batches.lose(rest, lost, &mut |found| self.found(found, input, rows, out));
                match &mut self.walk {
                    Some(walk) if among_them => walk.stepped_over(gone),
                    walk => *walk = None,
                }
                self.batches = Some(batches);
            }
        }
        inside
    }

    /// The message is over, or, where it is `cut`, as much of it as will be seen.
    pub fn end(mut self, cut: bool, rows: &mut Rows, out: &mut dyn Sink) {
        self.stamp.end_unseen |= cut;
        self.whole &= self.left == 0 && self.known;
        if let Some(batches) = self.batches.take() {
            self.body.records(batches.name, batches.bytes, batches.records);
        }
        let body = if self.known { self.body } else { Body::new(0) };
        match self.kind {
            Kind::Request(mut asked) => {
                asked.stamp = self.stamp;
                asked.lost |= cut;
                rows.request(asked, (body, self.whole), self.bytes, out);
            }
            Kind::Response { asked, correlation_id } => {
                let mut call = Call::new(asked.as_ref().map(|asked| asked.stamp), Some(self.stamp));
                if cut && asked.is_some() {
                    call = call.cut();
                }
                rows.response((asked, correlation_id), call, (body, self.whole), self.bytes, out);
            }
            Kind::Unread => {}
        }
    }

    /// Notes something odd about the bytes at the front.
    fn odd(&self, kind: &'static str, detail: &str, input: &Input<'_>, out: &mut dyn Sink) {
        let api = match &self.kind {
            Kind::Request(asked) | Kind::Response { asked: Some(asked), .. } => asked.exchange.api_name,
            _ => None,
        };
        let half = if matches!(self.kind, Kind::Request(_)) { "request" } else { "response" };
        let detail = format!("{} {half}: {detail}", api.unwrap_or("unknown"));
        out.anomaly(input.at..input.at, Anomaly::with(kind, detail));
    }
}

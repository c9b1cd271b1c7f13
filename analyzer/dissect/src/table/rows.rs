//! The rows that one thread makes, of all shards it has a turn with, until the writer takes them.

use super::call;
use super::packets::PacketRow;
use super::tables::{Tables, Wanted};
use super::topics::Topics;
use super::waiting::Lot;
use crate::decode::Found;
use crate::flow::{Flow, Way};
use crate::plan::{Origin, Plan};
use crate::protocols::grpc::Protos;
use crate::protocols::{Anomaly, Call, Output, Row, Stamp};
use crate::redact::{REDACTED, Redaction, Trace};
use std::sync::Arc;

/// Rank of the first row of a shard among those of the same time; each row that the shard makes has the next one. So
/// it does not matter which thread makes them.
pub fn first_rank(shard: usize) -> u64 {
    (shard as u64) << 48
}

/// Rows of all tables.
pub struct Rows {
    /// Rank of the next row.
    pub rank: u64,
    wanted: Wanted,
    origin: Origin,
    protos: Option<Protos>,
    redaction: Option<Arc<Redaction>>,
    captures: Vec<String>,
    tables: Tables,
    bytes: usize,
    /// Names of topics that rows may have by their ids.
    pub topics: Topics,
}

/// What a name and its value cost in a list, besides their texts.
const PAIR_BYTES: usize = 40;

impl Rows {
    /// No rows yet, of the tables the plan wants.
    pub fn new(plan: &Plan, origin: &Origin) -> Self {
        Self {
            rank: 0,
            wanted: Wanted::of(plan),
            origin: origin.clone(),
            protos: plan.protos.clone(),
            redaction: plan.redaction.clone(),
            captures: Vec::new(),
            tables: Tables::new(),
            bytes: 0,
            topics: Topics::default(),
        }
    }

    /// A further input begins.
    pub fn begin_capture(&mut self, name: &str) {
        self.captures.push(name.to_owned());
    }

    /// Rows gathered.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About as many bytes as they hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A flow that is over.
    pub fn flow(&mut self, flow: &Flow) {
        if self.wanted.flows {
            let capture = self.captures.get(flow.capture as usize).map_or("", String::as_str);
            let ts_ns = self.tables.flows.rows.append(flow, self.origin.node.as_deref(), capture);
            self.bytes += self.tables.flows.place(ts_ns, &mut self.rank);
        }
    }

    /// A frame.
    pub fn packet(&mut self, row: &PacketRow<'_>) {
        if !self.wanted.packets {
            return;
        }
        let capture = row.capture.map_or(self.captures.last(), |index| self.captures.get(index as usize));
        let ts_ns = self.tables.packets.rows.append(row, capture.map_or("", String::as_str));
        self.bytes += self.tables.packets.place(ts_ns, &mut self.rank);
    }

    /// When the packets of a call were on the wire.
    fn span(&mut self, flow: &Flow, client: Way, call: &Call) {
        let stamps = || [&call.request, &call.response].into_iter().flatten();
        let first_ns = stamps().map(|stamp| stamp.first_ns).min();
        let last_ns = stamps().map(|stamp| stamp.last_ns).max();
        let Some((first_ns, last_ns)) = first_ns.zip(last_ns).filter(|_| self.wanted.spans) else { return };
        self.tables.spans.rows.append(flow, call::id(flow, client, call), (first_ns, last_ns));
        self.bytes += self.tables.spans.place(first_ns, &mut self.rank);
    }

    /// Something odd that a room found in a flow, or outside of any.
    pub fn anomaly_of(
        &mut self,
        room: &'static str,
        flow: Option<&Flow>,
        ts_ns: Option<i64>,
        kind: &str,
        detail: &str,
        bytes: Option<u64>,
    ) {
        self.anomaly_in(room, (flow.map(|flow| flow.id), None), ts_ns, kind, detail, bytes);
    }

    /// The same in a flow and call of these ids.
    fn anomaly_in(
        &mut self,
        room: &'static str,
        (flow_id, call_id): (Option<i64>, Option<i64>),
        ts_ns: Option<i64>,
        kind: &str,
        detail: &str,
        bytes: Option<u64>,
    ) {
        if !self.wanted.anomalies {
            return;
        }
        let ts_ns = self.tables.anomalies.rows.append(room, (flow_id, call_id), ts_ns, kind, detail, bytes);
        self.bytes += self.tables.anomalies.place(ts_ns, &mut self.rank);
        self.bytes += detail.len();
    }

    /// Something odd that the decode room found.
    pub fn found(&mut self, found: &Found) {
        self.anomaly_of("decode", None, Some(found.ts_ns), found.kind, &found.detail, Some(found.bytes));
    }

    /// Everything gathered, by table; begins anew.
    pub fn take(&mut self) -> Vec<Lot> {
        self.bytes = 0;
        self.tables.take()
    }
}

impl Output for Rows {
    fn row(&mut self, flow: &Flow, client: Way, call: &Call, row: Row<'_>) {
        self.span(flow, client, call);
        let Some(redaction) = self.redaction.clone() else { return self.append(flow, client, call, row, None) };
        // What was hidden is told whether its table is made or not, as other anomalies are.
        if !self.wanted.anomalies && !self.wants(&row) {
            return;
        }
        let (mut trace, mut of_messages) = (Trace::default(), Trace::default());
        redaction.row(row, &mut trace, &mut |row| {
            let messages = match row {
                Row::Grpc(carried) => Some(redaction.messages(carried, self.protos.as_ref(), &mut of_messages)),
                _ => None,
            };
            self.append(flow, client, call, row, messages);
        });
        let ids = (Some(flow.id), Some(call::id(flow, client, call)));
        for (kind, detail) in redaction.told(&trace).chain(redaction.told(&of_messages)) {
            self.anomaly_in("redact", ids, Some(call::start_ns(flow, call)), kind, &detail, None);
        }
    }

    fn topic(&mut self, id: [u8; 16], name: &str) {
        self.topics.learn(id, name);
    }

    fn anomaly(&mut self, flow: &Flow, stamp: &Stamp, anomaly: Anomaly) {
        // Details may quote what was sent, and no rule can tell.
        let detail = if self.redaction.is_some() && !anomaly.detail.is_empty() { REDACTED } else { &anomaly.detail };
        let bytes = Some(stamp.bytes);
        self.anomaly_of("protocols", Some(flow), Some(stamp.first_ns), anomaly.kind, detail, bytes);
    }
}

impl Rows {
    /// Whether a row is one of a table that is made.
    fn wants(&self, row: &Row<'_>) -> bool {
        match row {
            Row::Amqp(_) => self.wanted.amqp,
            Row::Dns(_) => self.wanted.dns,
            Row::Graphql(_) => self.wanted.graphql,
            Row::Grpc(_) => self.wanted.grpc,
            Row::Http(_) => self.wanted.http,
            Row::Kafka(_) => self.wanted.kafka,
            Row::KafkaRecord(_) => self.wanted.kafka_records,
            Row::Redis(_) => self.wanted.redis,
            Row::Tls(_) => self.wanted.tls,
            #[cfg(test)]
            Row::Echo(_) => false,
        }
    }

    /// Appends a row to its table. `messages` are those of a gRPC call as JSON, where they are not as sent.
    fn append(&mut self, flow: &Flow, client: Way, call: &Call, row: Row<'_>, messages: Option<[Option<String>; 2]>) {
        let node = self.origin.node.as_deref();
        match row {
            Row::Amqp(message) if self.wanted.amqp => {
                let ts_ns = self.tables.amqp.rows.append(flow, client, call, message, node);
                self.bytes += self.tables.amqp.place(ts_ns, &mut self.rank);
                self.bytes += message.held_bytes();
            }
            Row::Dns(exchange) if self.wanted.dns => {
                let ts_ns = self.tables.dns.rows.append(flow, client, call, exchange, node);
                self.bytes += self.tables.dns.place(ts_ns, &mut self.rank);
                let messages = [&exchange.query, &exchange.answer].into_iter().flatten();
                self.bytes += messages.map(|(message, _)| message.held_bytes()).sum::<usize>();
            }
            Row::Graphql(operation) if self.wanted.graphql => {
                let ts_ns = self.tables.graphql.rows.append(flow, client, call, operation, node);
                self.bytes += self.tables.graphql.place(ts_ns, &mut self.rank);
                self.bytes += operation.held_bytes();
            }
            Row::Grpc(carried) if self.wanted.grpc => {
                let json = messages.unwrap_or_else(|| carried.json(self.protos.as_ref(), &mut |_, _| true));
                let texts = json.iter().flatten().map(String::len).sum::<usize>();
                let asked = [&carried.exchange().path, &carried.exchange().host].into_iter().flatten();
                let trailers = carried.exchange().response.as_ref().map_or(0, |message| message.trailers.held_bytes());
                self.bytes += texts + asked.map(Vec::len).sum::<usize>() + trailers;
                let ts_ns = self.tables.grpc.rows.append(flow, client, call, carried, json, node);
                self.bytes += self.tables.grpc.place(ts_ns, &mut self.rank);
            }
            Row::Http(exchange) if self.wanted.http => {
                let ts_ns = self.tables.http.rows.append(flow, client, call, exchange, node);
                self.bytes += self.tables.http.place(ts_ns, &mut self.rank);
                let messages = [&exchange.request, &exchange.response].into_iter().flatten();
                let fields = messages.map(|message| message.headers.len() + message.trailers.len()).sum::<usize>();
                self.bytes += exchange.shown_bytes() + fields * PAIR_BYTES;
            }
            Row::Kafka(exchange) if self.wanted.kafka => {
                let ts_ns = self.tables.kafka.rows.append(flow, client, call, exchange, node);
                self.bytes += self.tables.kafka.place(ts_ns, &mut self.rank);
                self.bytes += exchange.held_bytes();
            }
            Row::KafkaRecord(record) if self.wanted.kafka_records => {
                let ts_ns = self.tables.kafka_records.rows.append(flow, client, call, record, node);
                self.bytes += self.tables.kafka_records.place(ts_ns, &mut self.rank);
                let blobs = [record.topic.map(str::as_bytes), record.key, record.value].into_iter().flatten();
                let headers = record.headers().into_iter().flatten();
                let headers = headers.map(|(name, value)| {
                    PAIR_BYTES + [name, value].into_iter().flatten().map(<[u8]>::len).sum::<usize>()
                });
                self.bytes += blobs.map(<[u8]>::len).sum::<usize>() + headers.sum::<usize>();
            }
            Row::Redis(exchange) if self.wanted.redis => {
                let ts_ns = self.tables.redis.rows.append(flow, client, call, exchange, node);
                self.bytes += self.tables.redis.place(ts_ns, &mut self.rank);
                self.bytes += exchange.held_bytes();
            }
            Row::Tls(handshake) if self.wanted.tls => {
                let ts_ns = self.tables.tls.rows.append(flow, client, call, handshake, node);
                self.bytes += self.tables.tls.place(ts_ns, &mut self.rank);
                self.bytes += handshake.held_bytes();
            }
            _ => {}
        }
    }
}

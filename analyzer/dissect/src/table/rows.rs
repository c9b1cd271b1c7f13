//! The rows that one thread makes, of all shards it has a turn with, until the writer takes them.

use super::amqp::AmqpRows;
use super::builders::{BigInt, Int, Text, Time, columns};
use super::call;
use super::dns::DnsRows;
use super::flows::FlowRows;
use super::graphql::GraphqlRows;
use super::grpc::GrpcRows;
use super::http::HttpRows;
use super::kafka::{KafkaRecordRows, KafkaRows};
use super::redis::RedisRows;
use super::schema::{row_bytes, schema_of_views};
use super::tls::TlsRows;
use super::topics::Topics;
use super::waiting::{Lot, Order};
use crate::decode::{Found, Packet, Transport};
use crate::flow::{Flow, Way};
use crate::plan::{Origin, Plan};
use crate::protocols::grpc::Protos;
use crate::protocols::{Anomaly, Call, Output, Row, Stamp};
use crate::read::Frame;
use crate::redact::{REDACTED, Redaction, Trace};
use arrow::array::ArrayRef;
use std::sync::Arc;

columns! {
    /// Rows of `anomalies`.
    AnomalyColumns {
        ts: Time,
        flow_id: BigInt,
        call_id: BigInt,
        room: Text,
        kind: Text,
        detail: Text,
        bytes: BigInt,
    }
}

columns! {
    /// Rows of `packets`.
    PacketColumns {
        packet: BigInt,
        ts: Time,
        ts_ns: BigInt,
        capture: Text,
        file_offset: BigInt,
        captured_bytes: BigInt,
        wire_bytes: BigInt,
        flow_id: BigInt,
        direction: Text,
        tcp_flags: Text,
        tcp_seq: BigInt,
        payload_bytes: BigInt,
        interface: Int,
    }
}

columns! {
    /// Rows of `spans`.
    SpanColumns {
        call_id: BigInt,
        flow_id: BigInt,
        first_ts_ns: BigInt,
        last_ts_ns: BigInt,
    }
}

/// A frame, and the packet of a flow it held, where it did.
pub struct PacketRow<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// Its packet, with the flow.
    pub packet: Option<(&'a Packet, &'a Flow)>,
    /// Index of its capture, where it may be an earlier one.
    pub capture: Option<u32>,
}

/// Rank of the first row of a shard among those of the same time; each row that the shard makes has the next one. So
/// it does not matter which thread makes them.
pub fn first_rank(shard: usize) -> u64 {
    (shard as u64) << 48
}

/// Rows of one table, with their order.
struct Table<T> {
    rows: T,
    order: Vec<Order>,
    row_bytes: usize,
}

impl<T: Default> Table<T> {
    fn new(name: &str) -> Self {
        let row_bytes = formats::tables::table(name).map_or(0, row_bytes) + size_of::<Order>();
        Self { rows: T::default(), order: Vec::new(), row_bytes }
    }

    /// Notes where the row that was appended belongs. Says what it costs, besides its texts.
    #[must_use]
    fn place(&mut self, ts_ns: i64, rank: &mut u64) -> usize {
        self.order.push((ts_ns, *rank));
        *rank += 1;
        self.row_bytes
    }
}

/// Declares the tables, by name: each grows by a row at a time.
macro_rules! tables {
    ($($table:ident: $rows:ty),* $(,)?) => {
        /// The tables under construction.
        struct Tables { $($table: Table<$rows>),* }

        /// Which of them are made.
        struct Wanted { $($table: bool),* }

        impl Wanted {
            fn of(plan: &Plan) -> Self {
                Self { $($table: plan.tables.contains(stringify!($table))),* }
            }
        }

        impl Tables {
            fn new() -> Self {
                Self { $($table: Table::new(stringify!($table))),* }
            }

            fn len(&self) -> usize {
                0 $(+ self.$table.order.len())*
            }

            fn take(&mut self) -> Vec<Lot> {
                let lots = [$(lot(stringify!($table), &mut self.$table.order, self.$table.rows.build())),*];
                lots.into_iter().flatten().collect()
            }

            #[cfg(test)]
            fn names(&self) -> Vec<(&'static str, Vec<&'static str>)> {
                vec![$((stringify!($table), self.$table.rows.names())),*]
            }
        }
    };
}
tables! {
    amqp: AmqpRows,
    anomalies: AnomalyColumns,
    dns: DnsRows,
    flows: FlowRows,
    graphql: GraphqlRows,
    grpc: GrpcRows,
    http: HttpRows,
    kafka: KafkaRows,
    kafka_records: KafkaRecordRows,
    packets: PacketColumns,
    redis: RedisRows,
    tls: TlsRows,
    spans: SpanColumns,
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
        let (frame, to) = (row.frame, &mut self.tables.packets.rows);
        to.packet.append_value(frame.number as i64);
        to.ts.append_ns(frame.ts_ns);
        to.ts_ns.append_value(frame.ts_ns);
        let capture = row.capture.map_or(self.captures.last(), |index| self.captures.get(index as usize));
        to.capture.append_value(capture.map_or("", String::as_str));
        to.file_offset.append_value(frame.file_offset as i64);
        to.captured_bytes.append_value(frame.captured_bytes.into());
        to.wire_bytes.append_value(frame.wire_bytes.into());
        to.flow_id.append_option(row.packet.map(|(_, flow)| flow.id));
        let direction = |(packet, flow): (&Packet, &Flow)| {
            if Way::of(packet.from_low) == flow.client() { "client" } else { "server" }
        };
        to.direction.append_option(row.packet.map(direction));
        let tcp = row.packet.and_then(|(packet, _)| match packet.transport {
            Transport::Tcp(header) => Some(header),
            _ => None,
        });
        to.tcp_flags.append_option(tcp.map(|header| flag_letters(header.flags)));
        to.tcp_seq.append_option(tcp.map(|header| header.seq.into()));
        let whole = row.packet.filter(|(packet, _)| packet.piece_of.is_none());
        to.payload_bytes.append_option(whole.map(|(packet, _)| packet.payload_bytes.into()));
        to.interface.append_value(frame.interface as i32);
        self.bytes += self.tables.packets.place(frame.ts_ns, &mut self.rank);
    }

    /// When the packets of a call were on the wire.
    fn span(&mut self, flow: &Flow, client: Way, call: &Call) {
        let stamps = || [&call.request, &call.response].into_iter().flatten();
        let first_ns = stamps().map(|stamp| stamp.first_ns).min();
        let last_ns = stamps().map(|stamp| stamp.last_ns).max();
        let Some((first_ns, last_ns)) = first_ns.zip(last_ns).filter(|_| self.wanted.spans) else { return };
        let to = &mut self.tables.spans.rows;
        to.call_id.append_value(call::id(flow, client, call));
        to.flow_id.append_value(flow.id);
        to.first_ts_ns.append_value(first_ns);
        to.last_ts_ns.append_value(last_ns);
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
        let to = &mut self.tables.anomalies.rows;
        to.ts.append_option_ns(ts_ns);
        to.flow_id.append_option(flow_id);
        to.call_id.append_option(call_id);
        to.room.append_value(room);
        to.kind.append_value(kind);
        to.detail.append_option((!detail.is_empty()).then_some(detail));
        to.bytes.append_option(bytes.map(|bytes| bytes as i64));
        self.bytes += self.tables.anomalies.place(ts_ns.unwrap_or_default(), &mut self.rank);
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

fn lot(table: &'static str, order: &mut Vec<Order>, columns: Vec<ArrayRef>) -> Option<Lot> {
    if order.is_empty() {
        return None;
    }
    let schema = schema_of_views(formats::tables::table(table)?);
    let batch = arrow::record_batch::RecordBatch::try_new(schema, columns);
    let batch = batch.unwrap_or_else(|error| unreachable!("{table}: columns differ from the contract: {error}"));
    Some(Lot { table, batch, order: std::mem::take(order) })
}

/// The flags that are set, as letters in the order of the header.
fn flag_letters(flags: u8) -> String {
    let letters = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];
    letters.iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::{CaptureColumns, CoverageColumns};
    use super::*;

    #[test]
    fn the_columns_stand_in_the_order_of_the_contract() {
        let mut tables = Tables::new().names();
        tables.push(("captures", CaptureColumns::default().names()));
        tables.push(("coverage", CoverageColumns::default().names()));
        for (table, names) in tables {
            let contract: Vec<_> = formats::tables::table(table).unwrap().columns().map(|column| column.name).collect();
            assert_eq!(names, contract, "{table}");
        }
    }
}

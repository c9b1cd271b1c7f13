//! The `kafka` and `kafka_records` tables.

use super::builders::{BigInt, Blob, Boolean, Int, Pairs, Text, TextList, Time, columns, groups};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::kafka::{Exchange, Record, registry};

columns! {
    /// What `kafka` has beyond the common columns.
    Columns {
        api_key: Int,
        api: Text,
        api_version: Int,
        correlation_id: Int,
        client_id: Text,
        topics: TextList,
        group_id: Text,
        records: BigInt,
        error_code: Int,
        error: Text,
        request: Text,
        response: Text,
        request_bytes: BigInt,
        response_bytes: BigInt,
    }
}

groups! {
    /// Rows of `kafka`.
    KafkaRows {
        common: Common,
        columns: Columns,
    }
}

impl KafkaRows {
    /// Appends an exchange; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, exchange: &Exchange, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.api_key.append_option(exchange.api.map(|(key, _)| key.into()));
        to.api.append_option(exchange.api_name);
        to.api_version.append_option(exchange.api.map(|(_, version)| version.into()));
        to.correlation_id.append_value(exchange.correlation_id);
        to.client_id.append_option(exchange.client_id.as_deref());
        to.topics.append_option(exchange.topics_known.then(|| exchange.topics.iter().map(String::as_str)));
        to.group_id.append_option(exchange.group_id.as_deref());
        to.records.append_option(exchange.records.map(|records| records as i64));
        to.error_code.append_option(exchange.error_code.map(i32::from));
        to.error.append_option(exchange.error_code.map(registry::error));
        to.request.append_option(exchange.request.as_deref());
        to.response.append_option(exchange.response.as_deref());
        to.request_bytes.append_option(exchange.request_bytes.map(|bytes| bytes as i64));
        to.response_bytes.append_option(exchange.response_bytes.map(|bytes| bytes as i64));
        ts_ns
    }
}

columns! {
    /// What `kafka_records` has beyond the common columns.
    RecordColumns {
        direction: Text,
        topic: Text,
        partition: Int,
        offset: BigInt,
        record_ts: Time,
        key: Blob,
        value: Blob,
        key_bytes: BigInt,
        value_bytes: BigInt,
        headers: Pairs,
        compression: Text,
        producer_id: BigInt,
        control: Boolean,
    }
}

groups! {
    /// Rows of `kafka_records`.
    KafkaRecordRows {
        common: Common,
        columns: RecordColumns,
    }
}

impl KafkaRecordRows {
    /// Appends a record; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, record: &Record<'_>, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.direction.append_value(record.direction);
        to.topic.append_option(record.topic);
        to.partition.append_option(record.partition);
        to.offset.append_option(record.offset);
        to.record_ts.append_option_ns(record.timestamp_ms.and_then(|ms| ms.checked_mul(1_000_000)));
        to.key.append_option(record.key);
        to.value.append_option(record.value);
        to.key_bytes.append_option(record.key_bytes.map(|bytes| bytes as i64));
        to.value_bytes.append_option(record.value_bytes.map(|bytes| bytes as i64));
        to.headers.append(record.headers());
        to.compression.append_value(record.compression);
        to.producer_id.append_option(record.producer_id);
        to.control.append_value(record.control);
        ts_ns
    }
}

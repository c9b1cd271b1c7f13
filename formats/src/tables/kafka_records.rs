use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "kafka_records",
    row: "a record produced to Kafka or fetched from it; call_id is that of the request's row in kafka. Records produced are handed on before the response is seen: their pair is 'request_only'",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const FORMAT: &str = "Kafka message format";

const COLUMNS: &[Column] = &[
    column("direction", Text, "'produce' or 'fetch'.").source("Kafka protocol guide"),
    column(
        "topic",
        Text,
        "Topic: its name, or its id in base64 where nobody showed the name before the row was written.",
    )
    .null("a gap took it")
    .source("Kafka protocol guide")
    .looked_up(),
    column("partition", Int, "Partition.").null("not seen").source("Kafka protocol guide"),
    column("offset", BigInt, "Offset in the partition.").null("produced: the broker gives it").source(FORMAT),
    column("record_ts", Timestamp, "Time of the record: of its creation, or of its arrival where the topic says so.")
        .unit("µs, UTC")
        .null("message format 0, or none set")
        .source(FORMAT),
    column("key", Blob, "Key, up to the body limit.")
        .null("none, or bodies were not asked for")
        .source(FORMAT)
        .looked_up(),
    column("value", Blob, "Value, up to the body limit.").null("none, or bodies were not asked for").source(FORMAT),
    column("key_bytes", BigInt, "Length of the key.").unit("bytes").null("none").source(FORMAT),
    column("value_bytes", BigInt, "Length of the value.").unit("bytes").null("none").source(FORMAT),
    column("headers", Pairs, "Headers; the value of one may be NULL.")
        .null("a message format without headers")
        .source(FORMAT),
    column("compression", Text, "Compression of its batch: 'none', 'gzip', 'snappy', 'lz4' or 'zstd'.").source(FORMAT),
    column("producer_id", BigInt, "Producer.").null("neither idempotent nor transactional").source(FORMAT),
    column("control", Boolean, "Whether a broker wrote it, as marker of a transaction's end for example.")
        .source(FORMAT),
];

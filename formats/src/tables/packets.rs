use super::{Column, Kind::*, Table, column};

pub(super) const TABLE: Table = Table { name: "packets", row: "a frame", on_request: true, groups: &[COLUMNS] };

const COLUMNS: &[Column] = &[
    column("packet", BigInt, "Number of the frame in its capture, from 1.").source("read room"),
    column(
        "ts",
        Timestamp,
        "Capture time; where its record has none, that of the frame before, or of the first behind it that has one: \
         1970-01-01 where nothing near has.",
    )
    .unit("µs, UTC")
    .source("capture time"),
    column("ts_ns", BigInt, "Capture time with all its digits.").unit("ns since the Unix epoch").source("capture time"),
    column("capture", Text, "The capture.").source("read room"),
    column("file_offset", BigInt, "Where its record begins in the capture, decompressed.")
        .unit("bytes")
        .source("read room"),
    column("captured_bytes", BigInt, "Bytes kept.").unit("bytes").source("read room"),
    column("wire_bytes", BigInt, "Bytes on the wire.").unit("bytes").source("read room"),
    column("flow_id", BigInt, "The flow it belongs to.").null("no flow").source("flow room").looked_up(),
    column("direction", Text, "Who sent it: 'client' or 'server'.").null("no flow").source("flow room"),
    column("tcp_flags", Text, "TCP flags as letters, such as 'SA' or 'PA'.").null("not TCP").source("RFC 9293 §3.1"),
    column("tcp_seq", BigInt, "TCP sequence number.").null("not TCP").source("RFC 9293 §3.1"),
    column("payload_bytes", BigInt, "Payload of the transport as captured.")
        .unit("bytes")
        .null("no flow, or a fragment: the one that made its datagram whole has all of its")
        .source("decode room"),
    column("interface", Int, "Number of its interface, counted from 0 over all sections of the capture.")
        .source("read room"),
];

use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "spans",
    row: "when the packets of a call were on the wire: what leads from a row back to its packets",
    on_request: true,
    groups: &[common::CALL_ID, common::FLOW_ID, COLUMNS],
};

const COLUMNS: &[Column] = &[
    column("first_ts_ns", BigInt, "Time of the packet with its first byte, as in `packets.ts_ns`.")
        .unit("ns since the Unix epoch")
        .source("capture time"),
    column("last_ts_ns", BigInt, "Time of the packet with its last byte, as in `packets.ts_ns`.")
        .unit("ns since the Unix epoch")
        .source("capture time"),
];

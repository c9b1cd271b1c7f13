//! The `anomalies` table.

use super::builders::{BigInt, Text, Time, columns};

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

impl AnomalyColumns {
    /// Appends what a room found in a flow and call of these ids, where it is of any; returns the time it is ordered by [ns].
    pub fn append(
        &mut self,
        room: &'static str,
        (flow_id, call_id): (Option<i64>, Option<i64>),
        ts_ns: Option<i64>,
        kind: &str,
        detail: &str,
        bytes: Option<u64>,
    ) -> i64 {
        self.ts.append_option_ns(ts_ns);
        self.flow_id.append_option(flow_id);
        self.call_id.append_option(call_id);
        self.room.append_value(room);
        self.kind.append_value(kind);
        self.detail.append_option((!detail.is_empty()).then_some(detail));
        self.bytes.append_option(bytes.map(|bytes| bytes as i64));
        ts_ns.unwrap_or_default()
    }
}

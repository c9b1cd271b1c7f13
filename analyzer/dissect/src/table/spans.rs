//! The `spans` table.

use super::builders::{BigInt, columns};
use crate::flow::Flow;

columns! {
    /// Rows of `spans`.
    SpanColumns {
        call_id: BigInt,
        flow_id: BigInt,
        first_ts_ns: BigInt,
        last_ts_ns: BigInt,
    }
}

impl SpanColumns {
    /// Appends when the packets of a call were on the wire: the first and the last of them [ns].
    pub fn append(&mut self, flow: &Flow, call_id: i64, (first_ns, last_ns): (i64, i64)) {
        self.call_id.append_value(call_id);
        self.flow_id.append_value(flow.id);
        self.first_ts_ns.append_value(first_ns);
        self.last_ts_ns.append_value(last_ns);
    }
}

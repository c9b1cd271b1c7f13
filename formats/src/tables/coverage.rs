use super::{Column, Kind::*, Table, column};

pub(super) const TABLE: Table = Table {
    name: "coverage",
    row: "where packets and bytes went, per capture and reason",
    on_request: false,
    groups: &[COLUMNS],
};

const COLUMNS: &[Column] = &[
    column("capture", Text, "The capture; close.json for a recording that has ended and none of whose packets are there.").source("read room"),
    column("node", Text, "Node that recorded it.").null("not from a store").source("seal"),
    column("recording", Text, "Recording it belongs to.").null("not from a store").source("seal"),
    column("stage", Text, "Where: 'kernel', 'ring', 'filter', 'disk', 'upload' from the seals, 'clock' for each time it was set (no packet is lost by that), and 'store' of what was sealed and is not there, or could not be read; 'read', 'decode', 'flow', 'stream', 'protocol' from the analyzer, whose sums are what was read. 'read' has what gave no packet: damage, which captures.damage tells one by one, and blocks of unknown type.").source("seal, analyzer"),
    column("reason", Text, "What became of them.").source("seal, analyzer"),
    column("packets", BigInt, "Packets: the recorder's that did not come into the capture, 0 where a stage lost none; each packet read stands in one row of the analyzer's.").null("nobody counted them: no ring was open, or the recorder died before it wrote them").source("seal, analyzer"),
    column("bytes", BigInt, "Captured bytes; each byte read stands in one row of the analyzer's, together captures.bytes.").unit("bytes").null("the recorder only knows packets").source("seal, analyzer"),
    column("target", Text, "Target whose packets were lost, as the names of its interfaces begin; the row without one has the rest.").null("all targets, or it is not known").source("seal"),
];

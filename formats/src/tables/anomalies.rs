use super::{Column, Kind::*, Table, column};

pub(super) const TABLE: Table =
    Table { name: "anomalies", row: "something odd", on_request: false, groups: &[COLUMNS] };

const COLUMNS: &[Column] = &[
    column("ts", Timestamp, "Time of the packet that showed it.")
        .unit("µs, UTC")
        .null("it has no time, as damage of a file")
        .source("capture time"),
    column("flow_id", BigInt, "The flow it was seen in.").null("no flow").source("flow room").looked_up(),
    column("call_id", BigInt, "The call it belongs to.").null("no call").source("protocols room").looked_up(),
    column("room", Text, "The room that found it: 'read', 'decode', 'flow', 'stream', 'protocols' or 'redact'.")
        .source("analyzer"),
    column(
        "kind",
        Text,
        "What it is, such as 'overlap_differs' or 'http1_length_conflict'. Of the room 'redact': 'redacted' where values \
         were hidden, 'left_out' where a rule could not be applied to what is there, and all of it was hidden.",
    )
        .source("analyzer")
        .looked_up(),
    column(
        "detail",
        Text,
        "What exactly was seen. Of the room 'redact': name of the rule, and how often it hid something in which column.",
    )
    .null("the kind says it all").source("analyzer"),
    column("bytes", BigInt, "How many bytes it concerns.").unit("bytes").null("does not apply").source("analyzer"),
];

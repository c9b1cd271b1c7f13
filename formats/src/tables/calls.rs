use super::{Column, Kind::*, Table, column, common};

pub(super) const VIEW: Table = Table {
    name: "calls",
    row: "any request in any protocol, with its answer",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, PROTOCOL, common::ENDS, COLUMNS, common::CALL_STATE],
};

const TABLE_OF_PROTOCOL: &str = "the protocol's table";

const PROTOCOL: &[Column] =
    &[column("protocol", Text, "The table that has the rest of it, by `call_id`.").source(TABLE_OF_PROTOCOL)];

const COLUMNS: &[Column] = &[
    column("operation", Text, "What was asked for, such as 'GET /cart' or 'A example.org'.")
        .null("the request was not seen")
        .source(TABLE_OF_PROTOCOL),
    column("status", Text, "The answer in the protocol's own words, such as '404' or 'NXDOMAIN'.")
        .null("the response was not seen")
        .source(TABLE_OF_PROTOCOL),
    column("ok", Boolean, "Whether the answer says it worked.")
        .null("the response was not seen")
        .source(TABLE_OF_PROTOCOL),
    column("request_bytes", BigInt, "Bytes asked with: the body as sent, of DNS the message.")
        .unit("bytes")
        .null("the request was not seen")
        .source(TABLE_OF_PROTOCOL),
    column("response_bytes", BigInt, "Bytes answered with: the body as sent, of DNS the message.")
        .unit("bytes")
        .null("the response was not seen")
        .source(TABLE_OF_PROTOCOL),
];

use super::{Column, Kind::*, Table, column, common};

pub(super) const VIEW: Table = Table {
    name: "calls",
    row: "any request in any protocol, with its answer: once, by the most specific protocol that has it",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, PROTOCOL, common::ENDS, COLUMNS, common::CALL_STATE],
};

const TABLE_OF_PROTOCOL: &str = "the protocol's table";

const PROTOCOL: &[Column] = &[column(
    "protocol",
    Text,
    "The table that has the rest of it, by `call_id`: of a gRPC or GraphQL call theirs, not that of the HTTP exchange around it.",
)
.source(TABLE_OF_PROTOCOL)];

const COLUMNS: &[Column] = &[
    column(
        "operation",
        Text,
        "What was asked for: 'GET /cart', '/pkg.Svc/Method', 'query Cart', 'A example.org', 'Produce orders', 'publish orders.created', 'GET user:1', 'handshake example.org'.",
    )
    .null("the request was not seen")
    .source(TABLE_OF_PROTOCOL),
    column(
        "status",
        Text,
        "The answer in the protocol's own words, such as '404', 'NOT_FOUND', 'NXDOMAIN', 'WRONGTYPE', 'ack'; 'OK' where a protocol has no word for it.",
    )
    .null("the response was not seen, or none is due")
    .source(TABLE_OF_PROTOCOL),
    column("ok", Boolean, "Whether the answer says it worked.")
        .null("the response was not seen, or none is due")
        .source(TABLE_OF_PROTOCOL),
    column("request_bytes", BigInt, "Bytes asked with: of HTTP the body as sent, else the message.")
        .unit("bytes")
        .null("the request was not seen, or the protocol does not count them")
        .source(TABLE_OF_PROTOCOL),
    column("response_bytes", BigInt, "Bytes answered with: of HTTP the body as sent, else the message.")
        .unit("bytes")
        .null("the response was not seen, or the protocol does not count them")
        .source(TABLE_OF_PROTOCOL),
];

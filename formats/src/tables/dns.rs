use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "dns",
    row: "a query with its answer",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NO_RESPONSE: &str = "the answer was not seen, or not as far as that";

const COLUMNS: &[Column] = &[
    column("transport", Text, "'udp', 'tcp', 'mdns' or 'llmnr'.").source("RFC 1035 §4.2, RFC 6762, RFC 4795"),
    column("id", Int, "Message id.").source("RFC 1035 §4.1.1"),
    column("opcode", Text, "Kind of query by its registry name.").source("RFC 6895 §2.2"),
    column("qname", Text, "Name asked for, as sent, without the last dot. Of several questions in one message the first; the others stand in `anomalies`.")
        .null("the message has no question")
        .source("RFC 1035 §4.1.2")
        .looked_up(),
    column("qtype", Text, "Type asked for by its registry name, TYPE<n> where it has none.")
        .null("the message has no question")
        .source("RFC 6895 §3.1"),
    column("qclass", Text, "Class asked for by its registry name.")
        .null("the message has no question")
        .source("RFC 6895 §3.2"),
    column("rcode", Text, "Response code by its registry name, extended by OPT.")
        .null(NO_RESPONSE)
        .source("RFC 6895 §2.3"),
    column("authoritative", Boolean, "AA of the answer.").null(NO_RESPONSE).source("RFC 1035 §4.1.1"),
    column("truncated", Boolean, "TC of the answer.").null(NO_RESPONSE).source("RFC 1035 §4.1.1"),
    column("recursion_desired", Boolean, "RD of the query, or of the answer where no query was seen.")
        .source("RFC 1035 §4.1.1"),
    column("recursion_available", Boolean, "RA of the answer.").null(NO_RESPONSE).source("RFC 1035 §4.1.1"),
    column("authentic", Boolean, "AD of the answer.").null(NO_RESPONSE).source("RFC 4035 §3.2.3"),
    column("answers", Records, "Answer section.").null(NO_RESPONSE).source("RFC 1035 §4.1.3"),
    column("authorities", Records, "Authority section.").null(NO_RESPONSE).source("RFC 1035 §4.1.3"),
    column("additionals", Records, "Additional section, OPT among it.")
        .null(NO_RESPONSE)
        .source("RFC 1035 §4.1.3, RFC 6891 §6.1"),
    column("answer_count", Int, "Records the answer section was said to have.")
        .null(NO_RESPONSE)
        .source("RFC 1035 §4.1.1"),
    column("request_bytes", BigInt, "Length of the query.")
        .unit("bytes")
        .null("the query was not seen")
        .source("RFC 1035 §4.2"),
    column("response_bytes", BigInt, "Length of the answer.").unit("bytes").null(NO_RESPONSE).source("RFC 1035 §4.2"),
    column("repeats", Int, "How often the same query was sent again before it was answered.").source("protocols room"),
];

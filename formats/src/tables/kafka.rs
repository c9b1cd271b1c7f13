use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "kafka",
    row: "a Kafka request with its response",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NO_REQUEST: &str = "the request was not seen";
const NO_RESPONSE: &str = "the response was not seen";
const GUIDE: &str = "Kafka protocol guide";

const COLUMNS: &[Column] = &[
    column("api_key", Int, "What is asked for.").null(NO_REQUEST).source(GUIDE),
    column("api", Text, "Name of the key: 'Produce', 'Fetch', 'Metadata'.")
        .null("the request was not seen, or the key has no name")
        .source(GUIDE)
        .looked_up(),
    column("api_version", Int, "Version of request and response.").null(NO_REQUEST).source(GUIDE),
    column("correlation_id", Int, "What a response has in common with its request.").source(GUIDE),
    column("client_id", Text, "What the client calls itself.")
        .null("the request was not seen, or says none")
        .source(GUIDE)
        .looked_up(),
    column("topics", TextList, "Topics named in the request, then further ones of the response: names, or ids in base64 where nobody showed the name before the row was written; at most 256.")
        .null("not all of them are known: the request was not read to its end, or is about those its response names, which was not")
        .source(GUIDE),
    column("group_id", Text, "The first group named.").null("none is named").source(GUIDE).looked_up(),
    column("records", BigInt, "Records produced or fetched, whole ones.")
        .null("the message has no place for records")
        .source("Kafka message format"),
    column("error_code", Int, "The first error code of the response that is not 0, else 0.")
        .null("the response was not seen, or has none")
        .source("Kafka protocol guide, error codes"),
    column("error", Text, "The error code by its registry name, ERROR_<n> where it has none.")
        .null("the response was not seen, or has none")
        .source("Kafka protocol guide, error codes"),
    column("request", Text, "Body of the request: JSON text, at most 64 KiB or the body limit; '$cut' says that it is not the whole. Records are counted, secrets measured.")
        .null("the request was not seen, its version is not known, or bodies were not asked for")
        .source(GUIDE),
    column("response", Text, "Body of the response, in the same form.")
        .null("the response was not seen, its version is not known, or bodies were not asked for")
        .source(GUIDE),
    column("request_bytes", BigInt, "Length of the request, as said in front of it.").unit("bytes").null(NO_REQUEST).source(GUIDE),
    column("response_bytes", BigInt, "Length of the response, as said in front of it.").unit("bytes").null(NO_RESPONSE).source(GUIDE),
];

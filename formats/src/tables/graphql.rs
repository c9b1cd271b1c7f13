use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "graphql",
    row: "a GraphQL operation; over HTTP its `http` row has the same call_id, as have all operations of a batch",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NO_DOCUMENT: &str =
    "only a hash was sent, the request does not tell which operation of several it runs, or was not seen";

const COLUMNS: &[Column] = &[
    column("operation_type", Text, "'query', 'mutation' or 'subscription'.").null(NO_DOCUMENT).source("GraphQL §2.3"),
    column("operation_name", Text, "Name of the operation: as requested, else as the document has it.")
        .null("it has none")
        .source("GraphQL §2.3; GraphQL over HTTP, Request Parameters")
        .looked_up(),
    column("query", Text, "The document, as sent.")
        .null("only a hash was sent, or the request was not seen")
        .source("GraphQL over HTTP, Request Parameters"),
    column("variables", Text, "Values of variables, as JSON.")
        .null("none sent")
        .source("GraphQL over HTTP, Request Parameters"),
    column("root_fields", TextList, "Fields asked of the root, in order, those of fragments among them; no aliases.")
        .null(NO_DOCUMENT)
        .source("GraphQL §2.5"),
    column("error_count", Int, "Errors in its results, whatever the status.")
        .null("no whole result was seen, or some may be missing")
        .source("GraphQL §7.1.2"),
    column("errors", Text, "These errors, as JSON.").null("none seen").source("GraphQL §7.1.2"),
    column("batch_index", Int, "Place in a batch, from 0.")
        .null("not sent in a batch")
        .source("list of requests in a body"),
    column("query_sha256", Text, "Hash of a persisted document.")
        .null("none sent")
        .source("Automatic Persisted Queries, extensions.persistedQuery.sha256Hash")
        .looked_up(),
];

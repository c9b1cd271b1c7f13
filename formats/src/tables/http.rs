use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "http",
    row: "an exchange: a request, its response, or both",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NO_REQUEST: &str = "the request was not seen";
const NO_PART: &str = "this part of the request was not seen";
const NO_RESPONSE: &str = "the response was not seen";
const NO_BODY: &str = "no body, bodies were not asked for, or its codings are not known";

const COLUMNS: &[Column] = &[
    column("version", Text, "'0.9', '1.0', '1.1' or '2'; of HTTP/1 what the request says: servers answer 1.0 with 1.1.").null("HTTP/1, and the request was not seen, or cut before it").source("RFC 9112 §2.3, RFC 9110 §6.2"),
    column("stream_id", Int, "Stream of HTTP/2.").null("not HTTP/2").source("RFC 9113 §5.1.1"),
    column("method", Text, "Method.").null(NO_PART).source("RFC 9110 §9"),
    column("scheme", Text, "Scheme of an absolute target or of ':scheme'.").null("the request does not say").source("RFC 9110 §4.2"),
    column("host", Text, "Authority: of the target, else the Host field.").null("the request does not say").source("RFC 9110 §7.2").looked_up(),
    column("path", Text, "Path as sent, without the query.").null(NO_PART).source("RFC 9112 §3.2").looked_up(),
    column("query", Text, "Query as sent, without the question mark.").null("the target has none").source("RFC 9110 §4.1"),
    column("status", Int, "Final status code.").null("the response was not seen, or is of HTTP/0.9, which has none").source("RFC 9110 §15").looked_up(),
    column("reason", Text, "Reason phrase.").null("none sent").source("RFC 9112 §4"),
    column("request_headers", Pairs, "Fields of the request; of HTTP/2, those without a column. What the capture did not show of one is NULL in it.").null(NO_REQUEST).source("RFC 9110 §5, RFC 7541"),
    column("response_headers", Pairs, "Fields of the final response; of HTTP/2, those without a column. What the capture did not show of one is NULL in it.").null(NO_RESPONSE).source("RFC 9110 §5, RFC 7541"),
    column("request_trailers", Pairs, "Trailer fields of the request.").null("none sent").source("RFC 9110 §6.5"),
    column("response_trailers", Pairs, "Trailer fields of the response.").null("none sent").source("RFC 9110 §6.5"),
    column("request_type", Text, "Content type of the request, without parameters, in lower case.").null("none sent").source("RFC 9110 §8.3"),
    column("response_type", Text, "Content type of the response, without parameters, in lower case.").null("none sent").source("RFC 9110 §8.3"),
    column("request_body", Blob, "Body of the request with its codings undone, up to the body limit.").null(NO_BODY).source("RFC 9110 §6.4, §8.4"),
    column("response_body", Blob, "Body of the response with its codings undone, up to the body limit.").null(NO_BODY).source("RFC 9110 §6.4, §8.4"),
    column("request_body_bytes", BigInt, "Length of the request's body as sent, before codings are undone; so far, where the input ends in it.").unit("bytes").null("the request was not seen, or how long its body is cannot be told").source("RFC 9112 §6"),
    column("response_body_bytes", BigInt, "Length of the response's body as sent, before codings are undone; so far, where the input ends in it.").unit("bytes").null("the response was not seen, or how long its body is cannot be told").source("RFC 9112 §6"),
    column("body_note", Text, "Why a stored body is not the whole or not decoded.").null("nothing to note").source("protocols room"),
    column("interim_statuses", IntList, "Informational status codes before the final one.").null("none sent").source("RFC 9110 §15.2"),
    column("end_reason", Text, "What ended it, where not its own end: 'closed', 'reset', 'gap', 'head_too_large', 'input_end', 'upgraded', or the HTTP/2 error code.").null("it ended as it should").source("RFC 9112 §8, RFC 9113 §7"),
    column("first_byte_ms", Double, "Time from the first byte of the request to the first byte of the response.").unit("ms").null("one of these bytes was not seen").source("capture times, in nanoseconds"),
];

use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "grpc",
    row: "a gRPC or gRPC-Web call; its `http` row has the same call_id",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const HTTP2: &str = "gRPC over HTTP2, Requests";
const NOT_COUNTED: &str = "the side was not seen, its content type is not of gRPC, or a loss took where messages end";
const NO_MESSAGE: &str =
    "no message to its end within the body limit and before any loss, or bodies were not asked for";

const COLUMNS: &[Column] = &[
    column("service", Text, "Full name of the service, with what stands before it in the path.")
        .null("the request was not seen, or its path has no method")
        .source("gRPC over HTTP2, Path")
        .looked_up(),
    column("method", Text, "Method.")
        .null("the request was not seen, or its path has no method")
        .source("gRPC over HTTP2, Path")
        .looked_up(),
    column("authority", Text, "Authority, or the Host field.").null("the request does not say").source(HTTP2),
    column("grpc_status", Int, "Status code: of the trailers, of headers that are all there is, or of a trailers frame.")
        .null("none seen")
        .source("gRPC over HTTP2, Responses"),
    column("grpc_message", Text, "Status message, percent-encoding undone.")
        .null("none sent")
        .source("gRPC over HTTP2, Responses"),
    column("request_messages", Int, "Messages of the request that were sent to their end; so far, where the input ends in it.")
        .null(NOT_COUNTED)
        .source("gRPC over HTTP2, Length-Prefixed-Message"),
    column("response_messages", Int, "Messages of the response that were sent to their end; so far, where the input ends in it.")
        .null(NOT_COUNTED)
        .source("gRPC over HTTP2, Length-Prefixed-Message"),
    column("request_bytes", BigInt, "Bytes of these messages as sent, without their prefixes.")
        .unit("bytes")
        .null(NOT_COUNTED)
        .source("gRPC over HTTP2, Length-Prefixed-Message"),
    column("response_bytes", BigInt, "Bytes of these messages as sent, without their prefixes.")
        .unit("bytes")
        .null(NOT_COUNTED)
        .source("gRPC over HTTP2, Length-Prefixed-Message"),
    column(
        "request",
        Text,
        "The message as JSON; an array of them where several were sent, how many were is not known, or the method is declared to stream; up to a loss, or the end of the input. Fields by name with --protos, else by number; an `Any` whose type is known there has its fields behind `@type`.",
    )
    .null(NO_MESSAGE)
    .source("Protocol Buffers Encoding; protocols room"),
    column(
        "response",
        Text,
        "The message as JSON; an array of them where several were sent, how many were is not known, or the method is declared to stream; up to a loss, or the end of the input. Fields by name with --protos, else by number; an `Any` whose type is known there has its fields behind `@type`.",
    )
    .null(NO_MESSAGE)
    .source("Protocol Buffers Encoding; protocols room"),
    column("encoding", Text, "Compression of messages: of the request, then of the response where it differs.")
        .null("neither side names one, or the fields of a side were not all seen")
        .source("gRPC over HTTP2, Message-Encoding"),
    column("deadline_ms", Double, "Time the client allowed.")
        .unit("ms")
        .null("the client set none")
        .source("gRPC over HTTP2, Timeout"),
];

//! The `http` table.

use super::builders::{BigInt, Blob, Double, Int, IntList, Pairs, Text, append_text, columns, groups, ms};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::http::{EndReason, Exchange, Fields, Message, Version};

columns! {
    /// What `http` has beyond the common columns.
    Columns {
        version: Text,
        stream_id: Int,
        method: Text,
        scheme: Text,
        host: Text,
        path: Text,
        query: Text,
        status: Int,
        reason: Text,
        request_headers: Pairs,
        response_headers: Pairs,
        request_trailers: Pairs,
        response_trailers: Pairs,
        request_type: Text,
        response_type: Text,
        request_body: Blob,
        response_body: Blob,
        request_body_bytes: BigInt,
        response_body_bytes: BigInt,
        body_note: Text,
        interim_statuses: IntList,
        end_reason: Text,
        first_byte_ms: Double,
    }
}

groups! {
    /// Rows of `http`.
    HttpRows {
        common: Common,
        columns: Columns,
    }
}

impl HttpRows {
    /// Appends an exchange; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, exchange: &Exchange, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.version.append_option(exchange.version.map(Version::name));
        to.stream_id.append_option(exchange.stream_id.map(|id| id as i32));
        append_text(&mut to.method, (!exchange.method.is_empty()).then_some(&exchange.method));
        append_text(&mut to.scheme, exchange.scheme.as_deref());
        append_text(&mut to.host, exchange.host.as_deref());
        append_text(&mut to.path, exchange.path.as_deref());
        append_text(&mut to.query, exchange.query.as_deref());
        to.status.append_option(exchange.status.map(i32::from));
        append_text(&mut to.reason, exchange.reason.as_deref());
        message(
            exchange.request.as_ref(),
            (&mut to.request_headers, &mut to.request_trailers, &mut to.request_type),
            (&mut to.request_body, &mut to.request_body_bytes),
        );
        message(
            exchange.response.as_ref(),
            (&mut to.response_headers, &mut to.response_trailers, &mut to.response_type),
            (&mut to.response_body, &mut to.response_body_bytes),
        );
        to.body_note.append_option(exchange.body_note.as_deref());
        to.interim_statuses.append(exchange.interim_statuses.iter().map(|&status| status.into()));
        match exchange.end_reason {
            Some(reason) => to.end_reason.append_value(end_reason(reason)),
            None => to.end_reason.append_null(),
        }
        to.first_byte_ms.append_option(call.first_byte_ns().map(ms));
        ts_ns
    }
}

fn message(
    message: Option<&Message>,
    (headers, trailers, kind): (&mut Pairs, &mut Pairs, &mut Text),
    (body, bytes): (&mut Blob, &mut BigInt),
) {
    headers.append(message.map(|message| message.headers.known()));
    trailers.append(message.filter(|message| !message.trailers.is_empty()).map(|message| message.trailers.known()));
    match message.and_then(|message| content_type(&message.headers)) {
        Some(content_type) => kind.append_value(content_type),
        None => kind.append_null(),
    }
    body.append_option(message.map(|message| &message.body).filter(|body| !body.is_empty()));
    bytes.append_option(message.filter(|message| !message.doubtful).map(|message| message.body_bytes as i64));
}

/// The media type without parameters, in lower case (RFC 9110 §8.3.1).
fn content_type(headers: &Fields) -> Option<String> {
    let value = headers.get("content-type")?;
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    let kind = value.get(..end).unwrap_or_default().trim_ascii();
    (!kind.is_empty()).then(|| super::builders::text(kind).to_ascii_lowercase())
}

/// As the table spells it (RFC 9113 §7 for the codes).
fn end_reason(reason: EndReason) -> std::borrow::Cow<'static, str> {
    const CODES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    match reason {
        EndReason::Closed => "closed".into(),
        EndReason::ErrorCode(code) => match CODES.get(code as usize) {
            Some(name) => (*name).into(),
            None => format!("{code:#x}").into(),
        },
        EndReason::Gap => "gap".into(),
        EndReason::HeadTooLarge => "head_too_large".into(),
        EndReason::InputEnd => "input_end".into(),
        EndReason::Reset => "reset".into(),
        EndReason::Upgraded => "upgraded".into(),
    }
}

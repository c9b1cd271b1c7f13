//! The `grpc` table.

use super::builders::{BigInt, Double, Int, Text, append_text, columns, groups};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::grpc;

columns! {
    /// What `grpc` has beyond the common columns.
    Columns {
        service: Text,
        method: Text,
        authority: Text,
        grpc_status: Int,
        grpc_message: Text,
        request_messages: Int,
        response_messages: Int,
        request_bytes: BigInt,
        response_bytes: BigInt,
        request: Text,
        response: Text,
        encoding: Text,
        deadline_ms: Double,
    }
}

groups! {
    /// Rows of `grpc`.
    GrpcRows {
        common: Common,
        columns: Columns,
    }
}

impl GrpcRows {
    /// Appends a call with its messages as JSON; returns the time it is ordered by [ns].
    pub fn append(
        &mut self,
        flow: &Flow,
        client: Way,
        call: &Call,
        carried: &grpc::Call<'_>,
        [request, response]: [Option<String>; 2],
        node: Option<&str>,
    ) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        let (service, method) = carried.service_and_method();
        append_text(&mut to.service, service);
        append_text(&mut to.method, method);
        append_text(&mut to.authority, carried.authority());
        to.grpc_status.append_option(carried.status());
        to.grpc_message.append_option(carried.status_message());
        let [(request_messages, request_bytes), (response_messages, response_bytes)] = carried.counts();
        let count = |messages: u64| i32::try_from(messages).unwrap_or(i32::MAX);
        to.request_messages.append_option(request_messages.map(count));
        to.response_messages.append_option(response_messages.map(count));
        to.request_bytes.append_option(request_bytes.map(|bytes| bytes as i64));
        to.response_bytes.append_option(response_bytes.map(|bytes| bytes as i64));
        to.request.append_option(request);
        to.response.append_option(response);
        to.encoding.append_option(carried.encoding());
        to.deadline_ms.append_option(carried.deadline_ms());
        ts_ns
    }
}

//! The `graphql` table.

use super::builders::{Int, Text, TextList, columns, groups};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::graphql::Operation;

columns! {
    /// What `graphql` has beyond the common columns.
    Columns {
        operation_type: Text,
        operation_name: Text,
        query: Text,
        variables: Text,
        root_fields: TextList,
        error_count: Int,
        errors: Text,
        batch_index: Int,
        query_sha256: Text,
    }
}

groups! {
    /// Rows of `graphql`.
    GraphqlRows {
        common: Common,
        columns: Columns,
    }
}

impl GraphqlRows {
    /// Appends an operation; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, operation: &Operation, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        to.operation_type.append_option(operation.kind);
        to.operation_name.append_option(operation.name.as_deref());
        to.query.append_option(operation.query.as_deref());
        to.variables.append_option(operation.variables.as_deref());
        to.root_fields.append_option(operation.root_fields.as_ref().map(|fields| fields.iter().map(String::as_str)));
        to.error_count.append_option(operation.error_count.map(number));
        to.errors.append_option(operation.errors.as_deref());
        to.batch_index.append_option(operation.batch_index.map(number));
        to.query_sha256.append_option(operation.query_sha256.as_deref());
        ts_ns
    }
}

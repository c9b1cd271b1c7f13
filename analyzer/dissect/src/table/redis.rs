//! The `redis` table.

use super::builders::{BigInt, Boolean, Int, Text, TextList, columns, groups};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::redis::Exchange;

columns! {
    /// What `redis` has beyond the common columns.
    Columns {
        resp_version: Int,
        command: Text,
        key: Text,
        args: TextList,
        reply_type: Text,
        reply: Text,
        error: Text,
        is_push: Boolean,
        db: Int,
        request_bytes: BigInt,
        reply_bytes: BigInt,
    }
}

groups! {
    /// Rows of `redis`.
    RedisRows {
        common: Common,
        columns: Columns,
    }
}

impl RedisRows {
    /// Appends an exchange; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, exchange: &Exchange, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.resp_version.append_option(exchange.resp_version.map(i32::from));
        to.command.append_option(exchange.command.as_deref());
        to.key.append_option(exchange.key.as_deref());
        to.args.append_option(exchange.args.as_ref().map(|args| args.iter().map(String::as_str)));
        to.reply_type.append_option(exchange.reply_type);
        to.reply.append_option(exchange.reply.as_deref());
        to.error.append_option(exchange.error.as_deref());
        to.is_push.append_value(exchange.is_push);
        to.db.append_option(exchange.db);
        to.request_bytes.append_option(exchange.request_bytes.map(|bytes| bytes as i64));
        to.reply_bytes.append_option(exchange.reply_bytes.map(|bytes| bytes as i64));
        ts_ns
    }
}

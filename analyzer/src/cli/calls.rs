//! `remora calls`: who asked whom for what, and what came of it.

use super::listing::{Column, Form, ListingArgs, ListingPlan, View};
use crate::common::Common;
use clap::Args;

/// Show the calls: requests with their answers, in every protocol.
///
/// A call has one row, of the most specific protocol that knows it: a gRPC or GraphQL call stands there instead of
/// the HTTP exchange that carried it. Other formats than 'table' have all columns of the view 'calls'. The exit code
/// is 0 with rows, 1 without, 2 after an error.
#[derive(Args)]
#[command(after_help = "Examples:
  remora calls traffic.pcap
  remora calls snapshot/ --where \"ok is false\"
  remora calls snapshot/ --where \"latency_ms > 500 and protocol = 'http'\" --format csv -o slow.csv")]
pub struct CallsArgs {
    #[command(flatten)]
    listing: ListingArgs,
}

impl CallsArgs {
    /// What is meant.
    pub fn resolve(self, common: &Common) -> anyhow::Result<ListingPlan> {
        self.listing.resolve(&VIEW, common)
    }
}

static VIEW: View = View {
    table: "calls",
    order: "ts, call_id",
    columns: &[
        Column { title: "TIME (UTC)", sql: "cast(ts as bigint)", form: Form::Time },
        Column { title: "PROTOCOL", sql: "protocol", form: Form::Text },
        Column { title: "CLIENT", sql: CLIENT, form: Form::Text },
        Column { title: "SERVER", sql: SERVER, form: Form::Text },
        Column { title: "OPERATION", sql: "operation", form: Form::Text },
        Column { title: "STATUS", sql: "status", form: Form::Status },
        Column { title: "", sql: "ok", form: Form::StatusIsGood },
        Column { title: "LATENCY", sql: "latency_ms", form: Form::Duration },
        Column { title: "REQUEST", sql: "request_bytes", form: Form::Bytes },
        Column { title: "RESPONSE", sql: "response_bytes", form: Form::Bytes },
        Column {
            title: "",
            sql: "nullif(concat_ws(', ', case when pair <> 'complete' then replace(pair, '_', ' ') end, \
                  case when damaged then 'damaged' end), '')",
            form: Form::Note,
        },
    ],
};

/// The client by the name of its pod, else by address and port; so for the server.
pub const CLIENT: &str = "coalesce(client_pod, case when client_port is null then client_ip \
    when client_ip like '%:%' then '[' || client_ip || ']:' || cast(client_port as varchar) \
    else client_ip || ':' || cast(client_port as varchar) end)";
pub const SERVER: &str = "coalesce(server_pod, case when server_port is null then server_ip \
    when server_ip like '%:%' then '[' || server_ip || ']:' || cast(server_port as varchar) \
    else server_ip || ':' || cast(server_port as varchar) end)";

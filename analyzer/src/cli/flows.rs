//! `remora flows`: who talked to whom, how much, and how well.

use super::calls::{CLIENT, SERVER};
use super::listing::{Column, Form, ListingArgs, ListingPlan, View};
use crate::common::Common;
use clap::Args;

/// Show the flows: connections and conversations, with their TCP quality.
///
/// SENT and RECEIVED are the client's and the server's payload. Other formats than 'table' have all columns of the
/// table 'flows'. The exit code is 0 with rows, 1 without, 2 after an error.
#[derive(Args)]
#[command(after_help = "Examples:
  remora flows traffic.pcap
  remora flows snapshot/ --where \"server_port = 5432 and client_retransmits > 0\"
  remora flows s3://recordings/prod --where \"resets > 0\" --format ndjson")]
pub struct FlowsArgs {
    #[command(flatten)]
    listing: ListingArgs,
}

impl FlowsArgs {
    /// What is meant.
    pub fn resolve(self, common: &Common) -> anyhow::Result<ListingPlan> {
        self.listing.resolve(&VIEW, common)
    }
}

/// What is worth a look: each with its number.
const NOTE: &str = "nullif(concat_ws(', ', sni, tunnel, \
    case when client_retransmits + server_retransmits > 0 then cast(client_retransmits + server_retransmits as varchar) || ' retransmitted' end, \
    case when client_gap_bytes + server_gap_bytes > 0 then cast(client_gap_bytes + server_gap_bytes as varchar) || ' bytes missing' end, \
    case when client_zero_windows + server_zero_windows > 0 then cast(client_zero_windows + server_zero_windows as varchar) || ' times window closed' end, \
    case when not direction_known then 'direction guessed' end), '')";

static VIEW: View = View {
    table: "flows",
    order: "ts, flow_id",
    columns: &[
        Column { title: "TIME (UTC)", sql: "cast(ts as bigint)", form: Form::Time },
        Column { title: "PROTOCOL", sql: "coalesce(protocol, transport)", form: Form::Text },
        Column { title: "CLIENT", sql: CLIENT, form: Form::Text },
        Column { title: "SERVER", sql: SERVER, form: Form::Text },
        Column { title: "DURATION", sql: "duration_ms", form: Form::Duration },
        Column { title: "PACKETS", sql: "client_packets + server_packets", form: Form::Count },
        Column { title: "SENT", sql: "client_bytes", form: Form::Bytes },
        Column { title: "RECEIVED", sql: "server_bytes", form: Form::Bytes },
        Column { title: "RTT", sql: "rtt_ms", form: Form::Duration },
        Column {
            title: "STATE",
            sql: "tcp_state || case when tcp_state = 'reset' then coalesce(' by ' || closed_by, '') else '' end",
            form: Form::Status,
        },
        Column {
            title: "",
            sql: "case tcp_state when 'closed' then true when 'reset' then false end",
            form: Form::StatusIsGood,
        },
        Column { title: "", sql: NOTE, form: Form::Note },
    ],
};

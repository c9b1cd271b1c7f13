//! The columns every call begins with, and those a flow shares with them.

use super::{Column, Kind::*, column};

pub(super) const CALL_ID: &[Column] = &[column(
    "call_id",
    BigInt,
    "One call: the same for every table that has a row for it, and in every run over the same bytes.",
)
.source("hash of flow_id, side and TCP sequence number or time of the first byte")
.looked_up()];

pub(super) const FLOW_ID: &[Column] = &[column(
    "flow_id",
    BigInt,
    "One connection or conversation: the same in every run over the same bytes.",
)
.source("hash of addresses, ports, protocol, VLAN, VNI, network namespace of loopback addresses, UTC day of the start, and the initial sequence number where ports were reused")
.looked_up()];

pub(super) const CALL_TIME: &[Column] = &[
    column("ts", Timestamp, "Time of the first byte of the request, or of the response where no request was seen.")
        .unit("µs, UTC")
        .source("capture time of the packet that carried it"),
    column("latency_ms", Double, "Time from the last byte of the request to the first byte of the response.")
        .unit("ms")
        .null("one of these bytes was not seen")
        .source("capture times, in nanoseconds"),
];

pub(super) const ENDS: &[Column] = &[
    column("client_ip", Text, "Address of the side that asks.").source("RFC 791 §3.1, RFC 8200 §3").looked_up(),
    column("client_port", Int, "Port of the side that asks.")
        .null("the transport has no ports")
        .source("RFC 9293 §3.1, RFC 768"),
    column("server_ip", Text, "Address of the side that answers.").source("RFC 791 §3.1, RFC 8200 §3").looked_up(),
    column("server_port", Int, "Port of the side that answers.")
        .null("the transport has no ports")
        .source("RFC 9293 §3.1, RFC 768"),
    column("client_namespace", Text, "Namespace of the client's pod.")
        .null("not known")
        .source("interface description of the recording"),
    column("client_pod", Text, "Pod of the client, or what else the network namespace it was recorded in is called.")
        .null("not recorded inside its network namespace")
        .source("interface description of the recording"),
    column("client_workload", Text, "Workload that owns the client's pod.")
        .null("not known")
        .source("interface description of the recording"),
    column("client_service", Text, "Service the client's pod belongs to.").null("not known").source("inventory"),
    column("server_namespace", Text, "Namespace of the server's pod.")
        .null("not known")
        .source("interface description of the recording"),
    column("server_pod", Text, "Pod of the server, or what else the network namespace it was recorded in is called.")
        .null("not recorded inside its network namespace")
        .source("interface description of the recording"),
    column("server_workload", Text, "Workload that owns the server's pod.")
        .null("not known")
        .source("interface description of the recording"),
    column("server_service", Text, "Service the server's pod belongs to.").null("not known").source("inventory"),
    column("node", Text, "Node that recorded it.").null("the capture does not say").source("store path, seal"),
    column("plaintext", Text, "Where the bytes were read: 'wire', or the library or key log that gave them.")
        .source("kind of the input"),
];

pub(super) const CALL_STATE: &[Column] = &[
    column(
        "pair",
        Text,
        "'complete', 'request_only', 'response_only', or 'cut': the input began or ended inside the call.",
    )
    .source("protocols room"),
    column("damaged", Boolean, "Whether a gap in the capture touched it, or bytes of it came again with other values.")
        .source("stream room"),
];

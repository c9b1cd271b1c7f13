use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "flows",
    row: "a connection or conversation",
    on_request: false,
    groups: &[common::FLOW_ID, START, common::ENDS, COLUMNS],
};

const START: &[Column] = &[column("ts", Timestamp, "Time of its first packet.").unit("µs, UTC").source("capture time")];

const COLUMNS: &[Column] = &[
    column("end_ts", Timestamp, "Time of its last packet.").unit("µs, UTC").source("capture time"),
    column("duration_ms", Double, "Time from its first to its last packet.")
        .unit("ms")
        .source("capture times, in nanoseconds"),
    column("transport", Text, "'tcp', 'udp', 'icmp', 'icmpv6', 'sctp' or the number of the IP protocol.")
        .source("RFC 791 §3.1, RFC 8200 §3"),
    column("protocol", Text, "What was spoken in it, by content.").null("not recognised").source("protocols room"),
    column("community_id", Text, "Community ID 1.0 with seed 0, as other tools print it.")
        .null("the transport has none")
        .source("Community ID flow hashing 1.0")
        .looked_up(),
    column("ip_version", Int, "4 or 6.").source("RFC 791 §3.1, RFC 8200 §3"),
    column("vlan_id", Int, "Innermost VLAN, as its first capture point shows it.")
        .null("untagged")
        .source("IEEE 802.1Q §9.6"),
    column("tunnel", Text, "Innermost tunnel and its id, such as 'vxlan:42', as its first capture point shows it.")
        .null("none")
        .source("decode room"),
    column("client_packets", BigInt, "Packets of the client.").source("flow room"),
    column("server_packets", BigInt, "Packets of the server.").source("flow room"),
    column("client_bytes", BigInt, "Payload of the client, each byte of the stream once.")
        .unit("bytes")
        .source("stream room"),
    column("server_bytes", BigInt, "Payload of the server, each byte of the stream once.")
        .unit("bytes")
        .source("stream room"),
    column("client_wire_bytes", BigInt, "Bytes of the client on the wire, with headers and repeats.")
        .unit("bytes")
        .source("frame lengths"),
    column("server_wire_bytes", BigInt, "Bytes of the server on the wire, with headers and repeats.")
        .unit("bytes")
        .source("frame lengths"),
    column(
        "tcp_state",
        Text,
        "How far the connection came: 'syn_sent', 'established', 'half_closed', 'closed', 'reset', 'unknown'.",
    )
    .null("not TCP")
    .source("RFC 9293 §3.3.2, as seen from outside"),
    column("closed_by", Text, "Who ended it first, by FIN or RST: 'client' or 'server'.")
        .null("no end was seen")
        .source("RFC 9293 §3.6"),
    column("handshake_ms", Double, "Time from SYN to the ACK that completes the handshake.")
        .unit("ms")
        .null("the handshake was not seen whole")
        .source("RFC 9293 §3.5"),
    column("rtt_ms", Double, "Least time from a segment to its acknowledgement, either way.")
        .unit("ms")
        .null("none could be measured")
        .source("RFC 9293 §3.4, RFC 7323 §4"),
    column("first_byte_ms", Double, "Time from the first packet to the first payload of the server.")
        .unit("ms")
        .null("the server sent none")
        .source("capture times, in nanoseconds"),
    column("client_retransmits", BigInt, "Segments of the client that brought nothing new.")
        .null("not TCP")
        .source("flow room"),
    column("server_retransmits", BigInt, "Segments of the server that brought nothing new.")
        .null("not TCP")
        .source("flow room"),
    column("client_out_of_order", BigInt, "Segments of the client that filled a hole left before.")
        .null("not TCP")
        .source("flow room"),
    column("server_out_of_order", BigInt, "Segments of the server that filled a hole left before.")
        .null("not TCP")
        .source("flow room"),
    column("client_gap_bytes", BigInt, "Bytes the client sent that are not in the capture.")
        .unit("bytes")
        .null("not TCP")
        .source("stream room"),
    column("server_gap_bytes", BigInt, "Bytes the server sent that are not in the capture.")
        .unit("bytes")
        .null("not TCP")
        .source("stream room"),
    column("client_zero_windows", BigInt, "Times the client closed its window.")
        .null("not TCP")
        .source("RFC 9293 §3.8.6.1"),
    column("server_zero_windows", BigInt, "Times the server closed its window.")
        .null("not TCP")
        .source("RFC 9293 §3.8.6.1"),
    column(
        "resets",
        BigInt,
        "RST segments of either side, but for those far out of the window: anomalies tell of them.",
    )
    .null("not TCP")
    .source("RFC 9293 §3.5.2"),
    column(
        "direction_known",
        Boolean,
        "Whether a SYN or the protocol told client from server; false where only the port did.",
    )
    .source("flow room"),
    column("tls", Boolean, "Whether TLS was seen in it: not so either where too little was captured to tell.")
        .source("protocols room"),
    column("sni", Text, "Server name of the TLS hello.")
        .null("no TLS hello with a name")
        .source("RFC 6066 §3")
        .looked_up(),
    column("alpn", Text, "Application protocol agreed on in TLS.").null("none seen").source("RFC 7301 §3.1"),
    column("mesh", Text, "Service mesh recognised in it.").null("not filled yet").source("none yet"),
    column("decrypted_flow_id", BigInt, "The flow that holds its plaintext.").null("not filled yet").source("none yet"),
    column("capture", Text, "The capture it began in.").source("read room"),
];

//! The `flows` table.

use super::builders::{BigInt, Boolean, Double, Int, Text, Time, append_text, columns, groups, ms};
use super::call::EndColumns;
use crate::decode::{IpProtocol, Tunnel};
use crate::flow::Flow;

columns! {
    /// What stands before the ends.
    Head {
        flow_id: BigInt,
        ts: Time,
    }
}

columns! {
    /// What stands behind the ends.
    Columns {
        end_ts: Time,
        duration_ms: Double,
        transport: Text,
        protocol: Text,
        community_id: Text,
        ip_version: Int,
        vlan_id: Int,
        tunnel: Text,
        client_packets: BigInt,
        server_packets: BigInt,
        client_bytes: BigInt,
        server_bytes: BigInt,
        client_wire_bytes: BigInt,
        server_wire_bytes: BigInt,
        tcp_state: Text,
        closed_by: Text,
        handshake_ms: Double,
        rtt_ms: Double,
        first_byte_ms: Double,
        client_retransmits: BigInt,
        server_retransmits: BigInt,
        client_out_of_order: BigInt,
        server_out_of_order: BigInt,
        client_gap_bytes: BigInt,
        server_gap_bytes: BigInt,
        client_zero_windows: BigInt,
        server_zero_windows: BigInt,
        resets: BigInt,
        direction_known: Boolean,
        tls: Boolean,
        sni: Text,
        alpn: Text,
        mesh: Text,
        decrypted_flow_id: BigInt,
        capture: Text,
    }
}

groups! {
    /// Rows of `flows`.
    FlowRows {
        head: Head,
        ends: EndColumns,
        columns: Columns,
    }
}

impl FlowRows {
    /// Appends a flow that is over; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, node: Option<&str>, capture: &str) -> i64 {
        let client = flow.client();
        self.head.flow_id.append_value(flow.id);
        self.head.ts.append_ns(flow.start_ns);
        self.ends.append(flow, client, node);
        let (asked, answered) = (&flow.counters[client], &flow.counters[client.back()]);
        let to = &mut self.columns;
        to.end_ts.append_ns(flow.end_ns);
        to.duration_ms.append_value(ms(flow.end_ns - flow.start_ns));
        to.transport.append_value(transport(flow.key.protocol));
        to.protocol.append_option(flow.protocol);
        to.community_id.append_value(flow.community_id());
        to.ip_version.append_value(flow.key.ip_version.into());
        to.vlan_id.append_option((flow.key.vlan != 0).then_some(flow.key.vlan.into()));
        to.tunnel.append_option(tunnel(flow.key.tunnel));
        to.client_packets.append_value(asked.packets as i64);
        to.server_packets.append_value(answered.packets as i64);
        to.client_bytes.append_value(asked.payload_bytes as i64);
        to.server_bytes.append_value(answered.payload_bytes as i64);
        to.client_wire_bytes.append_value(asked.wire_bytes as i64);
        to.server_wire_bytes.append_value(answered.wire_bytes as i64);
        to.first_byte_ms.append_option(answered.first_payload_ns.map(|ns| ms(ns - flow.start_ns)));
        self.tcp(flow);
        let to = &mut self.columns;
        to.direction_known.append_value(flow.direction_known());
        to.tls.append_value(flow.tls.is_some());
        let tls = flow.tls.as_deref();
        append_text(&mut to.sni, tls.and_then(|tls| tls.sni.as_deref()));
        append_text(&mut to.alpn, tls.and_then(|tls| tls.alpn.as_deref()));
        to.mesh.append_null();
        to.decrypted_flow_id.append_null();
        to.capture.append_value(capture);
        flow.start_ns
    }

    fn tcp(&mut self, flow: &Flow) {
        let client = flow.client();
        let tcp = flow.tcp.as_ref();
        let to = &mut self.columns;
        to.tcp_state.append_option(tcp.map(|tcp| tcp.state()));
        let closed_by = tcp.and_then(|tcp| tcp.closed_by);
        to.closed_by.append_option(closed_by.map(|way| if way == client { "client" } else { "server" }));
        to.handshake_ms.append_option(tcp.and_then(|tcp| tcp.handshake_ns).map(ms));
        to.rtt_ms.append_option(tcp.and_then(|tcp| tcp.rtt_ns).map(ms));
        to.resets.append_option(tcp.map(|tcp| tcp.resets as i64));
        let (asked, answered) = (tcp.map(|tcp| tcp.sides[client]), tcp.map(|tcp| tcp.sides[client.back()]));
        for (side, columns) in [
            (
                asked,
                [
                    &mut to.client_retransmits,
                    &mut to.client_out_of_order,
                    &mut to.client_gap_bytes,
                    &mut to.client_zero_windows,
                ],
            ),
            (
                answered,
                [
                    &mut to.server_retransmits,
                    &mut to.server_out_of_order,
                    &mut to.server_gap_bytes,
                    &mut to.server_zero_windows,
                ],
            ),
        ] {
            let counts = side.map(|side| [side.retransmits, side.out_of_order, side.gap_bytes, side.zero_windows]);
            for (at, column) in columns.into_iter().enumerate() {
                column.append_option(counts.and_then(|counts| counts.get(at).map(|&count| count as i64)));
            }
        }
    }
}

fn transport(protocol: IpProtocol) -> std::borrow::Cow<'static, str> {
    match protocol {
        IpProtocol::ICMP => "icmp".into(),
        IpProtocol::ICMPV6 => "icmpv6".into(),
        IpProtocol::SCTP => "sctp".into(),
        IpProtocol::TCP => "tcp".into(),
        IpProtocol::UDP => "udp".into(),
        IpProtocol(other) => other.to_string().into(),
    }
}

fn tunnel(tunnel: Tunnel) -> Option<String> {
    Some(match tunnel {
        Tunnel::None => return None,
        Tunnel::Erspan => "erspan".into(),
        Tunnel::Geneve(vni) => format!("geneve:{vni}"),
        Tunnel::Gre => "gre".into(),
        Tunnel::Gtp => "gtp".into(),
        Tunnel::IpIp => "ipip".into(),
        Tunnel::L2tp => "l2tp".into(),
        Tunnel::Teredo => "teredo".into(),
        Tunnel::Ayiya => "ayiya".into(),
        Tunnel::Mpls => "mpls".into(),
        Tunnel::Tzsp => "tzsp".into(),
        Tunnel::Gue => "gue".into(),
        Tunnel::Pim => "pim".into(),
        Tunnel::Capwap => "capwap".into(),
        Tunnel::Vxlan(vni) => format!("vxlan:{vni}"),
    })
}

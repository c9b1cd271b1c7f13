//! The columns every call begins with.

use super::builders::{BigInt, Boolean, Double, Int, Text, Time, append_ip, columns, groups, ms};
use crate::flow::{Flow, Way, call_id};
use crate::protocols::{Call, Side};

columns! {
    /// Ids and times of calls.
    CallColumns {
        call_id: BigInt,
        flow_id: BigInt,
        ts: Time,
        latency_ms: Double,
    }
}

columns! {
    /// Who talks to whom, of calls and flows.
    EndColumns {
        client_ip: Text,
        client_port: Int,
        server_ip: Text,
        server_port: Int,
        client_namespace: Text,
        client_pod: Text,
        client_workload: Text,
        client_service: Text,
        server_namespace: Text,
        server_pod: Text,
        server_workload: Text,
        server_service: Text,
        node: Text,
        plaintext: Text,
    }
}

columns! {
    /// What was seen of calls.
    StateColumns {
        pair: Text,
        damaged: Boolean,
    }
}

impl EndColumns {
    /// Appends the ends of a flow whose client sends the way `client`.
    pub fn append(&mut self, flow: &Flow, client: Way, node: Option<&str>) {
        let has_ports = flow.has_ports();
        let ends = [
            (&mut self.client_ip, &mut self.client_port, client),
            (&mut self.server_ip, &mut self.server_port, client.back()),
        ];
        for (ips, ports, way) in ends {
            let (ip, port) = flow.end(way);
            append_ip(ips, ip);
            ports.append_option(has_ports.then_some(port.into()));
        }
        let whose = [
            (&mut self.client_namespace, &mut self.client_pod, &mut self.client_workload, client),
            (&mut self.server_namespace, &mut self.server_pod, &mut self.server_workload, client.back()),
        ];
        for (namespace, pod, workload, way) in whose {
            let target = flow.whose.end(way);
            namespace.append_option(target.and_then(|target| target.namespace.as_deref()));
            // What is no pod of a cluster has a name all the same.
            pod.append_option(target.map(|target| target.pod.clone().unwrap_or_else(|| target.label())));
            workload.append_option(target.and_then(|target| target.workload.as_deref()));
        }
        self.client_service.append_null();
        self.server_service.append_null();
        self.node.append_option(node);
        self.plaintext.append_value("wire");
    }
}

groups! {
    /// The common columns.
    Common {
        call: CallColumns,
        ends: EndColumns,
        state: StateColumns,
    }
}

impl Common {
    /// Appends what all calls have; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, node: Option<&str>) -> i64 {
        let ts_ns = start_ns(flow, call);
        self.call.call_id.append_value(id(flow, client, call));
        self.call.flow_id.append_value(flow.id);
        self.call.ts.append_ns(ts_ns);
        self.call.latency_ms.append_option(call.latency_ns().map(ms));
        self.ends.append(flow, client, node);
        self.state.pair.append_value(call.pair.name());
        self.state
            .damaged
            .append_value([&call.request, &call.response].into_iter().flatten().any(|stamp| stamp.damaged));
        ts_ns
    }
}

/// The id of a call.
pub fn id(flow: &Flow, client: Way, call: &Call) -> i64 {
    match call.request.as_ref().or(call.response.as_ref()) {
        Some(first) => call_id(flow.id, if first.side == Side::Client { client } else { client.back() }, first.place),
        None => call_id(flow.id, client, 0),
    }
}

/// When a call began [ns].
pub fn start_ns(flow: &Flow, call: &Call) -> i64 {
    call.request.as_ref().or(call.response.as_ref()).map_or(flow.start_ns, |stamp| stamp.first_ns)
}

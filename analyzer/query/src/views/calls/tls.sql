-- Bytes of a handshake are not counted apart from those of its flow.
select tls.call_id, tls.flow_id, tls.ts, tls.latency_ms, 'tls' as protocol,
    tls.client_ip, tls.client_port, tls.server_ip, tls.server_port,
    tls.client_namespace, tls.client_pod, tls.client_workload, tls.client_service,
    tls.server_namespace, tls.server_pod, tls.server_workload, tls.server_service, tls.node, tls.plaintext,
    'handshake' || coalesce(' ' || tls.sni, '') as operation,
    coalesce(tls.alert, tls.version) as status,
    case when tls.alert is not null then false when tls.cipher is not null then true end as ok,
    cast(null as bigint) as request_bytes, cast(null as bigint) as response_bytes,
    tls.pair, tls.damaged
from tls

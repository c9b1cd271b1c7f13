select http.call_id, http.flow_id, http.ts, http.latency_ms, 'http' as protocol,
    http.client_ip, http.client_port, http.server_ip, http.server_port,
    http.client_namespace, http.client_pod, http.client_workload, http.client_service,
    http.server_namespace, http.server_pod, http.server_workload, http.server_service, http.node, http.plaintext,
    http.method || ' ' || coalesce(http.path, http.host, '') as operation,
    cast(http.status as varchar) as status,
    http.status < 400 as ok,
    http.request_body_bytes as request_bytes, http.response_body_bytes as response_bytes,
    http.pair, http.damaged
from http

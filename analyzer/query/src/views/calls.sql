create view calls as
select call_id, flow_id, ts, latency_ms, 'http' as protocol,
    client_ip, client_port, server_ip, server_port,
    client_namespace, client_pod, client_workload, client_service,
    server_namespace, server_pod, server_workload, server_service, node, plaintext,
    method || ' ' || coalesce(path, host, '') as operation,
    cast(status as varchar) as status,
    status < 400 as ok,
    request_body_bytes as request_bytes, response_body_bytes as response_bytes,
    pair, damaged
from http
union all
select call_id, flow_id, ts, latency_ms, 'dns' as protocol,
    client_ip, client_port, server_ip, server_port,
    client_namespace, client_pod, client_workload, client_service,
    server_namespace, server_pod, server_workload, server_service, node, plaintext,
    qtype || ' ' || qname as operation,
    rcode as status,
    rcode = 'NOERROR' as ok,
    request_bytes, response_bytes,
    pair, damaged
from dns

select dns.call_id, dns.flow_id, dns.ts, dns.latency_ms, 'dns' as protocol,
    dns.client_ip, dns.client_port, dns.server_ip, dns.server_port,
    dns.client_namespace, dns.client_pod, dns.client_workload, dns.client_service,
    dns.server_namespace, dns.server_pod, dns.server_workload, dns.server_service, dns.node, dns.plaintext,
    dns.qtype || ' ' || dns.qname as operation,
    dns.rcode as status,
    dns.rcode = 'NOERROR' as ok,
    dns.request_bytes as request_bytes, dns.response_bytes as response_bytes,
    dns.pair, dns.damaged
from dns

select kafka.call_id, kafka.flow_id, kafka.ts, kafka.latency_ms, 'kafka' as protocol,
    kafka.client_ip, kafka.client_port, kafka.server_ip, kafka.server_port,
    kafka.client_namespace, kafka.client_pod, kafka.client_workload, kafka.client_service,
    kafka.server_namespace, kafka.server_pod, kafka.server_workload, kafka.server_service, kafka.node, kafka.plaintext,
    kafka.api || coalesce(' ' || coalesce(nullif(array_to_string(kafka.topics, ','), ''), kafka.group_id), '') as operation,
    case when kafka.error_code = 0 then 'NONE' else coalesce(kafka.error, cast(kafka.error_code as varchar)) end as status,
    kafka.error_code = 0 as ok,
    kafka.request_bytes as request_bytes, kafka.response_bytes as response_bytes,
    kafka.pair, kafka.damaged
from kafka

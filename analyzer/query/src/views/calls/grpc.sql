-- Status names: the canonical codes of gRPC. A proxy that answers in its place says so in HTTP alone.
select grpc.call_id, grpc.flow_id, grpc.ts, grpc.latency_ms, 'grpc' as protocol,
    grpc.client_ip, grpc.client_port, grpc.server_ip, grpc.server_port,
    grpc.client_namespace, grpc.client_pod, grpc.client_workload, grpc.client_service,
    grpc.server_namespace, grpc.server_pod, grpc.server_workload, grpc.server_service, grpc.node, grpc.plaintext,
    '/' || grpc.service || '/' || grpc.method as operation,
    case grpc.grpc_status
        when 0 then 'OK' when 1 then 'CANCELLED' when 2 then 'UNKNOWN' when 3 then 'INVALID_ARGUMENT'
        when 4 then 'DEADLINE_EXCEEDED' when 5 then 'NOT_FOUND' when 6 then 'ALREADY_EXISTS'
        when 7 then 'PERMISSION_DENIED' when 8 then 'RESOURCE_EXHAUSTED' when 9 then 'FAILED_PRECONDITION'
        when 10 then 'ABORTED' when 11 then 'OUT_OF_RANGE' when 12 then 'UNIMPLEMENTED' when 13 then 'INTERNAL'
        when 14 then 'UNAVAILABLE' when 15 then 'DATA_LOSS' when 16 then 'UNAUTHENTICATED'
        else coalesce(cast(grpc.grpc_status as varchar), 'HTTP ' || cast(nullif(http.status, 200) as varchar))
    end as status,
    coalesce(grpc.grpc_status = 0, case when http.status <> 200 then false end) as ok,
    grpc.request_bytes as request_bytes, grpc.response_bytes as response_bytes,
    grpc.pair, grpc.damaged
from grpc left join http on http.call_id = grpc.call_id

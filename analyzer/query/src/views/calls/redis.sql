-- A push answers no command.
select redis.call_id, redis.flow_id, redis.ts, redis.latency_ms, 'redis' as protocol,
    redis.client_ip, redis.client_port, redis.server_ip, redis.server_port,
    redis.client_namespace, redis.client_pod, redis.client_workload, redis.client_service,
    redis.server_namespace, redis.server_pod, redis.server_workload, redis.server_service, redis.node, redis.plaintext,
    redis.command || coalesce(' ' || redis.key, '') as operation,
    case when redis.error is not null then split_part(redis.error, ' ', 1) when redis.reply_type is not null then 'OK' end as status,
    case when redis.reply_type is not null or redis.error is not null then redis.error is null end as ok,
    redis.request_bytes as request_bytes, redis.reply_bytes as response_bytes,
    redis.pair, redis.damaged
from redis
where not coalesce(redis.is_push, false)

-- Answers are no calls: what settles a publish or a delivery stands in that row (settled_by), and the time of a -ok
-- with what asked for it.
select amqp.call_id, amqp.flow_id, amqp.ts, amqp.latency_ms, 'amqp' as protocol,
    amqp.client_ip, amqp.client_port, amqp.server_ip, amqp.server_port,
    amqp.client_namespace, amqp.client_pod, amqp.client_workload, amqp.client_service,
    amqp.server_namespace, amqp.server_pod, amqp.server_workload, amqp.server_service, amqp.node, amqp.plaintext,
    coalesce(nullif(amqp.class, 'basic') || ' ', '') || amqp.method
        || coalesce(' ' || coalesce(nullif(amqp.routing_key, ''), nullif(amqp.queue, ''), nullif(amqp.exchange, '')), '') as operation,
    case when amqp.reply_code is not null then cast(amqp.reply_code as varchar) || coalesce(' ' || amqp.reply_text, '')
        when amqp.settled_by is not null then amqp.settled_by
        when amqp.latency_ms is not null then 'ok'
    end as status,
    case when amqp.reply_code is not null then amqp.reply_code in (0, 200)
        when amqp.settled_by is not null then amqp.settled_by in ('ack', 'commit')
        when amqp.latency_ms is not null then true
    end as ok,
    case when amqp.sender = 'client' then amqp.body_bytes end as request_bytes, case when amqp.sender = 'server' then amqp.body_bytes end as response_bytes,
    amqp.pair, amqp.damaged
from amqp
where amqp.class not in ('heartbeat', 'protocol-header')
    and amqp.method not like '%-ok' and amqp.method not like '%-empty'
    and not (amqp.class = 'basic' and amqp.method in ('ack', 'nack', 'reject'))

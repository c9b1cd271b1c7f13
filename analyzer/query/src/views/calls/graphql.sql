-- One call for a batch: its first operation stands for all, and its errors are those of all.
select graphql.call_id, graphql.flow_id, graphql.ts, graphql.latency_ms, 'graphql' as protocol,
    graphql.client_ip, graphql.client_port, graphql.server_ip, graphql.server_port,
    graphql.client_namespace, graphql.client_pod, graphql.client_workload, graphql.client_service,
    graphql.server_namespace, graphql.server_pod, graphql.server_workload, graphql.server_service,
    graphql.node, graphql.plaintext,
    graphql.operation_type || coalesce(' ' || coalesce(graphql.operation_name, graphql.root_fields[1]), '')
        || case when whole.operations > 1 then ' (+' || cast(whole.operations - 1 as varchar) || ')' else '' end as operation,
    case when http.status >= 400 then 'HTTP ' || cast(http.status as varchar)
        when whole.errors > 0 then cast(whole.errors as varchar) || case when whole.errors = 1 then ' error' else ' errors' end
        when http.status is not null or whole.errors = 0 then 'OK'
    end as status,
    case when http.status is not null or whole.errors is not null
        then coalesce(http.status < 400, true) and coalesce(whole.errors, 0) = 0
    end as ok,
    http.request_body_bytes as request_bytes, http.response_body_bytes as response_bytes,
    graphql.pair, graphql.damaged
from graphql
join (
    select call_id, min(coalesce(batch_index, 0)) as first, count(*) as operations,
        cast(sum(error_count) as bigint) as errors
    from graphql group by call_id
) whole on whole.call_id = graphql.call_id and whole.first = coalesce(graphql.batch_index, 0)
left join http on http.call_id = graphql.call_id

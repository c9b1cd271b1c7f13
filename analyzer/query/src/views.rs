//! The views: SQL over the tables of the protocols.

/// A protocol's part of `calls`: one file for each, by the name of its table.
struct Part {
    table: &'static str,
    sql: &'static str,
    /// The protocol it is carried in: where both have a row for a call, this one stands for it.
    carried_in: Option<&'static str>,
}

static CALLS: &[Part] = &[
    Part { table: "amqp", sql: include_str!("views/calls/amqp.sql"), carried_in: None },
    Part { table: "dns", sql: include_str!("views/calls/dns.sql"), carried_in: None },
    Part { table: "graphql", sql: include_str!("views/calls/graphql.sql"), carried_in: Some("http") },
    Part { table: "grpc", sql: include_str!("views/calls/grpc.sql"), carried_in: Some("http") },
    Part { table: "http", sql: include_str!("views/calls/http.sql"), carried_in: None },
    Part { table: "kafka", sql: include_str!("views/calls/kafka.sql"), carried_in: None },
    Part { table: "redis", sql: include_str!("views/calls/redis.sql"), carried_in: None },
    Part { table: "tls", sql: include_str!("views/calls/tls.sql"), carried_in: None },
];

/// The tables `calls` reads, of those there are.
pub fn behind_calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|part| part.table).filter(|name| formats::tables::table(name).is_some())
}

/// The query behind `calls`, over the tables there are: one row for each call, of the most specific protocol that
/// has one, so that nothing is counted twice.
pub fn calls(is_there: impl Fn(&str) -> bool) -> String {
    let parts = CALLS.iter().filter(|part| is_there(part.table)).map(|part| {
        let inner = CALLS.iter().filter(|inner| inner.carried_in == Some(part.table) && is_there(inner.table));
        let refined: Vec<String> = inner
            .map(|inner| {
                format!("not exists (select 1 from {0} where {0}.call_id = {1}.call_id)", inner.table, part.table)
            })
            .collect();
        match refined.as_slice() {
            [] => part.sql.trim_end().to_owned(),
            refined => format!("{}\nwhere {}", part.sql.trim_end(), refined.join(" and ")),
        }
    });
    parts.collect::<Vec<_>>().join("\nunion all\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use datafusion::prelude::SessionContext;

    const COMMON: &str = "cast(1 as timestamp) as ts, 1.0 as latency_ms, \
        '::1' as client_ip, 1 as client_port, '::1' as server_ip, 2 as server_port, \
        '' as client_namespace, '' as client_pod, '' as client_workload, '' as client_service, \
        '' as server_namespace, '' as server_pod, '' as server_workload, '' as server_service, \
        '' as node, 'wire' as plaintext, 'complete' as pair, false as damaged";

    /// What each protocol's table holds, as far as the view reads it.
    const TABLES: [(&str, &str, &str); 8] = [
        (
            "http",
            "call_id, method, path, host, status, request_body_bytes, response_body_bytes",
            "(1, 'GET', '/cart', 'shop', 200, 0, 9), (2, 'POST', '/pkg.Svc/M', 'shop', 200, 9, 9), \
             (3, 'POST', '/graphql', 'shop', 200, 9, 9), (4, 'POST', '/pkg.Svc/M', 'shop', 503, 9, 0), \
             (5, 'CONNECT', null, 'shop:443', null, 0, 0)",
        ),
        (
            "dns",
            "call_id, qtype, qname, rcode, request_bytes, response_bytes",
            "(10, 'A', 'example.org', 'NXDOMAIN', 9, 9)",
        ),
        (
            "grpc",
            "call_id, service, method, grpc_status, request_bytes, response_bytes",
            "(2, 'pkg.Svc', 'M', 5, 9, 9), (4, 'pkg.Svc', 'M', null, 9, 0)",
        ),
        (
            "graphql",
            "call_id, operation_type, operation_name, root_fields, error_count, batch_index",
            "(3, 'query', null, ['cart'], 0, 0), (3, 'mutation', 'Pay', ['pay'], 1, 1)",
        ),
        (
            "kafka",
            "call_id, api, topics, group_id, error_code, error, request_bytes, response_bytes",
            "(20, 'Produce', ['orders'], null, 0, null, 9, 9), (21, 'Heartbeat', null, 'billing', 27, 'REBALANCE_IN_PROGRESS', 9, 9)",
        ),
        (
            "amqp",
            "call_id, sender, class, method, routing_key, queue, exchange, reply_code, reply_text, settled_by, body_bytes",
            "(30, 'client', 'basic', 'publish', 'orders.created', null, 'shop', null, null, 'ack', 9), \
             (31, 'server', 'basic', 'ack', null, null, null, null, null, null, null), \
             (32, 'server', 'queue', 'declare-ok', null, 'q', null, null, null, null, null), \
             (34, 'client', 'queue', 'declare', null, 'held', null, null, null, null, null), \
             (33, 'client', 'heartbeat', null, null, null, null, null, null, null, null)",
        ),
        (
            "redis",
            "call_id, command, key, error, reply_type, is_push, request_bytes, reply_bytes",
            "(40, 'GET', 'user:1', null, 'bulk', false, 9, 9), (41, 'GET', 'list', 'WRONGTYPE Operation', 'error', false, 9, 9), \
             (42, null, null, null, 'push', true, 0, 9)",
        ),
        ("tls", "call_id, sni, alert, version, cipher", "(50, 'shop.test', null, 'TLS 1.3', 'TLS_AES_128_GCM_SHA256')"),
    ];

    async fn answer(tables: &[&str]) -> Vec<String> {
        let context = SessionContext::new();
        for (name, columns, rows) in TABLES.iter().filter(|(name, ..)| tables.contains(name)) {
            let sql =
                format!("create table {name} as select *, 7 as flow_id, {COMMON} from (values {rows}) t({columns})");
            context.sql(&sql).await.unwrap().collect().await.unwrap();
        }
        let calls = calls(|table| tables.contains(&table));
        let sql = format!(
            "select concat_ws(' | ', cast(call_id as varchar), protocol, operation, status, cast(ok as varchar)) as line from ({calls}) order by call_id"
        );
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        let lines = batches.iter().flat_map(|batch| {
            batch.column(0).as_string_view_opt().map_or_else(
                || batch.column(0).as_string::<i32>().iter().map(|line| line.unwrap().to_owned()).collect::<Vec<_>>(),
                |lines| lines.iter().map(|line| line.unwrap().to_owned()).collect(),
            )
        });
        lines.collect()
    }

    #[tokio::test]
    async fn a_call_has_one_row_of_its_most_specific_protocol() {
        let all: Vec<&str> = TABLES.iter().map(|(name, ..)| *name).collect();
        let want = [
            "1 | http | GET /cart | 200 | true",
            "2 | grpc | /pkg.Svc/M | NOT_FOUND | false",
            "3 | graphql | query cart (+1) | 1 error | false",
            "4 | grpc | /pkg.Svc/M | HTTP 503 | false",
            "5 | http | CONNECT shop:443",
            "10 | dns | A example.org | NXDOMAIN | false",
            "20 | kafka | Produce orders | NONE | true",
            "21 | kafka | Heartbeat billing | REBALANCE_IN_PROGRESS | false",
            "30 | amqp | publish orders.created | ack | true",
            "34 | amqp | queue declare held | ok | true",
            "40 | redis | GET user:1 | OK | true",
            "41 | redis | GET list | WRONGTYPE | false",
            "50 | tls | handshake shop.test | TLS 1.3 | true",
        ];
        assert_eq!(answer(&all).await, want);
    }

    #[tokio::test]
    async fn a_protocol_without_table_has_no_part() {
        let want = ["1 | http | GET /cart | 200 | true", "2 | http | POST /pkg.Svc/M | 200 | true"];
        assert_eq!(answer(&["http"]).await[..2], want);
    }
}

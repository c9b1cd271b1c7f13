//! What we write is read by others: our Parquet by DuckDB, our segments by tshark.

use crate::run::{Remora, capture};
use std::process::Command;

/// Says aloud that a test cannot run here; in CI that is a failure.
fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// A Python that has DuckDB.
fn python() -> Option<Command> {
    let program = std::env::var_os("REMORA_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&program).args(["-c", "import duckdb"]).output().is_ok_and(|run| run.status.success());
    found.then(|| Command::new(program))
}

const ASK_DUCKDB: &str = "
import duckdb, json, sys
tables = json.loads(sys.argv[2])
for table, columns in tables:
    rows = duckdb.sql(f\"select * from read_parquet('{sys.argv[1]}/{table}/**/*.parquet', hive_partitioning=false)\")
    print(table, len(rows), ','.join(rows.columns) == columns)
print(duckdb.sql(f\"select method, path, status, request_headers[1].name, epoch_us(ts) from '{sys.argv[1]}/http/**/*.parquet' order by ts limit 1\").fetchall())
print(duckdb.sql(f\"select qname, answers[1]['data'] from '{sys.argv[1]}/dns/**/*.parquet' order by ts limit 1\").fetchall())
";

#[test]
fn duckdb_reads_our_parquet() {
    let Some(mut python) = python() else {
        return skip("no Python with DuckDB: pip install duckdb, or name one in REMORA_TEST_PYTHON");
    };
    let remora = Remora::new();
    let dataset = remora.path("dataset");
    let input = capture().display().to_string();
    let made: Vec<_> = formats::tables::TABLES.iter().collect();
    let names = made.iter().map(|table| table.name).collect::<Vec<_>>().join(",");
    assert_eq!(remora.run(&["dissect", &input, "-o", &dataset, "--tables", &names]).code, 0);
    let count = |table: &str| {
        let said = remora.run(&["sql", &dataset, "--format", "csv", &format!("select count(*) from {table}")]);
        said.text().lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    // A table without rows has no files.
    let filled: Vec<_> = made.iter().filter(|table| count(table.name) > 0).collect();
    assert!(filled.len() >= 6, "{filled:?}");
    let columns =
        |table: &formats::tables::Table| table.columns().map(|column| column.name).collect::<Vec<_>>().join(",");
    let asked: Vec<_> = filled.iter().map(|table| (table.name, columns(table))).collect();
    let said = python.args(["-c", ASK_DUCKDB, &dataset, &serde_json::to_string(&asked).unwrap()]).output().unwrap();
    let mut want: String =
        filled.iter().map(|table| format!("{0} {1} True\n", table.name, count(table.name))).collect();
    let first = remora.run(&["sql", &dataset, "--format", "csv", "select cast(min(ts) as bigint) from http"]);
    let first_us = first.text().lines().nth(1).unwrap();
    want.push_str(&format!("[('GET', '/', 200, 'Host', {first_us})]\n[('shop.test', '192.0.2.7')]\n"));
    assert_eq!(String::from_utf8_lossy(&said.stdout), want, "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn tshark_reads_our_segments() {
    if Command::new("tshark").arg("--version").output().is_err() {
        return skip("tshark is not installed");
    }
    // As the recorder stored it, compressed.
    let said = Command::new("tshark")
        .args(["-d", "tcp.port==18090,http", "-d", "udp.port==15353,dns", "-r"])
        .arg(capture())
        .args(["-Y", "http.request or dns.flags.response == 0", "-T", "fields"])
        .args(["-e", "frame.interface_name", "-e", "http.request.uri", "-e", "dns.qry.name"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(text.lines().filter(|line| line.starts_with("lo\t/")).count(), 8, "{text}");
    assert!(text.contains("lo\t\tnothing.test"), "{text}");
}

//! `remora sql`, `flows`, `calls`, `completions`: what is answered, in which form, and with which exit code.

use crate::run::{Remora, capture};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

fn input() -> String {
    capture().display().to_string()
}

#[test]
fn the_exit_code_says_whether_there_were_rows() {
    let remora = Remora::new();
    for (arguments, want) in [
        (vec!["sql", "select 1 from http"], 0),
        (vec!["sql", "select 1 from http where status = 999"], 1),
        (vec!["sql", "select statsu from http"], 2),
        (vec!["calls"], 0),
        (vec!["calls", "--where", "protocol = 'nothing'"], 1),
        (vec!["calls", "--where", "nothing = 1"], 2),
        (vec!["flows"], 0),
        (vec!["flows", "--where", "false -- never"], 1),
        (vec!["flows", "--where", "server_port >"], 2),
    ] {
        let mut arguments = arguments;
        arguments.insert(1, Box::leak(input().into_boxed_str()));
        let said = remora.run(&arguments);
        assert_eq!(said.code, want, "{arguments:?}: {said:?}");
    }
    assert_eq!(remora.run(&["calls", "/no/such/file"]).code, 2);
    let nothing = remora.run_with(&["sql", "-", "select 1 from http"], b"");
    assert!(nothing.code == 2 && nothing.error.contains("stdin is empty"), "{nothing:?}");
}

#[test]
fn errors_say_what_may_have_been_meant() {
    let remora = Remora::new();
    for (sql, want) in [
        ("select staus from http", "did you mean 'status'"),
        ("select * from htpp", "did you mean 'http'"),
        ("select * form http", "syntax error at line 1"),
        ("delete from http", "tables are read, never changed"),
        ("select * from calls where status = 404", "quote the number"),
    ] {
        let said = remora.run(&["sql", &input(), sql]);
        assert!(said.code == 2 && said.error.contains(want), "{sql}: {said:?}");
    }
}

#[test]
fn every_format_holds_the_same_rows() {
    let remora = Remora::new();
    let sql = "select method, status, latency_ms from http order by ts";
    let said = |format: &str| remora.run(&["sql", &input(), sql, "--format", format]);
    let csv = said("csv");
    assert_eq!(csv.text().lines().next(), Some("method,status,latency_ms"));
    assert_eq!(csv.text().lines().count(), 9);
    let json: Vec<Value> = serde_json::from_slice(&said("json").out).unwrap();
    let lines: Vec<Value> = said("ndjson").text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((json.len(), &json), (8, &lines));
    assert_eq!(said("table").text().lines().count(), 12);
    // The ending of a file says the format; what was written is read again as it is.
    let folder = remora.path("again/http/date=2026-11-24");
    std::fs::create_dir_all(&folder).unwrap();
    let file = format!("{folder}/rows.parquet");
    assert_eq!(remora.run(&["sql", &input(), "select * from http", "-o", &file]).code, 0);
    let again = remora.run(&["sql", &remora.path("again"), sql, "--format", "csv"]);
    assert_eq!(again.text(), csv.text());
    let several = remora.run(&["sql", &input(), "select 1; select 2", "-o", &file]);
    assert!(several.code == 2 && several.error.contains("one statement"), "{several:?}");
}

#[test]
fn sql_comes_as_argument_file_or_standard_input() {
    let remora = Remora::new();
    let file = remora.path("question.sql");
    std::fs::write(&file, "-- of names; only\nselect count(*) as names from dns;\n").unwrap();
    let want = "names\n4\n";
    assert_eq!(remora.run(&["sql", &input(), "--format", "csv", "-f", &file]).text(), want);
    let typed = remora.run_with(&["sql", &input(), "--format", "csv"], b"select count(*) as names from dns");
    assert_eq!(typed.text(), want);
    let capture = std::fs::read(capture()).unwrap();
    let piped = remora.run_with(
        &["sql", "-", "--format", "csv", "select count(*) as names, capture from dns, captures group by 2"],
        &capture,
    );
    assert_eq!(piped.text(), "names,capture\n4,stdin\n");
}

#[test]
fn a_bad_file_is_reported_and_the_rest_is_read() {
    let remora = Remora::new();
    let bad = remora.path("bad.pcap");
    std::fs::write(&bad, "this is no capture at all").unwrap();
    for time in ["dissected", "cached"] {
        let said = remora.run(&["sql", &input(), &bad, "--format", "csv", "select count(*) as names from dns"]);
        assert_eq!((said.code, said.text()), (2, "names\n4\n"), "{time}");
        assert!(said.error.contains("bad.pcap begins with"), "{time}: {said:?}");
    }
    // Tables of what was decrypted are plain.
    let cache = std::fs::metadata(remora.path("cache")).unwrap();
    assert_eq!(cache.permissions().mode() & 0o777, 0o700);
}

#[test]
fn calls_and_flows_are_for_people_or_machines() {
    let remora = Remora::new();
    let said = remora.run(&["calls", &input(), "--limit", "2"]);
    let lines: Vec<Vec<&str>> = said.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert_eq!(lines[2][5..8], ["GET", "/missing", "404"]);
    assert!(said.error.contains("--limit 0"), "{said:?}");
    assert!(!said.text().contains('\x1b'), "no colour in a pipe");
    let colored = remora.run(&["calls", &input(), "--color", "always", "--where", "ok is false"]);
    assert!(colored.text().contains("\x1b[31m404\x1b[0m"), "{colored:?}");
    let said = remora.run(&["flows", &input(), "--format", "ndjson", "--where", "protocol = 'dns'"]);
    let rows: Vec<Value> = said.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["server_port"] == 15353), "{said:?}");
    let said = remora.run(&["flows", &input(), "-o", &remora.path("flows.txt")]);
    assert!(said.out.is_empty() && said.code == 0, "{said:?}");
    assert!(std::fs::read_to_string(remora.path("flows.txt")).unwrap().contains("closed"));
}

#[test]
fn tables_made_on_request_are_made_when_they_are_asked_for() {
    let remora = Remora::new();
    let said = remora.run(&["sql", &input(), "--format", "csv", "select count(*) > 50 as many from packets"]);
    assert_eq!(said.text(), "many\ntrue\n");
    let dataset = remora.path("dataset");
    assert_eq!(remora.run(&["dissect", &input(), "-o", &dataset]).code, 0);
    let said = remora.run(&["sql", &dataset, "select count(*) from packets"]);
    assert!(said.error.contains("has no 'packets'"), "{said:?}");
}

#[test]
fn captures_are_hashed_for_whoever_asks_for_their_digest() {
    use sha2::{Digest, Sha256};
    let remora = Remora::new();
    let capture = std::fs::read(capture()).unwrap();
    let digest: String = Sha256::digest(&capture).iter().map(|byte| format!("{byte:02x}")).collect();
    let ask = |sql: &str| remora.run(&["sql", &input(), "--format", "csv", sql]).text().to_owned();
    assert_eq!(ask("select count(*) as n from dns"), "n\n4\n");
    assert_eq!(ask("select sha256 from captures"), format!("sha256\n{digest}\n"));
    assert_eq!(ask("select sha256 from captures, dns limit 1"), format!("sha256\n{digest}\n"));
}

/// The tables that a cache keeps.
fn kept(remora: &Remora) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(remora.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("files.txt").exists()).collect()
}

#[test]
fn the_cache_holds_no_more_than_its_bound() {
    let remora = Remora::new();
    let thesis = std::path::PathBuf::from(remora.path("cache/thesis"));
    std::fs::create_dir_all(&thesis).unwrap();
    std::fs::write(thesis.join("text"), "not ours").unwrap();
    let ask = |sql: &str| remora.run(&["sql", &input(), "--cache-max-mib", "0", sql]);
    assert_eq!(ask("select * from dns").code, 0);
    let said = ask("select * from http");
    assert!(said.error.contains("left the cache, which keeps 0 MiB"), "{said:?}");
    assert_eq!(kept(&remora).len(), 1);
    assert!(thesis.join("text").exists());
    assert!(std::fs::read_dir(remora.path("cache")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        !name.starts_with(".using-") && !name.starts_with(".making-")
    }));
}

#[test]
fn what_a_question_needs_stays_until_it_is_answered() {
    let remora = Remora::new();
    let case = |name: &str| format!("{}/../testdata/pcaps/{name}/input.pcapng.zst", env!("CARGO_MANIFEST_DIR"));
    let count = |inputs: &[&str]| {
        let options = ["-q", "--cache-max-mib", "0", "--format", "csv", "select count(*) from flows"];
        let said = remora.run(&[&["sql"], inputs, &options].concat());
        said.text().lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (one, other) = (case("redis-resp"), case("amqp-rabbitmq"));
    assert_eq!(count(&[&one, &other]), count(&[&one]) + count(&[&other]));
}

#[test]
fn tables_that_were_damaged_are_made_anew() {
    let remora = Remora::new();
    let ask = || remora.run(&["sql", &input(), "--format", "csv", "select count(*) as n from http"]).text().to_owned();
    assert_eq!(ask(), "n\n8\n");
    let files = std::fs::read_to_string(kept(&remora)[0].join("files.txt")).unwrap();
    let table = files.lines().filter_map(|line| line.split_once(' ')).find(|(_, path)| path.starts_with("http/"));
    let path = kept(&remora)[0].join(table.unwrap().1);
    std::fs::write(&path, "").unwrap();
    assert_eq!(ask(), "n\n8\n");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ask(), "n\n8\n");
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let remora = Remora::new();
    let pipe = remora.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, std::fs::read(capture()).unwrap())
    });
    let said = remora.run(&["sql", &pipe, "--format", "csv", "select count(*) as n from http"]);
    assert_eq!(said.text(), "n\n8\n", "{said:?}");
    writer.join().unwrap().unwrap();
}

#[test]
fn every_shell_gets_its_completions() {
    let remora = Remora::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = remora.run(&["completions", shell]);
        assert!(said.code == 0 && said.text().contains("carve") && said.text().contains("snapshot"), "{shell}");
    }
}

#[test]
fn every_command_says_what_it_does() {
    let remora = Remora::new();
    for command in ["calls", "carve", "completions", "dissect", "flows", "schema", "snapshot", "sql"] {
        let said = remora.run(&[command, "--help"]);
        assert!(said.code == 0 && said.text().contains("Usage: remora") && said.text().len() > 300, "{command}");
    }
}

#[test]
fn an_answer_replaces_no_input_and_no_answer_that_was_whole() {
    let remora = Remora::new();
    let (copy, out, dataset) = (remora.path("copy.pcapng.zst"), remora.path("out.csv"), remora.path("dataset"));
    std::fs::copy(capture(), &copy).unwrap();
    for arguments in [&["sql", &copy, "select 1 from http"], &["calls", &copy, "--limit", "1"][..]] {
        let said = remora.run(&[arguments, &["--format", "csv", "-o", &copy]].concat());
        assert!(said.code == 2 && said.error.contains("would be overwritten"), "{said:?}");
    }
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(capture()).unwrap());
    assert_eq!(remora.run(&["dissect", &copy, "--tables", "dns", "-o", &dataset]).code, 0);
    let file =
        glob::glob(&format!("{dataset}/dns/**/*.parquet")).unwrap().next().unwrap().unwrap().display().to_string();
    let said = remora.run(&["sql", &dataset, "select 1 from dns", "-o", &file]);
    assert!(said.code == 2 && said.error.contains("would be overwritten"), "{said:?}");
    assert_eq!(remora.run(&["sql", &copy, "select count(*) as names from dns", "-o", &out]).code, 0);
    assert_eq!(remora.run(&["sql", &copy, "select no from dns", "-o", &out]).code, 2);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "names\n4\n");
    // What its name promises we do not write.
    for name in ["out.csv.gz", "out.xlsx"] {
        let said = remora.run(&["sql", &copy, "select 1", "-o", &remora.path(name)]);
        assert!(said.code == 2 && said.error.contains(name) && said.error.contains("--format"), "{said:?}");
    }
    for format in ["json", "parquet"] {
        let said = remora.run(&["sql", &copy, "select 1; select 2", "--format", format]);
        assert!(said.code == 2 && said.out.is_empty() && said.error.contains("one statement"), "{said:?}");
    }
}

#[test]
fn columns_of_one_name_are_refused_where_they_cannot_be_told_apart() {
    let remora = Remora::new();
    let sql = "select a.id, b.id, a.qname from dns a join dns b on a.call_id = b.call_id";
    for (format, want) in [("json", 2), ("ndjson", 2), ("parquet", 2), ("csv", 0), ("table", 0)] {
        let said = remora.run(&["sql", &input(), sql, "--format", format]);
        assert!(said.code == want && said.error.contains("called 'id': give") == (want == 2), "{format}: {said:?}");
    }
}

#[test]
fn flags_say_what_they_take() {
    let mut remora = Remora::new();
    let sql = "select count(*) as names from dns";
    for (arguments, want) in [
        (["--threads", "99999"], "0..=1024"),
        (["--memory-max-mib", "0"], "1..="),
        (["--cache-max-mib", "99999999999"], "..="),
    ] {
        let said = remora.run(&[&["sql", &input(), sql][..], &arguments].concat());
        assert!(said.code == 2 && said.error.contains(want), "{said:?}");
    }
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    remora.environment = vec![set("REMORA_SQL", "select 1"), set("REMORA_QUIET", "1")];
    let file = remora.path("question.sql");
    std::fs::write(&file, sql).unwrap();
    for arguments in [vec![sql], vec!["-f", &file], vec!["-e", sql]] {
        let said = remora.run(&[&["sql", &input(), "--format", "csv"][..], &arguments].concat());
        assert_eq!(said.text(), "names\n4\n", "{said:?}");
    }
    remora.environment = vec![set("REMORA_QUIET", "1"), set("REMORA_FLOWS", "no")];
    let carve = ["carve", &input(), "--where", "http.status = 404", "-o", &remora.path("out.pcapng")];
    let said = remora.run(&carve);
    assert!(said.code == 0 && said.error.is_empty(), "{said:?}");
}

#[test]
fn a_damaged_file_is_named() {
    let remora = Remora::new();
    let (input, dataset) = (capture().display().to_string(), remora.path("dataset"));
    assert_eq!(remora.run(&["dissect", &input, "-o", &dataset]).code, 0);
    let damage = |table: &str| {
        let files = glob::glob(&format!("{dataset}/{table}/**/*.parquet")).unwrap().map(Result::unwrap);
        let file = files.last().unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        file.display().to_string()
    };
    let http = damage("http");
    let said = remora.run(&["sql", &dataset, "select count(*), max(status) from http"]);
    assert!(said.code == 2 && said.error.contains(&http), "{said:?}");
    // An answer from what is whole stands; what it lacks is not known.
    let captures = damage("captures");
    let said = remora.run(&["sql", &dataset, "select max(id) as id from dns where rcode is not null"]);
    assert!(said.code == 0 && said.error.contains("what is missing could not be determined"), "{said:?}");
    assert!(said.error.contains(&captures), "{said:?}");
}

#[test]
fn columns_that_could_be_meant_are_named_once() {
    let remora = Remora::new();
    let input = capture().display().to_string();
    let said = remora.run(&["sql", &input, "select no_such from http join dns on http.flow_id = dns.flow_id"]);
    let names: Vec<&str> = said.error.split("there are ").nth(1).unwrap().trim().split(", ").collect();
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(
        (once.len(), names.contains(&"flow_id"), names.contains(&"rcode")),
        (names.len(), true, true),
        "{said:?}"
    );
}

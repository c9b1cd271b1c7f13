//! `--redact`: what nobody is to read in rows.

use crate::run::{Remora, capture};
use std::fs;

const RULES: &str = "rules:\n- {name: agents, headers: [user-agent]}\n";

const AGENTS: &str = "select header(request_headers, 'user-agent') as agent, count(*) as n from http \
    where request_headers is not null group by 1";

#[test]
fn rows_are_redacted_and_the_cache_tells_them_from_others() {
    let remora = Remora::new();
    let input = capture().display().to_string();
    let rules = remora.path("rules.yaml");
    fs::write(&rules, RULES).unwrap();
    let ask = |more: &[&str]| {
        let said = remora.run(&[&["sql", &input, "--format", "csv", AGENTS][..], more].concat());
        assert_eq!(said.code, 0, "{said:?}");
        said.text().to_owned()
    };
    let plain = ask(&[]);
    assert!(plain.contains("curl") && !plain.contains("[redacted]"), "{plain}");
    assert_eq!(ask(&["--redact", &rules]), "agent,n\n[redacted],8\n");
    assert_eq!(ask(&[]), plain);
    // Other rules of the same name.
    fs::write(&rules, "rules: [{name: others, headers: [x-none]}]").unwrap();
    assert_eq!(ask(&["--redact", &rules]), plain);
    assert_eq!(ask(&["--redact", "builtin", "--redact", &rules]), plain);
    let said = remora.run(&["calls", &input, "--redact", "builtin", "--format", "csv"]);
    assert_eq!((said.code, said.text().lines().count()), (0, 13), "{said:?}");
}

#[test]
fn a_dataset_says_by_which_rules() {
    let remora = Remora::new();
    let input = capture().display().to_string();
    let (rules, dataset) = (remora.path("rules.yaml"), remora.path("dataset"));
    fs::write(&rules, RULES).unwrap();
    let said = remora.run(&["dissect", &input, "-o", &dataset, "--tables", "http,anomalies", "--redact", &rules]);
    assert_eq!(said.code, 0, "{said:?}");
    let ask = |sql: &str| remora.run(&["sql", &dataset, "--format", "csv", sql]).text().to_owned();
    assert_eq!(ask("select redaction like 'rules.yaml sha256:%' as said from captures"), "said\ntrue\n");
    let told =
        "select kind, detail, count(distinct call_id) as calls from anomalies where room = 'redact' group by 1, 2";
    assert_eq!(ask(told), "kind,detail,calls\nredacted,agents: 1 in http.request_headers,8\n");
    // What is made already stays as it was made.
    let said = remora.run(&["sql", &dataset, "--redact", &rules, "select 1 from http"]);
    assert!(said.code == 2 && said.error.contains("is a dataset"), "{said:?}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let mut remora = Remora::new();
    let input = capture().display().to_string();
    let (rules, out) = (remora.path("bad.yaml"), remora.path("out.pcapng"));
    let said = remora.run(&["sql", &input, "--redact", &rules, "select 1 from http"]);
    assert!(said.code == 2 && said.error.contains("bad.yaml: cannot be read"), "{said:?}");
    fs::write(&rules, "rules:\n- name: a\n  json: ['a..b']\n").unwrap();
    let said = remora.run(&["flows", &input, "--redact", &rules]);
    assert!(said.code == 2 && said.error.contains("bad.yaml") && said.error.contains("line 3"), "{said:?}");
    remora.environment.push(("REMORA_REDACT".into(), "builtin".into()));
    let said = remora.run(&["carve", &input, "--where", "true", "-o", &out]);
    assert!(said.code == 2 && said.error.contains("nothing in them can be redacted"), "{said:?}");
    assert!(!std::path::Path::new(&out).exists());
}

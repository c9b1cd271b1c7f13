//! What is said on standard error: to whom, in which form, and what becomes of it where nobody can listen.

use crate::run::{Remora, capture};
use serde_json::Value;
use std::fs::File;

#[test]
fn nobody_has_to_listen() {
    let remora = Remora::new();
    let bad = remora.path("bad.pcap");
    std::fs::write(&bad, "this is no capture at all").unwrap();
    let input = capture().display().to_string();
    for arguments in [
        vec!["calls", "/no/such/file"],
        vec!["dissect", &bad, &input, "-o", &remora.path("dataset")],
        vec!["sql", &bad, &input, "select 1"],
        vec!["sql", &input, "select no from dns"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let status = remora.command(&arguments).stdout(std::process::Stdio::null()).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn messages_are_objects_where_that_is_asked_for() {
    let remora = Remora::new();
    let input = capture().display().to_string();
    let said = |arguments: &[&str]| -> Vec<(String, String)> {
        let said = remora.run(&[arguments, &["--log-format", "json"]].concat());
        let lines = said.error.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        lines.map(|line| (text(&line["level"]), text(&line["message"]))).collect()
    };
    let info = |text: &str| vec![("INFO".to_owned(), text.to_owned())];
    assert_eq!(said(&["calls", &input, "--limit", "1"]), info("there are more; --limit 0 shows all"));
    assert_eq!(said(&["calls", &input, "--limit", "1", "--quiet"]), []);
    let errors = said(&["sql", &input, "select\nno such from dns"]);
    assert!(errors.len() == 1 && errors[0].0 == "ERROR", "{errors:?}");
}

#[test]
fn tables_that_are_not_there_are_no_silent_zero() {
    let remora = Remora::new();
    let (input, part, whole) = (capture().display().to_string(), remora.path("part"), remora.path("whole"));
    assert_eq!(remora.run(&["dissect", &input, "--tables", "captures,coverage", "-o", &part]).code, 0);
    assert_eq!(remora.run(&["dissect", &input, "-o", &whole]).code, 0);
    for (inputs, sql, want) in [
        (vec![&part], "select count(*) from flows", "has no 'flows': it was not made, or has no rows"),
        (vec![&part], "select count(*) from packets", "has no 'packets': it is made on request"),
        (vec![&part], "select count(*) from calls", "has none of the tables behind 'calls'"),
        (vec![&part, &whole], "select count(*) from flows", "1 of 2 datasets have no 'flows'"),
        (vec![&part, &input], "select count(*) from flows", "has no 'flows'"),
        (vec![&whole], "select count(*) from calls, flows, coverage", ""),
        (vec![&input], "select count(*) from kafka, spans", ""),
    ] {
        let inputs = inputs.into_iter().map(String::as_str);
        let said = remora.run(&["sql"].into_iter().chain(inputs).chain([sql]).collect::<Vec<_>>());
        assert!(said.code == 0 && said.error.contains(want), "{sql}: {said:?}");
        assert_eq!(said.error.is_empty(), want.is_empty(), "{sql}: {said:?}");
    }
}

#[test]
fn a_folder_says_what_it_passes_by() {
    let remora = Remora::new();
    for name in ["in/d.pcapng.zst", "in/d.pcapng1.zst", "in/trace0", "in/deep/y.pcap.xz"] {
        let path = remora.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(capture(), path).unwrap();
    }
    let said = remora.run(&["sql", &remora.path("in"), "select count(*) as n from dns", "--format", "csv"]);
    assert_eq!(said.text(), "n\n8\n");
    assert!(said.error.contains("passed by: 2, as \"trace0\""), "{said:?}");
}

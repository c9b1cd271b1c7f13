//! Every case of `testdata/pcaps` answers what its `expect.slt` says, and gives the same files for any number of threads.

use sqllogictest::{DBOutput, DefaultColumnType, Runner};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const REMORA: &str = env!("CARGO_BIN_EXE_remora");

/// Asks the real binary.
struct Remora {
    input: PathBuf,
    cache: PathBuf,
}

#[derive(Debug)]
struct Said(String);
impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Said {}

impl sqllogictest::DB for Remora {
    type Error = Said;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Self::ColumnType>, Said> {
        let run = Command::new(REMORA)
            .args(["sql", "--format", "csv", "--execute", sql])
            .arg("--cache")
            .arg(&self.cache)
            .arg(&self.input)
            .output()
            .map_err(|error| Said(error.to_string()))?;
        if run.status.code() == Some(2) {
            return Err(Said(String::from_utf8_lossy(&run.stderr).into_owned()));
        }
        let mut answer = csv::Reader::from_reader(run.stdout.as_slice());
        let rows: Result<Vec<Vec<String>>, _> =
            answer.records().map(|row| row.map(|row| row.iter().map(str::to_owned).collect())).collect();
        let rows = rows.map_err(|error| Said(error.to_string()))?;
        let width = rows.first().map_or(1, Vec::len);
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows })
    }
}

pub fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/pcaps");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

pub fn input(case: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("input.")).unwrap()
}

#[test]
fn every_case_answers_what_it_must() {
    for case in cases() {
        let cache = tempfile::tempdir().unwrap();
        let (input, folder) = (input(&case), cache.path().to_owned());
        let mut runner = Runner::new(move || {
            let remora = Remora { input: input.clone(), cache: folder.clone() };
            async move { Ok(remora) }
        });
        runner.run_file(case.join("expect.slt")).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    }
}

fn files(folder: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            found.insert(path.strip_prefix(below).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_files() {
    for case in cases() {
        let written: Vec<_> = ["1", "2", "5"]
            .map(|threads| {
                let out = tempfile::tempdir().unwrap();
                let run = Command::new(REMORA)
                    .args(["dissect", "--threads", threads, "--out"])
                    .arg(out.path())
                    .arg(input(&case))
                    .status();
                assert!(run.unwrap().success());
                let mut found = BTreeMap::new();
                files(out.path(), out.path(), &mut found);
                found
            })
            .into();
        assert!(!written[0].is_empty());
        assert!(written.iter().all(|files| *files == written[0]), "{}", case.display());
    }
}

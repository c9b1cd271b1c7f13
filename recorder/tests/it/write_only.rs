//! A store whose answers are lost, and that nobody can read.

use crate::made::Recording;
use recorder::schedule::StoreTarget;
use recorder::spool::Spool;
use recorder::upload::{Sender, Store, UploadError};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// A store that takes what it gets, if it has the SHA-256 sent along, and answers the first request as if it had not. It has no
/// way to be read.
fn forgetful_store() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut taken = HashSet::new();
        for stream in listener.incoming().flatten() {
            let mut input = BufReader::new(stream);
            let mut head = Vec::new();
            while let Ok(1..) = input.read_until(b'\n', &mut head)
                && !head.ends_with(b"\r\n\r\n")
            {}
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
            input.read_exact(&mut vec![0; length.trim().parse().unwrap()]).ok();
            if head.lines().next().is_some_and(|line| line.contains(".probe")) {
                input
                    .get_mut()
                    .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .ok();
                continue;
            }
            let is_first = taken.is_empty();
            let is_new = taken.insert(head.lines().next().map(str::to_owned));
            let answer = match is_new || !head.contains("if-none-match") {
                true if is_first => "500 Internal Server Error",
                true => "200 OK\r\netag: \"1\"",
                false => "412 Precondition Failed",
            };
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            input.get_mut().write_all(answer.as_bytes()).ok();
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_took_and_did_not_say_is_our_own_where_nobody_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let url = "s3://captures/prod".parse().unwrap();
    let target = StoreTarget { url, write_only: true, encrypt_to: Vec::new(), object_lock: None };
    let mut recording = Recording::begin(&spool, "nightly", &target);
    recording.segment(10);
    recording.close();
    let environment = [
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", forgetful_store())),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
    ];
    let store = Store::open_with(&target, environment).unwrap();
    let mut sender = Sender::new(spool.clone()).with_store(target, store);
    let error = sender.sweep().await.unwrap_err();
    assert!(matches!(error, UploadError::Store { .. }), "{error}");
    sender.sweep().await.unwrap();
    assert!(spool.recordings().unwrap().is_empty());
}

//! Headers and bodies of every kind.

use super::*;

#[test]
fn messages() {
    check(
        &[
            ("a request and its response", vec![heartbeat(7), alive(7)], &format!("Heartbeat v0 7 {HEARTBEAT}")),
            (
                "responses out of order",
                vec![heartbeat(1), heartbeat(2), alive(2), alive(1)],
                &format!("Heartbeat v0 2 {HEARTBEAT}\nHeartbeat v0 1 {HEARTBEAT}"),
            ),
            (
                "an error",
                vec![heartbeat(7), answers(7, put().i16(25))],
                r#"Heartbeat v0 7 complete group g UNKNOWN_MEMBER_ID {"group_id":"g","generation_id":1,"member_id":"m"} -> {"error_code":25}"#,
            ),
            (
                "an error of a partition",
                vec![
                    asks(24, 0, 7, put().text("x").i64(1).i16(0).i32(1).text("t").i32(1).i32(4)),
                    answers(7, put().i32(0).i32(1).text("t").i32(1).i32(4).i16(3)),
                ],
                r#"AddPartitionsToTxn v0 7 complete [t] UNKNOWN_TOPIC_OR_PARTITION {"v3_and_below_transactional_id":"x","v3_and_below_producer_id":1,"v3_and_below_producer_epoch":0,"v3_and_below_topics":[{"name":"t","partitions":[4]}]} -> {"throttle_time_ms":0,"results_by_topic_v3_and_below":[{"name":"t","results_by_partition":[{"partition_index":4,"partition_error_code":3}]}]}"#,
            ),
            (
                "a response alone",
                vec![alive(7), heartbeat(8), alive(8)],
                &format!("7 response_only\nHeartbeat v0 8 {HEARTBEAT}"),
            ),
            (
                "an unknown version",
                vec![asks(12, 90, 1, put().text("?")), heartbeat(2), answers(1, put().i64(1)), alive(2)],
                &format!("Heartbeat v90 1 complete\nHeartbeat v0 2 {HEARTBEAT}"),
            ),
            (
                "an unknown key",
                vec![asks(900, 1, 1, put().text("?")), heartbeat(2), answers(1, put().i64(1)), alive(2)],
                &format!("900 v1 1 complete\nHeartbeat v0 2 {HEARTBEAT}"),
            ),
            (
                "the first version of ControlledShutdown has no client id",
                vec![
                    client(put().bytes(put().i16(7).i16(0).i32(3).i32(9).0).0),
                    answers(3, put().i16(0).i32(1).text("t").i32(4)),
                ],
                r#"ControlledShutdown v0 3 complete [t] {"broker_id":9} -> {"error_code":0,"remaining_partitions":[{"topic_name":"t","partition_index":4}]}"#,
            ),
            (
                "ApiVersions answers with the oldest header",
                vec![
                    asks(18, 3, 1, put().compact("lib").compact("1").i8(0)),
                    answers(1, put().i16(0).i8(2).i16(18).i16(0).i16(4).i8(0).i32(0).i8(1).i8(1).i8(8).i64(5)),
                ],
                r#"ApiVersions v3 1 complete {"client_software_name":"lib","client_software_version":"1"} -> {"error_code":0,"api_keys":[{"api_key":18,"min_version":0,"max_version":4}],"throttle_time_ms":0,"finalized_features_epoch":5}"#,
            ),
            (
                "a version the broker does not know is answered in the first",
                vec![
                    asks(18, 4, 1, put().compact("lib").compact("1").i8(0)),
                    answers(1, put().i16(35).i32(1).i16(18).i16(0).i16(2)),
                ],
                r#"ApiVersions v4 1 complete UNSUPPORTED_VERSION {"client_software_name":"lib","client_software_version":"1"} -> {"error_code":35,"api_keys":[{"api_key":18,"min_version":0,"max_version":2}]}"#,
            ),
            (
                "tags that nobody knows",
                vec![
                    asks(12, 4, 1, put().compact("g").i32(1).compact("m").i8(0).i8(1).i8(9).i8(2).i16(1)),
                    answers(1, put().i8(0).i32(0).i16(0).i8(0)),
                ],
                r#"Heartbeat v4 1 complete group g {"group_id":"g","generation_id":1,"member_id":"m","group_instance_id":null,"tag 9":{"$bytes":2}} -> {"throttle_time_ms":0,"error_code":0}"#,
            ),
        ],
        play,
    );
}

#[test]
fn topic_ids_get_the_names_the_connection_showed() {
    let id = *b"0123456789abcdef";
    // Metadata v10: throttle, no brokers, no cluster, controller; one topic without partitions; operations.
    let metadata = put().i8(0).i32(0).i8(1).i8(0).i32(1);
    let metadata = metadata.i8(2).i16(0).compact("orders").raw(id).i8(0).i8(1).i32(0).i8(0).i32(0).i8(0);
    let fetch = put().i32(-1).i32(500).i32(1).i32(1000).i8(0).i32(0).i32(-1).i8(2).raw(id).i8(1).i8(0);
    let fetch = fetch.i8(1).compact("").i8(0);
    let ask = asks(3, 10, 1, put().i8(0).i8(0).i8(0).i8(0).i8(0));
    let lines = play(&[ask, answers(1, metadata), asks(1, 13, 2, fetch.clone())]);
    let mut lines = lines.lines();
    assert!(lines.next().unwrap().starts_with("Metadata v10 1 complete [orders] {"));
    assert!(lines.next().unwrap().starts_with("Fetch v13 2 cut [orders] {"));
    assert!(play(&[asks(1, 13, 2, fetch)]).starts_with("Fetch v13 2 cut [MDEyMzQ1Njc4OWFiY2RlZg] {"));
}

#[test]
fn authentication() {
    let plain = || asks(17, 0, 1, put().text("PLAIN"));
    let accepted = || answers(1, put().i16(0).i32(1).text("PLAIN"));
    let shaken = r#"SaslHandshake v0 1 complete {"mechanism":"PLAIN"} -> {"error_code":0,"mechanisms":["PLAIN"]}"#;
    check(
        &[
            (
                "bare tokens",
                vec![
                    plain(),
                    accepted(),
                    client(put().bytes(b"\0user\0secret").0),
                    server(put().bytes(b"").0),
                    heartbeat(2),
                    alive(2),
                ],
                &format!("{shaken}\nHeartbeat v0 2 {HEARTBEAT}"),
            ),
            (
                "tokens in requests are not shown",
                vec![asks(36, 0, 2, put().bytes(b"\0user\0secret")), answers(2, put().i16(58).text("no").bytes(b""))],
                r#"SaslAuthenticate v0 2 complete SASL_AUTHENTICATION_FAILED {"auth_bytes":{"$bytes":12}} -> {"error_code":58,"error_message":"no","auth_bytes":{"$bytes":0}}"#,
            ),
        ],
        play,
    );
}

#[test]
fn what_consumers_tell_each_other_is_read() {
    let subscription = put().i16(0).i32(1).text("orders").i32(-1);
    let join = |metadata: &[u8]| {
        let body = put().text("g").i32(10).text("").text("consumer").i32(1).text("range").bytes(metadata);
        let steps = [asks(11, 0, 1, body), answers(1, put().i16(0).i32(1).text("range").text("m").text("m").i32(0))];
        play(&steps)
    };
    let front = r#"{"group_id":"g","session_timeout_ms":10,"member_id":"","protocol_type":"consumer","protocols":[{"name":"range","metadata":"#;
    let back = r#"}]} -> {"error_code":0,"generation_id":1,"protocol_name":"range","leader":"m","member_id":"m","members":[]}"#;
    assert_eq!(
        join(&subscription.0),
        format!(
            r#"JoinGroup v0 1 complete [orders] group g {front}{{"version":0,"topics":["orders"],"user_data":null}}{back}"#
        )
    );
    assert_eq!(join(b"other"), format!(r#"JoinGroup v0 1 complete group g {front}"other"{back}"#));
    assert_eq!(join(b""), format!(r#"JoinGroup v0 1 complete group g {front}""{back}"#));
}

#[test]
fn what_does_not_fit_the_tables() {
    let cut = r#"{"group_id":"g","$cut":true}"#;
    check(
        &[
            (
                "a text longer than its message",
                vec![asks(12, 0, 1, put().text("g").i32(1).i16(9)), heartbeat(2), alive(2)],
                &format!(
                    "!kafka_body_malformed\nHeartbeat v0 2 {HEARTBEAT}\n{}",
                    r#"Heartbeat v0 1 cut group g {"group_id":"g","generation_id":1,"$cut":true}"#
                ),
            ),
            (
                "a list as long as memory",
                vec![asks(3, 1, 1, put().i32(i32::MAX)), heartbeat(2), alive(2)],
                &format!("!kafka_body_malformed\nHeartbeat v0 2 {HEARTBEAT}\nMetadata v1 1 cut {{\"$cut\":true}}"),
            ),
            (
                "bytes behind a body",
                vec![asks(18, 0, 1, put().i32(0)), heartbeat(2), alive(2)],
                &format!("!kafka_trailing_bytes\nHeartbeat v0 2 {HEARTBEAT}\nApiVersions v0 1 cut {{}}"),
            ),
            (
                "no message",
                vec![client(b"GET / HTTP/1.1\r\n\r\n"), heartbeat(2), alive(2)],
                &format!("!kafka_not_a_message\nHeartbeat v0 2 {HEARTBEAT}"),
            ),
            (
                "half a message",
                vec![client(&request(12, 0, 1, put().text("g").i32(1).text("m"))[..19])],
                &format!("Heartbeat v0 1 cut group g {cut}"),
            ),
        ],
        play,
    );
}

#[test]
fn detection() {
    let look = |bytes: &[u8], from_port| detect(&Look { bytes, datagram: false, from_port, to_port: 1 });
    let asked = request(12, 0, 1, put().text("g").i32(1).text("m"));
    assert_eq!(look(&asked, 50000), Detection::Yes(Some(Side::Client)));
    assert_eq!(look(&asked[..20], 50000), Detection::More);
    let answered = put().bytes(put().i32(1).i16(0).0).0;
    assert_eq!(look(&answered, 9092), Detection::Yes(Some(Side::Server)));
    assert_eq!(look(&answered, 50000), Detection::No);
    for other in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x17\x03\x03\x00\x1a\x00\x00\x00\x00\x00\x00\x00\x01\x02",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x00\xff\xff",
        b"AMQP\x00\x00\x09\x01",
        b"*1\r\n$4\r\nPING\r\n",
        &[0; 600],
        &[0xff; 600],
    ] {
        assert_ne!(look(other, 50000), Detection::Yes(Some(Side::Client)), "{other:x?}");
    }
}

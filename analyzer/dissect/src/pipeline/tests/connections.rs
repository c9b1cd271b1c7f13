//! How connections begin, end, and go on.

use super::*;
use std::collections::BTreeSet;

#[test]
fn ports_are_used_again_though_no_syn_was_captured() {
    let ends = |seq: u32, ack: u32| {
        let (asked, answered) = (seq + 18, ack + 27);
        [
            segment((CLIENT, SERVER), true, (asked, answered), 'F', b""),
            segment((SERVER, CLIENT), false, (answered, asked + 1), 'F', b""),
        ]
    };
    let opened = [exchange(None, None), ends(11, 51).to_vec()].concat();
    let later = exchange(None, None).split_off(2);
    for (idle_s, flows) in [(61, 2), (59, 1)] {
        let frames = [&opened[..], &later].concat();
        let ms = |at: usize| at as u32 + if at < opened.len() { 0 } else { idle_s * 1000 };
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture_at(&frames, ms), out.path(), 1);
        let rows: BTreeMap<_, _> = report.rows.iter().copied().collect();
        assert_eq!((rows["flows"], rows["http"]), (flows, flows));
        let ids: BTreeSet<_> = numbers(&report, "flows", "flow_id").into_iter().collect();
        assert_eq!(ids.len() as u64, flows);
    }
}

#[test]
fn what_is_out_of_any_window_is_no_retransmission() {
    let stray = segment((CLIENT, SERVER), true, (0x8000_0000, 51), ' ', b"x");
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(capture(&[exchange(None, None), vec![stray]].concat()), out.path(), 1);
    assert_eq!(numbers(&report, "flows", "client_retransmits"), [0]);
}

#[test]
fn two_that_open_at_once_repeat_nothing() {
    let (asks, answers) = ((CLIENT, SERVER), (SERVER, CLIENT));
    let frames = [
        segment(asks, true, (10, 0), 'S', b""),
        segment(answers, false, (50, 0), 'S', b""),
        segment(asks, true, (10, 51), 'S', b""),
        segment(answers, false, (50, 11), 'S', b""),
        segment(answers, false, (50, 11), 'S', b""),
    ];
    for (count, repeated) in [(4, [0, 0]), (5, [0, 1])] {
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames[..count]), out.path(), 1);
        let counted = ["client_retransmits", "server_retransmits"].map(|column| numbers(&report, "flows", column));
        assert_eq!(counted, repeated.map(|repeats| vec![repeats]));
    }
}

#[test]
fn a_call_of_which_bytes_came_again_with_other_values_is_damaged() {
    let [syn, answered, request, response, end] = exchange(None, None).try_into().unwrap();
    let mut corrupt = request.clone();
    corrupt[54 + 13] ^= 1; // HTTP/1.0.
    for (frames, damaged) in [
        (vec![&syn, &answered, &request, &request, &response, &end], false),
        (vec![&syn, &answered, &corrupt, &request, &response, &end], true),
        // Both before the SYN, so that they wait.
        (vec![&corrupt, &request, &syn, &answered, &response, &end], true),
    ] {
        let out = tempfile::tempdir().unwrap();
        let frames: Vec<_> = frames.into_iter().cloned().collect();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        assert_eq!(booleans(&report, "http", "damaged"), [damaged]);
        let is_told = texts(&report, "anomalies", "kind").contains(&Some("overlap_differs".to_owned()));
        assert_eq!(is_told, damaged);
    }
}

#[test]
fn a_side_that_ends_before_anything_tells_what_it_speaks_has_ended() {
    // Joined in the middle and over at once: what waits for segments sent before it is handed on at the end.
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let behind = 11 + request.len() as u32;
    for (client, server) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let frames = [
            segment((client, server), true, (11, 51), ' ', request),
            segment((server, client), false, (51, behind), 'F', b""),
            segment((client, server), true, (behind, 52), 'F', b""),
        ];
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        let rows: BTreeMap<_, _> = report.rows.into_iter().collect();
        assert_eq!((rows["flows"], rows["http"]), (1, 1));
    }
}

#[test]
fn bytes_of_a_side_that_was_not_seen_are_told() {
    let (request, answer) = (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    let (asked, answered) = (11 + request.len() as u32, 51 + answer.len() as u32);
    let (asks, answers) = ((CLIENT, SERVER), (SERVER, CLIENT));
    let all = [
        segment(asks, true, (10, 0), 'S', b""),
        segment(answers, false, (50, 11), 'S', b""),
        segment(asks, true, (11, 51), ' ', b""),
        segment(asks, true, (11, 51), ' ', request),
        segment(answers, false, (51, asked), ' ', answer),
        segment(asks, true, (asked, answered), 'F', b""),
        segment(answers, false, (answered, asked + 1), 'F', b""),
        segment(asks, true, (asked + 1, answered + 1), ' ', b""),
    ];
    for (kept, want) in [([0, 2, 3, 5, 7].as_slice(), [0, answer.len()]), (&[1, 4, 6], [request.len(), 0])] {
        let frames: Vec<_> = kept.iter().map(|&at| all[at].clone()).collect();
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        let gaps = ["client_gap_bytes", "server_gap_bytes"].map(|column| numbers(&report, "flows", column));
        assert_eq!(gaps, want.map(|bytes| vec![bytes as i64]));
    }
}

#[test]
fn a_reset_far_out_of_the_window_ends_nothing() {
    let reset = |seq: u32| {
        let tcp = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(CLIENT, SERVER, 9).tcp(4000, 80, seq, 0).rst();
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, &[]).unwrap();
        bytes
    };
    for (seq, resets, state) in [(777_777_777, 0, "established"), (29, 1, "reset"), (51, 1, "reset")] {
        let frames = [exchange(None, None), vec![reset(seq)]].concat();
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        assert_eq!(numbers(&report, "flows", "resets"), [resets], "{seq}");
        assert_eq!(texts(&report, "flows", "tcp_state"), [Some(state.to_owned())]);
        let is_told = texts(&report, "anomalies", "kind").contains(&Some("reset_out_of_window".to_owned()));
        assert_eq!(is_told, resets == 0);
    }
    // Of a connection of which nothing else was seen, any counts.
    let out = tempfile::tempdir().unwrap();
    assert_eq!(numbers(&dissect_bytes(capture(&[reset(7)]), out.path(), 1), "flows", "resets"), [1]);
}

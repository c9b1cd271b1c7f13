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

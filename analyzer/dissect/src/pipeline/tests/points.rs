//! Packets that several capture points show.

use super::*;

/// Each frame of an exchange as `any` shows it at several interfaces: headers in place of Ethernet's, by interface.
fn cooked(link: u32, headers: &[&[u8]]) -> Vec<u8> {
    let shown = |frame: &Vec<u8>| headers.iter().map(|header| [header, &frame[14..]].concat()).collect::<Vec<_>>();
    let mut bytes = capture(&exchange(None, None).iter().flat_map(shown).collect::<Vec<_>>());
    bytes[20..24].copy_from_slice(&link.to_le_bytes());
    bytes
}

/// Packets and retransmissions of both sides, over all flows.
fn packets(bytes: Vec<u8>) -> [Vec<i64>; 4] {
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(bytes, out.path(), 1);
    ["client_packets", "server_packets", "client_retransmits", "server_retransmits"]
        .map(|column| numbers(&report, "flows", column))
}

#[test]
fn interfaces_of_any_are_capture_points() {
    let sll2 = |index: u8, kind: u8| [8, 0, 0, 0, 0, 0, 0, index, 0, 1, kind, 6, 1, 1, 1, 1, 1, 1, 0, 0];
    let sll = |kind: u8, address: u8| [0, kind, 0, 1, 0, 6, address, 1, 1, 1, 1, 1, 0, 0, 8, 0];
    for (link, headers) in [
        (276, [&sll2(5, 3)[..], &sll2(8, 4), &sll2(2, 3)]),
        (276, [&sll2(5, 3), &sll2(5, 4), &sll2(2, 3)]),
        (113, [&sll(3, 1), &sll(4, 1), &sll(3, 2)]),
    ] {
        assert_eq!(packets(cooked(link, &headers)), [[3], [2], [0], [0]]);
        // What one of them shows twice is there twice.
        assert_eq!(packets(cooked(link, &headers[..1].repeat(2))), [[6], [4], [2], [2]]);
    }
}

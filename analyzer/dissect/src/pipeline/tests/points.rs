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
    let rows: BTreeMap<_, _> = report.rows.iter().copied().collect();
    assert_eq!(rows["http"], rows["flows"]);
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

/// A frame with interface, `epb_flags` and time [µs].
type Shown = (Vec<u8>, (u32, u32), u64);

#[test]
fn interfaces_that_are_written_in_batches_show_one_connection() {
    let (asks, answers) = ((CLIENT, SERVER), (SERVER, CLIENT));
    let (request, answer) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    let (asked, answered) = (11 + request.len() as u32, 51 + answer.len() as u32);
    let connection = |pieces: &[&[u8]]| {
        let mut frames = vec![
            (0, segment(asks, true, (10, 0), 'S', b"")),
            (1, segment(answers, false, (50, 11), 'S', b"")),
            (2, segment(asks, true, (11, 51), ' ', b"")),
        ];
        for piece in pieces {
            let at = 11 + (piece.as_ptr() as usize - request.as_ptr() as usize) as u32;
            frames.push((3, segment(asks, true, (at, 51), ' ', piece)));
        }
        frames.extend([
            (300, segment(asks, true, (11, 51), ' ', request)),
            (301, segment(answers, false, (51, asked), ' ', answer)),
            (302, segment(answers, false, (answered, asked), 'F', b"")),
            (303, segment(asks, true, (asked, answered + 1), 'F', b"")),
            (304, segment(answers, false, (answered + 1, asked + 1), ' ', b"")),
        ]);
        frames
    };
    // As it was sent, and as the next interface has it: in smaller pieces.
    let (whole, pieces) = (connection(&[request]), connection(&[&request[..5], &request[5..]]));
    let batch = |interface: u32, frames: &[(u64, Vec<u8>)], from_ms: u64| {
        let shown = |(ms, frame): &(u64, Vec<u8>)| (frame.clone(), (interface, 0), (from_ms + ms) * 1000);
        frames.iter().map(shown).map(|(frame, seen, us)| (frame, seen, us + u64::from(interface))).collect::<Vec<_>>()
    };
    let recorded = |batches: &[Vec<Shown>]| {
        packets(recording_at(batches.iter().flatten().map(|(frame, seen, us)| (frame.as_slice(), *seen, *us))))
    };
    let batches = [batch(1, &whole, 0), batch(2, &pieces, 0), batch(0, &whole, 0)];
    assert_eq!(recorded(&batches[..1]), [[5], [4], [1], [0]]);
    assert_eq!(recorded(&batches), [[5], [4], [1], [0]]);
    // The first batch ends inside of the connection, and what it lacks is in the others.
    let [first, second, third] = &batches;
    let parts = [first[..4].to_vec(), second.clone(), first[4..].to_vec(), third.clone()];
    assert_eq!(recorded(&parts), [[5], [4], [1], [0]]);
    // The same numbers once more, later: another connection.
    let again = [&batches[..], &[batch(1, &whole, 400)]].concat();
    assert_eq!(recorded(&again), [[5, 5], [4, 4], [1, 1], [0, 0]]);
}

#[test]
fn a_network_that_shows_the_very_packets_is_a_capture_point() {
    // Each with an identification of its own, or none has one, as though they were of two pairs of ends.
    let marked = |vlan: Option<u16>, ip_at: usize, ids: bool| {
        let mut frames = exchange(vlan, vlan);
        frames.iter_mut().zip(1..).for_each(|(frame, id)| frame[ip_at + 5] = if ids { id } else { 0 });
        frames
    };
    let in_tunnel = |frame: Vec<u8>| {
        let mut bytes = Vec::new();
        let ends = PacketBuilder::ethernet2([3; 6], [4; 6]).ipv4([10, 9, 0, 1], [10, 9, 0, 2], 9).udp(5000, 4789);
        ends.write(&mut bytes, &[&[8, 0, 0, 0, 0, 0, 42, 0], &frame[..]].concat()).unwrap();
        bytes
    };
    for ids in [true, false] {
        let plain = marked(None, 14, ids);
        let tagged = marked(Some(7), 18, ids);
        let wrapped: Vec<_> = plain.iter().cloned().map(in_tunnel).collect();
        for (one, other) in [(&plain, &tagged), (&tagged, &plain), (&plain, &wrapped), (&wrapped, &plain)] {
            let both: Vec<_> = one.iter().zip(other).zip(0..).collect();
            let in_turn = both.iter().flat_map(|((one, other), ms)| [(*one, 0, ms * 1000), (*other, 0, ms * 1000 + 9)]);
            let of_one = both.iter().map(|((one, _), ms)| (*one, 0, ms * 1000));
            let of_other = both.iter().map(|((_, other), ms)| (*other, 1, ms * 1000 + 9));
            let (in_turn, in_batches) = (in_turn.collect::<Vec<_>>(), of_one.chain(of_other).collect::<Vec<_>>());
            for seen in [in_turn, in_batches] {
                let frames = seen.iter().map(|&(frame, interface, us)| (frame.as_slice(), (interface, 0), us));
                let out = tempfile::tempdir().unwrap();
                let rows: BTreeMap<_, _> =
                    dissect_bytes(recording_at(frames), out.path(), 1).rows.into_iter().collect();
                assert_eq!(rows["http"], if ids { 1 } else { 2 });
            }
        }
    }
}

//! Recordings of several targets: whose packets they are, and which of them are one.

use super::*;

/// How often and where frames were seen: interface, and `epb_flags`.
const SENT_BY_CLIENT: [(u32, u32); 4] = [(0, 2), (2, 5), (2, 2), (1, 5)];
const SENT_BY_SERVER: [(u32, u32); 4] = [(1, 2), (2, 5), (2, 2), (0, 5)];

/// A frame, and where it was seen: interface and `epb_flags`, in the order of time.
type Sighting = (Vec<u8>, [(u32, u32); 4]);

/// A recording of frames seen in two pods, and by the host between them.
fn recording(frames: &[Sighting]) -> Vec<u8> {
    let seen = frames.iter().flat_map(|(frame, seen)| seen.iter().map(move |&at| (frame.as_slice(), at)));
    recording_at(seen.zip(1..).map(|((frame, seen), n)| (frame, seen, n * 10)))
}

#[test]
fn a_call_between_pods_is_one_and_has_their_names() {
    let frames = exchange(None, None).into_iter().enumerate().map(|(at, frame)| {
        let by_client = at != 1 && at != 3;
        (frame, if by_client { SENT_BY_CLIENT } else { SENT_BY_SERVER })
    });
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&frames.collect::<Vec<_>>()), out.path(), 1);
    for table in ["http", "flows"] {
        let named = ["client_namespace", "client_pod", "server_namespace", "server_pod", "server_workload"]
            .map(|column| texts(&report, table, column));
        let [shop, web, db] = ["shop", "web", "db"].map(|name| vec![Some(name.to_owned())]);
        assert_eq!(named, [shop.clone(), web, shop, db, vec![None]], "{table}");
    }
}

#[test]
fn questions_of_the_same_length_are_not_one_seen_twice() {
    // From one port, as musl asks for both kinds of addresses; such packets have no identification.
    let frames = [query(7), query(507), query(1007)].map(|frame| (frame, SENT_BY_CLIENT));
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&frames), out.path(), 1);
    let rows: BTreeMap<_, _> = report.rows.iter().cloned().collect();
    assert_eq!((rows["dns"], rows["flows"]), (3, 1));
}

#[test]
fn echoes_and_chunks_are_told_apart_by_what_they_hold() {
    let frame = |protocol: u8, payload: &[u8]| {
        let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(CLIENT, SERVER, 9);
        let mut frame = Vec::new();
        ends.write(&mut frame, etherparse::IpNumber(protocol), payload).unwrap();
        (frame, SENT_BY_CLIENT)
    };
    let echoes = (0..5).map(|n| frame(1, &[8, 0, 0, 0, 0, 1, 0, n]));
    // Of SCTP: ports, tag, checksum, a chunk of data with its TSN.
    let chunks =
        (0..5).map(|n| frame(132, &[&[0, 7, 0, 9][..], &[0; 8], &[0, 3, 0, 16], &[0, 0, 0, n], &[0; 8]].concat()));
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&echoes.chain(chunks).collect::<Vec<_>>()), out.path(), 1);
    assert_eq!(numbers(&report, "flows", "client_packets"), [5, 5]);
}

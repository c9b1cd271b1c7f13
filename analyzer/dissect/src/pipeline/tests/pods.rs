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

/// A frame as it would be between loopback addresses.
fn on_loopback(mut frame: Vec<u8>) -> Vec<u8> {
    match frame[14] >> 4 {
        4 => frame[26..34].copy_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]),
        _ => frame[22..54].copy_from_slice(&[1u128.to_be_bytes(); 2].concat()),
    }
    frame
}

#[test]
fn loopback_is_of_its_namespace() {
    let mut ipv6 = Vec::new();
    let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv6([0xfd; 16], [0xfe; 16], 9);
    ends.udp(10_007, 53).write(&mut ipv6, &query(7)[42..]).unwrap();
    let in_pieces = fragments::fragmented(40);
    // The very packets in both: sequence numbers, identifications and questions.
    for (table, frames) in
        [("http", exchange(None, None)), ("dns", vec![query(7)]), ("dns", vec![ipv6]), ("dns", in_pieces)]
    {
        let rows = |frames: &[Vec<u8>], targets: [Option<Target>; 2], shown_by: &[u32]| {
            let seen = frames.iter().flat_map(|frame| shown_by.iter().map(move |&at| (frame.as_slice(), (at, 5))));
            let seen = seen.zip(1..).map(|((frame, seen), n)| (frame, seen, n * 10));
            let out = tempfile::tempdir().unwrap();
            let report = dissect_bytes(recording_in(targets, "lo", seen), out.path(), 1);
            let mut ends = ["client_pod", "server_pod"].map(|column| texts(&report, table, column));
            ends.iter_mut().for_each(|pods| pods.sort());
            let mut ids = numbers(&report, "flows", "flow_id");
            ids.sort();
            (ends, ids)
        };
        let (web, db) = (|| Some(pod(1, "web")), || Some(pod(2, "db")));
        let [of_web, of_db, unsaid] = ["web", "db", ""].map(|name| (!name.is_empty()).then(|| name.to_owned()));
        let loopback: Vec<_> = frames.iter().cloned().map(on_loopback).collect();
        let (ends, both) = rows(&loopback, [web(), db()], &[0, 1]);
        assert_eq!(ends, [(); 2].map(|()| vec![of_db.clone(), of_web.clone()]), "{table}");
        // A part has the ids of the whole.
        let mut parts = [0, 1].map(|pod| rows(&loopback, [web(), db()], &[pod]).1).concat();
        parts.sort();
        assert_eq!((both.len(), both), (2, parts), "{table}");
        // Two interfaces of one namespace are points of one, and so are those of which nothing is said.
        for (targets, name) in [([web(), web()], of_web), ([None, None], unsaid)] {
            let (ends, ids) = rows(&loopback, targets, &[0, 1]);
            assert_eq!((ends, ids.len()), ([(); 2].map(|()| vec![name.clone()]), 1), "{table}");
        }
        // What passes between namespaces is one wherever it is seen, and has one id.
        let (ends, ids) = rows(&frames, [web(), db()], &[0, 1]);
        assert_eq!((ends[0].len(), &ids), (1, &rows(&frames, [None, None], &[0]).1), "{table}");
    }
}

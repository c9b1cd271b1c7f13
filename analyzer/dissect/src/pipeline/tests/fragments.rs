//! Datagrams in fragments, whole or not.

use super::*;

#[test]
fn of_datagrams_that_lack_fragments_the_begin_has_its_row() {
    let first_fragment = |n: u16| {
        let mut frame = query(n);
        frame[18..20].copy_from_slice(&n.to_be_bytes());
        frame[20] = 0x20; // More fragments follow (RFC 791 §3.1).
        frame[38..40].copy_from_slice(&2000u16.to_be_bytes()); // Length of all of the datagram.
        frame
    };
    // More than are held, so that some are given up in a later stretch than the one they came with.
    let frames: Vec<_> = (0..10_000).map(first_fragment).collect();
    let bytes = capture(&frames);
    let out = tempfile::tempdir().unwrap();
    let open = Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _));
    let input = Input { name: "test".into(), origin: Origin::default(), open };
    let mut plan = Plan::new(out.path());
    plan.tables.extend(["packets", "dns"]);
    let report = dissect(Unit { inputs: vec![input] }, &plan, &()).unwrap();
    assert_eq!(numbers(&report, "packets", "packet"), (1..=10_000).collect::<Vec<_>>());
    assert_eq!(numbers(&report, "dns", "request_bytes"), [1992; 10_000]);
    assert_eq!(booleans(&report, "dns", "damaged"), [true; 10_000]);
}

/// A query, and its answer in fragments of so many bytes.
pub fn fragmented(size: usize) -> Vec<Vec<u8>> {
    let mut message = query(7)[42..].to_vec();
    message[2] = 0x81; // An answer.
    message.resize(100, 0);
    let mut whole = Vec::new();
    let ends = PacketBuilder::ethernet2([2; 6], [1; 6]).ipv4(SERVER, CLIENT, 9);
    ends.udp(53, 10_007).write(&mut whole, &message).unwrap();
    let (headers, body) = whole.split_at(34);
    let pieces = body.chunks(size).enumerate().map(|(at, piece)| {
        let mut frame = headers.to_vec();
        frame[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        let more = (at + 1) * size < body.len();
        frame[20..22].copy_from_slice(&(u16::from(more) << 13 | (at * size / 8) as u16).to_be_bytes());
        [frame, piece.to_vec()].concat()
    });
    [query(7)].into_iter().chain(pieces).collect()
}

#[test]
fn each_fragment_is_of_the_flow_of_its_datagram() {
    let frames = fragmented(40);
    let inputs = |parts: &[&[Vec<u8>]]| {
        let captures = parts.iter().map(|part| capture(part)).enumerate();
        let input = |(at, bytes): (usize, Vec<u8>)| Input {
            name: format!("part{at}"),
            origin: Origin::default(),
            open: Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _)),
        };
        captures.map(input).collect::<Vec<_>>()
    };
    for (inputs, parts) in [(inputs(&[&frames]), vec![0; 4]), (inputs(&[&frames[..2], &frames[2..]]), vec![0, 0, 1, 1])]
    {
        let out = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(out.path());
        plan.tables.extend(["packets", "spans", "dns", "flows", "coverage"]);
        let report = dissect(Unit { inputs }, &plan, &()).unwrap();
        let flows = numbers(&report, "packets", "flow_id");
        assert_eq!((flows.len(), flows.iter().all(|id| *id == flows[0])), (4, true));
        let mut captures: Vec<_> = texts(&report, "packets", "capture").into_iter().flatten().collect();
        captures.sort();
        assert_eq!(captures, parts.iter().map(|part| format!("part{part}")).collect::<Vec<_>>());
        assert_eq!(numbers(&report, "coverage", "packets").iter().sum::<i64>(), 4);
        let wire_bytes = frames[1..].iter().map(|frame| frame.len() as i64).sum::<i64>();
        let [packets, bytes] = ["server_packets", "server_wire_bytes"].map(|column| numbers(&report, "flows", column));
        assert_eq!((packets, bytes), (vec![3], vec![wire_bytes]));
        // The whole answer is within its call.
        let times = numbers(&report, "packets", "ts_ns");
        let (first, last) = (numbers(&report, "spans", "first_ts_ns"), numbers(&report, "spans", "last_ts_ns"));
        assert_eq!((first.len(), last.len()), (1, 1));
        assert!(times.iter().all(|time| (first[0]..=last[0]).contains(time)), "{times:?} {first:?} {last:?}");
    }
    // Without the query, and the last fragment to come first.
    let out = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(out.path());
    plan.tables.extend(["packets", "spans", "dns"]);
    let backwards: Vec<_> = frames[1..].iter().rev().cloned().collect();
    let report = dissect(Unit { inputs: inputs(&[&backwards]) }, &plan, &()).unwrap();
    let (first, times) = (numbers(&report, "spans", "first_ts_ns"), numbers(&report, "packets", "ts_ns"));
    assert_eq!((Some(&first[0]), numbers(&report, "packets", "flow_id").len()), (times.iter().min(), 3));
}

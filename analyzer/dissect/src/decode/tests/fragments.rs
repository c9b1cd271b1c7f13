//! Datagrams in pieces.

use super::*;
use crate::limits;

fn fragments(payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    fragments_of(&udp(53, payload), size)
}

fn fragments_of(whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let body = &whole[34..];
    body.chunks(size)
        .enumerate()
        .map(|(at, piece)| {
            let more = (at + 1) * size < body.len();
            let mut frame = whole[..34].to_vec();
            frame[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            frame[20..22].copy_from_slice(&(u16::from(more) << 13 | (at * size / 8) as u16).to_be_bytes());
            [frame, piece.to_vec()].concat()
        })
        .collect()
}

#[test]
fn fragments_of_ipv6_are_told_by_their_first() {
    let udp = &udp(53, b"0123456789abcdef")[34..];
    let options = |next: u8, rest: &[u8]| [&[next, 0, 1, 4, 0, 0, 0, 0], rest].concat();
    let fragment = |next: u8, body: &[u8], offset: u16, more: bool| {
        let mut head = [0; 54];
        head[12..14].copy_from_slice(&[0x86, 0xdd]);
        head[14] = 0x60;
        head[18..20].copy_from_slice(&(8 + body.len() as u16).to_be_bytes());
        head[20] = 44;
        let offset = (offset | u16::from(more)).to_be_bytes();
        [&head[..], &[next, 0, offset[0], offset[1], 0, 0, 0, 7], body].concat()
    };
    let authenticated = [&[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], udp].concat();
    for (name, first, body) in [
        ("udp at once", 17, udp.to_vec()),
        ("behind options", 60, options(17, udp)),
        ("behind two headers", 43, options(60, &options(17, udp))),
        ("authenticated", 51, authenticated),
        ("a fragment of one", 60, options(44, &[&[17, 0, 0, 0, 0, 0, 0, 9], udp].concat())),
    ] {
        let (front, rest) = body.split_at(16);
        // What other fragments say of it counts for nothing (RFC 8200 §4.5).
        let mut frames = [fragment(first, front, 0, true), fragment(0, rest, 16, false)];
        for _ in 0..2 {
            assert_eq!(decode(1, &frames), "17:7>53 v0 None 0123456789abcdef", "{name}");
            frames.reverse();
        }
    }
}

#[test]
fn a_datagram_that_lacks_fragments_gives_its_begin() {
    let all = fragments(b"0123456789abcdefghijklmnopqrstuvwxyz", 16);
    let begin = "17:7>53 v0 None 01234567";
    for (name, kept, want) in [
        ("the first alone", vec![0], begin.to_owned()),
        ("a hole", vec![0, 2], begin.to_owned()),
        ("the last missing", vec![1, 0], format!("{begin}89abcdefghijklmn")),
        ("the first missing", vec![1, 2], String::new()),
        (
            "another datagram between",
            vec![0, 1, 2, 0],
            format!("17:7>53 v0 None 0123456789abcdefghijklmnopqrstuvwxyz, {begin}"),
        ),
    ] {
        let frames: Vec<_> = kept.into_iter().map(|at: usize| all[at].clone()).collect();
        assert_eq!(decode(1, &frames), want, "{name}");
    }
    let mut stretch = stretch(1, &all[..1]);
    let packets = decode_and_balance(&mut Decoder::default(), &mut stretch);
    assert_eq!((packets[0].payload_bytes, packets[0].payload_wire_bytes), (8, 36));
    // The snap length cut the first one.
    stretch.frames[0].captured_bytes -= 3;
    let packets = decode_and_balance(&mut Decoder::default(), &mut stretch);
    assert_eq!((packets[0].payload_bytes, packets[0].payload_wire_bytes), (5, 36));
}

#[test]
fn each_frame_of_a_datagram_counts_for_all_that_it_carried() {
    let tunnelled = udp(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], &udp(53, b"hi")].concat());
    for (name, frames, want) in [
        ("alone", vec![udp(53, b"hi")], vec![(1, 44)]),
        ("in pieces", fragments(b"0123456789", 8), vec![(3, 34 * 3 + 18)]),
        ("in the pieces of a tunnel", fragments_of(&tunnelled, 40), vec![(2, 34 * 2 + 60); 2]),
    ] {
        let packets = decode_and_balance(&mut Decoder::default(), &mut stretch(1, &frames));
        let wholes = packets.iter().filter(|packet| packet.piece_of.is_none());
        assert_eq!(wholes.map(|packet| (packet.frames, packet.frames_wire_bytes)).collect::<Vec<_>>(), want, "{name}");
    }
}

/// Fragments in order of arrival: which, of what interface, when [ms].
fn decode_seen(all: &[Vec<u8>], seen: &[(usize, u32, i64)]) -> (String, i64, Vec<u64>) {
    let mut stretch = stretch(1, &seen.iter().map(|&(at, ..)| all[at].clone()).collect::<Vec<_>>());
    for (frame, &(_, interface, ms)) in stretch.frames.iter_mut().zip(seen) {
        (frame.interface, frame.ts_ns) = (interface, ms * 1_000_000);
    }
    let mut decoder = Decoder::default();
    let packets = decode_and_balance(&mut decoder, &mut stretch);
    assert_eq!(decoder.take_found(), []);
    let seen_bytes = decoder
        .tally()
        .ordered()
        .iter()
        .filter(|(_, why, _)| why.starts_with("seen at"))
        .map(|(.., sum)| sum.bytes)
        .sum();
    let text = |packet: &Packet| {
        String::from_utf8_lossy(&stretch.bytes[packet.payload_at as usize..][..packet.payload_bytes as usize])
            .into_owned()
    };
    let wholes = packets.iter().filter(|packet| packet.piece_of.is_none());
    assert!(wholes.clone().all(|packet| packet.frames == 2), "each counts once");
    let whole = wholes.map(text).collect::<Vec<_>>().join(", ");
    (whole, seen_bytes, packets.iter().map(|packet| packet.number).collect())
}

#[test]
fn fragments_seen_at_two_points_are_of_one_datagram() {
    let text = "0123456789abcdefghijklmn";
    let all = fragments(text.as_bytes(), 16);
    for (name, seen, want) in [
        ("side by side", vec![(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)], (text, 32, vec![3, 1, 2, 4])),
        ("one behind the other", vec![(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)], (text, 32, vec![2, 1, 3, 4])),
        ("each on a link of its own", vec![(0, 0, 0), (1, 1, 1)], (text, 0, vec![2, 1])),
        ("one lost here, one there", vec![(0, 0, 0), (0, 1, 0), (1, 1, 1)], (text, 16, vec![3, 1, 2])),
    ] {
        let (whole, seen_bytes, numbers) = decode_seen(&all, &seen);
        assert_eq!((whole.as_str(), seen_bytes, numbers), want, "{name}");
    }
    // The same identification for another datagram, or long after: nothing that was seen before.
    let again = [(0, 0, 0), (1, 0, 0), (0, 1, 100), (1, 1, 100)];
    assert_eq!(decode_seen(&all, &again).0, format!("{text}, {text}"));
    let other = fragments(b"ABCDEFGHIJKLMNOPQRSTUVWX", 16);
    let both = [all, other].concat();
    assert_eq!(
        decode_seen(&both, &[(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 1, 1)]).0,
        format!("{text}, ABCDEFGHIJKLMNOPQRSTUVWX")
    );
}

#[test]
fn a_fragment_within_a_fragment_is_counted_where_both_lack_the_rest() {
    let within = |inner: &[u8]| {
        let mut frame = udp(53, b"")[..34].to_vec();
        frame[16..18].copy_from_slice(&(20 + inner.len() as u16).to_be_bytes());
        frame[20..22].copy_from_slice(&0x2000_u16.to_be_bytes());
        // IPv4 in IPv4.
        frame[23] = 4;
        [frame, inner.to_vec()].concat()
    };
    let mut frame = fragments(b"0123456789", 16).swap_remove(0);
    for depth in 1..8 {
        frame = within(&frame[14..]);
        // That each byte is counted is checked in there.
        let innermost = decode(1, &[frame.clone()]).ends_with("17:7>53 v0 IpIp 01234567");
        assert_eq!(innermost, depth < limits::FRAGMENTS_NESTED_MAX, "{depth}");
    }
}

#[test]
fn fragments_within_fragments_take_no_more_than_their_bound() {
    // Thirty headers, each of a fragment that the snap length cut: what is in one is all of the frame but its header.
    let header = |id: u8| {
        let mut header = udp(53, b"")[14..34].to_vec();
        header[2..4].copy_from_slice(&65_000_u16.to_be_bytes());
        header[4..6].copy_from_slice(&[0, id]);
        header[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
        header[9] = 4; // IPv4 in IPv4.
        header
    };
    let frame = [(0..30).flat_map(header).collect(), vec![0; 60_000]].concat();
    let mut stretch = stretch(101, &vec![frame; 60]);
    let captured_bytes = stretch.bytes.len();
    decode_and_balance(&mut Decoder::default(), &mut stretch);
    assert!(stretch.bytes.len() <= captured_bytes + limits::JOINED_BYTES_MAX);
}

#[test]
fn small_fragments_cost_what_they_take_in_memory() {
    let mut decoder = Decoder::default();
    let per_datagram = 100;
    for id in 0..2 * (limits::FRAGMENT_BYTES_MAX / limits::FRAGMENT_PIECE_BYTES / per_datagram) as u16 {
        let mut piece = fragments(b"0123456789abcdef", 16).swap_remove(0);
        piece.truncate(35);
        piece[16..18].copy_from_slice(&21_u16.to_be_bytes());
        piece[18..20].copy_from_slice(&id.to_be_bytes());
        let piece = |at: usize| {
            let mut piece = piece.clone();
            piece[20..22].copy_from_slice(&(0x2000 | at as u16).to_be_bytes());
            piece
        };
        let mut stretch = stretch(1, &(0..per_datagram).map(piece).collect::<Vec<_>>());
        decoder.decode(&mut stretch, &mut Vec::new());
    }
    let given_up = decoder.tally().ordered().iter().any(|(_, reason, _)| *reason == "fragment, incomplete");
    assert!(given_up, "half of them are as many as are held");
}

proptest! {
    #[test]
    fn fragments_in_any_order_become_the_datagram(payload in prop::collection::vec(b'a'..=b'z', 1..300), seed: u64) {
        let mut pieces = fragments(&payload, 24);
        let count = pieces.len();
        for at in 0..count {
            pieces.swap(at, (seed.rotate_left(at as u32) % count as u64) as usize);
        }
        // A repeat of the first to come changes nothing.
        if count > 1 {
            pieces.insert(1, pieces[0].clone());
        }
        let text = String::from_utf8(payload).unwrap();
        prop_assert_eq!(decode(1, &pieces), format!("17:7>53 v0 None {text}"));
    }
}

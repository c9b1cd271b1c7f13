//! However a stream is cut into segments, its rows are the same.
//!
//! The payload of each TCP segment of every case of `testdata/pcaps` is sent in pieces of 1, 5 and 100 bytes instead, at
//! its time. What measures packets may differ, nothing else. `REMORA_TEST_CASE` says which case alone is looked at.

mod case;

use case::{Row, Tables, blocks, cases, dissected};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use formats::pcapng::read::{Block, EnhancedPacket, Order};
use formats::pcapng::write::{PacketHead, enhanced_packet};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;

/// So many bytes of each segment are sent in small pieces, and the others in large ones: a megabyte of packets with a
/// byte each takes long.
const CUT_SMALL_BYTES: usize = 600;
const LARGE_BYTES: usize = 1400;

/// A flag in the TCP header.
const FIN: u8 = 1;

/// Columns of `flows` that count packets, or what repeats of them; and whether the side that was recognised first told
/// who the client is.
const OF_PACKETS: [&str; 9] = [
    "direction_known",
    "client_packets",
    "server_packets",
    "client_wire_bytes",
    "server_wire_bytes",
    "client_retransmits",
    "server_retransmits",
    "client_out_of_order",
    "server_out_of_order",
];

/// The capture with each segment in pieces of `size` bytes.
fn in_pieces(blocks: &[(bool, &[u8])], size: usize) -> Vec<u8> {
    let mut capture = Vec::new();
    for &(is_packet, block) in blocks {
        let packet = is_packet.then(|| EnhancedPacket::read(Block::read(block, Order::Little).unwrap().body).unwrap());
        let frames = packet.map(|packet| pieces(packet.data, size)).unwrap_or_default();
        let Some(packet) = packet.filter(|_| frames.len() > 1) else {
            capture.extend_from_slice(block);
            continue;
        };
        for frame in frames {
            let head =
                PacketHead { interface: packet.interface, time_ns: packet.ticks, wire_bytes: frame.len() as u32 };
            enhanced_packet(&mut capture, head, [&frame, &[]], |out| {
                out.extend_from_slice(packet.options.reader.rest())
            });
        }
    }
    capture
}

/// A frame with a TCP segment, as several; none for another one.
fn pieces(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return Vec::new() };
    let (Some(net), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) else { return Vec::new() };
    let at = |part: &[u8]| part.as_ptr() as usize - frame.as_ptr() as usize;
    // Nothing that comes behind a reset is of the stream.
    if tcp.rst() {
        return Vec::new();
    }
    let (tcp_at, payload) = (at(tcp.slice()), tcp.payload());
    let payload_at = at(payload);
    let net_at = packet.link.as_ref().map_or(0, |link| link.to_header().map_or(0, |header| header.header_len()));
    let mut pieces = Vec::new();
    let mut begin = 0;
    while begin < payload.len() {
        let end = payload.len().min(begin + if begin < CUT_SMALL_BYTES { size } else { LARGE_BYTES });
        let mut piece = frame[..payload_at].to_vec();
        piece.extend_from_slice(&payload[begin..end]);
        let network_bytes = (piece.len() - net_at) as u16;
        match net {
            NetSlice::Ipv4(_) => piece[net_at + 2..net_at + 4].copy_from_slice(&network_bytes.to_be_bytes()),
            _ => piece[net_at + 4..net_at + 6].copy_from_slice(&(network_bytes - 40).to_be_bytes()),
        }
        let seq = tcp.sequence_number().wrapping_add(begin as u32);
        piece[tcp_at + 4..tcp_at + 8].copy_from_slice(&seq.to_be_bytes());
        if end < payload.len() {
            piece[tcp_at + 13] &= !FIN; // The last one alone ends the stream.
        }
        pieces.push(piece);
        begin = end;
    }
    pieces
}

/// How often there is each row, by its columns. Of flows in which bytes came again with other values, whether that was before
/// a call was over depends on the segments.
fn counted(table: &str, rows: &[Row], differing: &BTreeSet<&String>) -> BTreeMap<Vec<(String, String)>, i64> {
    let mut counted = BTreeMap::new();
    // What differs when it is sent again is told for each segment.
    let of_segments = |row: &&Row| row.columns.get("kind").is_some_and(|kind| kind == "overlap_differs");
    for row in rows.iter().filter(|row| !of_segments(row)) {
        let differs = row.columns.get("flow_id").is_some_and(|flow| differing.contains(flow));
        let columns = row.columns.iter().filter(|(name, _)| match table {
            "flows" => !OF_PACKETS.contains(&name.as_str()),
            _ => !differs || *name != "damaged",
        });
        let columns = columns.map(|(name, held)| (name.clone(), held.clone())).collect();
        *counted.entry(columns).or_default() += 1;
    }
    counted
}

/// Rows that only one of both has.
fn differences(whole: &Tables, cut: &Tables) -> String {
    let mut told = String::new();
    let anomalies = whole.get("anomalies").into_iter().flatten();
    let differing = anomalies.filter(|row| row.columns.get("kind").is_some_and(|kind| kind == "overlap_differs"));
    let differing = differing.filter_map(|row| row.columns.get("flow_id")).collect();
    for table in whole.keys().chain(cut.keys().filter(|table| !whole.contains_key(*table))) {
        let rows = |tables: &Tables| counted(table, tables.get(table).map_or(&[], Vec::as_slice), &differing);
        let [mut left, right] = [whole, cut].map(rows);
        right.into_iter().for_each(|(row, count)| *left.entry(row).or_default() -= count);
        for (row, count) in left.into_iter().filter(|(_, count)| *count != 0) {
            let side = if count > 0 { "only whole" } else { "only in pieces" };
            let _ = writeln!(told, "{table}, {side}: {row:?}");
        }
    }
    told
}

/// The case, and what is left of it where we come late: then the begin of a segment alone tells of a message's.
fn parts<'a>(name: &str, blocks: &[(bool, &'a [u8])]) -> Vec<Vec<(bool, &'a [u8])>> {
    // What is sent again right where we join is before the first byte or behind it, by packets that came until then.
    let late: &[usize] = if name == "tcp-hostile" { &[] } else { &[2, 3] };
    let from = |first: usize| {
        let kept = blocks.iter().enumerate().filter(|(at, (is_packet, _))| !is_packet || *at >= first);
        kept.map(|(_, block)| *block).collect()
    };
    std::iter::once(blocks.to_vec()).chain(late.iter().map(|share| from(blocks.len() / share))).collect()
}

#[test]
fn cutting_segments_elsewhere_changes_no_row() {
    let mut wrong = String::new();
    for input in cases() {
        let name = input.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let capture = zstd::decode_all(File::open(&input).unwrap()).unwrap();
        for (at, part) in parts(&name, &blocks(&capture)).iter().enumerate() {
            let whole = dissected(part.iter().flat_map(|(_, block)| block.iter().copied()).collect());
            let told = [1, 5, 100].map(|size| (size, differences(&whole, &dissected(in_pieces(part, size)))));
            for (size, told) in told.iter().filter(|(_, told)| !told.is_empty()) {
                let _ = writeln!(wrong, "{name}, part {at}, in pieces of {size}:\n{told}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

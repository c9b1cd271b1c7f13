//! What the benches share: committed cases of `testdata/pcaps`, taken as far as a room needs them.

use dissect::decode::{Decoder, Packet, Transport, flags};
use dissect::flow::Way;
use dissect::read::{CaptureReader, Stretch};
use dissect::stream::{Chunk, Segment, StreamPair};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// The cases benched.
pub const CASES: &[&str] = &["http1-dns-loopback", "http2-grpc", "kafka-tansu", "redis-resp"];

/// Times a case is read over: small cases would measure the begin and end of a run.
const REPEATS: usize = 200;

fn path(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/pcaps").join(case).join("input.pcapng.zst")
}

/// The capture of a case as it is committed, repeated: frames of zstd, and sections of pcapng in them, may follow
/// one another.
pub fn capture(case: &str) -> Vec<u8> {
    let path = path(case);
    let once = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    once.repeat(REPEATS)
}

/// Opens a capture in memory.
pub fn open(case: &str, capture: Vec<u8>) -> CaptureReader {
    let source: Box<dyn Read + Send> = Box::new(Cursor::new(capture));
    CaptureReader::new(case, source).unwrap_or_else(|error| panic!("{error}"))
}

/// The stretches of a case, and the captured bytes in them.
pub fn stretches(case: &str) -> (Vec<Stretch>, u64) {
    let mut reader = open(case, capture(case));
    let mut stretches = Vec::new();
    loop {
        let mut stretch = Stretch::default();
        if !reader.fill(&mut stretch) {
            return (stretches, reader.summary().bytes);
        }
        stretches.push(stretch);
    }
}

/// The packets of a case with the stretches their payload lies in, and the captured bytes.
pub fn packets(case: &str) -> (Vec<(Stretch, Vec<Packet>)>, u64) {
    let (stretches, bytes) = stretches(case);
    let mut decoder = Decoder::default();
    let decode = |mut stretch: Stretch| {
        let mut packets = Vec::new();
        decoder.decode(&mut stretch, &mut packets);
        (stretch, packets)
    };
    (stretches.into_iter().map(decode).collect(), bytes)
}

/// What the ends of a TCP connection said, in order, piece by piece.
#[derive(Default)]
pub struct Talk {
    /// Port of the client.
    pub client_port: u16,
    /// Port of the server.
    pub server_port: u16,
    /// Whether the client sent a piece, and the piece.
    pub pieces: Vec<(bool, Vec<u8>)>,
}

/// The connections of a case.
pub fn talks(case: &str) -> Vec<Talk> {
    let mut talks = Vec::new();
    let mut open: BTreeMap<_, (StreamPair, Way, Talk)> = BTreeMap::new();
    for (stretch, packets) in packets(case).0 {
        for packet in &packets {
            let Transport::Tcp(header) = packet.transport else { continue };
            let way = Way::of(packet.from_low);
            if header.flags & (flags::SYN | flags::ACK) == flags::SYN {
                let ends = [packet.key.low.port, packet.key.high.port];
                let [client_port, server_port] = if packet.from_low { ends } else { [ends[1], ends[0]] };
                let talk = Talk { client_port, server_port, pieces: Vec::new() };
                talks.extend(open.insert(packet.key, (StreamPair::default(), way, talk)).map(|(.., talk)| talk));
            }
            let Some((pair, client, talk)) = open.get_mut(&packet.key) else { continue };
            let at = packet.payload_at as usize;
            let segment = Segment {
                way,
                seq: header.seq,
                ack: (header.flags & flags::ACK != 0).then_some(header.ack),
                syn: header.flags & flags::SYN != 0,
                fin: header.flags & flags::FIN != 0,
                bytes: stretch.bytes.get(at..at + packet.payload_bytes as usize).unwrap_or_default(),
                cut_bytes: 0,
                ts_ns: packet.ts_ns,
                began_ns: packet.began_ns,
                packet: packet.number,
            };
            pair.segment(&segment, &mut |way, chunk| {
                if let Chunk::Bytes { bytes, .. } = chunk {
                    talk.pieces.push((way == *client, bytes.to_vec()));
                }
            });
        }
    }
    talks.extend(open.into_values().map(|(.., talk)| talk));
    talks
}

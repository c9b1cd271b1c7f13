//! A capture as large as wanted: the committed cases at the same time, again and again between other addresses.

use super::FOLDER;
use crate::run;
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cases in it: one for each protocol. What is hostile in `tcp-hostile` would be so a thousand times.
const CASES: [&str; 7] =
    ["amqp-rabbitmq", "graphql-http", "http1-dns-loopback", "http2-grpc", "kafka-tansu", "redis-resp", "tls-openssl"];

/// Time between two repeats [ns]: connections of four to ten of them are open at the same time.
const STEP_NS: u64 = 1_000_000_000;

/// Types of pcapng blocks (draft-ietf-opsawg-pcapng §4.2, §4.3).
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// A packet block with its time since the case began.
struct Packet {
    after_ns: u64,
    block: Vec<u8>,
}

/// Writes a mix of at least `mib` MiB, with packets in order of time.
pub fn write(remora: &Path, mib: u64) -> anyhow::Result<PathBuf> {
    let (head, packets) = once(remora)?;
    let once_bytes = packets.iter().map(|packet| packet.block.len() as u64).sum::<u64>();
    let repeats = (mib << 20).div_ceil(once_bytes.max(1));
    // The repeat's number stands in the two middle bytes of 127.x.x.1.
    ensure!(repeats <= 1 << 16, "at most {} MiB of these cases", (once_bytes << 16) >> 20);
    let path = PathBuf::from(format!("{FOLDER}/mix-{mib}.pcapng"));
    let mut out = BufWriter::new(File::create(&path)?);
    out.write_all(&head)?;
    let began_ns = packets.first().map_or(0, |packet| time_ns(&packet.block)) / STEP_NS * STEP_NS;
    // Repeats overlap: those that began and have packets left, each with the place of its next.
    let mut playing: Vec<(u64, usize)> = Vec::new();
    for step in 0.. {
        if step < repeats {
            playing.push((step, 0));
        }
        let until_ns = (step + 1) * STEP_NS;
        let mut due: Vec<(u64, u64, usize)> = Vec::new();
        for (repeat, next) in &mut playing {
            let offset_ns = *repeat * STEP_NS;
            while let Some(packet) = packets.get(*next).filter(|packet| offset_ns + packet.after_ns < until_ns) {
                due.push((offset_ns + packet.after_ns, *repeat, *next));
                *next += 1;
            }
        }
        due.sort_unstable();
        for (after_ns, repeat, at) in due {
            out.write_all(&moved(packets[at].block.clone(), repeat as u16, began_ns + after_ns))?;
        }
        playing.retain(|&(_, next)| next < packets.len());
        if playing.is_empty() && step >= repeats {
            break;
        }
    }
    out.flush()?;
    Ok(path)
}

/// The cases, begun at the same moment: section and interfaces, and the packets in order of time.
fn once(remora: &Path) -> anyhow::Result<(Vec<u8>, Vec<Packet>)> {
    let (mut head, mut packets, mut interfaces) = (Vec::new(), Vec::new(), 0);
    for case in CASES {
        let path = format!("{FOLDER}/once.pcapng");
        let input = format!("testdata/pcaps/{case}/input.pcapng.zst");
        run::run(Command::new(remora).args(["carve", &input, "--table", "packets", "--where", "true", "-o", &path]))?;
        let bytes = fs::read(&path).with_context(|| path.clone())?;
        let (first_interface, mut began_ns) = (interfaces, None);
        let mut left = bytes.as_slice();
        while let Some((block, rest)) = word(left, 4).and_then(|length| left.split_at_checked(length as usize)) {
            left = rest;
            match word(block, 0) {
                Some(PACKET) => {
                    let mut block = block.to_vec();
                    let interface = first_interface + word(&block, 8).unwrap_or_default();
                    block[8..12].copy_from_slice(&interface.to_le_bytes());
                    let ns = time_ns(&block);
                    packets.push(Packet { after_ns: ns.saturating_sub(*began_ns.get_or_insert(ns)), block });
                }
                Some(INTERFACE) => {
                    interfaces += 1;
                    head.extend_from_slice(block);
                }
                // One section has them all.
                _ if head.is_empty() => head.extend_from_slice(block),
                _ => {}
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    packets.sort_by_key(|packet| packet.after_ns);
    Ok((head, packets))
}

/// A packet block of an Ethernet frame with IPv4 between 127.0.0.1 and itself, as other hosts sent it at `ns`.
fn moved(mut block: Vec<u8>, repeat: u16, ns: u64) -> Vec<u8> {
    block[12..16].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
    block[16..20].copy_from_slice(&(ns as u32).to_le_bytes());
    // Frame from byte 28; addresses at 26 and 30 of it (RFC 791 §3.1).
    for at in [28 + 26, 28 + 30] {
        if let Some(middle) = block.get_mut(at + 1..at + 3) {
            middle.copy_from_slice(&repeat.to_be_bytes());
        }
    }
    block
}

/// When the packet of a block was seen, since the epoch.
fn time_ns(block: &[u8]) -> u64 {
    let [high, low] = [12, 16].map(|at| u64::from(word(block, at).unwrap_or_default()));
    high << 32 | low
}

fn word(block: &[u8], at: usize) -> Option<u32> {
    block.get(at..at + 4)?.first_chunk().copied().map(u32::from_le_bytes)
}

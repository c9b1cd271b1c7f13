//! `remora carve`: from rows back to exactly their packets.

use crate::run::{Remora, capture};
use std::path::Path;
use std::process::Command;

/// Times [ns] and bytes of the packets of a capture, as remora reads them.
fn packets(remora: &Remora, capture: &str, condition: &str) -> Vec<String> {
    let sql = format!("select ts_ns, captured_bytes, wire_bytes, tcp_seq from packets {condition} order by packet");
    let said = remora.run(&["sql", capture, "--format", "csv", &sql]);
    said.text().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_call_gives_its_packets_and_a_flow_all_of_its() {
    let remora = Remora::new();
    let (input, out) = (capture().display().to_string(), remora.path("out.pcapng"));
    let said = remora.run(&["carve", &input, "--where", "http.path = '/missing'", "-o", &out]);
    assert_eq!(said.code, 0, "{said:?}");
    let call = packets(&remora, &out, "");
    assert_eq!(call.len(), 2, "the request and its answer");
    let all = packets(&remora, &input, "");
    assert!(call.iter().all(|packet| all.contains(packet)));
    let rows = remora.run(&["sql", &out, "--format", "csv", "select method, path, status, pair from http"]);
    assert_eq!(rows.text(), "method,path,status,pair\nGET,/missing,404,complete\n");

    let said = remora.run(&["carve", &input, "--where", "http.path = '/missing'", "--flows", "-o", &out]);
    assert_eq!(said.code, 0, "{said:?}");
    let flow = "where flow_id in (select flow_id from http where path = '/missing')";
    let sql = format!("select ts_ns, captured_bytes, wire_bytes, tcp_seq from packets {flow} order by packet");
    let want = remora.run(&["sql", &input, "--format", "csv", &sql]);
    assert_eq!(packets(&remora, &out, "").join("\n"), want.text().lines().skip(1).collect::<Vec<_>>().join("\n"));
    let flows = remora.run(&[
        "sql",
        &out,
        "--format",
        "csv",
        "select tcp_state, client_packets + server_packets as n from flows",
    ]);
    assert_eq!(flows.text(), "tcp_state,n\nclosed,14\n");
}

#[test]
fn everything_is_every_packet_in_order_of_time() {
    let remora = Remora::new();
    let (input, out) = (capture().display().to_string(), remora.path("out.pcapng"));
    let said = remora.run(&["carve", &input, "--table", "packets", "--where", "true", "-o", &out]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(packets(&remora, &out, ""), packets(&remora, &input, ""));
    let interfaces = "select link_types from captures";
    let of = |capture: &str| remora.run(&["sql", capture, "--format", "csv", interfaces]).text().to_owned();
    assert_eq!(of(&out), of(&input));
    // Of two inputs, and both times the same capture: every packet twice, in order.
    let copy = remora.path("copy.pcapng.zst");
    std::fs::copy(&input, &copy).unwrap();
    assert_eq!(remora.run(&["carve", &copy, &input, "--where", "packets.packet > 0", "-o", &out]).code, 0);
    let sql = "select count(*) as n, count(distinct ts_ns) as times, \
        sum(case when ts_ns < before then 1 else 0 end) as back from \
        (select ts_ns, lag(ts_ns) over (order by packet) as before from packets)";
    let said = remora.run(&["sql", &out, "--format", "csv", sql]);
    let all = packets(&remora, &input, "").len();
    assert_eq!(said.text(), format!("n,times,back\n{},{all},0\n", 2 * all));
}

/// The records of a pcapng of one section with bytes lowest first, as a pcap with nanoseconds.
fn pcap(pcapng: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(pcapng[at..at + 4].try_into().unwrap());
    let mut pcap = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    let mut at = 0;
    while at < pcapng.len() {
        if word(at) == 6 {
            let ns = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            let head = [(ns / 1_000_000_000) as u32, (ns % 1_000_000_000) as u32, word(at + 20), word(at + 24)];
            pcap.extend(head.map(u32::to_le_bytes).concat());
            pcap.extend(&pcapng[at + 28..at + 28 + word(at + 20) as usize]);
        }
        at += word(at + 4) as usize;
    }
    pcap
}

#[test]
fn packets_are_the_same_from_wherever_they_are_read() {
    let remora = Remora::new();
    let plain = zstd::stream::decode_all(std::fs::File::open(capture()).unwrap()).unwrap();
    let frames: Vec<u8> = plain.chunks(1000).flat_map(|piece| zstd::bulk::compress(piece, 1).unwrap()).collect();
    let stream = zstd::stream::encode_all(&plain[..], 1).unwrap();
    let carve = |name: &str, bytes: &[u8], condition: &str| {
        let (input, out) = (remora.path(name), remora.path("out.pcapng"));
        std::fs::write(&input, bytes).unwrap();
        let said = remora.run(&["carve", &input, "--where", condition, "-o", &out]);
        assert_eq!(said.code, 0, "{name}: {said:?}");
        (packets(&remora, &out, ""), std::fs::read(out).unwrap())
    };
    for condition in
        ["http.path = '/missing'", "flows.transport = 'udp'", "packets.packet % 7 = 3", "packets.packet > 0"]
    {
        // A stream has to be read from its begin.
        let want = carve("stream.pcapng.zst", &stream, condition);
        assert!(!want.0.is_empty());
        for (name, bytes) in [("plain.pcapng", &plain), ("frames.pcapng.zst", &frames)] {
            assert!(carve(name, bytes, condition) == want, "{name} {condition}");
        }
        assert_eq!(carve("plain.pcap", &pcap(&plain), condition).0, want.0, "{condition}");
    }
}

#[test]
fn nothing_found_writes_nothing_and_an_input_is_never_overwritten() {
    let remora = Remora::new();
    let (input, out) = (capture().display().to_string(), remora.path("out.pcapng"));
    let said = remora.run(&["carve", &input, "--where", "http.status = 999", "-o", &out]);
    assert!(said.code == 1 && !Path::new(&out).exists(), "{said:?}");
    let copy = remora.path("copy.pcapng.zst");
    std::fs::copy(&input, &copy).unwrap();
    let said = remora.run(&["carve", &copy, "--where", "true", "-o", &copy]);
    assert!(said.code == 2 && said.error.contains("would be overwritten"), "{said:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&input).unwrap());
}

#[test]
fn tshark_opens_what_was_carved() {
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "tshark is not installed");
        eprintln!("SKIPPED: tshark is not installed");
        return;
    }
    let remora = Remora::new();
    let (input, out) = (capture().display().to_string(), remora.path("out.pcapng"));
    assert_eq!(remora.run(&["carve", &input, "--where", "dns.rcode = 'NXDOMAIN'", "-o", &out]).code, 0);
    let fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "dns.qry.name", "-e", "dns.flags.rcode"];
    let said = Command::new("tshark").args(["-d", "udp.port==15353,dns", "-r", &out]).args(fields).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "lo\tnothing.test\t\nlo\tnothing.test\t3\n");
}

mod upgrades;

use super::*;
use crate::protocols::fuzz::fuzz_protocol;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, Detection, Dissector, End, Look, Options, Row, Side, Start};
use proptest::prelude::*;

fn vector8(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&[bytes.as_ref().len() as u8][..], bytes.as_ref()].concat()
}

fn vector16(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&(bytes.as_ref().len() as u16).to_be_bytes()[..], bytes.as_ref()].concat()
}

fn vector24(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&(bytes.as_ref().len() as u32).to_be_bytes()[1..], bytes.as_ref()].concat()
}

fn extension(code: u16, data: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes()[..], &vector16(data)].concat()
}

fn message(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    [&[kind][..], &vector24(body)].concat()
}

fn record(content: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    [&[content, 3, 3][..], &vector16(payload)].concat()
}

fn hello(kind: u8, random: [u8; 32], session_id: &[u8], suites: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [&[3, 3][..], &random, &vector8(session_id), suites, &vector16(extensions.concat())].concat();
    message(kind, body)
}

fn client_hello_of(session_id: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    hello(1, [7; 32], session_id, &[&vector16([0x13, 0x01, 0xc0, 0x2f])[..], &[1, 0]].concat(), extensions)
}

fn sni(name: &str) -> Vec<u8> {
    extension(0, vector16([&[0][..], &vector16(name)].concat()))
}

fn versions() -> Vec<u8> {
    extension(43, vector8([0x3a, 0x3a, 3, 4, 3, 3]))
}

fn client_hello() -> Vec<u8> {
    client_hello_of(b"session", &[sni("a.test"), extension(16, vector16(vector8("h2"))), versions()])
}

fn server_hello_of(session_id: &[u8], suite: [u8; 2], extensions: &[Vec<u8>]) -> Vec<u8> {
    hello(2, [9; 32], session_id, &[&suite[..], &[0]].concat(), extensions)
}

/// Of TLS 1.2, with a session of its own.
fn server_hello() -> Vec<u8> {
    server_hello_of(b"another", [0xc0, 0x2f], &[extension(16, vector16(vector8("h2")))])
}

fn server_hello_13(more: &[Vec<u8>]) -> Vec<u8> {
    server_hello_of(b"session", [0x13, 0x01], &[&[extension(43, [3, 4])], more].concat())
}

fn retry() -> Vec<u8> {
    let mut hello = server_hello_13(&[]);
    hello[6..38].copy_from_slice(&sha2_of("HelloRetryRequest"));
    hello
}

fn sha2_of(text: &str) -> [u8; 32] {
    formats::hash::Hash256::of(text.as_bytes()).0
}

fn certificate(der: &[u8]) -> Vec<u8> {
    message(11, vector24(vector24(der)))
}

fn change() -> Vec<u8> {
    record(20, [1])
}

fn sealed() -> Vec<u8> {
    record(22, [0x5a; 40])
}

fn data() -> Vec<u8> {
    record(23, [0x5a; 60])
}

fn alert(level: u8, code: u8) -> Vec<u8> {
    record(21, [level, code])
}

fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Tls(handshake) = row else { panic!("{row:?}") };
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let damaged = [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged);
    let mut parts = vec![call.pair.name().to_owned()];
    parts.extend(handshake.version.map(|code| registry::version(code).replace("TLS ", "")));
    parts.extend(handshake.cipher.map(|code| format!("{code:04x}")));
    parts.extend(text(&handshake.sni));
    parts.extend(text(&handshake.alpn).map(|name| format!("alpn={name}")));
    parts.extend(handshake.client_versions.as_ref().map(|codes| format!("offers={codes:x?}").replace(' ', "")));
    parts.extend(handshake.resumed.map(|resumed| (if resumed { "resumed" } else { "full" }).to_owned()));
    parts.extend(handshake.ja3.as_ref().map(|_| "ja3".to_owned()));
    parts.extend(handshake.ja3s.as_ref().map(|_| "ja3s".to_owned()));
    parts.extend(handshake.certificate.as_ref().map(|certificate| format!("cert={}", certificate.said.is_some())));
    parts.extend(handshake.alert.map(|code| registry::alert(code).into_owned()));
    parts.extend(handshake.ech.filter(|&ech| ech).map(|_| "ech".to_owned()));
    parts.extend(damaged.then(|| "damaged".to_owned()));
    parts.join(" ")
}

fn dissector(from_start: bool) -> impl Dissector {
    let options = Options { body_bytes_max: 0 };
    over_tcp::OverTcp::new(&Start { options, from_start, datagram: false, server_port: 443, multicast: false })
}

fn play(from_start: bool, steps: &[Step]) -> String {
    drive(&mut dissector(from_start), PROTOCOL.unread_bytes_max, steps, render).lines.join(", ")
}

fn ended(mut steps: Vec<Step>) -> Vec<Step> {
    steps.extend([Step::End(Side::Client, End::Closed), Step::End(Side::Server, End::Closed)]);
    steps
}

/// A whole handshake of TLS 1.2, with data behind it.
fn whole_12() -> Vec<Step> {
    let flight = [server_hello(), certificate(b"no"), message(12, [1; 70]), message(14, [])].concat();
    vec![
        client(record(22, client_hello())),
        server(record(22, flight)),
        client([record(22, message(16, [1; 66])), change(), sealed()].concat()),
        server([record(22, message(4, [1; 90])), change(), sealed()].concat()),
        client(data()),
        server([data(), record(21, [0x5a; 26])].concat()),
    ]
}

const WHOLE_12: &str =
    "!tls_certificate_malformed, complete 1.2 c02f a.test alpn=h2 offers=[304,303] full ja3 ja3s cert=false";

fn whole_13() -> Vec<Step> {
    vec![
        client(record(22, client_hello())),
        server([record(22, retry()), change()].concat()),
        client([change(), record(22, client_hello())].concat()),
        server([record(22, server_hello_13(&[])), data(), data()].concat()),
        client([data(), data()].concat()),
        server(data()),
    ]
}

const WHOLE_13: &str = "complete 1.3 1301 a.test offers=[304,303] full ja3 ja3s";

#[test]
fn handshakes() {
    let hello = || record(22, client_hello());
    let fragments = |message: Vec<u8>, size: usize| -> Vec<u8> {
        message.chunks(size).flat_map(|piece| record(22, piece)).collect()
    };
    let long = [client_hello_of(b"", &[sni("a.test"), extension(21, vec![0; 20_000])])].concat();
    for (name, steps, want) in [
        ("TLS 1.2", whole_12(), WHOLE_12),
        ("TLS 1.3 asked again", whole_13(), WHOLE_13),
        (
            "a ticket or session id taken up again",
            vec![client(hello()), server([record(22, server_hello()), change(), sealed()].concat()), client(change())],
            "complete 1.2 c02f a.test alpn=h2 offers=[304,303] resumed ja3 ja3s",
        ),
        (
            "a key taken up again",
            vec![client(hello()), server(record(22, server_hello_13(&[extension(41, [0, 0])]))), client(data())],
            "complete 1.3 1301 a.test offers=[304,303] resumed ja3 ja3s",
        ),
        (
            "refused",
            ended(vec![client(hello()), server(alert(2, 40))]),
            "complete a.test offers=[304,303] ja3 handshake_failure",
        ),
        (
            "a warning, then the certificate refused",
            ended(vec![
                client(hello()),
                server([alert(1, 112), record(22, server_hello()), record(22, certificate(b"no"))].concat()),
                client(alert(2, 48)),
            ]),
            "!tls_certificate_malformed, complete 1.2 c02f a.test alpn=h2 offers=[304,303] full ja3 ja3s cert=false unknown_ca",
        ),
        ("not answered", ended(vec![client(hello())]), "request_only a.test offers=[304,303] ja3"),
        ("cut before the answer", vec![client(hello())], "cut a.test offers=[304,303] ja3"),
        (
            "one side alone",
            ended(vec![server([record(22, server_hello_13(&[])), data()].concat())]),
            "response_only 1.3 1301 full ja3s",
        ),
        (
            "a hello in many records",
            ended(vec![client(fragments(client_hello(), 3))]),
            "request_only a.test offers=[304,303] ja3",
        ),
        (
            "a hello longer than a record",
            ended(vec![client(fragments(long, 16_000))]),
            "request_only a.test offers=[303] ja3",
        ),
        (
            "encrypted hello",
            ended(vec![client(record(22, client_hello_of(b"", &[sni("public.test"), extension(0xfe0d, [0; 40])])))]),
            "request_only public.test offers=[303] ja3 ech",
        ),
        (
            "SSL 2.0 hello",
            ended(vec![
                client([&[0x80, 28, 1, 3, 1, 0, 3, 0, 0, 0, 16][..], &[0, 0, 4], &[5; 16]].concat()),
                server(record(22, server_hello())),
            ]),
            "complete 1.2 c02f alpn=h2 offers=[301] ja3s",
        ),
        (
            "twice on the same ports",
            ended(vec![client(hello()), server(alert(2, 40)), client(hello())]),
            "complete a.test offers=[304,303] ja3 handshake_failure, request_only a.test offers=[304,303] ja3",
        ),
        (
            "an extension with a length beyond the hello",
            ended(vec![client(record(22, client_hello_of(b"", &[sni("a.test"), vec![0, 16, 0, 9, 0]])))]),
            "!tls_hello_malformed, request_only a.test offers=[303]",
        ),
        (
            "a message nobody keeps",
            ended(vec![client(hello()), server(record(22, [11, 5, 0, 0, 1]))]),
            "!tls_handshake_message_too_large, request_only a.test offers=[304,303] ja3",
        ),
    ] {
        assert_eq!(play(true, &steps), want, "{name}");
        for size in [1, 7, 100] {
            assert_eq!(play(true, &cut(&steps, size)), want, "{name}, cut to {size}");
        }
    }
}

#[test]
fn joined_in_the_middle() {
    let finish = || vec![client([change(), sealed(), data()].concat()), server([change(), sealed(), data()].concat())];
    for (name, steps, want) in [
        ("data alone", vec![client(data()), server([data(), data()].concat())], ""),
        ("behind the hellos", finish(), ""),
        (
            "inside a record",
            vec![
                client([&data()[9..], &data(), &alert(1, 0)].concat()),
                server([&data()[9..], &data(), &data()].concat()),
            ],
            "",
        ),
        (
            "at the certificate",
            [vec![server(record(22, [certificate(b"no"), message(14, [])].concat()))], finish()].concat(),
            "!tls_certificate_malformed, cut cert=false",
        ),
        ("at the second hello", whole_13().split_off(2), "cut 1.3 1301 a.test offers=[304,303] full ja3s"),
        (
            "at the server's hello",
            [vec![server(record(22, server_hello()))], finish()].concat(),
            "response_only 1.2 c02f alpn=h2 resumed ja3s",
        ),
        (
            "at a hello in records of a few bytes",
            vec![client(client_hello().chunks(3).flat_map(|piece| record(22, piece)).collect::<Vec<_>>())],
            "request_only a.test offers=[304,303] ja3",
        ),
    ] {
        assert_eq!(play(false, &ended(steps)), want, "{name}");
    }
}

#[test]
fn losses() {
    let hello = record(22, client_hello());
    let gap = |side, lost| Step::Gap(side, lost);
    let at_sni = 5 + 4 + 2 + 32 + 8 + 6 + 2 + 2 + 5 + 2 + 2 + 6 + 2;
    let flight = record(22, [server_hello(), certificate(b"no"), message(14, [])].concat());
    for (name, steps, want) in [
        (
            "in a hello behind the name",
            vec![client(&hello[..at_sni]), gap(Side::Client, 5), client(&hello[at_sni + 5..]), server(alert(2, 40))],
            "!tls_gap, cut a.test handshake_failure damaged",
        ),
        (
            "in a hello before anything",
            vec![client(&hello[..7]), gap(Side::Client, hello.len() as u64 - 7), server(alert(2, 40))],
            "!tls_gap, response_only handshake_failure",
        ),
        (
            "of where the answer begins",
            vec![client(&hello), gap(Side::Server, 90), server(alert(2, 40)), server(alert(2, 40))],
            "!tls_gap, cut a.test offers=[304,303] ja3 handshake_failure damaged",
        ),
        (
            "in the certificate",
            vec![
                client(&hello),
                server(&flight[..flight.len() - 5]),
                gap(Side::Server, 1),
                server([&flight[flight.len() - 4..], &change()].concat()),
                client(change()),
            ],
            "!tls_gap, cut 1.2 c02f a.test alpn=h2 offers=[304,303] full ja3 ja3s damaged",
        ),
        (
            "of the certificate with all around it",
            vec![client(&hello), server(record(22, server_hello())), gap(Side::Server, 30), server(change())],
            "!tls_gap, cut 1.2 c02f a.test alpn=h2 offers=[304,303] ja3 ja3s damaged",
        ),
        (
            "between records of data, found again by two headers",
            [whole_13(), vec![gap(Side::Server, 9), server([&[1, 2][..], &data(), &data()].concat())]].concat(),
            "complete 1.3 1301 a.test offers=[304,303] full ja3 ja3s, !tls_gap",
        ),
    ] {
        assert_eq!(play(true, &steps), want, "{name}");
    }
}

#[test]
fn encrypted_records_are_covered_and_not_kept() {
    let mut tls = dissector(true);
    let long = record(23, vec![0x5a; 16_000]);
    let played = drive(&mut tls, PROTOCOL.unread_bytes_max, &cut(&[client(long.repeat(9))], 1000), render);
    assert_eq!((played.skipped_bytes, played.lines.len()), (0, 0));
}

#[test]
fn content_decides() {
    let look = |bytes: &[u8]| (PROTOCOL.detect)(&Look { bytes, datagram: false, from_port: 80, to_port: 6379 });
    let hello = record(22, client_hello());
    assert_eq!(look(&hello), Detection::Yes(Some(Side::Client)));
    assert_eq!(look(&hello[..11]), Detection::Yes(Some(Side::Client)));
    assert_eq!(look(&hello[..8]), Detection::More);
    assert_eq!(look(&record(22, server_hello())), Detection::Yes(Some(Side::Server)));
    assert_eq!(look(&data()), Detection::Yes(None));
    assert_eq!(look(&data()[..9]), Detection::Yes(None));
    assert_eq!(look(&alert(2, 40)), Detection::Yes(None));
    assert_eq!(look(&[change(), sealed()].concat()), Detection::Yes(None));
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\0\x09\0\0\0\0\0",
        b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x40\x01",
        b"\x17\x03\x03\0\x04abcd",
        b"\x15\x03\x03\0\x02\x02\xc8",
        b"\x80\x1c\x01\x03\x01\0\x04\0\0\0\x10aaaa",
        &[&data()[..], b"text"].concat(),
    ] {
        assert_eq!(look(other), Detection::No, "{other:x?}");
    }
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..40, junk: Vec<u8>, from_start: bool) {
        for steps in [whole_12(), whole_13()] {
            prop_assert_eq!(play(from_start, &cut(&steps, size)), play(from_start, &steps));
        }
        let steps = [client([record(22, client_hello()), junk.clone()].concat()), server([record(22, server_hello()), junk, data(), data()].concat())];
        prop_assert_eq!(play(from_start, &cut(&steps, size)), play(from_start, &steps));
    }

    /// Whatever is lost, no field has another value than in the whole handshake.
    #[test]
    fn losses_invent_nothing(of in 0usize..4, at in 0usize..300, lost in 1usize..300, thirteen: bool) {
        let (whole, want) = if thirteen { (whole_13(), WHOLE_13) } else { (whole_12(), WHOLE_12) };
        let mut steps = whole.clone();
        let Some(Step::Bytes(side, bytes)) = whole.get(of) else { unreachable!() };
        let at = at.min(bytes.len());
        let end = (at + lost).min(bytes.len());
        prop_assume!(end > at);
        steps.splice(of..=of, [
            Step::Bytes(*side, bytes[..at].to_vec()),
            Step::Gap(*side, (end - at) as u64),
            Step::Bytes(*side, bytes[end..].to_vec()),
        ]);
        let states = ["complete", "cut", "request_only", "response_only", "damaged"];
        for word in play(true, &ended(steps)).split([' ', ',']).filter(|word| !word.is_empty() && !word.starts_with('!')) {
            prop_assert!(states.contains(&word) || want.split([' ', ',']).any(|known| known == word), "{word}");
        }
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, at in 0usize..400, from_start: bool) {
        fuzz_protocol(&PROTOCOL, &bytes);
        let mut stream = [record(22, client_hello()), record(22, server_hello())].concat();
        let at = at.min(stream.len());
        stream.splice(at.., bytes);
        for side in [Side::Client, Side::Server] {
            play(from_start, &[Step::Bytes(side, stream.clone()), Step::Gap(side, 3), Step::Bytes(side, stream.clone())]);
        }
    }
}

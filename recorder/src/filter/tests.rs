//! The compiler beside tcpdump's: both programs must say the same of every frame.

use super::machine::{Input, run};
use super::{Expression, FilterError, Instruction, Scope, programs};
use proptest::prelude::*;
use proptest::sample::select;
use std::process::Command;
use std::sync::LazyLock;

/// An empty capture of Ethernet frames, for tcpdump to know which link to compile for.
static EMPTY: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().unwrap();
    let header = [0xa1b2_c3d4u32, 4 << 16 | 2, 0, 0, 262_144, 1];
    std::fs::write(file.path(), header.map(u32::to_ne_bytes).concat()).unwrap();
    file
});

/// What tcpdump makes of the expression; none without tcpdump.
fn tcpdump(expression: &str) -> Option<Vec<Instruction>> {
    let out = Command::new("tcpdump").arg("-r").arg(EMPTY.path()).args(["-O", "-ddd", expression]).output().ok()?;
    assert!(out.status.success(), "tcpdump refuses {expression:?}: {}", String::from_utf8_lossy(&out.stderr));
    let numbers = |line: &str| -> Vec<u32> { line.split(' ').map(|number| number.parse().unwrap()).collect() };
    let instruction = |line| match *numbers(line) {
        [code, jt, jf, k] => Instruction { code: code as u16, jt: jt as u8, jf: jf as u8, k },
        _ => panic!("no instruction: {line}"),
    };
    Some(String::from_utf8(out.stdout).unwrap().lines().skip(1).map(instruction).collect())
}

fn without_tcpdump() -> bool {
    let missing = Command::new("tcpdump").arg("--version").output().is_err();
    if missing {
        assert!(std::env::var_os("CI").is_none(), "tcpdump is missing");
        eprintln!("SKIPPED: tcpdump is missing, its programs cannot be compared with ours");
    }
    missing
}

/// A frame to ask about: built from few values, so that tests are often true.
#[derive(Debug, Clone)]
struct Frame {
    protocol: u16,
    above: u8,
    options: bool,
    fragment: u16,
    addresses: [u8; 2],
    ports: [u16; 2],
    payload_bytes: usize,
    cut: usize,
}

const PORTS: [u16; 5] = [0, 53, 80, 443, 65535];

fn address(number: u8) -> ([u8; 4], [u8; 16]) {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 1];
    ([10, number, 0, 1], v6)
}

impl Frame {
    /// The bytes, with an 802.1Q tag if one is given.
    fn bytes(&self, tag: Option<u16>) -> Vec<u8> {
        let [source, destination] = self.addresses.map(address);
        let mut body = Vec::new();
        match self.protocol {
            0x0800 => {
                let words = if self.options { 7 } else { 5 };
                body.extend([0x40 | words, 0, 0, 0, 0, 0]);
                body.extend(self.fragment.to_be_bytes());
                body.extend([64, self.above, 0, 0]);
                body.extend(source.0);
                body.extend(destination.0);
                body.resize(4 * usize::from(words), 1);
            }
            0x86dd => {
                let next = if self.fragment > 0 { 44 } else { self.above };
                body.extend([0x60, 0, 0, 0, 0, 0, next, 64]);
                body.extend(source.1);
                body.extend(destination.1);
                if self.fragment > 0 {
                    body.extend([self.above, 0, 0, 0, 0, 0, 0, 0]);
                }
            }
            _ => {
                body.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2]);
                body.extend(source.0);
                body.extend([3; 6]);
                body.extend(destination.0);
            }
        }
        body.extend(self.ports.map(u16::to_be_bytes).concat());
        body.resize(body.len() + self.payload_bytes, 0);
        let mut bytes = vec![0; 12];
        if let Some(tag) = tag {
            bytes.extend([0x81, 0x00]);
            bytes.extend(tag.to_be_bytes());
        }
        bytes.extend(self.protocol.to_be_bytes());
        bytes.extend(body);
        bytes.truncate(bytes.len().saturating_sub(self.cut).max(14 + if tag.is_some() { 4 } else { 0 }));
        bytes
    }
}

fn frames() -> impl Strategy<Value = Frame> {
    let protocols = select(&[0x0800u16, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x8035, 0x88cc][..]);
    let port = || select(&PORTS[..]);
    (
        (protocols, select(&[1u8, 6, 6, 17, 58, 132, 47][..]), any::<bool>(), select(&[0u16, 0, 0, 0x2000, 7][..])),
        ([0u8..3, 0u8..3], [port(), port()], 0usize..40, prop_oneof![4 => Just(0usize), 1 => 0usize..80]),
    )
        .prop_map(|((protocol, above, options, fragment), (addresses, ports, payload_bytes, cut))| Frame {
            protocol,
            above,
            options,
            fragment,
            addresses,
            ports,
            payload_bytes,
            cut,
        })
}

fn expressions() -> impl Strategy<Value = String> {
    let direction = || select(&["", "", "src ", "dst ", "src or dst ", "src and dst "][..]);
    let port = || select(&PORTS[..]);
    let transport = select(&["", "", "tcp ", "udp ", "sctp "][..]);
    let test = prop_oneof![
        2 => select(&["ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6"][..]).prop_map(str::to_owned),
        1 => (select(&["proto", "ip proto", "ip6 proto"][..]), select(&[1, 6, 17, 58, 47][..]))
            .prop_map(|(what, number)| format!("{what} {number}")),
        2 => (select(&["", "", "ip ", "arp ", "rarp "][..]), direction(), 0u8..3)
            .prop_map(|(family, direction, number)| format!("{family}{direction}host 10.{number}.0.1")),
        1 => (direction(), 0u8..3).prop_map(|(direction, number)| format!("{direction}host 2001:db8:0:{number}::1")),
        1 => (direction(), select(&["10.1", "10.0.0.0/15", "10", "0.0.0.0/0", "10.2.0.1/32"][..]))
            .prop_map(|(direction, net)| format!("{direction}net {net}")),
        1 => (direction(), select(&["2001:db8::/32", "2001:db8:0:1::/64", "2001:db8::/63", "2001:db8:0:2::1/128"][..]))
            .prop_map(|(direction, net)| format!("{direction}net {net}")),
        3 => (transport, direction(), port())
            .prop_map(|(transport, direction, port)| format!("{transport}{direction}port {port}")),
        1 => (direction(), port(), port()).prop_map(|(direction, first, last)| {
            format!("{direction}portrange {}-{}", first.min(last), first.max(last))
        }),
        1 => (port(), port(), select(&["or", "and"][..])).prop_map(|(a, b, joined)| format!("port {a} {joined} {b}")),
        1 => (select(&["less", "greater"][..]), 40u32..90).prop_map(|(what, bytes)| format!("{what} {bytes}")),
    ];
    test.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), select(&["and", "or", "&&", "||"][..]))
                .prop_map(|(left, right, joined)| format!("{left} {joined} {right}")),
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

/// What ours says of a frame: kept, or refused and counted; never neither, and never both.
fn ours(expression: &Expression, input: &Input<'_>) -> bool {
    let programs = programs(Some(expression), &Scope::Bound, 99);
    match (run(&programs.keep, input), run(&programs.refuse, input)) {
        (Some(99), Some(0)) => true,
        (Some(0), Some(1)) => false,
        other => panic!("{expression}: kept and refused {other:?} of {input:?}"),
    }
}

fn ethernet(frame: &[u8]) -> Input<'_> {
    Input { frame, network_at: 14, hardware: libc::ARPHRD_ETHER, ..Input::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn tcpdump_says_the_same(text in expressions(), frames in prop::collection::vec(frames(), 60)) {
        if without_tcpdump() {
            return Ok(());
        }
        let expression: Expression = text.parse().expect(&text);
        let theirs = tcpdump(&text).expect("tcpdump is there");
        let theirs_tagged = tcpdump(&format!("vlan and ({text})")).expect("tcpdump is there");
        for frame in frames {
            let plain = frame.bytes(None);
            let answer = ours(&expression, &ethernet(&plain));
            // Of a cut frame, tcpdump takes what is left, and refuses it whole when one test lacks its bytes.
            let theirs_plain = run(&theirs, &ethernet(&plain)).unwrap_or(0) > 0;
            prop_assert!(answer == theirs_plain || frame.cut > 0, "{} of {:?}", text, frame);
            // The same below a tag, taken out by the kernel or not; and without a link, and with an unknown one.
            let tagged = frame.bytes(Some(5));
            let below = ours(&expression, &ethernet(&tagged));
            let theirs_below = run(&theirs_tagged, &ethernet(&tagged)).unwrap_or(0) > 0;
            prop_assert!(below == theirs_below || frame.cut > 0, "vlan, {} of {:?}", text, frame);
            let taken_out = Input { vlan: Some(5), ..ethernet(&plain) };
            prop_assert_eq!(below, ours(&expression, &taken_out), "taken out, {} of {:?}", text, frame);
            if !text.contains("less") && !text.contains("greater") {
                let raw = Input {
                    frame: &plain[14..], network_at: 0, protocol: frame.protocol, hardware: libc::ARPHRD_NONE,
                    ..Input::default()
                };
                prop_assert_eq!(answer, ours(&expression, &raw), "raw, {} of {:?}", text, frame);
                let unknown = Input { protocol: frame.protocol, hardware: 32, ..ethernet(&plain) };
                let keep = programs(Some(&expression), &Scope::All, 99).keep;
                let kept = run(&keep, &unknown).unwrap_or(0) > 0;
                prop_assert!(answer == kept || frame.cut > 0, "unknown link, {} of {:?}", text, frame);
            }
        }
    }

    #[test]
    fn whatever_is_typed_is_understood_or_refused(text in "[a-z0-9().:/! -]{0,40}|(tcp|src|port|80|and|not|\\(|\\)|net| )*") {
        super::fuzz::fuzz_filter(text.as_bytes());
    }
}

#[test]
fn vlan_tags() {
    let frame = Frame {
        protocol: 0x0800,
        above: 17,
        options: false,
        fragment: 0,
        addresses: [0, 1],
        ports: [53, 80],
        payload_bytes: 9,
        cut: 0,
    };
    let (plain, tagged) = (frame.bytes(None), frame.bytes(Some(0x2007)));
    let taken_out = Input { vlan: Some(0x6005), ..ethernet(&plain) };
    let inner_left = Input { vlan: Some(0x6005), ..ethernet(&tagged) };
    for (text, want) in [
        // Plain, tag in the frame (7), tag taken out (5), outer (5) taken out and inner (7) left.
        ("vlan", [false, true, true, true]),
        ("not vlan", [true, false, false, false]),
        ("vlan 5", [false, false, true, true]),
        ("vlan 7", [false, true, false, true]),
        ("vlan 5 and vlan 7", [false, false, false, true]),
        ("vlan 4095 or port 53", [true; 4]),
        ("udp port 53 and not vlan 5", [true, true, false, false]),
    ] {
        let expression: Expression = text.parse().expect(text);
        let inputs = [&ethernet(&plain), &ethernet(&tagged), &taken_out, &inner_left];
        assert_eq!(inputs.map(|input| ours(&expression, input)), want, "{text}");
    }
}

#[test]
fn interfaces_and_loopback() {
    let frame = [0; 60];
    let seen = |interface_index, hardware, direction| Input {
        frame: &frame,
        interface_index,
        hardware,
        direction,
        ..Input::default()
    };
    let (arrives, leaves) = (0, u32::from(libc::PACKET_OUTGOING));
    for (scope, input, want) in [
        (Scope::All, seen(1, libc::ARPHRD_LOOPBACK, arrives), 99),
        (Scope::All, seen(1, libc::ARPHRD_LOOPBACK, leaves), 0),
        (Scope::All, seen(2, libc::ARPHRD_ETHER, leaves), 99),
        (Scope::Bound, seen(1, libc::ARPHRD_LOOPBACK, leaves), 0),
        (Scope::Among(&[2, 4]), seen(2, libc::ARPHRD_ETHER, leaves), 99),
        (Scope::Among(&[2, 4]), seen(3, libc::ARPHRD_ETHER, arrives), 0),
        (Scope::Among(&[2, 4]), seen(4, libc::ARPHRD_NONE, arrives), 99),
    ] {
        let keep = programs(None, &scope, 99).keep;
        assert_eq!(run(&keep, &input), Some(want), "{scope:?} {input:?}");
    }
}

#[test]
fn what_is_refused_says_why() {
    for (text, want) in [
        ("", "the end at byte 0"),
        ("port", "the end at byte 4, where the number of a port"),
        ("port 80 or", "the end at byte 10"),
        ("port http", "\"http\" at byte 5, where the number of a port, 0 to 65535 should be"),
        ("port 65536", "\"65536\" at byte 5"),
        ("host example.org", "\"example.org\" at byte 5, where an address such as"),
        ("(port 80", "the end at byte 8, where ')' should be"),
        ("port 80 port 81", "\"port\" at byte 8, where 'and' or 'or'"),
        ("tcp host 10.0.0.1", "transports have no addresses"),
        ("arp port 80", "that protocol has no ports"),
        ("icmp port 80", "that protocol has no ports"),
        ("ip host 2001:db8::1", "\"2001:db8::1\" at byte 8"),
        ("net 10.0.0.1/8", "has bits set beyond its mask: 10.0.0.0 is the network"),
        ("net 10.0.0.0/33", "\"10.0.0.0/33\" at byte 4"),
        ("port 80; reboot", "\"; reboot\" at byte 7"),
        (&"not ".repeat(99), "more than 64 deep"),
        (&format!("port 1{}", " or port 2".repeat(399)), "instructions, the kernel takes 4096"),
        (&"x".repeat(5000), "has 5000 bytes"),
    ] {
        let error: FilterError = text.parse::<Expression>().expect_err(text);
        assert!(error.to_string().contains(want), "{text:?}: {error}");
    }
}

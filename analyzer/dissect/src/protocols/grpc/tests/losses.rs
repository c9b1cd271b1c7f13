//! Gaps, and what is counted behind them.

use super::*;

#[test]
fn losses_are_stepped_over_or_said() {
    let answers = [frame(0, HI), frame(0, &[7; 20]), frame(0, HI), frame(0x80, b"grpc-status: 0\r\n")].concat();
    let Step::Bytes(_, whole) = answer(WEB, &answers) else { unreachable!() };
    let body = whole.len() - answers.len();
    for (lost, want) in [
        // Inside the second message: all messages are counted, those before the loss shown.
        (body + 9 + 5..body + 9 + 25, r#"a.B/C =0 1:4{"1":"hi"} 3:28[{"1":"hi"}] complete"#),
        (body + 9 + 8..body + 9 + 12, r#"a.B/C =0 1:4{"1":"hi"} 3:28[{"1":"hi"}] complete"#),
        // Over the edge of a message.
        (body + 9 + 8..body + 9 + 26, r#"!grpc_messages_lost, a.B/C 1:4{"1":"hi"} ?[{"1":"hi"}] complete"#),
        (body + 9 + 3..body + 9 + 4, r#"!grpc_messages_lost, a.B/C 1:4{"1":"hi"} ?[{"1":"hi"}] complete"#),
    ] {
        let steps = [
            post(WEB, &frame(0, HI)),
            server(&whole[..lost.start]),
            Step::Gap(Side::Server, lost.len() as u64),
            server(&whole[lost.end..]),
        ];
        let lines = play_with(4096, &steps);
        let lines: Vec<_> = lines.iter().filter(|line| *line != "!http1_gap").map(String::as_str).collect();
        assert_eq!(lines.join(", "), want, "{lost:?}");
    }
}

#[test]
fn what_may_be_missing_is_not_counted() {
    let two = [frame(0, HI), frame(0, HI)].concat();
    let mut counter = Counter::new(Framing::Plain);
    counter.write(&two);
    counter.doubt();
    counter.write(&two);
    let counted = counter.end(true);
    assert_eq!((counted.messages, counted.bytes, counted.odd), (None, None, Some(Odd::Lost)));
    assert_eq!(counted.bytes_before_loss, Some(two.len() as u64));
}

/// No value that a whole capture would not show, wherever bytes are missing.
#[test]
fn losses_invent_nothing() {
    let answers = [frame(0, HI), frame(0, b"\x08\x05"), frame(0x80, b"grpc-status: 0\r\n")].concat();
    let Step::Bytes(_, whole) = answer(WEB, &answers) else { unreachable!() };
    for begin in 0..whole.len() {
        for length in 1..=whole.len() - begin {
            let steps = [
                post(WEB, &frame(0, HI)),
                server(&whole[..begin]),
                Step::Gap(Side::Server, length as u64),
                server(&whole[begin + length..]),
            ];
            for line in play_with(4096, &steps).iter().filter(|line| !line.starts_with('!')) {
                let words: Vec<_> = line.split(' ').collect();
                assert!(!line.contains("=") || line.contains(" =0 "), "{line}");
                assert!(words.contains(&r#"1:4{"1":"hi"}"#), "{line}");
                let answered = words[words.len() - 2];
                let sound = ["?", r#"?[{"1":"hi"}]"#, r#"?[{"1":"hi"},{"1":5}]"#, "2:6", r#"2:6[{"1":"hi"}]"#];
                let whole = r#"2:6[{"1":"hi"},{"1":5}]"#;
                assert!(sound.contains(&answered) || answered == whole, "{begin} {length}: {line}");
            }
        }
    }
}

use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, Row, Side};
use proptest::prelude::*;

fn render(call: &Call, row: Row<'_>) -> String {
    match row {
        Row::Echo(text) => format!("{text} {}", call.pair.name()),
        other => panic!("{other:?}"),
    }
}

fn play(steps: &[Step]) -> String {
    let mut dissector = over_tcp::OverTcp::default();
    drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render).lines.join(", ")
}

#[test]
fn cases() {
    let gap = |lost| Step::Gap(Side::Client, lost);
    for (name, steps, want) in [
        ("asked and answered", vec![client(b"\0\x02hi"), server(b"\0\x02hi")], "hi complete"),
        ("not answered", vec![client(b"\0\x02hi")], "hi request_only"),
        ("a gap inside a message", vec![client(b"\0\x03a"), gap(1), client(b"c\0\x01z")], "!echo_gap, z request_only"),
        ("a gap past its end", vec![client(b"\0\x03a"), gap(3), client(b"c\0\x01z")], "!echo_gap"),
        ("not text", vec![client(b"\0\x01\xff")], "!echo_not_text"),
    ] {
        assert_eq!(play(&steps), want, "{name}");
    }
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(stream: Vec<u8>, size in 1usize..40) {
        let whole = vec![client(&stream), server(b"\0\x01x")];
        prop_assert_eq!(play(&cut(&whole, size)), play(&whole));
    }
}

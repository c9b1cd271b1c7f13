//! What one connection may hold, whatever it sends.

use super::*;

#[test]
fn small_blocks_that_say_much_are_bounded() {
    let large = format!("^x={}", "y".repeat(100));
    let size = |_: &Call, row: Row<'_>| {
        let Row::Http(exchange) = row else { panic!("{row:?}") };
        exchange.request.as_ref().unwrap().headers.held_bytes().to_string()
    };
    for (repeats, most) in [(16_000, head::FIELD_BYTES_MAX), (600, 64 << 10)] {
        let bomb = [get("b"), block(&[&large]), vec![0xbe; repeats]].concat();
        let steps = begun(&[client(headers(END, 1, &bomb)), answers(END, 1, "200")]);
        let lines = play_from(true, &steps, size);
        assert_eq!(lines[0], "!http2_header_list_too_large");
        assert!(lines[1].parse::<usize>().unwrap() <= 2 * most, "{lines:?}");
    }
}

#[test]
fn many_streams_are_bounded() {
    let mut steps = begun(&[]);
    steps.extend((0..2 * rows::STREAMS_MAX as u32).map(|place| asks(2 * place + 1, "a")));
    let mut dissector = over_tcp::OverTcp::new(&start(true));
    let mut lines = drive(&mut dissector, PROTOCOL.unread_bytes_max, &steps, render).lines;
    assert_eq!(lines.len(), 2 * rows::STREAMS_MAX + 1);
    assert_eq!(lines.swap_remove(0), "!http2_too_many_streams");
}

#[test]
fn many_large_bodies_are_bounded_and_counted() {
    let mut steps = begun(&[]);
    let streams = || (0..12).map(|place| 2 * place + 1);
    for stream in streams() {
        steps.push(asks(stream, "large"));
        steps.push(answers(END_HEADERS, stream, "200"));
    }
    for part in 0..64 {
        let flags = u8::from(part == 63) * flag::END_STREAM;
        steps.extend(streams().map(|stream| server(data(flags, stream, &"x".repeat(16 << 10)))));
    }
    let mut dissector = over_tcp::OverTcp::new(&Start { options: Options { body_bytes_max: 1 << 20 }, ..start(true) });
    let sizes = |_: &Call, row: Row<'_>| {
        let Row::Http(exchange) = row else { panic!("{row:?}") };
        let response = exchange.response.as_ref().unwrap();
        let note = exchange.body_note.clone().unwrap_or_default();
        assert_eq!(note.contains("cut at byte"), response.body.len() < 1 << 20, "{note}");
        assert_eq!(response.body_bytes, 1 << 20);
        response.body.len().to_string()
    };
    let lines = drive(&mut dissector, PROTOCOL.unread_bytes_max, &steps, sizes).lines;
    let kept: usize = lines.iter().map(|line| line.parse::<usize>().unwrap()).sum();
    assert!(lines.len() == 12 && kept <= rows::HELD_BYTES_MAX, "{} rows of {kept} bytes", lines.len());
}

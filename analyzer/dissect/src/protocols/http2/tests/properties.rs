//! What holds for every cut, every loss and any bytes.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Writes fields as senders do: by index where the table has them, otherwise into it.
#[derive(Default)]
struct Encoder {
    table: Vec<String>,
}

impl Encoder {
    fn block(&mut self, fields: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in fields {
            match self.table.iter().rev().position(|known| known == field) {
                Some(index) => bytes.push(0x80 | (62 + index as u8)),
                None => {
                    bytes.extend(block(&[&format!("^{field}")]));
                    self.table.push((*field).to_owned());
                }
            }
        }
        bytes
    }
}

/// Streams of all kinds, their headers in the table wherever possible.
fn conversation() -> Vec<Step> {
    let (mut asking, mut answering) = (Encoder::default(), Encoder::default());
    let mut steps = begun(&[]);
    for stream in [1, 3, 5, 7] {
        let path = format!(":path=/{}", stream % 4);
        let asked = asking.block(&[":method=POST", ":scheme=http", ":authority=h", &path, "x-a=b"]);
        let answered = answering.block(&[":status=200", "server=s", &format!("x-c={}", stream % 4)]);
        let trailers = answering.block(&["grpc-status=0"]);
        let update = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]);
        steps.push(client([headers(END_HEADERS, stream, &asked), data(1, stream, "request")].concat()));
        steps.push(server([headers(END_HEADERS, stream, &answered), update].concat()));
        steps.push(server(data(0, stream, "resp")));
        steps.push(server([frame(kind::DATA, 8, stream, b"\x03onse\0\0\0"), headers(END, stream, &trailers)].concat()));
    }
    steps
}

/// A row with the marks of a loss, and what it says, by stream.
fn parts(call: &Call, row: Row<'_>) -> String {
    let Row::Http(exchange) = row else { panic!("{row:?}") };
    let damaged = [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged);
    let touched = damaged || call.pair == crate::protocols::Pair::Cut;
    let mut said = vec![format!("method {}", text(&exchange.method)), format!("status {:?}", exchange.status)];
    for (name, part) in [("scheme", &exchange.scheme), ("host", &exchange.host), ("path", &exchange.path)] {
        said.extend(part.as_deref().map(|part| format!("{name} {}", text(part))));
    }
    for (half, message) in [("asked", &exchange.request), ("answered", &exchange.response)] {
        let Some(message) = message else { continue };
        said.extend(fields(&message.headers).iter().map(|field| format!("{half} {field}")));
        said.extend(fields(&message.trailers).iter().map(|field| format!("{half} + {field}")));
        if !touched {
            said.push(format!("{half} {} {}", text(&message.body), message.body_bytes));
        }
    }
    format!("{}|{}", exchange.stream_id.unwrap(), said.join("|"))
}

fn said(from_start: bool, steps: &[Step]) -> Vec<(String, Vec<String>)> {
    let rows = play_from(from_start, steps, parts).into_iter().filter(|line| !line.starts_with('!'));
    rows.map(|row| {
        let mut parts = row.split('|').map(str::to_owned);
        (parts.next().unwrap(), parts.collect())
    })
    .collect()
}

/// Everything that is said is also said of the whole conversation.
fn invents_nothing(from_start: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let whole: BTreeMap<String, Vec<String>> = said(true, &conversation()).into_iter().collect();
    for (stream, parts) in said(from_start, steps) {
        let Some(whole) = whole.get(&stream) else { return Err(TestCaseError::fail(format!("stream {stream}"))) };
        for part in parts {
            let unknown = part.contains('?') || part == "method " || part == "status None";
            prop_assert!(unknown || whole.contains(&part), "{stream}: {part} is not in {whole:?}");
        }
    }
    Ok(())
}

/// Bytes `from..to` of one step are lost.
fn with_loss(at: usize, from: usize, length: usize) -> Vec<Step> {
    let mut lossy = Vec::new();
    for (index, step) in conversation().into_iter().enumerate() {
        match step {
            Step::Bytes(side, bytes) if index == at => {
                let from = from.min(bytes.len() - 1);
                let to = (from + length).min(bytes.len());
                lossy.push(Step::Bytes(side, bytes[..from].to_vec()));
                lossy.push(Step::Gap(side, (to - from) as u64));
                lossy.push(Step::Bytes(side, bytes[to..].to_vec()));
            }
            other => lossy.push(other),
        }
    }
    lossy
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..200, from_start: bool) {
        let whole = conversation();
        let played = |steps: &[Step]| play_from(from_start, steps, render);
        prop_assert_eq!(played(&cut(&whole, size)), played(&whole));
    }

    #[test]
    fn cutting_after_a_loss_changes_nothing(at in 0usize..19, from in 0usize..120, length in 1usize..120, size in 1usize..50) {
        let lossy = with_loss(at, from, length);
        prop_assert_eq!(play_from(true, &cut(&lossy, size), render), play_from(true, &lossy, render));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..19, from in 0usize..120, length in 1usize..120) {
        invents_nothing(true, &with_loss(at, from, length))?;
    }

    #[test]
    fn joining_in_the_middle_invents_nothing(skipped in 1usize..19, from in 0usize..60) {
        let mut steps = conversation().split_off(skipped);
        if let Some(Step::Bytes(_, bytes)) = steps.first_mut() {
            bytes.drain(..from.min(bytes.len()));
        }
        invents_nothing(false, &steps)?;
    }

    #[test]
    fn any_bytes_are_read_to_the_end(data: Vec<u8>) {
        crate::protocols::fuzz::fuzz_protocol(&PROTOCOL, &data);
    }

    #[test]
    fn any_frames_are_read_to_the_end(
        from_start: bool,
        frames in prop::collection::vec((any::<bool>(), 0u8..11, any::<u8>(), 0u32..5, prop::collection::vec(any::<u8>(), 0..40)), 0..40),
        size in 1usize..60,
    ) {
        let steps: Vec<Step> = frames
            .iter()
            .map(|(asks, kind, flags, stream, payload)| {
                let bytes = frame(*kind, *flags, *stream, payload);
                if *asks { client(bytes) } else { server(bytes) }
            })
            .collect();
        prop_assert_eq!(play_from(from_start, &cut(&steps, size), render), play_from(from_start, &steps, render));
    }
}

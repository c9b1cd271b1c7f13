//! What holds for every version, every cut, every loss and any bytes.

use super::records::{batch, fetch, fetched, produce, produced};
use super::*;
use crate::protocols::kafka::schema::{Field, Kind, Message};
use proptest::prelude::*;

/// A body with something in every field of a version.
fn example(message: &Message, fields: &[Field], version: i16) -> Put {
    let flexible = message.flexible.contain(version);
    let length = |to: Put, length: i8, wide: bool| match (flexible, wide) {
        (true, _) => to.i8(length + 1),
        (false, true) => to.i32(length.into()),
        (false, false) => to.i16(length.into()),
    };
    let one = |to: Put, field: &Field| match &field.kind {
        Kind::Bool | Kind::Int8 => to.i8(1),
        Kind::Bytes | Kind::Records => length(to, 0, true),
        Kind::Float64 | Kind::Int64 => to.i64(4),
        Kind::Int16 | Kind::UInt16 => to.i16(2),
        Kind::Int32 | Kind::UInt32 => to.i32(3),
        Kind::String => length(to, 2, false).raw("ab"),
        Kind::Struct(inner) => to.raw(example(message, inner, version).0),
        Kind::Uuid => to.raw([7; 16]),
    };
    let value = |to: Put, field: &Field| match (&field.kind, field.list) {
        (_, true) => one(one(length(to, 2, true), field), field),
        (Kind::Struct(_), _) if field.nullable.contain(version) => one(to.i8(1), field),
        _ => one(to, field),
    };
    let mut body = fields.iter().filter(|field| field.is_in_place(version)).fold(put(), value);
    if flexible {
        let mut tagged: Vec<_> = fields.iter().filter(|field| field.tagged.contain(version)).collect();
        tagged.sort_by_key(|field| field.tag);
        body = body.i8(tagged.len() as i8);
        for field in tagged {
            let value = value(put(), field);
            let length = value.0.len();
            body = body.i8(field.tag as i8).raw([length as u8 | 0x80, (length >> 7) as u8]).raw(value.0);
        }
    }
    body
}

#[test]
fn every_version_is_read_to_its_end() {
    let mut read = 0;
    for api in schema::apis() {
        for version in (0..99).take_while(|&version| api.request.versions.contain(version)) {
            let name = format!("{} v{version}", api.name);
            let flexible = api.response.flexible.contain(version) && api.key != schema::API_VERSIONS;
            let header = if flexible { put().i8(0) } else { put() };
            let response = header.raw(example(&api.response, &api.response.fields, version).0);
            let asked = match (api.key, version) {
                (schema::CONTROLLED_SHUTDOWN, 0) => client(put().bytes(put().i16(7).i16(0).i32(1).i32(3).0).0),
                _ => asks(api.key, version, 1, example(&api.request, &api.request.fields, version)),
            };
            let steps = [asked, answers(1, response)];
            let lines = play_from(true, &steps, |call, row| {
                let Row::Kafka(exchange) = row else { panic!("{row:?}") };
                for body in [&exchange.request, &exchange.response].into_iter().flatten() {
                    let _: serde_json::Value = serde_json::from_str(body).unwrap();
                }
                format!("{} {}", exchange.api_name.unwrap(), call.pair.name())
            });
            assert_eq!(lines, [format!("{} complete", api.name)], "{name}");
            assert_eq!(play(&cut(&steps, 3)), play(&steps), "{name}");
            read += 1;
        }
    }
    assert!(read > 350, "{read} versions");
}

/// Calls of all kinds.
fn conversation() -> Vec<Step> {
    let records =
        |at| batch(at, 0, &[(Some("k"), Some("some value"), &[("h", Some("x"))]), (None, Some("another value"), &[])]);
    vec![
        asks(18, 3, 1, put().compact("lib").compact("1").i8(0)),
        answers(1, put().i16(0).i8(2).i16(18).i16(0).i16(4).i8(0).i32(0).i8(0)),
        produce(2, 1, &records(0)),
        heartbeat(3),
        produced(2),
        alive(3),
        fetch(4),
        fetched(4, &[records(10), batch(12, 1, &[(None, Some("packed"), &[])]), records(13)].concat()),
        produce(5, 0, &records(0)),
        heartbeat(6),
        answers(6, put().i16(27)),
        asks(900, 1, 7, put().i32(1)),
        answers(7, put().i32(1)),
    ]
}

/// Whether a loss touched a row, and what it says.
fn render_parts(call: &Call, row: Row<'_>) -> String {
    let Row::Kafka(exchange) = row else { return format!("record|{}", render(call, row)) };
    let damaged = [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged);
    let known = |text: Option<String>| text.unwrap_or_default();
    let fields = [
        known(exchange.api.map(|api| format!("{api:?}"))),
        exchange.correlation_id.to_string(),
        known(exchange.client_id.clone()),
        known(exchange.group_id.clone()),
        known(exchange.records.map(|records| records.to_string())),
        known(exchange.error_code.map(|code| code.to_string())),
        known(exchange.request_bytes.map(|bytes| bytes.to_string())),
        known(exchange.response_bytes.map(|bytes| bytes.to_string())),
        known(exchange.request.clone().filter(|text| !text.contains("$cut"))),
        known(exchange.response.clone().filter(|text| !text.contains("$cut"))),
    ];
    format!("{damaged}|{}", fields.join("|"))
}

fn with_loss(steps: &[Step], at: usize, from: usize, length: usize) -> Vec<Step> {
    let mut lossy = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Bytes(side, bytes) if index == at => {
                let from = from.min(bytes.len() - 1);
                let to = (from + length).min(bytes.len());
                lossy.push(Step::Bytes(*side, bytes[..from].to_vec()));
                lossy.push(Step::Gap(*side, (to - from) as u64));
                lossy.push(Step::Bytes(*side, bytes[to..].to_vec()));
            }
            other => lossy.push(other.clone()),
        }
    }
    lossy
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..300, from_start: bool) {
        let play = |steps: &[Step]| play_from(from_start, steps, render);
        prop_assert_eq!(play(&cut(&conversation(), size)), play(&conversation()));
    }

    #[test]
    fn cutting_hostile_bytes_elsewhere_changes_nothing(at in 0usize..13, place in 0usize..300, byte: u8, size in 1usize..80) {
        let mut steps = conversation();
        if let Some(Step::Bytes(_, bytes)) = steps.get_mut(at) {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let play = |steps: &[Step]| play_from(true, steps, render);
        prop_assert_eq!(play(&cut(&steps, size)), play(&steps));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..13, from in 0usize..300, length in 1usize..300) {
        let rows = |steps: &[Step]| {
            let lines = play_from(true, steps, render_parts);
            lines.into_iter().filter(|line| !line.starts_with('!')).collect::<Vec<_>>()
        };
        let whole = rows(&conversation());
        for row in rows(&with_loss(&conversation(), at, from, length)) {
            let known = |other: &String| {
                let (one, other): (Vec<_>, Vec<_>) = (row.split('|').collect(), other.split('|').collect());
                one.len() == other.len()
                    && one.iter().zip(&other).skip(1).all(|(one, other)| one.is_empty() || one == other)
            };
            prop_assert!(whole.iter().any(known), "{row}\nof {whole:#?}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_the_end(data: Vec<u8>) {
        crate::protocols::fuzz::fuzz_protocol(&PROTOCOL, &data);
    }
}

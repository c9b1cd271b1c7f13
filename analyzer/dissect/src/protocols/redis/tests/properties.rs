//! What holds for every cut, every loss and any bytes.

use super::*;
use proptest::prelude::*;

fn conversation() -> Vec<Step> {
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n";
    vec![
        ask("SET key1 value1"),
        server("+OK\r\n"),
        client([resp("GET key2"), resp("LRANGE key3 0 -1"), resp("SELECT 4")].concat()),
        server("$6\r\nvalue2\r\n*2\r\n$2\r\ne1\r\n*1\r\n:33\r\n+OK\r\n"),
        ask("MGET key4 key5"),
        server("*2\r\n$-1\r\n$8\r\nvalue4\r\n\r\n"),
        ask("INCR key6"),
        server(":66\r\n"),
        ask("LPUSH key7 e7"),
        server("-WRONGTYPE of key7\r\n"),
        ask("SUBSCRIBE c"),
        server(format!("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n{message}")),
        ask("UNSUBSCRIBE c"),
        server("*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"),
        ask("ECHO key8"),
        server("$4\r\nkey8\r\n"),
        ask("GET key9"),
        server("$6\r\nvalue9\r\n"),
        client([resp("MULTI"), resp("SELECT 5"), resp("GET key10"), resp("EXEC")].concat()),
        server("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$7\r\nvalue10\r\n"),
        client([resp("CLIENT REPLY SKIP"), resp("GET key11"), resp("GET key12")].concat()),
        server("$7\r\nvalue12\r\n"),
        ask("HELLO 3"),
        server("%1\r\n$5\r\nproto\r\n:3\r\n"),
        ask("GET key13"),
        server("$7\r\nvalue13\r\n"),
    ]
}

/// Whether the row says that a loss touched it, and what it says otherwise.
fn parts(call: &Call, row: Row<'_>) -> String {
    let Row::Redis(row) = row else { panic!("{row:?}") };
    let damaged = [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged);
    let touched = damaged || call.pair == crate::protocols::Pair::Cut;
    let asked = row.command.as_ref().map(|_| format!("{:?} {:?} {:?} {}", row.command, row.key, row.args, row.is_push));
    let answered = row.reply_type.map(|kind| format!("{kind} {:?} {:?}", row.reply, row.error));
    let db = row.db.map(|db| db.to_string());
    [touched.to_string(), asked.unwrap_or_default(), answered.unwrap_or_default(), db.unwrap_or_default()].join("|")
}

/// A piece of one of the steps is lost.
fn with_loss(at: usize, from: usize, length: usize) -> Vec<Step> {
    let mut steps = conversation();
    let Step::Bytes(side, bytes) = steps.remove(at) else { panic!("no bytes") };
    let from = from % bytes.len();
    let to = (from + length).min(bytes.len());
    let pieces = [
        Step::Bytes(side, bytes[..from].to_vec()),
        Step::Gap(side, (to - from) as u64),
        Step::Bytes(side, bytes[to..].to_vec()),
    ];
    steps.splice(at..at, pieces);
    steps
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..60) {
        let whole = conversation();
        prop_assert_eq!(play(&cut(&whole, size)), play(&whole));
    }

    #[test]
    fn cutting_hostile_bytes_elsewhere_changes_no_row(
        asked in "(\\*[0-9-]{1,2}\r\n(\\$[0-9]\r\n[a-c\r]{0,4}\r?\n){0,3}|GET a\r\n|[a-z\"\\*\r]{0,5}\n){0,4}",
        answered in "([+:,(-][0-9A-Z]{0,4}\r\n|[\\*%~>$|=!][0-9?]\r\n|[#_.;][tf0-2]?\r\n|[a-z\r\n]{0,5}){0,12}",
        size in 1usize..20,
    ) {
        let whole = vec![client(&asked), server(&answered), ask("PING"), server("+PONG\r\n")];
        let rows = |steps: &[Step]| play_from(true, steps, render).into_iter().filter(|line| !line.starts_with('!')).collect::<Vec<_>>();
        prop_assert_eq!(rows(&cut(&whole, size)), rows(&whole));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..26, from in 0usize..150, length in 1usize..150) {
        let rows = |steps: &[Step]| {
            let lines = play_from(true, steps, parts);
            lines.iter().filter(|line| !line.starts_with('!')).map(|line| line.split('|').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let whole = rows(&conversation());
        for row in rows(&with_loss(at, from, length)) {
            let agrees = |known: &Vec<String>| known.iter().zip(&row).skip(1).all(|(known, seen)| seen.is_empty() || seen == known);
            prop_assert!(row[0] == "true" || whole.iter().any(agrees), "{row:?}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_the_end(data: Vec<u8>) {
        crate::protocols::fuzz::fuzz_protocol(&PROTOCOL, &data);
    }
}

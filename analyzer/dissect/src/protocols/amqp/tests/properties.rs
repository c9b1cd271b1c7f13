//! What holds for every cut, every loss and any bytes.

use super::*;
use proptest::prelude::*;

/// Both sides of a connection that confirms, consumes and settles; frames of odd lengths.
fn busy() -> Vec<Step> {
    let mut steps =
        all(&[&open(1), &confirms(1), &[client(consume(1, "q", "c", 0)), server(call(1, 60, 21, &[&short("c")]))]]);
    for number in 1..=6 {
        steps.push(client(publish(1, &format!("k{number}"), &"p".repeat(number as usize * 3))));
        steps.push(server(ack(1, number, (number % 2) as u8)));
        steps.push(server(deliver(1, "c", number, "delivered")));
        steps.push(client(ack(1, number, (number % 3 == 0) as u8)));
        steps.push(client(declare(1, &format!("q{number}"))));
        steps.push(server(declare_ok(1, &format!("q{number}"))));
    }
    steps
}

/// A row as its texts, the last being its pair.
fn rows(lines: &str) -> Vec<Vec<String>> {
    let rows = lines.split(", ").filter(|line| !line.starts_with('!'));
    rows.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..60, junk: Vec<u8>, from_start: bool) {
        let mut steps = busy();
        steps.insert(12, client(junk));
        prop_assert_eq!(play(from_start, &cut(&steps, size)), play(from_start, &steps));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..42, begin in 0usize..80, lost in 1usize..400, from_start: bool) {
        let (whole, mut steps) = (busy(), Vec::new());
        let known = rows(&play(true, &whole));
        let mut lost_left: Option<(Side, usize)> = None;
        for (index, step) in whole.into_iter().enumerate() {
            let Step::Bytes(side, bytes) = step else { continue };
            if index == at {
                let (front, back) = bytes.split_at(begin.min(bytes.len()));
                steps.push(Step::Bytes(side, front.to_vec()));
                let taken = lost.min(back.len());
                steps.push(Step::Gap(side, lost as u64));
                steps.push(Step::Bytes(side, back[taken..].to_vec()));
                lost_left = Some((side, lost - taken));
            } else if let Some((_, left)) = lost_left.as_mut().filter(|(of, left)| *of == side && *left > 0) {
                let taken = bytes.len().min(*left);
                *left -= taken;
                steps.push(Step::Bytes(side, bytes[taken..].to_vec()));
            } else {
                steps.push(Step::Bytes(side, bytes));
            }
        }
        for row in rows(&play(from_start, &steps)) {
            let (_, texts) = row.split_last().unwrap();
            // Of a body the front alone may be there.
            let same = |text: &String, other: &String| {
                text == other || text == "cut" || text == "damaged"
                    || text.rsplit_once('/').zip(other.rsplit_once('/')).is_some_and(|((body, bytes), (of, total))| {
                        bytes == total && of.starts_with(body)
                    })
            };
            let seen = |other: &Vec<String>| {
                texts.iter().all(|text| other.iter().any(|known| same(text, known) || known.starts_with(&format!("{text}."))))
            };
            prop_assert!(known.iter().any(seen), "{row:?}");
        }
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, at in 0usize..900, from_start: bool) {
        let mut steps = busy();
        for step in &mut steps {
            let Step::Bytes(_, sent) = step else { continue };
            if at < sent.len() {
                sent.splice(at.., bytes.clone());
            }
        }
        play(from_start, &steps);
    }
}

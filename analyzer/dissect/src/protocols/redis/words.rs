//! The words of a command: what they may be where bytes are missing, and how a line is split into them.

use super::node::Str;

/// Longest name kept; the longest of Redis has 20 characters.
const NAME_BYTES_MAX: usize = 64;

/// Which argument is that word.
pub fn position(args: &[&Str], word: &str) -> Option<usize> {
    args.iter().position(|arg| arg.is(word))
}

/// Whether it may be the name of a command.
pub fn is_name(word: &Str) -> bool {
    word.is_whole() && word.bytes.len() <= NAME_BYTES_MAX
}

/// Whether a word may be anything, for bytes of it are missing. What is cut for its length alone is no word of Redis.
pub fn is_unseen(word: Option<&Str>, left_out: u64) -> bool {
    word.map_or(left_out > 0, |word| !word.is_whole() && word.bytes.len() <= NAME_BYTES_MAX)
}

/// The words of an inline command; quotes and escapes as Redis reads them (`sdssplitargs`).
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'"' | b'\'' => {
                    rest = quoted(byte, rest, &mut word)?;
                    if rest.first().is_some_and(|next| !next.is_ascii_whitespace()) {
                        return None;
                    }
                }
                _ if byte.is_ascii_whitespace() => break,
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// Reads to the closing quote; what is behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match (quote, rest) {
            (b'"', [b'\\', b'x', high, low, tail @ ..]) if is_escape(*high, *low) => {
                (hex(*high) << 4 | hex(*low), tail)
            }
            (b'"', [b'\\', escaped, tail @ ..]) => {
                let byte = match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                };
                (byte, tail)
            }
            (b'\'', [b'\\', b'\'', tail @ ..]) => (b'\'', tail),
            (_, [byte, tail @ ..]) if *byte == quote => return Some(tail),
            (_, [byte, tail @ ..]) => (*byte, tail),
            (_, []) => return None,
        };
        word.push(byte);
        rest = tail;
    }
}

fn is_escape(high: u8, low: u8) -> bool {
    high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

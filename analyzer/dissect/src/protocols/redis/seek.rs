//! What Redis looks like: to recognise a connection, and to find the next message where its begin is not known.

use super::wire;
use crate::protocols::{Detection, Look, Side};
use memchr::memchr;

/// Ports Redis and its Sentinel are at home on.
pub const PORTS: &[u16] = &[6379, 6380, 26379];

/// The longest front looked at: a line with a count, one with a length, a word and its line end.
pub const FRONT_BYTES_MAX: usize = 2 * wire::HEADER_BYTES_MAX + WORD_BYTES_MAX + 2;

/// The longest name of a command that is believed of unknown bytes.
const WORD_BYTES_MAX: usize = 32;

/// Most arguments Redis takes (1024 × 1024).
const ARGUMENTS_MAX: i64 = 1 << 20;

/// Longest string Redis takes, unless configured (proto-max-bulk-len).
const STRING_BYTES_MAX: i64 = 512 << 20;

/// Whether bytes begin with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// So far; there are too few of them.
    More,
    /// They do not.
    No,
    /// They do.
    Yes,
}

/// Whether a command is in front: an array of bulk strings, the first a name.
pub fn command(bytes: &[u8]) -> Front {
    let (words, rest) = match header(bytes, b"*", 1..=ARGUMENTS_MAX) {
        Ok(found) => found,
        Err(front) => return front,
    };
    let (length, rest) = match header(rest, b"$", 1..=WORD_BYTES_MAX as i64) {
        Ok(found) => found,
        Err(front) => return front,
    };
    let name = rest.get(..length as usize).unwrap_or(rest);
    let is_name = name.first().is_none_or(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-|".contains(byte));
    if !is_name {
        return Front::No;
    }
    let behind = rest.get(length as usize..).unwrap_or_default();
    match behind {
        [b'\r', b'\n'] if words > 1 => Front::Yes,
        [b'\r', b'\n', next, ..] if words > 1 && *next != b'$' => Front::No,
        [b'\r', b'\n', ..] => Front::Yes,
        [] | [b'\r'] => Front::More,
        _ => Front::No,
    }
}

/// Whether a message to a subscriber, or a line of MONITOR, is in front.
pub fn push(bytes: &[u8]) -> Front {
    if bytes.first() == Some(&b'+') {
        return monitor(bytes.get(1..).unwrap_or_default());
    }
    let (_, rest) = match header(bytes, b"*>", 3..=4) {
        Ok(found) => found,
        Err(front) => return front,
    };
    let words: [&[u8]; 3] = [b"$7\r\nmessage\r\n$", b"$8\r\npmessage\r\n$", b"$8\r\nsmessage\r\n$"];
    if words.iter().any(|word| rest.starts_with(word)) {
        return Front::Yes;
    }
    if words.iter().any(|word| word.starts_with(rest)) { Front::More } else { Front::No }
}

/// Whether the text is a line of MONITOR: seconds, a dot, six digits of microseconds, the database and client.
pub fn monitor(text: &[u8]) -> Front {
    let seconds = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = text.get(seconds..).unwrap_or_default();
    let shape = b".dddddd [";
    let fits = behind.iter().zip(shape).all(|(byte, &wanted)| match wanted {
        b'd' => byte.is_ascii_digit(),
        wanted => *byte == wanted,
    });
    match () {
        () if !fits || seconds > 12 || seconds < 9 && !behind.is_empty() => Front::No,
        () if behind.len() < shape.len() => Front::More,
        () => Front::Yes,
    }
}

/// The first place where a line begins with what `front` looks for; `edge` if one begins at the first byte.
/// `Err` where there is none yet: how many bytes need not be looked at again.
pub fn find(bytes: &[u8], edge: bool, front: fn(&[u8]) -> Front) -> Result<usize, usize> {
    let mut at = 0;
    let mut edge = edge;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if edge && !rest.is_empty() {
            match front(rest) {
                Front::Yes => return Ok(at),
                Front::More if rest.len() < FRONT_BYTES_MAX => return Err(at),
                Front::More | Front::No => {}
            }
        }
        match memchr(b'\n', rest) {
            Some(end) => at += end + 1,
            None => return Err(bytes.len()),
        }
        edge = true;
    }
}

/// Whether a connection speaks Redis. Arrays of bulk strings say so on any port; what is shorter or plainer
/// is believed on Redis' own ports only, inline commands among it.
pub fn detect(look: &Look<'_>) -> Detection {
    let bytes = look.bytes;
    if look.datagram {
        return Detection::No;
    }
    let (asks, answers) = (PORTS.contains(&look.to_port), PORTS.contains(&look.from_port));
    let side = match (asks, answers) {
        (true, false) => Some(Side::Client),
        (false, true) => Some(Side::Server),
        _ => None,
    };
    let front = match command(bytes) {
        Front::Yes => return Detection::Yes(side),
        front => front.or(push(bytes)).or(reply(bytes)),
    };
    match front {
        Front::Yes => Detection::Yes(Some(side.unwrap_or(Side::Server))),
        _ if answers && !asks => detection(plain_reply(bytes).or(front), Side::Server),
        _ if asks => detection(inline(bytes).or(front), Side::Client),
        front => detection(front, Side::Server),
    }
}

fn detection(front: Front, side: Side) -> Detection {
    match front {
        Front::More => Detection::More,
        Front::No => Detection::No,
        Front::Yes => Detection::Yes(Some(side)),
    }
}

impl Front {
    fn or(self, other: Front) -> Front {
        match (self, other) {
            (Front::Yes, _) | (_, Front::Yes) => Front::Yes,
            (Front::More, _) | (_, Front::More) => Front::More,
            (Front::No, Front::No) => Front::No,
        }
    }
}

/// Replies no other protocol has: an aggregate with a value behind it, a string with its end, and lines of Redis' own.
fn reply(bytes: &[u8]) -> Front {
    let lines: [&[u8]; 5] = [b"+PONG\r\n", b"-NOAUTH ", b"-WRONGTYPE ", b"-MOVED ", b"-ERR unknown command '"];
    if lines.iter().any(|line| bytes.starts_with(line)) {
        return Front::Yes;
    }
    match bytes.first() {
        Some(b'*' | b'%' | b'~' | b'>') => match header(bytes, b"*%~>", 1..=ARGUMENTS_MAX) {
            Ok((_, rest)) => value(rest),
            Err(front) => front,
        },
        Some(b'$') => value(bytes),
        _ => Front::No,
    }
}

/// Whether a value with a length is in front, and a string has its end where it says.
fn value(bytes: &[u8]) -> Front {
    match bytes.first() {
        None => return Front::More,
        Some(b'$') => {}
        Some(b'*' | b'%' | b'~') => {
            return header(bytes, b"*%~", 0..=ARGUMENTS_MAX).map_or_else(|front| front, |_| Front::Yes);
        }
        Some(b':') => return header(bytes, b":", i64::MIN..=i64::MAX).map_or_else(|front| front, |_| Front::Yes),
        Some(_) => return Front::No,
    }
    match header(bytes, b"$", 0..=STRING_BYTES_MAX) {
        Ok((length, rest)) => match rest.get(length as usize..).unwrap_or_default() {
            [b'\r', b'\n', ..] => Front::Yes,
            [] | [b'\r'] => Front::More,
            _ => Front::No,
        },
        Err(front) => front,
    }
}

/// Any value, on a port of Redis.
fn plain_reply(bytes: &[u8]) -> Front {
    let Some((&kind, text)) = bytes.split_first() else { return Front::More };
    if !b"+-:$*_#,(=%~>|!".contains(&kind) {
        return Front::No;
    }
    let Some(end) = memchr(b'\n', text) else {
        let printable = text.iter().all(|byte| matches!(byte, b'\r' | 0x20..=0x7e));
        return if printable { Front::More } else { Front::No };
    };
    let Some(line) = text.get(..end).and_then(|line| line.strip_suffix(b"\r")) else { return Front::No };
    let printable = line.iter().all(|byte| matches!(byte, 0x20..=0x7e | 0x80..));
    let fits = match kind {
        b'+' => printable,
        // Errors begin with a word in upper case.
        b'-' => printable && line.iter().take_while(|byte| byte.is_ascii_uppercase()).count() >= 3,
        b'_' => line.is_empty(),
        b'#' => line == b"t" || line == b"f",
        b',' | b'(' => line.first().is_some_and(|byte| byte.is_ascii_digit() || b"-in".contains(byte)),
        _ => line == b"?" || wire::number(line).is_some(),
    };
    if fits { Front::Yes } else { Front::No }
}

/// Lines other protocols begin with on ports that are not theirs.
const FOREIGN: &[&[u8]] = &[
    b"ACCT",
    b"CAP",
    b"CONNECT",
    b"EHLO",
    b"FEAT",
    b"HELO",
    b"HTTP",
    b"LHLO",
    b"MAIL",
    b"NICK",
    b"OPTIONS",
    b"PASS",
    b"RCPT",
    b"SSH-",
    b"STARTTLS",
    b"STAT",
    b"STLS",
    b"USER",
];

/// Inline commands, on a port of Redis: lines of which the first begins with a word and has no version of another
/// protocol. The last is whole, for the middle of a long text is no line.
pub fn inline(bytes: &[u8]) -> Front {
    // Redis passes over empty lines.
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(empty..).unwrap_or_default();
    if bytes.is_empty() {
        return Front::More;
    }
    let end = memchr(b'\n', bytes);
    let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default().trim_ascii();
    let printable = line.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..));
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let foreign = FOREIGN.iter().any(|foreign| word.len() >= foreign.len() && word.eq_ignore_ascii_case(foreign))
        || line.starts_with(b"SSH-")
        || memchr::memmem::find(line, b" HTTP/").is_some();
    let name = word.first().is_some_and(u8::is_ascii_alphabetic) && word.len() <= WORD_BYTES_MAX;
    // Redis takes what is no array for a line, even a bulk string.
    let bulk = matches!(line, [b'$', digits @ ..] if wire::number(digits).is_some());
    match end {
        _ if !printable || foreign || !(name || bulk) => Front::No,
        Some(_) if bytes.ends_with(b"\n") => Front::Yes,
        _ => Front::More,
    }
}

/// The number on a line behind one of `kinds`, and what follows the line.
fn header<'a>(bytes: &'a [u8], kinds: &[u8], range: std::ops::RangeInclusive<i64>) -> Result<(i64, &'a [u8]), Front> {
    let Some((kind, text)) = bytes.split_first() else { return Err(Front::More) };
    if !kinds.contains(kind) {
        return Err(Front::No);
    }
    let window = text.get(..wire::HEADER_BYTES_MAX).unwrap_or(text);
    let Some(end) = memchr(b'\n', window) else {
        let digits = window.strip_suffix(b"\r").unwrap_or(window);
        let possible = window.len() < wire::HEADER_BYTES_MAX
            && digits.iter().enumerate().all(|(at, byte)| byte.is_ascii_digit() || at == 0 && *byte == b'-');
        return Err(if possible { Front::More } else { Front::No });
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    match line.and_then(wire::number).filter(|number| range.contains(number)) {
        Some(number) => Ok((number, text.get(end + 1..).unwrap_or_default())),
        None => Err(Front::No),
    }
}

//! Where the next message begins, when order was lost: after a gap, or because we joined in the middle.
//!
//! A body may hold what looks like a message, so a candidate needs a first line and, behind it, a field or an
//! empty line. What is found after a gap is marked as damaged all the same.

use super::wire::{self, Kind, NotWhole, StartLine};
use crate::protocols::http::{Form, Target};
use memchr::memmem;

/// Longest request line that is looked for (RFC 9112 §3 asks for 8000 bytes at least).
const LINE_BYTES_MAX: usize = 16 << 10;

/// What the first of the searched bytes is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edge {
    /// The first byte after a loss: perhaps of a message, perhaps its line lost its front.
    Gap,
    /// Inside a line.
    Inside,
    /// Perhaps the first byte of a message: capture begins where packets begin.
    #[default]
    Start,
}

/// A message begins at `Ok`; or none does before `Err`, and what follows is not decided.
pub fn next(bytes: &[u8], edge: Edge, kind: Kind) -> Result<usize, usize> {
    match kind {
        Kind::Request => request(bytes, edge),
        Kind::Response => response(bytes),
    }
}

/// A status line: anywhere, for bodies rarely end with a line.
fn response(bytes: &[u8]) -> Result<usize, usize> {
    const FRONT: &[u8] = b"HTTP/1.";
    for at in memmem::find_iter(bytes, FRONT) {
        let candidate = bytes.get(at..).unwrap_or_default();
        let begun = wire::status_begin(candidate).and_then(|()| confirmed(candidate));
        match begun {
            Ok(()) => return Ok(at),
            Err(NotWhole::Wanted) => return Err(at),
            Err(NotWhole::Malformed) => {}
        }
    }
    // The front of one may stand at the end.
    let tail = (1..FRONT.len().min(bytes.len() + 1)).rev().find(|&length| {
        let (front, _) = FRONT.split_at(length);
        bytes.ends_with(front)
    });
    Err(bytes.len() - tail.unwrap_or(0))
}

/// A request line: at the begin of a line, for its method could be anything.
fn request(bytes: &[u8], edge: Edge) -> Result<usize, usize> {
    let line_begin = |at: usize| {
        let before = bytes.get(..at).unwrap_or_default();
        memchr::memrchr(b'\n', before).map(|end| end + 1)
    };
    for at in memmem::find_iter(bytes, b" HTTP/1.") {
        let begin = match line_begin(at) {
            Some(begin) => begin,
            None if edge == Edge::Inside => continue,
            None => 0,
        };
        let candidate = bytes.get(begin..).unwrap_or_default();
        match confirmed(candidate) {
            Ok(()) if begin == 0 && edge == Edge::Gap && !registered(candidate) => {}
            Ok(()) => return Ok(begin),
            Err(NotWhole::Wanted) => return Err(begin),
            Err(NotWhole::Malformed) => {}
        }
    }
    // The last line may become one.
    let begin = line_begin(bytes.len()).or((edge != Edge::Inside).then_some(0)).unwrap_or(bytes.len());
    let begun = bytes.get(begin..).unwrap_or_default();
    let hopeless = begun.len() > LINE_BYTES_MAX || wire::start_line(begun) == Err(NotWhole::Malformed);
    Err(if hopeless { bytes.len() } else { begin })
}

/// A first line with a field or an empty line behind it.
fn confirmed(bytes: &[u8]) -> Result<(), NotWhole> {
    let (_, taken, _) = wire::start_line(bytes)?;
    let next = bytes.get(taken..).unwrap_or_default();
    let name = next.iter().position(|&byte| !wire::is_tchar(byte)).unwrap_or(next.len());
    match next.get(name..).unwrap_or_default() {
        [] | [b'\r'] if name < LINE_BYTES_MAX => Err(NotWhole::Wanted),
        [b':', ..] if name > 0 => Ok(()),
        [b'\r', b'\n', ..] | [b'\n', ..] if name == 0 => Ok(()),
        _ => Err(NotWhole::Malformed),
    }
}

/// Methods of which the tail of another is none.
const METHODS: [&[u8]; 8] = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"CONNECT"];

/// Whether the method is a common one, whole: the tail of another would not be.
fn registered(candidate: &[u8]) -> bool {
    matches!(wire::start_line(candidate), Ok((StartLine::Request { method, .. }, ..)) if METHODS.contains(&method))
}

/// Whether a request with a common method stands at the front, where a body may stand as well.
pub fn common_request(bytes: &[u8]) -> Result<(), NotWhole> {
    let method = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    if method.len() == bytes.len() {
        let begun = METHODS.iter().any(|known| known.starts_with(method));
        return Err(if begun { NotWhole::Wanted } else { NotWhole::Malformed });
    }
    if METHODS.contains(&method) { confirmed(bytes) } else { Err(NotWhole::Malformed) }
}

/// Whether a common method with a path or a URL behind it stands at the front.
pub fn begins_request(bytes: &[u8]) -> bool {
    let mut words = bytes.splitn(2, |&byte| byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    METHODS.contains(&method) && matches!(Target::split(method, target).form, Form::Absolute | Form::Origin)
}

//! Bytes to first lines, fields and chunk sizes: pure and total (RFC 9112 §2 to §7).

use super::odd::{Odd, Odds};
use crate::protocols::http::{Fields, Version};

/// Longest method that is believed: the longest registered one (`UPDATEREDIRECTREF`) has 17 bytes.
pub const METHOD_BYTES_MAX: usize = 32;

/// Bytes of a first line that are looked at before its end is there: binary data shows itself sooner.
const GLANCE_BYTES: usize = 256;

/// Why there is nothing whole at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWhole {
    /// It is something else.
    Malformed,
    /// Its end is not there.
    Wanted,
}

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// RFC 9112 §3.
    Request {
        /// Method.
        method: &'a [u8],
        /// Target, as sent.
        target: &'a [u8],
        /// Version, unless the line was cut before it.
        version: Option<Version>,
    },
    /// RFC 9112 §4.
    Status {
        /// Version.
        version: Version,
        /// Status code.
        status: u16,
        /// Reason phrase.
        reason: &'a [u8],
    },
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A response.
    Response,
}

impl StartLine<'_> {
    /// What it begins.
    pub fn kind(&self) -> Kind {
        match self {
            StartLine::Request { .. } => Kind::Request,
            StartLine::Status { .. } => Kind::Response,
        }
    }
}

/// A first line, the bytes it took, and what is odd about it.
pub type Started<'a> = (StartLine<'a>, usize, Odds);

/// Whether a byte may stand in a method or field name (RFC 9110 §5.6.2).
pub fn is_tchar(byte: u8) -> bool {
    const TCHAR: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < marks.len() {
            table[marks[at] as usize] = true;
            at += 1;
        }
        table
    };
    TCHAR.get(usize::from(byte)).is_some_and(|&is| is)
}

/// The line at the front without its end, the bytes it took with it, and whether the CR was missing.
pub fn line(bytes: &[u8]) -> Option<(&[u8], usize, bool)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..end)?;
    Some(match line.strip_suffix(b"\r") {
        Some(line) => (line, end + 1, false),
        None => (line, end + 1, true),
    })
}

/// The first line of a message at the front of `bytes`.
pub fn start_line(bytes: &[u8]) -> Result<Started<'_>, NotWhole> {
    let found = line(bytes);
    let (text, taken, bare) = found.unwrap_or((bytes, 0, false));
    let mut odds = Odds::default();
    odds.add_if(bare, Odd::BareLf);
    let started = match found {
        Some(_) if starts_status(text) => status_line(text, &mut odds),
        Some(_) => request_line(text, &mut odds),
        None if could_start(bytes) => return Err(NotWhole::Wanted),
        None => None,
    };
    started.map(|start| (start, taken, odds)).ok_or(NotWhole::Malformed)
}

/// Whether `bytes` are, or begin, a status line up to its code.
pub fn status_begin(bytes: &[u8]) -> Result<(), NotWhole> {
    const PATTERN: &[u8; 12] = b"HTTP/1.0 000";
    let fits = |(&byte, &wanted): (&u8, &u8)| byte == wanted || (wanted == b'0' && byte.is_ascii_digit());
    match bytes.iter().zip(PATTERN).all(fits) {
        true if bytes.len() >= PATTERN.len() => Ok(()),
        true => Err(NotWhole::Wanted),
        false => Err(NotWhole::Malformed),
    }
}

fn starts_status(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/") || line.starts_with(b"ICY ")
}

/// Whether a line that is not there to its end could be a first line.
fn could_start(bytes: &[u8]) -> bool {
    let bytes = bytes.get(..GLANCE_BYTES).unwrap_or(bytes);
    if starts_status(bytes) {
        return b"HTTP/1.".iter().zip(bytes).all(|(wanted, byte)| wanted == byte) || bytes.starts_with(b"ICY ");
    }
    let method = bytes.iter().position(|&byte| !is_tchar(byte)).unwrap_or(bytes.len());
    let (method, rest) = bytes.split_at(method);
    let method = method.len() <= METHOD_BYTES_MAX && (rest.is_empty() || !method.is_empty());
    match rest.split_first() {
        None => method,
        Some((b' ' | b'\t', target)) => {
            let target = target.strip_suffix(b"\r").unwrap_or(target);
            method && target.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t')
        }
        Some(_) => false,
    }
}

/// "GET /path HTTP/1.1" (RFC 9112 §3). Spaces in the target and around it are taken, and said.
fn request_line<'a>(line: &'a [u8], odds: &mut Odds) -> Option<StartLine<'a>> {
    let trimmed = line.trim_ascii_end();
    odds.add_if(trimmed.len() != line.len(), Odd::BadStartLine);
    let (rest, version) = trimmed.split_at_checked(trimmed.len().checked_sub(8)?)?;
    let version = self::version(version, odds)?;
    let method_end = rest.iter().position(|&byte| matches!(byte, b' ' | b'\t'))?;
    let (method, target) = rest.split_at_checked(method_end)?;
    let well_formed = (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.iter().copied().all(is_tchar);
    let spaced = target.strip_prefix(b" ").and_then(|target| target.strip_suffix(b" "));
    let target = target.trim_ascii();
    // Without a target, one space is all there is.
    if !well_formed || target.is_empty() || !rest.ends_with(b" ") && !rest.ends_with(b"\t") {
        return None;
    }
    if target.iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        return None;
    }
    let plain = spaced == Some(target) && !target.iter().any(|byte| matches!(byte, b' ' | b'\t'));
    odds.add_if(!plain, Odd::BadStartLine);
    Some(StartLine::Request { method, target, version: Some(version) })
}

/// "GET /path", the whole of a request in HTTP/0.9 (RFC 1945 §5).
pub fn simple_request(bytes: &[u8]) -> Option<Started<'_>> {
    let (line, taken, bare) = line(bytes)?;
    let target = line.strip_prefix(b"GET ")?;
    let named = target.starts_with(b"/") || target.starts_with(b"http://");
    let mut odds = Odds::default();
    odds.add_if(bare, Odd::BareLf);
    let request = StartLine::Request { method: b"GET", target, version: Some(Version::V09) };
    (named && target.iter().all(u8::is_ascii_graphic)).then_some((request, taken, odds))
}

/// Whether a request line whose end is not there has begun to name its version: "HTT" at least, for a shorter
/// word could be anything, and not in HTTP/2's preface (RFC 9113 §3.4).
pub fn begins_version(bytes: &[u8]) -> bool {
    let named = memchr::memmem::rfind(bytes, b" HTT").is_some();
    let request = matches!(cut_start_line(bytes), Some(StartLine::Request { method, .. }) if method != b"PRI");
    named && request
}

/// What a first line says whose end will not be seen: a request's method and target if the version had begun
/// behind them, a response's code if something had behind it.
pub fn cut_start_line(bytes: &[u8]) -> Option<StartLine<'_>> {
    if status_begin(bytes).is_ok() {
        let (code, rest) = bytes.get(9..)?.split_at_checked(3)?;
        let status = number(code)? as u16;
        let version = version(bytes.get(..8)?, &mut Odds::default())?;
        return rest.starts_with(b" ").then_some(StartLine::Status { version, status, reason: b"" });
    }
    let mut words = bytes.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let well_formed = (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.iter().copied().all(is_tchar);
    let known = self::version(version.trim_ascii_end(), &mut Odds::default());
    let begun = known.is_some() || !version.is_empty() && b"HTTP/1.".starts_with(version);
    let target_is = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    let whole = well_formed && begun && target_is && words.next().is_none();
    whole.then_some(StartLine::Request { method, target, version: known })
}

/// "HTTP/1.1 200 OK" (RFC 9112 §4), or "ICY 200 OK", which Shoutcast servers answer to an HTTP request.
fn status_line<'a>(line: &'a [u8], odds: &mut Odds) -> Option<StartLine<'a>> {
    let (version, rest) = match line.strip_prefix(b"ICY") {
        Some(rest) => {
            odds.add(Odd::Icy);
            (Version::V10, rest)
        }
        None => {
            let (version, rest) = line.split_at_checked(8)?;
            (self::version(version, odds)?, rest)
        }
    };
    let spaced = rest.strip_prefix(b" ")?;
    let rest = spaced.trim_ascii_start();
    odds.add_if(rest.len() != spaced.len(), Odd::BadStartLine);
    let (code, reason) = rest.split_at_checked(3)?;
    let status = number(code)? as u16;
    let reason = match reason.split_first() {
        None => reason,
        Some((b' ', reason)) => reason,
        Some((b'0'..=b'9', _)) => return None,
        Some(_) => {
            odds.add(Odd::BadStartLine);
            reason
        }
    };
    odds.add_if(!(100..600).contains(&status), Odd::BadStartLine);
    Some(StartLine::Status { version, status, reason })
}

/// "HTTP/1.x": a recipient takes any other minor version for the highest it knows (RFC 9110 §2.5).
fn version(text: &[u8], odds: &mut Odds) -> Option<Version> {
    match text.strip_prefix(b"HTTP/1.")? {
        b"0" => Some(Version::V10),
        b"1" => Some(Version::V11),
        [b'2'..=b'9'] => {
            odds.add(Odd::BadStartLine);
            Some(Version::V11)
        }
        _ => None,
    }
}

/// Digits alone, up to 64 bits.
pub fn number(digits: &[u8]) -> Option<u64> {
    let step = |sum: u64, digit: &u8| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, step) }
}

/// Where the section of lines at the front ends, behind its empty line; `scanned` bytes are known not to
/// hold the end. Otherwise how many are known now.
pub fn section_end(bytes: &[u8], scanned: usize) -> Result<usize, usize> {
    // The empty line may be all there is.
    let mut line_at = scanned;
    loop {
        let rest = bytes.get(line_at..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(0) => return Ok(line_at + 1),
            Some(1) if rest.starts_with(b"\r") => return Ok(line_at + 2),
            Some(end) => line_at += end + 1,
            None => return Err(line_at),
        }
    }
}

/// Adds the whole field lines of `section` to `fields` (RFC 9112 §5), up to an empty line; the first line that
/// breaks the grammar comes back.
pub fn fields<'a>(mut section: &'a [u8], fields: &mut Fields, odds: &mut Odds) -> Option<&'a [u8]> {
    let mut first_bad = None;
    while let Some((line, taken, bare)) = line(section) {
        section = section.get(taken..).unwrap_or_default();
        odds.add_if(bare, Odd::BareLf);
        if line.is_empty() {
            break;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) && !fields.is_empty() {
            odds.add(Odd::ObsFold);
            fields.fold(line.trim_ascii());
            continue;
        }
        let colon = memchr::memchr(b':', line);
        let Some((name, value)) = colon.and_then(|at| line.split_at_checked(at)) else {
            first_bad.get_or_insert(line);
            continue;
        };
        let (sent, name) = (name, name.trim_ascii());
        let value = value.get(1..).unwrap_or_default();
        let name_is_token = name.iter().copied().all(is_tchar) && !name.is_empty() && sent.len() == name.len();
        // A bare CR or a NUL inside ends the line for some recipients (RFC 9112 §2.2, RFC 9110 §5.5).
        if !name_is_token || memchr::memchr2(b'\r', 0, value).is_some() {
            first_bad.get_or_insert(line);
        }
        fields.push(name, value.trim_ascii());
    }
    odds.add_if(first_bad.is_some(), Odd::BadHeader);
    first_bad
}

/// The size line of a chunk with its extensions (RFC 9112 §7.1): size, bytes it took, whether the CR was missing.
pub fn chunk_size(bytes: &[u8]) -> Result<(u64, usize, bool), NotWhole> {
    let digits = bytes.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at_checked(digits).unwrap_or_default();
    // Sixteen digits are 64 bits; more could be zeros in front, which nobody sends and some misread.
    if digits.len() > 16 || digits.is_empty() && !rest.is_empty() {
        return Err(NotWhole::Malformed);
    }
    if !matches!(rest.first(), None | Some(b';' | b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(NotWhole::Malformed);
    }
    let (extensions, taken, bare) = line(rest).ok_or(NotWhole::Wanted)?;
    if !matches!(extensions.trim_ascii_start().first(), None | Some(b';')) {
        return Err(NotWhole::Malformed);
    }
    let value = |digit: &u8| u64::from((*digit as char).to_digit(16).unwrap_or_default());
    let size = digits.iter().fold(0, |size, digit| size << 4 | value(digit));
    Ok((size, digits.len() + taken, bare))
}

/// The line end behind a chunk's data: its bytes, and whether the CR was missing.
pub fn chunk_end(bytes: &[u8]) -> Result<(usize, bool), NotWhole> {
    match bytes {
        [b'\r', b'\n', ..] => Ok((2, false)),
        [b'\n', ..] => Ok((1, true)),
        [] | [b'\r'] => Err(NotWhole::Wanted),
        _ => Err(NotWhole::Malformed),
    }
}

/// Bytes of the empty lines at the front, which a recipient skips (RFC 9112 §2.2); a lone CR may begin one.
pub fn empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..) {
            Some([b'\r', b'\n', ..]) => at += 2,
            Some([b'\n', ..]) => at += 1,
            _ => return at,
        }
    }
}

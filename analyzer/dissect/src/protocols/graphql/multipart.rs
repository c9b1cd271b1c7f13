//! A body in parts (RFC 2046 §5.1): a form with files, or results that come one after the other.

use memchr::memmem;

/// Parts of a body, each its header lines and its content.
pub struct Parts<'a> {
    /// Behind the delimiter of the part that comes next.
    rest: &'a [u8],
    delimiter: Vec<u8>,
    /// Whether the last part's delimiter was there: nothing is missing.
    pub whole: bool,
}

impl<'a> Parts<'a> {
    /// The parts of `body`, whose content type names the boundary between them.
    pub fn of(content_type: &[u8], body: &'a [u8]) -> Option<Self> {
        let at = memmem::find(&content_type.to_ascii_lowercase(), b"boundary=")? + b"boundary=".len();
        let boundary = content_type.get(at..)?.split(|&byte| byte == b';').next()?.trim_ascii();
        let boundary = boundary.strip_prefix(b"\"").and_then(|quoted| quoted.strip_suffix(b"\"")).unwrap_or(boundary);
        let delimiter = [b"\r\n--", boundary].concat();
        // The first delimiter may stand at the very front.
        let first = delimiter.get(2..)?;
        let begin = memmem::find(body, first)? + first.len();
        Some(Self { rest: body.get(begin..)?, delimiter, whole: false })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.starts_with(b"--") {
            self.whole = true;
            return None;
        }
        let head_end = memmem::find(self.rest, b"\r\n\r\n")?;
        let (head, content) = (self.rest.get(..head_end)?, self.rest.get(head_end + 4..)?);
        let end = memmem::find(content, &self.delimiter)?;
        self.rest = content.get(end + self.delimiter.len()..)?;
        Some((head, content.get(..end)?))
    }
}

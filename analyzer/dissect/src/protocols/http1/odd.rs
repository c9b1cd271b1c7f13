//! What can be odd about one message: each at most once, however hostile the message.

/// One oddity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// The target names scheme and host, as a proxy is asked (RFC 9112 §3.2.2).
    AbsoluteForm,
    /// Not exactly one Host field in an HTTP/1.1 request (RFC 9112 §3.2).
    BadHost,
    /// A Content-Length that is no number (RFC 9112 §6.3).
    BadLength,
    /// A field line that breaks the grammar (RFC 9112 §5.1).
    BadHeader,
    /// A first line that breaks the grammar, but not beyond recognition (RFC 9112 §3, §4).
    BadStartLine,
    /// A Transfer-Encoding that does not tell where the message ends (RFC 9112 §6.1).
    BadTransferEncoding,
    /// A line that ends without a CR (RFC 9112 §2.2).
    BareLf,
    /// A status line of Shoutcast instead of HTTP's.
    Icy,
    /// Content-Lengths that differ (RFC 9112 §6.3).
    LengthConflict,
    /// The same Content-Length several times (RFC 9110 §8.6).
    LengthRepeated,
    /// A field over several lines (RFC 9112 §5.2).
    ObsFold,
    /// Transfer-Encoding beside Content-Length: request smuggling looks like this (RFC 9112 §6.1).
    TeAndCl,
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1).
    TeInV10,
}

/// Name of each oddity in `anomalies.kind`, and the field whose values tell more.
const NAMES: &[(Odd, &str, Option<&str>)] = &[
    (Odd::AbsoluteForm, "http1_absolute_form", None),
    (Odd::BadHost, "http1_bad_host", Some("host")),
    (Odd::BadLength, "http1_bad_length", Some("content-length")),
    (Odd::BadHeader, "http1_bad_header", None),
    (Odd::BadStartLine, "http1_bad_start_line", None),
    (Odd::BadTransferEncoding, "http1_bad_transfer_encoding", Some("transfer-encoding")),
    (Odd::BareLf, "http1_bare_lf", None),
    (Odd::Icy, "http1_icy", None),
    (Odd::LengthConflict, "http1_length_conflict", Some("content-length")),
    (Odd::LengthRepeated, "http1_length_repeated", Some("content-length")),
    (Odd::ObsFold, "http1_obs_fold", None),
    (Odd::TeAndCl, "http1_te_and_cl", Some("content-length")),
    (Odd::TeInV10, "http1_te_in_1_0", Some("transfer-encoding")),
];

/// A set of oddities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Odds(u16);

impl Odds {
    /// Adds one.
    pub fn add(&mut self, odd: Odd) {
        self.0 |= 1 << odd as u16;
    }

    /// Adds one if `seen`.
    pub fn add_if(&mut self, seen: bool, odd: Odd) {
        self.0 |= u16::from(seen) << odd as u16;
    }

    /// Whether it is among them.
    pub fn has(self, odd: Odd) -> bool {
        self.0 & (1 << odd as u16) != 0
    }

    /// Each of them with its name and the field that tells more.
    pub fn iter(self) -> impl Iterator<Item = (Odd, &'static str, Option<&'static str>)> {
        NAMES.iter().copied().filter(move |(odd, ..)| self.has(*odd))
    }
}

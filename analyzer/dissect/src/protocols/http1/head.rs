//! The head of a message and what it says about the message's extent (RFC 9112 §6).

use super::odd::{Odd, Odds};
use super::wire::{self, StartLine, Started};
use crate::protocols::http::{Codings, Exchange, Fields, Form, Message, Target, Version};

/// The first line of one message, and what its fields say.
pub struct Head<'a> {
    /// The first line.
    pub line: StartLine<'a>,
    /// Codings of the body: of the content, then of its transfer.
    pub codings: Codings,
    /// Whether it asks if its body is wanted (RFC 9110 §10.1.1).
    pub expects: bool,
    /// Whether it asks to change the protocol, or grants that.
    pub upgrade: bool,
    /// What is odd about it.
    pub odds: Odds,
    /// The first line that breaks the grammar.
    pub bad_line: Option<&'a [u8]>,
    length: Length,
    transfer: Transfer,
}

/// How far the body of a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes; also none.
    Bytes(u64),
    /// To the last chunk.
    Chunked,
    /// To the end of the connection.
    UntilClose,
    /// The head contradicts itself. Recipients differ here, so nothing is assumed.
    Unknown,
}

/// What a server makes of a request, as far as it matters to reading its response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asked {
    /// For a tunnel.
    Connect,
    /// For a head without its body.
    Head,
    /// Not known.
    #[default]
    Unknown,
    /// Anything else, and whether also for another protocol.
    Usual {
        /// Whether it asked for another protocol.
        upgrade: bool,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Bytes(u64),
    Bad,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Transfer {
    #[default]
    Absent,
    Chunked,
    /// Something whose end is not marked.
    Other,
}

impl<'a> Head<'a> {
    /// Reads the fields behind the first line of `bytes`: all, or as many whole lines as there are.
    pub fn read((line, taken, mut odds): Started<'a>, bytes: &'a [u8]) -> (Self, Fields) {
        let section = bytes.get(taken..).unwrap_or_default();
        let mut fields = Fields::default();
        fields.reserve(section.len(), section.len() / 32);
        let bad_line = wire::fields(section, &mut fields, &mut odds);
        let mut head = Self {
            line,
            codings: Codings::default(),
            expects: false,
            upgrade: false,
            odds,
            bad_line,
            length: Length::Absent,
            transfer: Transfer::Absent,
        };
        head.understand(&fields);
        (head, fields)
    }

    /// What the request asks for, as far as it matters to reading the response.
    pub fn asks(&self) -> Asked {
        match self.line {
            StartLine::Request { method: b"CONNECT", .. } => Asked::Connect,
            StartLine::Request { method: b"HEAD", .. } => Asked::Head,
            _ => Asked::Usual { upgrade: self.upgrade },
        }
    }

    /// The extent of a request's body (RFC 9112 §6.3).
    pub fn request_extent(&self) -> Extent {
        match (self.transfer, self.length) {
            (Transfer::Chunked, _) => Extent::Chunked,
            (Transfer::Other, _) | (_, Length::Bad) => Extent::Unknown,
            (_, Length::Bytes(bytes)) => Extent::Bytes(bytes),
            (_, Length::Absent) => Extent::Bytes(0),
        }
    }

    /// The extent of the body of a response with that status (RFC 9112 §6.3).
    pub fn response_extent(&self, status: u16, asked: Asked) -> Extent {
        if asked == Asked::Head || matches!(status, 100..200 | 204 | 304) {
            return Extent::Bytes(0);
        }
        match (self.transfer, self.length) {
            (Transfer::Chunked, _) => Extent::Chunked,
            (Transfer::Other, _) => Extent::UntilClose,
            (_, Length::Bad) => Extent::Unknown,
            (_, Length::Bytes(bytes)) => Extent::Bytes(bytes),
            (_, Length::Absent) => Extent::UntilClose,
        }
    }

    /// Each oddity with its name and what exactly was seen.
    pub fn oddities(&self, fields: &Fields) -> impl Iterator<Item = (&'static str, String)> {
        self.odds.iter().map(|(odd, kind, field)| match (field, self.line) {
            (Some(field), _) => (kind, fields.list(field)),
            (_, StartLine::Request { target, .. }) if odd == Odd::AbsoluteForm => (kind, clip(target)),
            _ if odd == Odd::BadHeader => (kind, self.bad_line.map(clip).unwrap_or_default()),
            _ => (kind, String::new()),
        })
    }

    fn understand(&mut self, fields: &Fields) {
        let (mut hosts, mut connection_upgrade, mut upgrade) = (0, false, false);
        let (mut content, mut transfer) = (Codings::default(), Codings::default());
        for (name, value) in fields.iter() {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                4 if is("host") => hosts += 1,
                6 if is("expect") => self.expects |= names(value).any(|one| is_name(one, "100-continue")),
                7 if is("upgrade") => upgrade = true,
                10 if is("connection") => connection_upgrade |= names(value).any(|one| is_name(one, "upgrade")),
                14 if is("content-length") => self.length(value),
                16 if is("content-encoding") => content.push_list(value),
                17 if is("transfer-encoding") => self.transfer(value, &mut transfer),
                _ => {}
            }
        }
        self.codings = content.then(transfer);
        self.upgrade = upgrade && connection_upgrade;
        self.judge(hosts);
    }

    /// One Content-Length, which may be a list (RFC 9110 §8.6).
    fn length(&mut self, value: &[u8]) {
        for one in names(value) {
            let Some(bytes) = wire::number(one) else {
                self.odds.add(Odd::BadLength);
                self.length = Length::Bad;
                continue;
            };
            match self.length {
                Length::Absent => self.length = Length::Bytes(bytes),
                Length::Bytes(before) if before == bytes => self.odds.add(Odd::LengthRepeated),
                Length::Bytes(_) => {
                    self.odds.add(Odd::LengthConflict);
                    self.length = Length::Bad;
                }
                Length::Bad => {}
            }
        }
    }

    /// One Transfer-Encoding (RFC 9112 §6.1, §7): only a last `chunked` tells where the message ends.
    fn transfer(&mut self, value: &[u8], codings: &mut Codings) {
        for one in names(value) {
            let name = one.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
            let after_chunked = self.transfer == Transfer::Chunked;
            // `identity` left the standard (RFC 7230 §A.2) and was never of any effect.
            if is_name(name, "identity") || name.is_empty() {
                self.odds.add(Odd::BadTransferEncoding);
                continue;
            }
            self.odds.add_if(after_chunked, Odd::BadTransferEncoding);
            if is_name(name, "chunked") {
                self.transfer = Transfer::Chunked;
            } else {
                self.transfer = Transfer::Other;
                codings.push(name);
            }
        }
    }

    fn judge(&mut self, hosts: usize) {
        let version = match self.line {
            StartLine::Request { method, target, version } => {
                let form = Target::split(method, target).form;
                self.odds.add_if(form == Form::Absolute, Odd::AbsoluteForm);
                self.odds.add_if(form == Form::Other, Odd::BadStartLine);
                self.odds.add_if(hosts > 1 || hosts == 0 && version == Some(Version::V11), Odd::BadHost);
                self.odds.add_if(self.transfer == Transfer::Other, Odd::BadTransferEncoding);
                version
            }
            StartLine::Status { version, .. } => Some(version),
        };
        let transfer = self.transfer != Transfer::Absent;
        self.odds.add_if(transfer && self.length != Length::Absent, Odd::TeAndCl);
        self.odds.add_if(transfer && version == Some(Version::V10), Odd::TeInV10);
    }
}

/// What a request says besides its fields.
pub fn request(method: &[u8], target: &[u8], exchange: Exchange, headers: Fields) -> Exchange {
    let parts = Target::split(method, target);
    let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
    Exchange {
        method: method.to_vec(),
        scheme: owned(parts.scheme),
        host: owned(parts.host.or_else(|| headers.get("host"))),
        path: owned(parts.path),
        query: owned(parts.query),
        request: Some(Message { headers, ..Message::default() }),
        ..exchange
    }
}

/// The members of a list (RFC 9110 §5.6.1); an empty value is one empty member.
fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn is_name(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// The front of hostile bytes, for a detail.
fn clip(bytes: &[u8]) -> String {
    const DETAIL_BYTES_MAX: usize = 120;
    String::from_utf8_lossy(bytes.get(..DETAIL_BYTES_MAX).unwrap_or(bytes)).into_owned()
}

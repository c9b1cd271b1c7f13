//! The language of filter expressions (pcap-filter(7)), as far as a recorder needs it.
//!
//!     expression = term { ("and" | "or") term }              equal in rank, from left to right
//!     term       = "not" term | "(" expression ")" | test
//!     test       = protocol | "vlan" [id] | ("less" | "greater") bytes
//!                | [family] "proto" number
//!                | [family | transport] [direction] [kind] value
//!     family     = "ip" | "ip6" | "arp" | "rarp"
//!     transport  = "tcp" | "udp" | "sctp"
//!     direction  = "src" | "dst" | "src or dst" | "src and dst"
//!     kind       = "host" | "net" | "port" | "portrange"
//!
//! A value alone, behind `and` or `or`, has the qualifiers of the value before it: `tcp port 80 or 443`.

use super::FilterError;
use super::tree::{Direction, Family, Net, Node, Test};
use crate::limits;
use nom::IResult;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::multispace0;
use nom::combinator::{consumed, rest, verify};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads an expression.
///
/// # Errors
/// The first word that does not fit where it stands, and how deep parentheses lie.
pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    let mut parser = Parse { words: words(text), at: 0, end: text.len(), last: Qualifiers::default() };
    let root = parser.expression(limits::FILTER_DEPTH_MAX)?;
    if parser.peek().is_some() {
        return Err(parser.unexpected("'and' or 'or'"));
    }
    Ok(root)
}

/// TCP, UDP and SCTP have ports, at the same place.
const WITH_PORTS: &[u8] = &[6, 17, 132];

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Qualifiers {
    family: Family,
    transports: Option<&'static [u8]>,
    direction: Direction,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    /// Not said: an address, or a network if it has a mask.
    #[default]
    Address,
    Host,
    Net,
    Port,
    PortRange,
}

/// A word and where it begins.
type Word<'a> = (&'a str, usize);

/// Cuts the expression into words; what is no word is one of its own, for the error to name.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut left = text;
    while let Ok((after, (_, word))) = word(left) {
        words.push((word, text.len() - after.len() - word.len()));
        left = after;
    }
    words
}

fn word(text: &str) -> IResult<&str, (&str, &str)> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._:/\\-".contains(character);
    let signs = alt((tag("("), tag(")"), tag("!"), tag("&&"), tag("||")));
    let stranger = verify(rest, |rest: &str| !rest.is_empty());
    (multispace0, consumed(alt((signs, take_while1(plain), stranger))).map(|(word, _)| word)).parse(text)
}

struct Parse<'a> {
    words: Vec<Word<'a>>,
    at: usize,
    /// Where the text ends.
    end: usize,
    last: Qualifiers,
}

impl<'a> Parse<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(|&(word, _)| word)
    }

    /// Takes the next word if it is one of `words`.
    fn take(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| words.contains(&word));
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &'static str) -> FilterError {
        match self.words.get(self.at) {
            Some(&(word, at_byte)) => FilterError::Unexpected { found: format!("{word:?}"), at_byte, expected },
            None => FilterError::Unexpected { found: "the end".into(), at_byte: self.end, expected },
        }
    }

    fn expression(&mut self, depth: u32) -> Result<Node, FilterError> {
        let mut left = self.term(depth)?;
        loop {
            left = if self.take(&["and", "&&"]) {
                Node::And(Box::new(left), Box::new(self.term(depth)?))
            } else if self.take(&["or", "||"]) {
                Node::Or(Box::new(left), Box::new(self.term(depth)?))
            } else {
                return Ok(left);
            };
        }
    }

    fn term(&mut self, depth: u32) -> Result<Node, FilterError> {
        let deeper = depth.checked_sub(1).ok_or(FilterError::TooDeep { max: limits::FILTER_DEPTH_MAX });
        if self.take(&["not", "!"]) {
            return Ok(Node::Not(Box::new(self.term(deeper?)?)));
        }
        if self.take(&["("]) {
            let inner = self.expression(deeper?)?;
            return if self.take(&[")"]) { Ok(inner) } else { Err(self.unexpected("')'")) };
        }
        self.test().map(Node::Test)
    }

    fn test(&mut self) -> Result<Test, FilterError> {
        if self.take(&["vlan"]) {
            let id = self.peek().and_then(number).and_then(|id| u16::try_from(id).ok()).filter(|&id| id < 4096);
            self.at += usize::from(id.is_some());
            return Ok(Test::Vlan(id));
        }
        if self.take(&["less"]) {
            return self.number(u32::MAX, "a length in bytes").map(Test::Less);
        }
        if self.take(&["greater"]) {
            return self.number(u32::MAX, "a length in bytes").map(Test::Greater);
        }
        let start = self.at;
        let (family, protocol) = self.protocol();
        if protocol.is_none() && self.take(&["proto"]) {
            return self.above_ip(family);
        }
        let direction = self.direction();
        let kind = self.kind();
        match (direction, kind, self.at == start) {
            // A protocol alone is a test of its own.
            (None, None, false) if !self.value_follows() => Ok(match protocol {
                Some(number) => Test::Protocol { family, number },
                None => Test::Family(family),
            }),
            (None, None, true) => self.value(self.last),
            _ => {
                let transports = protocol.map(|protocol| {
                    WITH_PORTS.iter().position(|&known| known == protocol).map_or(&[][..], |at| &WITH_PORTS[at..=at])
                });
                let (direction, kind) = (direction.unwrap_or_default(), kind.unwrap_or_default());
                self.last = Qualifiers { family, transports, direction, kind };
                self.value(self.last)
            }
        }
    }

    /// Whether the next word can only be a value: `ip 10.0.0.1` is an address, `ip and` is not.
    fn value_follows(&self) -> bool {
        self.peek().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()) || word.contains(':'))
    }

    fn protocol(&mut self) -> (Family, Option<u8>) {
        let known = match self.peek() {
            Some("arp") => (Family::Arp, None),
            Some("icmp") => (Family::Ip, Some(1)),
            Some("icmp6") => (Family::Ip6, Some(58)),
            Some("ip") => (Family::Ip, None),
            Some("ip6") => (Family::Ip6, None),
            Some("rarp") => (Family::Rarp, None),
            Some("sctp") => (Family::Any, Some(132)),
            Some("tcp") => (Family::Any, Some(6)),
            Some("udp") => (Family::Any, Some(17)),
            _ => return (Family::Any, None),
        };
        self.at += 1;
        known
    }

    fn above_ip(&mut self, family: Family) -> Result<Test, FilterError> {
        const EXPECTED: &str = "the number of a protocol above IP, 0 to 255, or its name";
        if matches!(family, Family::Arp | Family::Rarp) {
            return Err(self.unexpected("an address: ARP has no protocol above it"));
        }
        let name = self.peek().unwrap_or_default().trim_start_matches('\\');
        let named =
            [("icmp", 1), ("igmp", 2), ("tcp", 6), ("udp", 17), ("esp", 50), ("ah", 51), ("icmp6", 58), ("sctp", 132)];
        let number = match named.iter().find(|(known, _)| *known == name) {
            Some(&(_, number)) => {
                self.at += 1;
                number
            }
            None => self.number(u8::MAX.into(), EXPECTED)? as u8,
        };
        Ok(Test::Protocol { family, number })
    }

    fn direction(&mut self) -> Option<Direction> {
        let source = match self.peek()? {
            "src" => true,
            "dst" => false,
            _ => return None,
        };
        self.at += 1;
        let other = if source { "dst" } else { "src" };
        if self.words.get(self.at + 1).is_some_and(|&(word, _)| word == other) {
            for (joined, both) in [("or", Direction::Either), ("and", Direction::Both)] {
                if self.take(&[joined]) {
                    self.at += 1;
                    return Some(both);
                }
            }
        }
        Some(if source { Direction::Source } else { Direction::Destination })
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            _ => return None,
        };
        self.at += 1;
        Some(kind)
    }

    fn value(&mut self, qualifiers: Qualifiers) -> Result<Test, FilterError> {
        let Qualifiers { family, transports, direction, kind } = qualifiers;
        match kind {
            Kind::Address | Kind::Host | Kind::Net => {
                let expected = match kind {
                    _ if transports.is_some() => "'port' or 'portrange': transports have no addresses",
                    Kind::Net => "a network such as 10.0.0.0/8 or 2001:db8::/32",
                    _ => "an address such as 10.0.0.1 or 2001:db8::1",
                };
                let net = match self.peek() {
                    Some(word) if transports.is_none() => net(word, kind)?,
                    _ => None,
                };
                let fits = match net {
                    Some(Net::V4 { .. }) => family != Family::Ip6,
                    Some(Net::V6 { .. }) => matches!(family, Family::Any | Family::Ip6),
                    None => false,
                };
                let net = net.filter(|_| fits).ok_or_else(|| self.unexpected(expected))?;
                self.at += 1;
                Ok(Test::Address { family, direction, net })
            }
            Kind::Port | Kind::PortRange => {
                let transports = transports.unwrap_or(WITH_PORTS);
                let ports = self.peek().and_then(|word| ports(word, kind));
                let portless = transports.is_empty() || matches!(family, Family::Arp | Family::Rarp);
                let Some((first, last)) = ports.filter(|_| !portless) else {
                    return Err(self.unexpected(match kind {
                        _ if portless => "an address: that protocol has no ports",
                        Kind::Port => "the number of a port, 0 to 65535",
                        _ => "a range of ports such as 8000-8999",
                    }));
                };
                self.at += 1;
                Ok(Test::Port { family, transports, direction, first, last })
            }
        }
    }

    fn number(&mut self, most: u32, expected: &'static str) -> Result<u32, FilterError> {
        match self.peek().and_then(number).filter(|&number| number <= most) {
            Some(number) => {
                self.at += 1;
                Ok(number)
            }
            None => Err(self.unexpected(expected)),
        }
    }
}

/// A number, decimal or with `0x`.
fn number(word: &str) -> Option<u32> {
    // Digits only: the standard library also takes a sign.
    let digits = |digits: &str, radix| {
        let known = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        known.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
    };
    match word.strip_prefix("0x") {
        Some(hex) => digits(hex, 16),
        None => digits(word, 10),
    }
}

fn ports(word: &str, kind: Kind) -> Option<(u16, u16)> {
    let port = |word| number(word).and_then(|port| u16::try_from(port).ok());
    let (first, last) = match (kind, word.split_once('-')) {
        (Kind::PortRange, Some((first, last))) => (port(first)?, port(last)?),
        _ => (port(word)?, port(word)?),
    };
    Some((first.min(last), first.max(last)))
}

/// A network or an address; none if the word is neither.
fn net(word: &str, kind: Kind) -> Result<Option<Net>, FilterError> {
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) if kind != Kind::Host => match number(prefix) {
            Some(prefix) => (address, Some(prefix)),
            None => return Ok(None),
        },
        Some(_) => return Ok(None),
        None => (word, None),
    };
    let (address, octets) = match address.parse::<IpAddr>() {
        Ok(address) => (address, 4),
        // 10.1 is 10.1.0.0/16 (pcap-filter(7), "net").
        Err(_) if kind == Kind::Net => match short_v4(address) {
            Some((address, octets)) => (IpAddr::V4(address), octets),
            None => return Ok(None),
        },
        Err(_) => return Ok(None),
    };
    let net = match address {
        IpAddr::V4(address) => {
            let prefix = prefix.unwrap_or(8 * octets);
            let mask = u32::MAX.checked_shl(32u32.wrapping_sub(prefix)).unwrap_or(0);
            (prefix <= 32).then(|| Net::V4 { address: address.to_bits(), mask })
        }
        IpAddr::V6(address) => {
            let prefix = prefix.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128u32.wrapping_sub(prefix)).unwrap_or(0);
            (prefix <= 128).then(|| Net::V6 { address: address.to_bits(), mask })
        }
    };
    let hint = match net {
        Some(Net::V4 { address, mask }) if address & !mask != 0 => Ipv4Addr::from_bits(address & mask).to_string(),
        Some(Net::V6 { address, mask }) if address & !mask != 0 => Ipv6Addr::from_bits(address & mask).to_string(),
        _ => return Ok(net),
    };
    Err(FilterError::BitsBeyondMask { net: word.to_owned(), hint })
}

/// One to three octets of an IPv4 address, the rest being zero.
fn short_v4(word: &str) -> Option<(Ipv4Addr, u32)> {
    let mut octets = [0; 4];
    let parts: Vec<&str> = word.split('.').collect();
    for (octet, part) in octets.iter_mut().zip(&parts) {
        *octet = u8::try_from(number(part)?).ok()?;
    }
    (parts.len() <= 3).then(|| (Ipv4Addr::from_octets(octets), parts.len() as u32))
}

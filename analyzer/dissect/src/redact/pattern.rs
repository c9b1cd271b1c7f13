//! What rules name things by: names with `*` and `?`, and paths of such names.

use crate::limits::{REDACT_PATTERN_BYTES_MAX, REDACT_STEPS_MAX};
use serde::{Deserialize, Deserializer, de::Error};

/// A name, in which `*` stands for any bytes and `?` for one. ASCII case makes no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// In lower case.
    Byte(u8),
    One,
    Any,
}

impl Pattern {
    /// Reads a pattern; a backslash takes the character behind it as it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > REDACT_PATTERN_BYTES_MAX {
            return Err(format!("a name has 1 to {REDACT_PATTERN_BYTES_MAX} bytes, this one {}", text.len()));
        }
        let mut pieces = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            pieces.push(match byte {
                b'*' if pieces.last() == Some(&Piece::Any) => continue,
                b'*' => Piece::Any,
                b'?' => Piece::One,
                b'\\' => match bytes.next() {
                    Some(byte) => Piece::Byte(byte.to_ascii_lowercase()),
                    None => return Err(format!("'{text}' ends with a backslash that stands for nothing")),
                },
                byte => Piece::Byte(byte.to_ascii_lowercase()),
            });
        }
        Ok(Self(pieces))
    }

    /// Whether `name` is one of those meant.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.run(name).is_some_and(|behind| behind.iter().all(|piece| *piece == Piece::Any))
    }

    /// Whether a name that begins with `front` may be one.
    pub fn may_match(&self, front: &[u8]) -> bool {
        self.run(front).is_some()
    }

    /// Whether it is a number, or stands for any name: such can be meant of messages whose fields have no names.
    pub fn fits_numbers(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Any | Piece::One | Piece::Byte(b'0'..=b'9')))
    }

    /// What of the pattern is left behind all of `name`; nothing where it does not fit. Only the last `*` is ever
    /// tried again: time is at most the product of both lengths.
    fn run(&self, name: &[u8]) -> Option<&[Piece]> {
        let (mut at, mut piece) = (0, 0);
        let mut again: Option<(usize, usize)> = None;
        while let Some(byte) = name.get(at) {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    again = Some((piece + 1, at));
                    piece += 1;
                }
                Some(Piece::One) => (at, piece) = (at + 1, piece + 1),
                Some(Piece::Byte(wanted)) if *wanted == byte.to_ascii_lowercase() => (at, piece) = (at + 1, piece + 1),
                _ => {
                    let (behind, from) = again.as_mut()?;
                    *from += 1;
                    (at, piece) = (*from, *behind);
                }
            }
        }
        self.0.get(piece..)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A step on the way from the root of a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Any number of names, none too.
    Deep,
    /// One name.
    Name(Pattern),
}

/// Where in a JSON value: names with dots between, `**` for any way. Lists are passed through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// Reads a path; `$.` in front says nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("$.").unwrap_or(text);
        let mut steps = Vec::new();
        for name in split(path) {
            match name {
                "**" if steps.last() == Some(&Step::Deep) => {}
                "**" => steps.push(Step::Deep),
                "" => return Err(format!("'{text}' has a step without a name; a dot in a name is written '\\.'")),
                _ => steps.push(Step::Name(Pattern::parse(name)?)),
            }
        }
        if steps.len() > REDACT_STEPS_MAX {
            return Err(format!("'{text}' has {} steps, a path has at most {REDACT_STEPS_MAX}", steps.len()));
        }
        match steps.last() {
            Some(Step::Name(_)) => Ok(Self(steps)),
            _ => Err(format!("'{text}' ends with '**', which names no field: '**.*' is all of them")),
        }
    }

    /// What the field itself is called.
    pub fn last(&self) -> Option<&Pattern> {
        match self.0.last() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether it can be meant of messages whose fields have numbers alone.
    pub fn fits_numbers(&self) -> bool {
        self.0.iter().all(|step| matches!(step, Step::Deep) || matches!(step, Step::Name(name) if name.fits_numbers()))
    }
}

/// The names between dots that no backslash takes as they are.
fn split(path: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    path.split(move |c: char| {
        let splits = c == '.' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, matches, may_match) in [
            ("a", "A", true, true),
            ("a", "ab", false, false),
            ("a*", "a", true, true),
            ("*token", "X-Token", true, true),
            ("*token", "x-tokens", false, true),
            ("session:*", "sess", false, true),
            ("session:*", "user:1", false, false),
            ("a?c*e", "abcde", true, true),
            ("a?c*e", "ac", false, true),
            ("*a*b*", "xaxxbx", true, true),
            ("**", "", true, true),
            ("\\*", "*", true, true),
            ("\\*", "a", false, false),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!((pattern.matches(name.as_bytes()), pattern.may_match(name.as_bytes())), (matches, may_match));
        }
        let slow = Pattern::parse(&"*a".repeat(100)).unwrap();
        assert!(!slow.matches(&[b'b'; 1 << 16]));
        assert!(Pattern::parse("").is_err() && Pattern::parse("a\\").is_err());
        assert!(Pattern::parse(&"a".repeat(300)).is_err());
    }

    #[test]
    fn paths() {
        for (path, steps) in [("a", 1), ("$.a.*.b", 3), ("**.a", 2), ("**.**.a", 2), ("a\\.b", 1), ("$.**.a", 2)] {
            assert_eq!(Path::parse(path).map(|path| path.0.len()), Ok(steps), "{path}");
        }
        for path in ["", "**", "a.**", "a..b", ".a", "a.", &"a.".repeat(100)] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse("**.1.2").unwrap().fits_numbers());
        assert!(!Path::parse("**.a").unwrap().fits_numbers());
    }
}

//! Walks a body by its fields, as far as its bytes are there, and goes on when more come.
//!
//! Nothing of a body has to be kept: each step takes one value. A value is at most [`VALUE_BYTES_MAX`] long; of longer
//! ones only the length is told. Lists and structures nest as deep as the tables say, which is less than ten.

use super::schema::{Field, Kind, Message};
use formats::bytes::Reader;

/// The longest text or bytes that are handed on.
pub const VALUE_BYTES_MAX: u64 = 64 << 10;

/// A value without values inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    Bool(bool),
    Bytes(&'a [u8]),
    Float(f64),
    Int(i64),
    /// So many bytes, too many to hand on.
    Long(u64),
    Null,
    Text(&'a [u8]),
    Uuid([u8; 16]),
}

/// What comes next in a body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// The body is over.
    End,
    /// A list or structure begins; inside of a list it has no name.
    Enter { name: Option<&'static str>, list: bool },
    /// The innermost list or structure is over.
    Leave,
    /// So many bytes of records follow, which the walk steps over with [`Walk::stepped_over`].
    Records { name: &'static str, bytes: u64 },
    /// A tagged field that the tables do not know.
    Unknown { tag: u32, bytes: u64 },
    /// A value; inside of a list it has no name.
    Value { name: Option<&'static str>, field: &'static Field, value: Scalar<'a> },
}

/// Why nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// The body is not what the tables say.
    Malformed,
    /// So many bytes more are needed.
    Wanted(usize),
}

impl Stuck {
    /// What a short read means, with `here` bytes of the `room` there is: the message ends, or more of it is to come.
    pub fn short(missing_bytes: usize, here: usize, room: u64) -> Self {
        match room.saturating_sub(here as u64) {
            0 => Stuck::Malformed,
            to_come => Stuck::Wanted(to_come.min(missing_bytes as u64) as usize),
        }
    }
}

#[derive(Debug)]
enum Level {
    List {
        field: &'static Field,
        left: u64,
        element_at: u64,
    },
    Struct {
        fields: &'static [Field],
        next: usize,
    },
    /// The value of a tagged field ends at `value_end`.
    Tags {
        fields: &'static [Field],
        left: u32,
        value_end: u64,
    },
}

/// One walk.
#[derive(Debug)]
pub struct Walk {
    version: i16,
    flexible: bool,
    levels: Vec<Level>,
    /// Bytes walked over.
    at: u64,
    /// Bytes of a long value that are still to be stepped over.
    over: u64,
}

/// The bytes a step may take: what is there, and how much of the body that is.
struct Bytes<'a, 'r> {
    input: &'r mut Reader<'a>,
    /// Bytes of the body behind the input's position when the step began.
    room: u64,
    began: usize,
    flexible: bool,
}

impl<'a> Bytes<'a, '_> {
    fn room(&self) -> u64 {
        self.room.saturating_sub((self.input.at() - self.began) as u64)
    }

    fn short(&self, missing_bytes: usize) -> Stuck {
        Stuck::short(missing_bytes, self.input.left(), self.room())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stuck> {
        self.input.array().map_err(|short| self.short(short.missing_bytes))
    }

    fn varint(&mut self) -> Result<u32, Stuck> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Stuck::Malformed)
    }

    /// A length or count: compact ones are one more than they say, so that 0 stands for null.
    fn length(&mut self, short_form: bool) -> Result<Option<u64>, Stuck> {
        let length = match (self.flexible, short_form) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, true) => i16::from_be_bytes(self.array()?).into(),
            (false, false) => i32::from_be_bytes(self.array()?).into(),
        };
        match u64::try_from(length) {
            Ok(length) if length > self.room() => Err(Stuck::Malformed),
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(Stuck::Malformed),
        }
    }
}

impl Walk {
    /// At the begin of a body. The structure it is has no event of its own to begin with.
    pub fn new(message: &'static Message, version: i16) -> Self {
        let flexible = message.flexible.contain(version);
        Self { version, flexible, levels: vec![Level::Struct { fields: &message.fields, next: 0 }], at: 0, over: 0 }
    }

    /// Bytes walked over.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What comes next; `room` bytes of the body lie ahead, and `input` has no others.
    pub fn next<'a>(&mut self, input: &mut Reader<'a>, room: u64) -> Result<Event<'a>, Stuck> {
        let over = input.skip_up_to(self.over);
        self.over -= over;
        self.at += over;
        if self.over > 0 {
            return Err(if room > over { Stuck::Wanted(1) } else { Stuck::Malformed });
        }
        let mut ahead = *input;
        let began = ahead.at();
        let mut bytes = Bytes { input: &mut ahead, room: room - over, began, flexible: self.flexible };
        let event = self.step(&mut bytes)?;
        self.at += (ahead.at() - began) as u64;
        *input = ahead;
        if let Event::Value { value: Scalar::Long(bytes), .. } | Event::Unknown { bytes, .. } = event {
            self.over = bytes;
        }
        Ok(event)
    }

    /// Takes note that `bytes` were consumed beside the walk: of records.
    pub fn stepped_over(&mut self, bytes: u64) {
        self.at += bytes;
    }

    fn step<'a>(&mut self, bytes: &mut Bytes<'a, '_>) -> Result<Event<'a>, Stuck> {
        loop {
            let at = self.at + (bytes.input.at() - bytes.began) as u64;
            let version = self.version;
            let Some(level) = self.levels.last_mut() else { return Ok(Event::End) };
            match level {
                Level::Struct { fields, next } => {
                    let rest = fields.get(*next..).unwrap_or_default();
                    if let Some(skipped) = rest.iter().position(|field| field.is_in_place(version)) {
                        let taken = *next + skipped + 1;
                        let Some(field) = fields.get(taken - 1) else { continue };
                        let depth = self.levels.len();
                        let event = self.value(field, bytes)?;
                        if let Some(Level::Struct { next, .. }) = self.levels.get_mut(depth - 1) {
                            *next = taken;
                        }
                        return Ok(event);
                    }
                    if !self.flexible {
                        self.levels.pop();
                        return Ok(Event::Leave);
                    }
                    // Taken with what follows: a step that gets stuck leaves everything as it was.
                    let left = bytes.varint()?;
                    if u64::from(left) > bytes.room() {
                        return Err(Stuck::Malformed);
                    }
                    let fields = *fields;
                    if left == 0 {
                        self.levels.pop();
                        return Ok(Event::Leave);
                    }
                    return self.tag(fields, left, bytes);
                }
                Level::List { field, left, element_at } => {
                    // Elements without a byte would make a list as long as a sender likes.
                    if *left == 0 || *element_at == at {
                        self.levels.pop();
                        return Ok(Event::Leave);
                    }
                    let field = *field;
                    if let Kind::Struct(fields) = &field.kind {
                        (*left, *element_at) = (*left - 1, at);
                        self.levels.push(Level::Struct { fields, next: 0 });
                        return Ok(Event::Enter { name: None, list: false });
                    }
                    let value = scalar(&field.kind, bytes)?;
                    *left -= 1;
                    return Ok(Event::Value { name: None, field, value });
                }
                Level::Tags { fields, left, value_end } => {
                    if *value_end != at {
                        return Err(Stuck::Malformed);
                    }
                    if *left == 0 {
                        self.levels.pop();
                        return Ok(Event::Leave);
                    }
                    let (fields, left) = (*fields, *left);
                    return self.tag(fields, left, bytes);
                }
            }
        }
    }

    /// Reads a tagged field with `left` of them to come, this one included.
    fn tag<'a>(&mut self, fields: &'static [Field], left: u32, bytes: &mut Bytes<'a, '_>) -> Result<Event<'a>, Stuck> {
        let (tag, length) = (bytes.varint()?, u64::from(bytes.varint()?));
        if length > bytes.room() {
            return Err(Stuck::Malformed);
        }
        let end = self.at + (bytes.input.at() - bytes.began) as u64 + length;
        let known = fields.iter().find(|field| field.tag == tag && field.tagged.contain(self.version));
        let depth = self.levels.len();
        let event = match known {
            Some(field) => self.value(field, bytes)?,
            None => Event::Unknown { tag, bytes: length },
        };
        if let Some(level) = self.levels.get_mut(depth - 1) {
            *level = Level::Tags { fields, left: left - 1, value_end: end };
        }
        Ok(event)
    }

    /// Reads a field's value, or enters it.
    fn value<'a>(&mut self, field: &'static Field, bytes: &mut Bytes<'a, '_>) -> Result<Event<'a>, Stuck> {
        let name = Some(field.name);
        if field.list {
            let Some(left) = bytes.length(false)? else {
                return Ok(Event::Value { name, field, value: Scalar::Null });
            };
            self.levels.push(Level::List { field, left, element_at: u64::MAX });
            return Ok(Event::Enter { name, list: true });
        }
        match &field.kind {
            Kind::Struct(fields) => {
                if field.nullable.contain(self.version) && i8::from_be_bytes(bytes.array()?) < 0 {
                    return Ok(Event::Value { name, field, value: Scalar::Null });
                }
                self.levels.push(Level::Struct { fields, next: 0 });
                Ok(Event::Enter { name, list: false })
            }
            Kind::Records => Ok(match bytes.length(false)? {
                Some(bytes) => Event::Records { name: field.name, bytes },
                None => Event::Value { name, field, value: Scalar::Null },
            }),
            kind => Ok(Event::Value { name, field, value: scalar(kind, bytes)? }),
        }
    }
}

fn scalar<'a>(kind: &Kind, bytes: &mut Bytes<'a, '_>) -> Result<Scalar<'a>, Stuck> {
    Ok(match kind {
        Kind::Bool => Scalar::Bool(bytes.array::<1>()? != [0]),
        Kind::Bytes | Kind::Records | Kind::String | Kind::Struct(_) => match bytes
            .length(matches!(kind, Kind::String))?
        {
            None => Scalar::Null,
            Some(length) if length > VALUE_BYTES_MAX => Scalar::Long(length),
            Some(length) => {
                let value = bytes.input.take(length as usize).map_err(|short| Stuck::Wanted(short.missing_bytes))?;
                if matches!(kind, Kind::String) { Scalar::Text(value) } else { Scalar::Bytes(value) }
            }
        },
        Kind::Float64 => Scalar::Float(f64::from_be_bytes(bytes.array()?)),
        Kind::Int8 => Scalar::Int(i8::from_be_bytes(bytes.array()?).into()),
        Kind::Int16 => Scalar::Int(i16::from_be_bytes(bytes.array()?).into()),
        Kind::Int32 => Scalar::Int(i32::from_be_bytes(bytes.array()?).into()),
        Kind::Int64 => Scalar::Int(i64::from_be_bytes(bytes.array()?)),
        Kind::UInt16 => Scalar::Int(u16::from_be_bytes(bytes.array()?).into()),
        Kind::UInt32 => Scalar::Int(u32::from_be_bytes(bytes.array()?).into()),
        Kind::Uuid => Scalar::Uuid(bytes.array()?),
    })
}

//! A message: header, questions, records (RFC 1035 §4.1). What is broken ends the reading, and what was read stays.

use super::names::{self, Malformed, SHORT, name};
use super::rdata;
use super::registry;
use formats::bytes::Reader;

/// Bytes of names and data of one message in presentation form. Its own 64 KiB escaped take 256 KiB at most, and pointers
/// say as much again; but they could say 5 MiB, and bitmaps of types as much (RFC 1035 §4.1.4, RFC 4034 §4.1.2).
pub const TEXT_BYTES_MAX: usize = 512 << 10;

/// Records that are looked at to tell whether a message begins at some place.
const SOUGHT_RECORDS_MAX: usize = 4;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 12;

/// The header (RFC 1035 §4.1.1, RFC 4035 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Id.
    pub id: u16,
    /// All flags.
    pub flags: u16,
    /// Entries said to be in each section.
    pub counts: [u16; 4],
}

impl Header {
    /// QR: an answer.
    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }
    /// Kind of query.
    pub fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 15
    }
    /// Response code, without what OPT adds.
    pub fn rcode(&self) -> u8 {
        self.flags as u8 & 15
    }

    /// The header at the front.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (id, flags) = (reader.u16_be()?, reader.u16_be()?);
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = reader.u16_be()?;
        }
        Ok(Self { id, flags, counts })
    }
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Name in presentation form.
    pub name: String,
    /// Type.
    pub kind: u16,
    /// Class.
    pub class: u16,
}

/// A resource record in presentation form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Owner.
    pub name: String,
    /// Type.
    pub kind: u16,
    /// Class; for OPT the payload size.
    pub class: u16,
    /// Time to live [s]; for OPT flags and extended code.
    pub ttl: u32,
    /// Data in presentation form.
    pub data: String,
}

impl Record {
    fn text_bytes(&self) -> usize {
        self.name.len() + self.data.len()
    }
}

/// A message as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Header.
    pub header: Header,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answer, authority and additional section.
    pub sections: [Vec<Record>; 3],
    /// What ended the reading early.
    pub malformed: Option<Malformed>,
    /// Bytes behind the last record.
    pub trailing_bytes: usize,
}

impl Message {
    /// The response code with the bits of OPT (RFC 6891 §6.1.3); none where all seems well, nothing else is said, and OPT
    /// could not be read.
    pub fn rcode(&self) -> Option<u16> {
        let opt = self.sections.iter().flatten().find(|record| record.kind == 41);
        let [_, answers, authorities, additionals] = self.header.counts;
        let unread = opt.is_none() && self.malformed.is_some() && additionals > 0;
        if unread && self.header.rcode() == 0 && answers == 0 && authorities == 0 {
            return None;
        }
        Some(opt.map_or(0, |opt| (opt.ttl >> 24) as u16) << 4 | u16::from(self.header.rcode()))
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let questions = self.questions.iter().map(|question| size_of_val(question) + question.name.len());
        let records = self.sections.iter().flatten();
        questions.sum::<usize>() + records.map(|record| size_of_val(record) + record.text_bytes()).sum::<usize>()
    }

    /// A section; none where there is one and nothing of it could be read.
    pub fn section(&self, at: usize) -> Option<&[Record]> {
        let said = self.header.counts.get(at + 1).is_some_and(|count| *count > 0);
        self.sections.get(at).map(Vec::as_slice).filter(|section| !said || !section.is_empty())
    }
}

/// Reads a message.
///
/// # Bounds
/// An entry takes at least five of its bytes; names and data together are at most [`TEXT_BYTES_MAX`] long, and what would
/// go beyond is malformed.
pub fn message(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::new(bytes);
    let header = Header::parse(&mut reader)?;
    let mut message =
        Message { header, questions: Vec::new(), sections: Default::default(), malformed: None, trailing_bytes: 0 };
    message.malformed = body(&mut message, &mut reader).err();
    if message.malformed.is_none() {
        message.trailing_bytes = reader.left();
    }
    Ok(message)
}

fn body(message: &mut Message, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let mut left_bytes = TEXT_BYTES_MAX;
    for _ in 0..message.header.counts[0] {
        let question = question(reader)?;
        left_bytes = left_bytes.checked_sub(question.name.len()).ok_or(TOO_MUCH_TEXT)?;
        message.questions.push(question);
    }
    let counts = message.header.counts;
    for (section, count) in message.sections.iter_mut().zip(counts.into_iter().skip(1)) {
        for _ in 0..count {
            let record = record(reader)?;
            left_bytes = left_bytes.checked_sub(record.text_bytes()).ok_or(TOO_MUCH_TEXT)?;
            section.push(record);
        }
    }
    Ok(())
}

/// A question at the reader.
pub fn question(reader: &mut Reader<'_>) -> Result<Question, Malformed> {
    let mut question = Question::default();
    name(reader, &mut question.name)?;
    (question.kind, question.class) = (reader.u16_be()?, reader.u16_be()?);
    Ok(question)
}

fn record(reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    let mut owner = String::new();
    name(reader, &mut owner)?;
    let (kind, class, ttl, length) = (reader.u16_be()?, reader.u16_be()?, reader.u32_be()?, reader.u16_be()?);
    let mut data = *reader;
    reader.skip(length.into())?;
    let end = reader.at();
    Ok(Record { name: owner, kind, class, ttl, data: rdata::text(kind, &mut data, end) })
}

const TOO_MUCH_TEXT: Malformed = Malformed("its names and data unfold to more than is read");

/// Whether bytes look like a message: flags that make sense, and a question section that can be read.
/// `strict` asks for more, where the port says nothing.
pub fn looks_like_message(bytes: &[u8], strict: bool) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    let header = Header::parse(&mut reader).ok()?;
    let [questions, answers, authorities, additionals] = header.counts;
    let opcode_known = matches!(header.opcode(), 0 | 1 | 2 | 4 | 5 | 6);
    // Bit Z must be zero (RFC 1035 §4.1.1).
    if !opcode_known || (strict && (header.flags & 0x0040 != 0 || header.opcode() > 5)) {
        return None;
    }
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    if u32::from(questions) + records == 0 && (strict || !header.is_response()) {
        return None;
    }
    if u32::from(questions) * 5 + records * 11 > bytes.len() as u32 && strict {
        return None;
    }
    if strict {
        // The question first: what is no message is mostly seen there, and a search looks at every place.
        let question = (questions == 1).then(|| question(&mut reader).ok()).flatten()?;
        let plausible =
            registry::is_known_type(question.kind) && matches!(question.class & 0x7fff, 1 | 3 | 4 | 254 | 255);
        let message = plausible.then(|| message(bytes).ok()).flatten()?;
        return (message.malformed.is_none() && message.trailing_bytes == 0).then_some(header.is_response());
    }
    for _ in 0..questions.min(1) {
        question(&mut reader).ok()?;
    }
    Some(header.is_response())
}

/// Whether bytes on one of its ports look like a message that a snap length cut in its question: labels of text, as far as
/// they go. Whether it is an answer.
pub fn looks_cut(bytes: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    let header = Header::parse(&mut reader).ok()?;
    let is_query = matches!(header.opcode(), 0) && header.flags & 0x0040 == 0 && header.counts[0] == 1;
    let is_cut = is_query && question(&mut reader) == Err(SHORT);
    let mut part = bytes.get(HEADER_BYTES..).filter(|_| is_cut)?;
    while let [length @ 1..=63, labels @ ..] = part {
        let (label, rest) = labels.split_at(labels.len().min(usize::from(*length)));
        if label.iter().any(u8::is_ascii_control) {
            return None;
        }
        part = rest;
    }
    matches!(part, [] | [0, ..]).then_some(header.is_response())
}

/// Whether a message of `length` bytes may begin with `part`; an error of [`SHORT`] asks for more of it.
pub fn may_begin(part: &[u8], length: usize) -> Result<bool, Malformed> {
    let mut reader = Reader::new(part);
    let header = Header::parse(&mut reader)?;
    let [questions, answers, authorities, additionals] = header.counts;
    let records = usize::from(answers) + usize::from(authorities) + usize::from(additionals);
    if !matches!(header.opcode(), 0 | 4 | 5) || header.flags & 0x0040 != 0 || questions != 1 || records * 11 > length {
        return Ok(false);
    }
    let question = names::skip(&mut reader).and_then(|()| Ok((reader.u16_be()?, reader.u16_be()?)));
    match question {
        Ok((kind, class)) => Ok(registry::is_known_type(kind) && matches!(class, 1 | 3 | 4 | 254 | 255)),
        Err(SHORT) if part.len() < length => Err(SHORT),
        Err(_) => Ok(false),
    }
}

/// Whether bytes are a message, as far as its header, its question and its first records say. A search asks this at every
/// place, and whoever is to be found may have filled each of them with the begin of thousands.
pub fn begins_message(bytes: &[u8]) -> bool {
    if may_begin(bytes, bytes.len()) != Ok(true) {
        return false;
    }
    let mut reader = Reader::new(bytes);
    let records = Header::parse(&mut reader).and_then(|header| {
        names::skip(&mut reader)?;
        reader.skip(4)?;
        let records = header.counts.into_iter().skip(1).map(usize::from).sum::<usize>();
        for _ in 0..records.min(SOUGHT_RECORDS_MAX) {
            names::skip(&mut reader)?;
            reader.skip(8)?;
            let length = reader.u16_be()?;
            reader.skip(length.into())?;
        }
        Ok(records)
    });
    records.is_ok_and(|records| records > SOUGHT_RECORDS_MAX || reader.is_empty())
}

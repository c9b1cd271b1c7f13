//! HPACK for an observer (RFC 7541): a decoder that may begin in the middle, and that says of each field whether it is
//! known instead of giving up at the first one that is not.

mod huffman;
mod outline;
mod static_table;
mod table;

use formats::bytes::Reader;
use static_table::STATIC_TABLE;
use table::{Entered, Name, Table};

pub use outline::outline;
pub use table::INITIAL_BYTES;

/// Why a header block cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A text breaks its code (§5.2).
    Huffman,
    /// An index refers to nothing (§2.3.3).
    Index,
    /// A number is larger than any size can be (§5.1).
    Number,
    /// The block ends inside a field.
    Short,
}

impl Malformed {
    /// For a detail.
    pub fn name(self) -> &'static str {
        match self {
            Malformed::Huffman => "a text breaks its code",
            Malformed::Index => "an index refers to nothing",
            Malformed::Number => "a number is too large",
            Malformed::Short => "it ends inside a field",
        }
    }
}

/// A field, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// How a field is written (§6).
enum Written<'a> {
    /// Whole, by its index.
    Indexed(u32),
    /// With its value, and its name or, where that is empty, the index of its name.
    Literal { index: u32, name: Text<'a>, value: Text<'a>, insert: bool },
    /// No field: the table changes its size.
    Resize(u32),
}

/// A text as it is written (§5.2).
#[derive(Clone, Copy)]
enum Text<'a> {
    Coded(&'a [u8]),
    Plain(&'a [u8]),
}

impl<'a> Text<'a> {
    fn read(input: &mut Reader<'a>) -> Result<Self, Malformed> {
        let first = input.u8().map_err(|_| Malformed::Short)?;
        let length = integer(input, first, 7)?;
        let bytes = input.take(length as usize).map_err(|_| Malformed::Short)?;
        Ok(if first & 0x80 != 0 { Text::Coded(bytes) } else { Text::Plain(bytes) })
    }

    /// The text itself; `space` holds it where it was coded.
    fn get<'b>(self, space: &'b mut Vec<u8>) -> Result<&'b [u8], Malformed>
    where
        'a: 'b,
    {
        match self {
            Text::Coded(bytes) => {
                space.clear();
                huffman::decode(bytes, space)?;
                Ok(space)
            }
            Text::Plain(bytes) => Ok(bytes),
        }
    }
}

/// A number whose first bits stand in `first` (§5.1).
fn integer(input: &mut Reader<'_>, first: u8, prefix_bits: u32) -> Result<u32, Malformed> {
    let prefix_max = (1_u32 << prefix_bits) - 1;
    let mut number = u32::from(first) & prefix_max;
    if number < prefix_max {
        return Ok(number);
    }
    for shift in (0..28).step_by(7) {
        let byte = input.u8().map_err(|_| Malformed::Short)?;
        number += u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed::Number)
}

/// Reads what is written next (§6).
fn next<'a>(input: &mut Reader<'a>) -> Result<Written<'a>, Malformed> {
    let first = input.u8().map_err(|_| Malformed::Short)?;
    let (prefix_bits, insert) = match first {
        0x80.. => return Ok(Written::Indexed(integer(input, first, 7)?)),
        0x40.. => (6, true),
        0x20.. => return Ok(Written::Resize(integer(input, first, 5)?)),
        // Whether it may never be indexed (0x10) concerns those who pass it on (§6.2.3).
        _ => (4, false),
    };
    let index = integer(input, first, prefix_bits)?;
    let name = if index == 0 { Text::read(input)? } else { Text::Plain(&[]) };
    Ok(Written::Literal { index, name, value: Text::read(input)?, insert })
}

/// What a block did besides its fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The largest size the table was given.
    pub resized: Option<u32>,
    /// Why it was not read to its end. From then on the table is not known.
    pub malformed: Option<Malformed>,
}

/// The decoder of one side.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// Where coded texts are undone.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// For a side that was seen from its first byte, or not.
    pub fn new(from_start: bool) -> Self {
        Self { table: Table::new(from_start), name: Vec::new(), value: Vec::new() }
    }

    /// Takes note that header blocks were lost.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    /// Memory it holds.
    pub fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    /// Reads a block, or the front of one, and hands on its fields in order.
    pub fn decode(&mut self, block: &[u8], mut each: impl FnMut(Field<'_>)) -> Outcome {
        let mut input = Reader::new(block);
        let mut outcome = Outcome::default();
        while !input.is_empty() {
            if let Err(malformed) = self.step(&mut input, &mut outcome, &mut each) {
                self.forget();
                outcome.malformed = Some(malformed);
                break;
            }
        }
        outcome
    }

    fn step(
        &mut self,
        input: &mut Reader<'_>,
        outcome: &mut Outcome,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        match next(input)? {
            Written::Indexed(index) => each(self.indexed(index)?),
            Written::Resize(limit) => {
                outcome.resized = outcome.resized.max(Some(limit));
                self.table.resize(limit);
            }
            Written::Literal { index, name, value, insert } => {
                let value = value.get(&mut self.value)?;
                let dynamic = index.checked_sub(STATIC_TABLE.len() as u32 + 1);
                let (known, kept) = match (index, dynamic) {
                    (0, _) => {
                        let name = name.get(&mut self.name)?;
                        (Some(name), Name::Known(name))
                    }
                    (_, Some(index)) => match self.table.get(index) {
                        Entered::Absent => return Err(Malformed::Index),
                        Entered::Field(name, _) => (name, Name::Of(index)),
                        Entered::Unknown => (None, Name::Unknown),
                    },
                    (_, None) => {
                        let (name, _) = fixed(index)?;
                        (Some(name), Name::Known(name))
                    }
                };
                each(Field { name: known, value: Some(value) });
                if insert {
                    self.table.insert(kept, value);
                }
            }
        }
        Ok(())
    }

    fn indexed(&self, index: u32) -> Result<Field<'_>, Malformed> {
        match index.checked_sub(STATIC_TABLE.len() as u32 + 1) {
            None => fixed(index).map(|(name, value)| Field { name: Some(name), value: Some(value) }),
            Some(index) => match self.table.get(index) {
                Entered::Absent => Err(Malformed::Index),
                Entered::Field(name, value) => Ok(Field { name, value: Some(value) }),
                Entered::Unknown => Ok(Field { name: None, value: None }),
            },
        }
    }
}

/// An entry of the static table.
fn fixed(index: u32) -> Result<(&'static [u8], &'static [u8]), Malformed> {
    let place = (index as usize).checked_sub(1);
    let entry = place.and_then(|place| STATIC_TABLE.get(place)).ok_or(Malformed::Index)?;
    Ok((entry.0.as_bytes(), entry.1.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn decoded(decoder: &mut Decoder, hex: &str) -> String {
        let mut lines = Vec::new();
        let text = |text: Option<&[u8]>| text.map_or("?".into(), |text| String::from_utf8_lossy(text).into_owned());
        let outcome =
            decoder.decode(&bytes(hex), |field| lines.push(format!("{}: {}", text(field.name), text(field.value))));
        lines.extend(outcome.malformed.map(|malformed| format!("!{malformed:?}")));
        lines.join("\n")
    }

    /// Blocks of one connection, one after the other, and what they say.
    fn check(limit: Option<u32>, blocks: &[(&str, &str)]) {
        let mut decoder = Decoder::new(true);
        if let Some(limit) = limit {
            decoder.table.resize(limit);
        }
        for (hex, want) in blocks {
            assert_eq!(decoded(&mut decoder, hex), want.trim().replace("\n        ", "\n"), "{hex}");
        }
    }

    #[test]
    fn integers_of_appendix_c1() {
        for (hex, prefix_bits, want) in [
            ("0a", 5, Ok(10)),
            ("1f9a0a", 5, Ok(1337)),
            ("2a", 8, Ok(42)),
            ("1fffffff7f", 5, Ok(31 + 0xfff_ffff)),
            ("1fffffffff01", 5, Err(Malformed::Number)),
            ("1fff", 5, Err(Malformed::Short)),
        ] {
            let bytes = bytes(hex);
            let mut input = Reader::new(&bytes);
            let first = input.u8().unwrap();
            assert_eq!(integer(&mut input, first, prefix_bits), want, "{hex}");
        }
    }

    #[test]
    fn fields_of_appendix_c2() {
        check(
            None,
            &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header")],
        );
        check(None, &[("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path")]);
        check(None, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret")]);
        check(None, &[("82", ":method: GET")]);
    }

    const REQUESTS: [&str; 3] = [
        ":method: GET
        :scheme: http
        :path: /
        :authority: www.example.com",
        ":method: GET
        :scheme: http
        :path: /
        :authority: www.example.com
        cache-control: no-cache",
        ":method: GET
        :scheme: https
        :path: /index.html
        :authority: www.example.com
        custom-key: custom-value",
    ];

    #[test]
    fn requests_of_appendix_c3() {
        let blocks = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        check(None, &[(blocks[0], REQUESTS[0]), (blocks[1], REQUESTS[1]), (blocks[2], REQUESTS[2])]);
    }

    #[test]
    fn requests_of_appendix_c4() {
        let blocks = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        check(None, &[(blocks[0], REQUESTS[0]), (blocks[1], REQUESTS[1]), (blocks[2], REQUESTS[2])]);
    }

    const RESPONSES: [&str; 3] = [
        ":status: 302
        cache-control: private
        date: Mon, 21 Oct 2013 20:13:21 GMT
        location: https://www.example.com",
        ":status: 307
        cache-control: private
        date: Mon, 21 Oct 2013 20:13:21 GMT
        location: https://www.example.com",
        ":status: 200
        cache-control: private
        date: Mon, 21 Oct 2013 20:13:22 GMT
        location: https://www.example.com
        content-encoding: gzip
        set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];

    #[test]
    fn responses_of_appendix_c5() {
        let blocks = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
             3630 303b 2076 6572 7369 6f6e 3d31",
        ];
        check(Some(256), &[(blocks[0], RESPONSES[0]), (blocks[1], RESPONSES[1]), (blocks[2], RESPONSES[2])]);
    }

    #[test]
    fn responses_of_appendix_c6() {
        let blocks = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
             63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        check(Some(256), &[(blocks[0], RESPONSES[0]), (blocks[1], RESPONSES[1]), (blocks[2], RESPONSES[2])]);
    }

    #[test]
    fn joined_in_the_middle_each_field_is_exact_or_unknown() {
        let mut decoder = Decoder::new(false);
        for (hex, want) in [
            ("82be84", ":method: GET\n?: ?\n:path: /"),
            ("40 0161 0131 be bf", "a: 1\na: 1\n?: ?"),
            // Named like an entry nobody knows.
            ("7f01 0132 be bf c0", "?: 2\n?: 2\na: 1\n?: ?"),
            ("20 be", "!Index"),
            ("be", "?: ?"),
            ("20 3fe11f 40 0161 0133 be", "a: 3\na: 3"),
            ("bf", "!Index"),
        ] {
            assert_eq!(decoded(&mut decoder, hex), want, "{hex}");
        }
    }

    #[test]
    fn malformed_blocks_keep_what_stands_before() {
        for (hex, want) in [
            ("82 80", ":method: GET\n!Index"),
            ("82 be", ":method: GET\n!Index"),
            ("82 7f 80", ":method: GET\n!Short"),
            ("82 04 05 2f", ":method: GET\n!Short"),
            ("82 04 81 00", ":method: GET\n!Huffman"),
            ("82 ffffffffffff", ":method: GET\n!Number"),
        ] {
            assert_eq!(decoded(&mut Decoder::new(true), hex), want, "{hex}");
        }
    }
}

//! The Huffman code of HPACK, undone (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: among codes of one length, numbers rise with the symbols. Its lengths are therefore all
//! there is to write down; tables are made of them when this is compiled.

use super::Malformed;

/// Length of the code of each symbol, and of the end of string [bits].
#[rustfmt::skip]
const CODE_BITS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// Codes up to this length are found with one look: all of what texts are made of.
const FAST_BITS: u32 = 10;

const CODE_BITS_MAX: usize = 30;

/// Symbol that must not occur.
const END_OF_STRING: u16 = 256;

struct Tables {
    /// By the next ten bits: symbol and length of the code they begin with; length 0 where it is longer.
    fast: [(u8, u8); 1 << FAST_BITS],
    /// By length: the first code, its place among the symbols, and how many there are.
    lengths: [(u32, u16, u32); CODE_BITS_MAX + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
}

static TABLES: Tables = tables();

// Evaluated when compiled, where a wrong index is an error.
const fn tables() -> Tables {
    let mut tables =
        Tables { fast: [(0, 0); 1 << FAST_BITS], lengths: [(0, 0, 0); CODE_BITS_MAX + 1], symbols: [0; 257] };
    let (mut code, mut place, mut bits) = (0_u32, 0, 1);
    while bits <= CODE_BITS_MAX {
        let (first, first_place) = (code, place);
        let mut symbol = 0;
        while symbol < 257 {
            if CODE_BITS[symbol] as usize == bits {
                tables.symbols[place] = symbol as u16;
                if bits <= FAST_BITS as usize {
                    let rest = FAST_BITS as usize - bits;
                    let mut behind = 0;
                    while behind < 1 << rest {
                        tables.fast[((code as usize) << rest) | behind] = (symbol as u8, bits as u8);
                        behind += 1;
                    }
                }
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        tables.lengths[bits] = (first, first_place as u16, code - first);
        code <<= 1;
        bits += 1;
    }
    tables
}

/// Appends what `coded` says to `out`. At most eight bytes come of five.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(coded.len() + coded.len() / 2);
    let mut input = coded.iter();
    // The last `ahead` bits of `buffer` are still to be read.
    let (mut buffer, mut ahead) = (0_u64, 0_u32);
    loop {
        if ahead < CODE_BITS_MAX as u32 {
            while ahead <= 56
                && let Some(&byte) = input.next()
            {
                buffer = buffer << 8 | u64::from(byte);
                ahead += 8;
            }
        }
        // Where the input ends, ones follow, as in its padding.
        let next = window(buffer, ahead, FAST_BITS);
        let (symbol, bits) = TABLES.fast.get(next as usize).copied().unwrap_or_default();
        if bits > 0 && u32::from(bits) <= ahead {
            out.push(symbol);
            ahead -= u32::from(bits);
            continue;
        }
        if ahead < 8 && window(buffer, ahead, 8) == 0xff {
            return Ok(());
        }
        let (symbol, bits) = long(window(buffer, ahead, CODE_BITS_MAX as u32)).ok_or(Malformed::Huffman)?;
        if bits > ahead || symbol == END_OF_STRING {
            return Err(Malformed::Huffman);
        }
        out.push(symbol as u8);
        ahead -= bits;
    }
}

fn window(buffer: u64, ahead: u32, bits: u32) -> u32 {
    let mask = (1_u64 << bits) - 1;
    let seen = if ahead >= bits { buffer >> (ahead - bits) } else { buffer << (bits - ahead) | mask >> ahead };
    (seen & mask) as u32
}

/// The symbol whose code, longer than can be found with one look, these bits begin with.
fn long(next: u32) -> Option<(u16, u32)> {
    for (bits, &(first, place, count)) in TABLES.lengths.iter().enumerate().skip(FAST_BITS as usize + 1) {
        let behind = (next >> (CODE_BITS_MAX - bits)).checked_sub(first);
        if let Some(behind) = behind.filter(|&behind| behind < count) {
            return Some((*TABLES.symbols.get(usize::from(place) + behind as usize)?, bits as u32));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes the codes one bit after the other.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &byte in text {
            let length = CODE_BITS[usize::from(byte)];
            let place = TABLES.symbols.iter().position(|&symbol| symbol == u16::from(byte)).unwrap() as u32;
            let (first, first_place, _) = TABLES.lengths[usize::from(length)];
            let code = first + place - u32::from(first_place);
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn codes_of_the_standard() {
        for (symbol, code, bits) in
            [(b'0', 0x0, 5), (b'~', 0x1ffd, 13), (0, 0x1ff8, 13), (255, 0x3ff_ffee, 26), (10, 0x3fff_fffc, 30)]
        {
            let place = TABLES.symbols.iter().position(|&other| other == u16::from(symbol)).unwrap() as u32;
            let (first, first_place, _) = TABLES.lengths[bits];
            assert_eq!(first + place - u32::from(first_place), code, "{symbol}");
        }
    }

    #[test]
    fn wrong_ends() {
        assert_eq!(decoded(&[0xff]), Err(Malformed::Huffman), "eight bits of padding");
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(Malformed::Huffman), "eleven bits of padding");
        assert_eq!(decoded(&[0b0000_0110]), Err(Malformed::Huffman), "padding with a zero");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Malformed::Huffman), "the end of string");
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back(text: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn any_bytes_are_text_or_refused(coded: Vec<u8>) {
            if let Ok(text) = decoded(&coded) {
                prop_assert_eq!(encode(&text), coded);
            }
        }
    }
}

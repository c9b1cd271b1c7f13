//! Percent-encoding undone (RFC 3986 §2.1).

use std::borrow::Cow;

/// The bytes that `escaped` stands for; what is no escape stands for itself.
pub fn unescape(escaped: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', escaped).is_none() {
        return escaped.into();
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, behind)) = rest.split_first() {
        let escape = behind.split_at_checked(2).filter(|_| first == b'%');
        let value = escape.and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (value, escape) {
            // A sign is no digit, though the standard library takes it for a part of a number.
            (Some(value), Some(([b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F', _], behind))) => {
                bytes.push(value);
                rest = behind;
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    bytes.into()
}

/// The first value of a query's parameter, escapes undone and pluses taken for spaces, as forms are sent
/// (URL Standard §5.1).
pub fn parameter(query: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split(|&byte| byte == b'&');
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Some(unescape(&spaced).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        for (escaped, want) in
            [("", ""), ("a", "a"), ("%41%62%2f", "Ab/"), ("%4", "%4"), ("%+1%zz%", "%+1%zz%"), ("100%%25", "100%%")]
        {
            assert_eq!(String::from_utf8_lossy(&unescape(escaped.as_bytes())), want, "{escaped}");
        }
        let query = b"queryx=1&query=%7Ba+b%2B%7D&query=2";
        assert_eq!(parameter(query, "query").as_deref(), Some(&b"{a b+}"[..]));
        assert_eq!(parameter(query, "que"), None);
    }
}

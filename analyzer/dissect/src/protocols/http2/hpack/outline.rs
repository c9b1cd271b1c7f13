//! Whether some bytes can be a header block, told without a table.

use super::static_table::{STATIC_TABLE, STATUS};
use super::table::TABLE_BYTES_MAX;
use super::{Malformed, Written, next};
use formats::bytes::Reader;

/// What some bytes say if they are a header block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outline {
    /// Pseudo fields of a request or of a response that stand by their names.
    pub request: bool,
    /// The same of a response.
    pub response: bool,
    /// Other fields that stand by their names.
    pub named: bool,
    /// Whether there is more than one field.
    pub several: bool,
}

/// Looks whether `block` can be a header block, without a table. `whole` says whether it is all of it.
///
/// # Bounds
/// At most [`OUTLINE_FIELDS_MAX`] fields in [`OUTLINE_BYTES_MAX`] bytes are looked at: enough to tell, and hostile bytes
/// have this done at every ninth place.
pub fn outline(block: &[u8], whole: bool) -> Option<Outline> {
    let front = block.get(..OUTLINE_BYTES_MAX);
    let (block, whole) = front.map_or((block, whole), |front| (front, false));
    let mut input = Reader::new(block);
    let mut outline = Outline::default();
    let (mut name_space, mut value_space) = (Vec::new(), Vec::new());
    let mut seen: Vec<&str> = Vec::new();
    for place in 0..OUTLINE_FIELDS_MAX {
        if input.is_empty() {
            break;
        }
        let index = match next(&mut input) {
            Ok(Written::Indexed(0)) => return None,
            Ok(Written::Indexed(index)) => index,
            Ok(Written::Resize(limit)) if limit as usize <= TABLE_BYTES_MAX => continue,
            Ok(Written::Literal { index, name, value, .. }) => {
                let value = value.get(&mut value_space).ok()?;
                let name = name.get(&mut name_space).ok()?;
                let is_name = if index == 0 { of_name(name) } else { true };
                if !is_name || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
                    return None;
                }
                outline.named |= index <= STATIC_TABLE.len() as u32;
                // A name that is written out stands for the index it could have had.
                let of_pseudo = || STATIC_TABLE.iter().position(|(known, _)| known.as_bytes() == name);
                if name.starts_with(b":") { of_pseudo().map_or(0, |place| place as u32 + 1) } else { index }
            }
            Err(Malformed::Short) if !whole => break,
            Ok(Written::Resize(_)) | Err(_) => return None,
        };
        // No pseudo field stands there twice (RFC 9113 §8.3).
        let pseudo = (index as usize).checked_sub(1).and_then(|place| STATIC_TABLE.get(place));
        if let Some((name, _)) = pseudo.filter(|(name, _)| name.starts_with(':')) {
            if seen.contains(name) {
                return None;
            }
            seen.push(name);
        }
        outline.several |= place > 0;
        outline.response |= STATUS.contains(&index);
        outline.request |= (1..*STATUS.start()).contains(&index);
    }
    (!(outline.request && outline.response)).then_some(outline)
}

/// More are not looked at to tell a header block.
const OUTLINE_FIELDS_MAX: usize = 12;

/// The same in bytes: pseudo fields stand in front.
const OUTLINE_BYTES_MAX: usize = 512;

/// Whether it can be the name of a field (RFC 9113 §8.2.1).
fn of_name(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b":").unwrap_or(name);
    !rest.is_empty() && rest.iter().all(|byte| matches!(byte, b'!'..=b'~') && !byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::super::tests::bytes;
    use super::*;

    #[test]
    fn outlines() {
        let seen =
            |hex: &str| outline(&bytes(hex), true).map(|outline| (outline.request, outline.response, outline.named));
        for (hex, want) in [
            ("82 86 84 be", Some((true, false, false))),
            ("88", Some((false, true, false))),
            ("88 5a 04 677a6970", Some((false, true, true))),
            ("be bf", Some((false, false, false))),
            ("40 0161 0131", Some((false, false, true))),
            ("82 88", None),
            ("82 83", None),
            ("01 00 01 00", None),
            ("80", None),
            ("40 0141 0131", None),
            ("40 0161 0100", None),
            ("40 0161 05 31", None),
        ] {
            assert_eq!(seen(hex), want, "{hex}");
        }
    }
}

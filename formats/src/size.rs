//! Numbers of bytes as people write them, and times as they read them.

use jiff::{SignedDuration, Unit};

/// Suffixes and their bytes; only powers of 1024, since "MB" means two things.
pub const BYTE_UNITS: [(&str, u64); 5] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];

/// How many bytes `1500`, `64KiB`, `64 MiB`, `2GiB` or `1TiB` are.
pub fn bytes(text: &str) -> Option<u64> {
    let named = BYTE_UNITS.iter().find_map(|(suffix, bytes)| Some((text.strip_suffix(suffix)?, *bytes)));
    let (number, unit_bytes) = named.unwrap_or((text, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(unit_bytes)
}

/// A time for people: to the second, or to what is left of one.
pub fn time(ns: i64) -> String {
    let exact = SignedDuration::from_nanos(ns);
    let units = [Unit::Second, Unit::Millisecond, Unit::Microsecond].into_iter();
    let mut rounded = units.filter_map(|unit| exact.round(unit).ok()).filter(|rounded| !rounded.is_zero());
    format!("{:#}", rounded.next().unwrap_or(exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (ns, shown) in [
            (599_999_997_871, "10m"),
            (3_600_000_000_000, "1h"),
            (2_300_400_000, "2s"),
            (4_200_000, "4ms"),
            (7, "7ns"),
            (0, "0s"),
            (i64::MAX, "2562047h 47m 17s"),
        ] {
            assert_eq!(time(ns), shown);
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in
            [("0", 0), ("1500", 1500), ("1B", 1), ("64KiB", 65536), ("64 MiB", 64 << 20), ("3TiB", 3 << 40)]
        {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "-1", "1.5GiB", "64MB", "64M", "MiB", "99999999999TiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}

//! Values of a configuration that are more than text: each is checked where it stands, so that an error
//! carries its line.

use formats::age::{KEY_FILE_BYTES_MAX, KeyError, RECIPIENTS_MAX, Recipient, recipients};
use formats::said::said;
use formats::size;
use object_store::ObjectStoreScheme;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// A number of bytes: `1500`, `64KiB`, `64MiB`, `2GiB`, `1TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match size::bytes(text) {
            Some(bytes @ 1..) => Ok(Self(bytes)),
            _ => Err(format!("{text:?} is no size: write 1500, 64KiB, 64MiB, 2GiB or 1TiB")),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            size::BYTE_UNITS.iter().take(4).rev().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match whole {
            Some((suffix, bytes)) => write!(f, "{} {suffix}", self.0 / bytes),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A length of time: `10s`, `5m`, `1h 30m`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Longest time anything here may take; keeps sums of times far from their ends.
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no length of time from 1s to 366d: write 10s, 5m, 1h 30m or 1d");
        let span: jiff::Span = text.parse().map_err(|_| refused())?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
        match Duration::try_from(length) {
            Ok(length) if (Duration::from_secs(1)..=PERIOD_MAX).contains(&length) => Ok(Self(length)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let days = u32::try_from(self.0.as_secs() / DAY.as_secs()).unwrap_or(0);
        match jiff::SignedDuration::try_from(self.0) {
            Ok(_) if days > 1 && self.0 == days * DAY => write!(f, "{days}d"),
            Ok(length) => write!(f, "{length:#}"),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

/// A share of a whole: `25%`, from 1% to 100%.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u32);

impl Percent {
    /// That share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        u64::try_from(u128::from(whole) * u128::from(self.0) / 100).unwrap_or(whole)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%').map(|number| number.trim_end().parse()) {
            Some(Ok(percent @ 1..=100)) => Ok(Self(percent)),
            _ => Err(format!("{text:?} is no share: write 1% to 100%")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// Name of a network interface, or `any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface(String);

impl Interface {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Interface {
    type Err = String;

    /// What the kernel itself accepts: 1 to 15 bytes (IFNAMSIZ counts the NUL), no slash, colon or white space.
    fn from_str(name: &str) -> Result<Self, String> {
        let refused = |byte: u8| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte.is_ascii_control();
        if (1..=15).contains(&name.len()) && !name.bytes().any(refused) && name != "." && name != ".." {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!("{name:?} is no name of a network interface"))
        }
    }
}

/// Where recordings go: a URL, or a local folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreUrl(Url);

impl StoreUrl {
    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is a bucket of S3.
    pub fn is_s3(&self) -> bool {
        matches!(self.0.scheme(), "s3" | "s3a")
    }
}

/// What an object store can be opened by.
const STORE_SCHEMES: [&str; 10] = ["file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https"];

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An absolute path first: it needs no scheme, and no percent signs.
        let url = match Url::from_file_path(text) {
            Ok(url) => url,
            Err(()) => Url::parse(text).map_err(|error| format!("{:?} is no store: {error}", public(text)))?,
        };
        // There the container stands where a login does elsewhere.
        let names_container = matches!(url.scheme(), "abfs" | "abfss");
        if !(url.username().is_empty() || names_container) || url.password().is_some() {
            return Err("a store's URL holds no secrets: give them in the environment".to_owned());
        }
        if !STORE_SCHEMES.contains(&url.scheme()) {
            return Err(format!(
                "{:?} is no store: begin with / or one of {}",
                public(text),
                STORE_SCHEMES.join("://, ")
            ));
        }
        let refused = |why: &str| Err(format!("{:?} is no store: {why}", public(text)));
        if url.query().is_some() || url.fragment().is_some() {
            return refused("neither ? nor # means anything in its URL");
        }
        // Url::parse takes file:x for /x.
        if url.scheme() == "file" && !text.starts_with('/') && !text.starts_with("file:///") {
            return refused("a folder's path begins with /, its URL with file:///");
        }
        if url.scheme() != "file" && url.host_str().is_none_or(str::is_empty) {
            return refused("it names no bucket");
        }
        match ObjectStoreScheme::parse(&url) {
            Ok(_) => Ok(Self(url)),
            Err(error) => refused(&said(&error)),
        }
    }
}

/// What may be said of a URL that is refused: its scheme and host, for a secret may stand in all else.
fn public(text: &str) -> String {
    let host = Url::parse(text).ok().and_then(|url| Some(format!("{}://{}", url.scheme(), url.host_str()?)));
    host.unwrap_or_else(|| text.split([':', '?', '#', '@']).next().unwrap_or_default().to_owned())
}

impl Serialize for StoreUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whose keys something is encrypted to, each once; none where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Vec<Recipients>")]
pub struct EncryptTo(pub Vec<Recipient>);

impl TryFrom<Vec<Recipients>> for EncryptTo {
    type Error = String;

    fn try_from(list: Vec<Recipients>) -> Result<Self, String> {
        let mut all = Vec::new();
        for key in list.into_iter().flat_map(|keys| keys.0) {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        match all.len() {
            0..=RECIPIENTS_MAX => Ok(Self(all)),
            _ => Err(format!("a recording is encrypted to at most {RECIPIENTS_MAX} keys")),
        }
    }
}

/// One public key of age, or those in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl FromStr for Recipients {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            let key =
                text.parse().map_err(|error: KeyError| format!("{error}, or the absolute path of a file of them"));
            return key.map(|key| Self(vec![key]));
        }
        let mut keys = String::new();
        let read = File::open(text).and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut keys));
        read.map_err(|error| format!("{text}: {error}"))?;
        recipients(&keys).map(Self).map_err(|error| format!("{text}: {error}"))
    }
}

/// Reads a value from its text, also where YAML takes the text for a number.
macro_rules! read_from_text {
    ($($value:ty),*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
read_from_text!(ByteSize, Interface, Percent, Period, Recipients, StoreUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("64KiB".parse(), Ok(ByteSize(65536)));
        assert!("0".parse::<ByteSize>().is_err() && "64MB".parse::<ByteSize>().is_err());
        let shown: Vec<_> = [1500, 65536, 1 << 30, 1_000_000].map(|bytes| ByteSize(bytes).to_string()).into();
        assert_eq!(shown, ["1500 bytes", "64 KiB", "1 GiB", "1000000 bytes"]);
    }

    #[test]
    fn periods() {
        for (text, seconds) in [("10s", 10), ("5m", 300), ("1h 30m", 5400), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "10", "0s", "-5s", "10ms", "1mo", "1y", "400d", "soon"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        let shown =
            [5400, 86_400, 7 * 86_400, 2 * 86_400 + 60].map(|seconds| Period(Duration::from_secs(seconds)).to_string());
        assert_eq!(shown, ["1h 30m", "24h", "7d", "48h 1m"]);
    }

    #[test]
    fn shares() {
        assert_eq!(("1%".parse(), "100 %".parse()), (Ok(Percent(1)), Ok(Percent(100))));
        for text in ["", "%", "50", "0%", "101%", "-5%", "2.5%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        assert_eq!((Percent(25).of(10), Percent(100).of(u64::MAX)), (2, u64::MAX));
    }

    #[test]
    fn stores() {
        for (text, url) in [
            ("/var/lib/remora", "file:///var/lib/remora"),
            ("s3://bucket/some/where", "s3://bucket/some/where"),
            ("gs://bucket", "gs://bucket"),
            ("abfss://box@account.dfs.core.windows.net/x", "abfss://box@account.dfs.core.windows.net/x"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().map(|store| store.to_string()), Ok(url.to_owned()));
        }
        for (text, why) in [
            ("", "relative URL"),
            ("relative/folder", "relative URL"),
            ("ftp://host/x", "begin with / or"),
            ("s3://", "names no bucket"),
            ("s3:///path", "names no bucket"),
            ("s3://captures/a//b", "empty path segment"),
            ("s3://captures/a?versionId=1", "neither ? nor #"),
            ("s3://captures/a#x", "neither ? nor #"),
            ("file://folder/x", "begins with /"),
            ("file:tmp/x", "begins with /"),
            ("s3://key:secret@bucket/x", "holds no secrets"),
            ("s3://key@bucket/x", "holds no secrets"),
            ("az://box/x?sig=secret", "az://box"),
            ("s3:/key:secret@bucket", "names no bucket"),
            ("file://key:secret@host/x", "is no store"),
            ("ftp://key:secret@host/x", "holds no secrets"),
            ("relative?sig=secret", "relative URL"),
            ("abfs://box:secret@account.dfs.core.windows.net/x", "holds no secrets"),
        ] {
            let error = text.parse::<StoreUrl>().expect_err(text);
            assert!(error.contains(why) && !error.contains("secret@") && !error.contains("=secret"), "{text}: {error}");
        }
    }

    #[test]
    fn interfaces() {
        assert!(["any", "eth0", "eth0.100", "veth12345678901"].iter().all(|name| name.parse::<Interface>().is_ok()));
        assert!(["", "a/b", "..", "a b", "veth123456789012"].iter().all(|name| name.parse::<Interface>().is_err()));
    }
}

//! What the environment says of a store: looked at before object_store has it, which panics over an endpoint that is no URL
//! and over a line break in a secret, or in a file with one.

use std::ffi::OsString;
use std::io;

/// Which variables are meant for a store: object_store itself would also take `REGION`, `TOKEN` and the like.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Those of them that object_store takes for the address of a server.
const ENDPOINTS: [&str; 10] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
];

/// Those of them that name a file whose content becomes a header: there object_store panics over what cannot be in one.
const HEADER_FILES: [&str; 1] = ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];

/// Why a store cannot be opened with this environment. No value is told: it may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A line break, mostly, that came along from a file.
    #[error("{name} has a line break in it, or another control character")]
    Control {
        /// The variable.
        name: String,
    },
    /// The same in a file that a variable names.
    #[error(
        "the file that {name} names has a line break in it, or another control character: write it without (printf, not echo)"
    )]
    ControlInFile {
        /// The variable.
        name: String,
    },
    /// No address of a server.
    #[error("{name} is not like http://host:9000 or https://host")]
    Endpoint {
        /// The variable.
        name: String,
    },
}

/// The options of a store whose URL has that scheme. A variable that is empty says nothing, as with every other tool.
///
/// `is_url` tells whether whoever connects can read a URL; `read` reads a file.
///
/// # Errors
/// [`EnvironmentError`], for what a store of that scheme would look at.
pub fn store_options(
    scheme: &str,
    environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    is_url: impl Fn(&str) -> bool,
    read: impl Fn(&str) -> io::Result<String>,
) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut options = Vec::new();
    for (name, value) in environment {
        let (Ok(name), Ok(value)) = (name.into().into_string(), value.into().into_string()) else { continue };
        if value.is_empty() || !prefixes(scheme).iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        // The key of Google's is JSON.
        if !name.starts_with("GOOGLE_") && value.contains(char::is_control) {
            return Err(EnvironmentError::Control { name });
        }
        if ENDPOINTS.contains(&name.as_str()) && !(is_endpoint(&value) && is_url(&value)) {
            return Err(EnvironmentError::Endpoint { name });
        }
        // One that cannot be read is told by who needs it.
        if HEADER_FILES.contains(&name.as_str()) && read(&value).is_ok_and(|text| text.contains(char::is_control)) {
            return Err(EnvironmentError::ControlInFile { name });
        }
        options.push((name, value));
    }
    // Who writes http:// wants it so: without this only https:// would be allowed.
    if scheme == "http" {
        options.push(("allow_http".to_owned(), "true".to_owned()));
    }
    Ok(options)
}

/// What a store of that scheme looks at. Behind https:// any of them may be.
fn prefixes(scheme: &str) -> &'static [&'static str] {
    let [aws, azure, google] = &PREFIXES;
    match scheme {
        "abfs" | "abfss" | "az" | "azure" => std::slice::from_ref(azure),
        "file" | "http" => &[],
        "gs" => std::slice::from_ref(google),
        "s3" | "s3a" => std::slice::from_ref(aws),
        _ => &PREFIXES,
    }
}

/// Narrower than RFC 3986 §3: no login, no query, nothing in percent signs; what object_store joins to it must be a URL.
fn is_endpoint(text: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:[]".contains(&byte);
    !host.is_empty() && !host.ends_with(':') && rest.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(scheme: &str, name: &str, value: &str) -> Result<usize, EnvironmentError> {
        let read = |path: &str| match path {
            "/missing" => Err(io::ErrorKind::NotFound.into()),
            path => Ok(path.replace("/line", "token\n")),
        };
        store_options(scheme, [(name, value)], |url| !url.contains("256."), read).map(|options| options.len())
    }

    #[test]
    fn endpoints() {
        let of = |value| options("s3", "AWS_ENDPOINT", value);
        for value in ["http://minio:9000", "https://s3.example.org/", "http://10.0.0.1", "http://[fd97::2]:80/below"] {
            assert_eq!(of(value), Ok(1), "{value}");
        }
        assert_eq!(of(""), Ok(0), "empty is not set");
        let refused = Err(EnvironmentError::Endpoint { name: "AWS_ENDPOINT".to_owned() });
        for value in [
            "10.97.0.2:18433",
            "minio:9000",
            "nonsense",
            "http://",
            "http:///x",
            "http:/minio:9000",
            " http://minio:9000",
            "http://minio:",
            "http://${MINIO}:9000",
            "http://256.0.0.1",
            "http://minio:9000?x",
            "ftp://minio",
        ] {
            assert_eq!(of(value), refused, "{value}");
        }
    }

    #[test]
    fn only_what_the_store_looks_at_is_looked_at() {
        for (scheme, name, value, want) in [
            ("file", "AWS_ENDPOINT", "minio:9000", Ok(0)),
            ("gs", "AWS_ENDPOINT", "minio:9000", Ok(0)),
            ("az", "AZURE_ENDPOINT", "minio:9000", Err(())),
            ("https", "AWS_ENDPOINT_URL_S3", "minio:9000", Err(())),
            ("s3", "AWS_USE_FIPS_ENDPOINT", "true", Ok(1)),
            ("s3", "REGION", "x", Ok(0)),
            ("s3", "AWS_SESSION_TOKEN", "secret\n", Err(())),
            ("s3", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/line", Err(())),
            ("s3", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token", Ok(1)),
            ("s3", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/missing", Ok(1)),
            ("s3", "AWS_WEB_IDENTITY_TOKEN_FILE", "/line", Ok(1)),
            ("az", "AZURE_STORAGE_TOKEN", "secret\n", Err(())),
            ("gs", "GOOGLE_SERVICE_ACCOUNT_KEY", "{\n}", Ok(1)),
            ("http", "AWS_REGION", "x", Ok(1)),
        ] {
            assert_eq!(options(scheme, name, value).map_err(drop), want, "{scheme} {name}");
        }
    }
}

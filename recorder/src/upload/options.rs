//! How object_store is told to open a store.

use crate::limits;
use crate::schedule::StoreTarget;
use formats::environment::{EnvironmentError, store_options};
use std::ffi::OsString;
use url::Url;

/// What the environment says of it, and what we do. Of what is said twice the last counts.
pub(super) fn options(
    target: &StoreTarget,
    environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
) -> Result<Vec<(String, String)>, EnvironmentError> {
    let is_url = |url: &str| Url::parse(url).is_ok();
    let read = |path: &str| std::fs::read_to_string(path);
    let said = store_options(target.url.url().scheme(), environment, is_url, read)?;
    let timeout = ("timeout".to_owned(), format!("{} s", limits::STORE_REQUEST.as_secs()));
    // A bucket with object lock takes nothing without a checksum.
    let wants_checksum = target.write_only || target.object_lock.is_some();
    let checksum = wants_checksum.then(|| ("aws_checksum_algorithm".to_owned(), "sha256".to_owned()));
    Ok(std::iter::once(timeout).chain(said).chain(checksum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ClientConfigKey;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    #[test]
    fn a_request_may_take_as_long_as_a_part_over_the_slowest_line_unless_somebody_says_otherwise() {
        let url = "s3://captures".parse().unwrap();
        let target = StoreTarget { url, write_only: false, encrypt_to: Vec::new(), object_lock: None };
        for (name, want) in [("AWS_REGION", "160 s"), ("AWS_TIMEOUT", "5s")] {
            let options = options(&target, [(name, "5s")]).unwrap();
            let builder = options.into_iter().fold(AmazonS3Builder::new(), |builder, (name, value)| {
                builder.with_config(name.to_ascii_lowercase().parse().unwrap(), value)
            });
            let key = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
            let shown = builder.get_config_value(&key).unwrap();
            assert_eq!(shown, want, "{name}");
        }
    }
}

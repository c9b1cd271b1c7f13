//! What of S3 object_store does not know: Object Lock, so that nobody may delete an object for a time, and whether a store
//! compares what it gets.
//!
//! Requests come by here on their way out, signed. Where there is a lock those that create an object get its headers, and a new
//! signature by object_store's own signer, for S3 takes no header of its own that is not signed.

use super::probe::Probe;
use crate::schedule::{LockMode, ObjectLock};
use async_trait::async_trait;
use formats::hash::Hash256;
use jiff::{Timestamp, Unit};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::path::Path as StorePath;
use object_store::{HeaderValue, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

/// Where S3 is when nothing says it; object_store's own default.
const REGION_DEFAULT: &str = "us-east-1";

/// Opens a bucket whose objects get that lock, if any, with options named as in the environment.
///
/// # Errors
/// As [`object_store::parse_url_opts`].
pub fn open(
    url: &Url,
    options: Vec<(String, String)>,
    lock: Option<ObjectLock>,
    retry: RetryConfig,
) -> object_store::Result<(Box<dyn ObjectStore>, StorePath)> {
    let (_, prefix) = ObjectStoreScheme::parse(url)?;
    let builder = AmazonS3Builder::new().with_url(url.as_str()).with_retry(retry);
    let builder = options.into_iter().fold(builder, |builder, (name, value)| match name.to_ascii_lowercase().parse() {
        Ok(key) => builder.with_config(key, value),
        Err(_) => builder,
    });
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| REGION_DEFAULT.to_owned());
    // Whoever signs shares what the store found its credentials with.
    let credentials = builder.clone().build()?.credentials().clone();
    let connector = Connector { lock, credentials: credentials.clone(), region };
    let store = builder.with_credentials(credentials).with_http_connector(connector).build()?;
    Ok((Box::new(store), StorePath::parse(prefix)?))
}

#[derive(Debug, Clone)]
struct Connector {
    lock: Option<ObjectLock>,
    credentials: AwsCredentialProvider,
    region: String,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service { inner, how: self.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    how: Connector,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let probe = Probe::forge(&mut request);
        if let Some(lock) = &self.how.lock
            && creates_an_object(&request)
        {
            self.how.lock(lock, &mut request).await?;
        }
        let answer = self.inner.execute(request).await?;
        if let Some(probe) = probe {
            probe.see(&answer);
        }
        Ok(answer)
    }
}

/// A signed `PutObject` or `CreateMultipartUpload`: no part of one, for a part has no retention.
fn creates_an_object(request: &HttpRequest) -> bool {
    let asks = |name: &str| {
        let names = request.uri().query().into_iter().flat_map(|query| query.split('&'));
        names.filter_map(|pair| pair.split('=').next()).any(|asked| asked == name)
    };
    let creates = match request.method().as_str() {
        "PUT" => !asks("partNumber"),
        "POST" => asks("uploads"),
        _ => false,
    };
    creates && request.headers().contains_key("authorization")
}

impl Connector {
    /// Puts the headers in (S3 API reference, PutObject) and signs anew.
    async fn lock(&self, lock: &ObjectLock, request: &mut HttpRequest) -> Result<(), HttpError> {
        let refused = |error| HttpError::new(HttpErrorKind::Unknown, error);
        let credential = self.credentials.get_credential().await.map_err(refused)?;
        let mode = match lock.mode {
            LockMode::Compliance => "COMPLIANCE",
            LockMode::Governance => "GOVERNANCE",
        };
        let until = lock.until(Timestamp::now());
        // Whole seconds are what every server reads.
        let until = until.round(Unit::Second).unwrap_or(until).to_string();
        let until = HeaderValue::from_str(&until).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let headers = request.headers_mut();
        headers.insert("x-amz-object-lock-mode", HeaderValue::from_static(mode));
        headers.insert("x-amz-object-lock-retain-until-date", until);
        // The content was hashed for the first signature, unless none of it is signed.
        let hash = headers.get("x-amz-content-sha256").and_then(|hash| hash.to_str().ok());
        let hash: Option<Hash256> = hash.and_then(|hash| hash.parse().ok());
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .with_sign_payload(hash.is_some())
            .authorize(request, hash.as_ref().map(|hash| &hash.0[..]));
        Ok(())
    }
}

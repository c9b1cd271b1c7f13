//! Whether a store compares what it gets with the SHA-256 sent along. Some take that and look no further: there a yes proves
//! nothing.
//!
//! It is asked with an object whose bytes are others than those that were hashed and signed. A store that compares refuses it,
//! and keeps nothing.

use formats::store::PROBE_BYTES;
use object_store::client::{HttpRequest, HttpResponse};
use object_store::path::Path as StorePath;
use object_store::{Error, Extensions, ObjectStore, PutMode, PutOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a store that compares answers: `BadDigest`, `XAmzContentSHA256Mismatch` (S3 API reference, error codes).
const BAD_REQUEST: u16 = 400;

/// Goes with the question through object_store, to be known on its way out.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    refused: Arc<AtomicBool>,
}

impl Probe {
    /// Asks at a place where nothing is.
    ///
    /// # Errors
    /// Where the store answers something else.
    pub async fn ask(objects: &dyn ObjectStore, location: &StorePath) -> object_store::Result<bool> {
        let asked = Self::put(objects, location, PutMode::Create).await;
        match asked {
            // A store without conditional writes.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                Self::put(objects, location, PutMode::Overwrite).await
            }
            // Kept when it was last asked.
            Err(Error::AlreadyExists { .. }) => Ok(false),
            asked => asked,
        }
    }

    async fn put(objects: &dyn ObjectStore, location: &StorePath, mode: PutMode) -> object_store::Result<bool> {
        let (probe, mut extensions) = (Self::default(), Extensions::new());
        extensions.insert(probe.clone());
        let hashed = vec![b' '; PROBE_BYTES.len()];
        let put = objects.put_opts(location, hashed.into(), PutOptions { mode, extensions, ..PutOptions::default() });
        match put.await {
            Ok(_) => Ok(false),
            Err(_) if probe.refused.load(Ordering::Relaxed) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The question in a request that is about to leave, if it is one: from here on its bytes are others.
    pub fn forge(request: &mut HttpRequest) -> Option<Self> {
        let probe = request.extensions().get::<Self>().cloned()?;
        *request.body_mut() = bytes::Bytes::from_static(PROBE_BYTES).into();
        Some(probe)
    }

    /// Shown what was answered.
    pub fn see(&self, answer: &HttpResponse) {
        self.refused.store(answer.status().as_u16() == BAD_REQUEST, Ordering::Relaxed);
    }
}

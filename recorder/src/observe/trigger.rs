//! Triggers over HTTP: whoever knows the secret may do there what the control socket lets its owner do, and only this.

use crate::control::{self, Answer, Ask, Request};
use crate::sync::lock;
use formats::hash::Hash256;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, StatusCode};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Shortest secret [bytes]: nobody guesses 64 random bits over a line, and most write 16 digits of hex for them.
const TOKEN_BYTES_MIN: usize = 16;

/// Longest [bytes]; a request's headers have 8 KiB.
const TOKEN_BYTES_MAX: usize = 1024;

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It has the wrong length.
    #[error("has {bytes} characters; a secret has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX}, without spaces")]
    NoSecret {
        /// How many it has.
        bytes: usize,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// The secret, as its hash: so comparing takes as long whatever is sent. Clones share it.
#[derive(Clone)]
pub struct Token(Arc<Mutex<Hash256>>);

impl Token {
    /// The secret in a file, without the spaces around it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path)?;
        let secret = text.trim();
        let is_one =
            (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&secret.len()) && !secret.contains(char::is_whitespace);
        let token = || Self(Arc::new(Mutex::new(Hash256::of(secret.as_bytes()))));
        if is_one { Ok(token()) } else { Err(TokenError::NoSecret { bytes: secret.len() }) }
    }

    /// The secret that is in the file by now takes the place of this one, for all that share it.
    pub fn read_anew(&self, path: &Path) -> Result<(), TokenError> {
        let read = *lock(&Self::read(path)?.0);
        *lock(&self.0) = read;
        Ok(())
    }

    fn is(&self, secret: &str) -> bool {
        Hash256::of(secret.as_bytes()) == *lock(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Where triggers come in.
#[derive(Debug, Clone)]
pub struct Door {
    /// What has to be known.
    pub token: Token,
    /// Whom it is told.
    pub asks: mpsc::Sender<Ask>,
}

impl Door {
    /// Triggers a window for whoever sends the secret along (RFC 6750 §2.1): status, and what is said.
    pub async fn ask(&self, method: &Method, headers: &HeaderMap, window: &str) -> (StatusCode, String) {
        if method != Method::POST {
            return (StatusCode::METHOD_NOT_ALLOWED, "POST, please\n".to_owned());
        }
        if !self.is_known(headers) {
            return (
                StatusCode::UNAUTHORIZED,
                "the secret is not there, or another: Authorization: Bearer …\n".to_owned(),
            );
        }
        let Ok(window) = window.parse() else {
            return (StatusCode::NOT_FOUND, "no window has a name like that\n".to_owned());
        };
        match control::hand_on(Request::Trigger { window }, "HTTP", &self.asks).await {
            Answer::Done { said, recordings } => {
                let lines = std::iter::once(said).chain(recordings);
                (StatusCode::OK, lines.map(|line| line + "\n").collect())
            }
            Answer::Refused { why } => (StatusCode::CONFLICT, why + "\n"),
            Answer::Status(_) => (StatusCode::INTERNAL_SERVER_ERROR, "another answer than was asked for\n".to_owned()),
        }
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret =
            sent.and_then(|sent| sent.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        secret.is_some_and(|(_, secret)| self.token.is(secret.trim()))
    }
}

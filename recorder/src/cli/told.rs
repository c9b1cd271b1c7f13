//! What `remora-recorder run` is told by signals, beside to stop: SIGHUP and SIGUSR1, and what is read anew then.

use recorder::observe::Token;
use recorder::schedule::Config;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that it is told something by.
pub struct Signals {
    /// Read the configuration anew.
    pub hangup: Signal,
    /// Trigger every window on demand.
    pub trigger: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, trigger: signal(SignalKind::user_defined1())? })
    }
}

/// What is read anew when somebody says so.
#[derive(Clone)]
pub struct Files {
    pub config: PathBuf,
    pub trigger_token: Option<(PathBuf, Token)>,
}

impl Files {
    /// The configuration, and the secret for triggers: that counts at once.
    pub fn read(&self) -> Result<Config, String> {
        let config = Config::read(&self.config).map_err(|error| error.to_string());
        if let Some((path, token)) = &self.trigger_token {
            token.read_anew(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        config
    }
}

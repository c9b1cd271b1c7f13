//! What `remora-recorder run` is told by signals, and what is read anew then.

use recorder::observe::Token;
use recorder::schedule::Config;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Signals that it is told something by.
pub struct Signals {
    /// Stop: SIGINT or SIGTERM.
    pub stopped: watch::Receiver<bool>,
    /// Read the configuration anew.
    pub hangup: Signal,
    /// Trigger every window on demand.
    pub trigger: Signal,
}

impl Signals {
    /// From here on they are kept until they are heeded.
    pub fn take(runtime: &Runtime) -> std::io::Result<Self> {
        let _inside = runtime.enter();
        let (hangup, trigger) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        Ok(Self { stopped: super::stop::on_signal(None, || {})?, hangup, trigger })
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

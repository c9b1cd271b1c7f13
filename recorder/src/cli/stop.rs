//! SIGTERM and SIGINT: the first ends recordings in order, the second ends the program.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true with the first signal, after `first` was called; the second ends the process at once. That is as safe as a crash, which
/// recordings are made for.
pub fn on_signal(first: impl Fn() + Send + 'static) -> std::io::Result<watch::Receiver<bool>> {
    let (tell, told) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if again {
                tracing::warn!("told to stop a second time: what is open is recovered at the next start");
                std::process::exit(super::FAILED.into());
            }
            tracing::info!("told to stop: sealing what is open");
            first();
            tell.send_replace(true);
        }
    });
    Ok(told)
}

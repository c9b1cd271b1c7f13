//! Signals: the first that tells to stop ends recordings in order, the next ends the program.

use recorder::log::LOG;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Who tells us to stop may tell it twice at once: `timeout` signals its child and its group, a shell all that it runs.
const ECHO: Duration = Duration::from_secs(1);

/// Becomes true with the first SIGTERM or SIGINT, or `others`, after `first` was called; one that comes later ends the process
/// at once. That is as safe as a crash, which recordings are made for.
pub fn on_signal(
    others: Option<SignalKind>,
    first: impl Fn() + Send + 'static,
) -> std::io::Result<watch::Receiver<bool>> {
    let (tell, told) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut other = others.map(signal).transpose()?;
    tokio::spawn(async move {
        let mut told_at: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = next(&mut other) => {}
            }
            match told_at {
                None => {
                    tracing::info!("told to stop: sealing what is open");
                    first();
                    tell.send_replace(true);
                    told_at = Some(Instant::now());
                }
                Some(at) if at.elapsed() < ECHO => {}
                Some(_) => {
                    tracing::warn!("told to stop a second time: what is open is recovered at the next start");
                    LOG.flush();
                    std::process::exit(super::FAILED.into());
                }
            }
        }
    });
    Ok(told)
}

async fn next(other: &mut Option<Signal>) -> Option<()> {
    match other {
        Some(other) => other.recv().await,
        None => std::future::pending().await,
    }
}

/// SIGHUP, unless whoever started us has it ignored, as `nohup` does.
pub fn hangup() -> Option<SignalKind> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let bit = 1 << (SignalKind::hangup().as_raw_value() - 1);
    (ignored.unwrap_or(0) & bit == 0).then(SignalKind::hangup)
}

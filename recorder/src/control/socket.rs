//! The socket: one request a line, one answer a line.

use super::request::{Answer, Request};
use crate::limits;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixSocket};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Name of the socket in the spool folder, unless somebody says otherwise.
pub const SOCKET: &str = "control.sock";

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// A recorder that runs has the socket.
    #[error("control socket {}: another recorder answers there; give this one another with --control", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// What came back is no answer.
    #[error("control socket {}: what came back is no answer of a recorder: {what}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Somebody else's.
    #[error("control socket {}: only who runs the recorder, or root, may ask it: {source}", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody listens.
    #[error("control socket {}: is a recorder running there? --control names its socket: {source}", path.display())]
    NobodyThere {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("control socket {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A request, and where its answer is awaited.
#[derive(Debug)]
pub struct Ask {
    /// What is asked for.
    pub request: Request,
    /// By whom, in words.
    pub by: &'static str,
    /// Where to.
    pub answer: oneshot::Sender<Answer>,
}

/// A socket that requests come in by; gone when dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Makes the socket at `path`, for its owner alone. One that a crash left behind is replaced.
    ///
    /// # Errors
    /// [`ControlError::InUse`] when a recorder listens there, [`ControlError::Socket`] when it cannot be made.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Socket { path: path.to_owned(), source };
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            if UnixStream::connect(path).is_ok() {
                return Err(ControlError::InUse { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let socket = UnixSocket::new_stream().map_err(failed)?;
        // Before it has a name: the mode of the descriptor is the one the name gets (unix(7)), so that there is no
        // moment in which others could connect.
        let descriptor = socket.as_fd().try_clone_to_owned().map_err(failed)?;
        std::fs::File::from(descriptor).set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed)?;
        socket.bind(path).map_err(failed)?;
        let listener = socket.listen(limits::CONTROL_CONNECTIONS_MAX as u32).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Hands every request on, until nobody takes them any more.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS_MAX));
        loop {
            // Whoever comes when all places are taken waits in the kernel's queue.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = asks.closed() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // No descriptors left: others will be closed.
                tokio::time::sleep(limits::CONTROL_PAUSE).await;
                continue;
            };
            let asks = asks.clone();
            tokio::spawn(async move {
                let _place = place;
                if let Err(error) = converse(stream, &asks).await {
                    tracing::debug!(%error, "control connection ended");
                }
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

/// Answers line after line, until the other side is done, silent for too long, or says no line.
async fn converse(stream: tokio::net::UnixStream, asks: &mpsc::Sender<Ask>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = tokio::io::BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(limits::CONTROL_LINE_BYTES_MAX as u64);
        let read = tokio::time::timeout(limits::CONTROL_PATIENCE, bounded.read_until(b'\n', &mut line)).await;
        let Ok(1..) = read.unwrap_or(Ok(0)) else { return Ok(()) };
        let is_whole = line.ends_with(b"\n");
        let answer = match serde_json::from_slice(&line) {
            Err(error) => Answer::refused(format!("no request: {error}")),
            Ok(request) => hand_on(request, "control socket", asks).await,
        };
        let mut answer = serde_json::to_vec(&answer)?;
        answer.push(b'\n');
        tokio::time::timeout(limits::CONTROL_PATIENCE, write.write_all(&answer)).await??;
        if !is_whole {
            return Ok(());
        }
    }
}

/// Hands a request on, and waits for its answer.
pub(crate) async fn hand_on(request: Request, by: &'static str, asks: &mpsc::Sender<Ask>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let handed_on = asks.send(Ask { request, by, answer }).await.is_ok();
    match (handed_on, answered.await) {
        (true, Ok(answer)) => answer,
        (true, Err(_)) => Answer::refused("it was not done, for the recording has ended: see the log"),
        (false, _) => Answer::refused("the recorder is stopping"),
    }
}

/// Asks the recorder that listens at `path`, and waits for its answer.
///
/// # Errors
/// [`ControlError::NobodyThere`], [`ControlError::NotAllowed`], and [`ControlError::NoAnswer`] for whoever does not answer in time, or not as we do.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ControlError> {
    let nobody = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => ControlError::NotAllowed { path: path.to_owned(), source },
        _ => ControlError::NobodyThere { path: path.to_owned(), source },
    };
    let no_answer = |what: String| ControlError::NoAnswer { path: path.to_owned(), what };
    let mut stream = UnixStream::connect(path).map_err(nobody)?;
    let patience = 2 * limits::CONTROL_PATIENCE;
    stream.set_read_timeout(Some(patience)).map_err(nobody)?;
    let mut line = serde_json::to_vec(request).map_err(|error| no_answer(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(nobody)?;
    let mut answer = Vec::new();
    let mut bounded = BufReader::new(stream).take(limits::CONTROL_ANSWER_BYTES_MAX as u64);
    bounded.read_until(b'\n', &mut answer).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => no_answer(format!("nothing, in {} s", patience.as_secs())),
        _ => no_answer(error.to_string()),
    })?;
    serde_json::from_slice(&answer).map_err(|error| no_answer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::said::once;
    use std::error::Error;

    #[test]
    fn what_the_system_said_is_said_once() {
        let path = PathBuf::from("/spool/control.sock");
        let source = || io::Error::from_raw_os_error(2);
        for error in [
            ControlError::NobodyThere { path: path.clone(), source: source() },
            ControlError::NotAllowed { path: path.clone(), source: source() },
        ] {
            let chain = [&error as &(dyn Error + 'static), error.source().unwrap()];
            assert_eq!(once(chain).matches("os error 2").count(), 1, "{error}");
        }
    }
}

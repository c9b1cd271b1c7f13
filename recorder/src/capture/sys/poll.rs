//! Sockets that are waited for, many at once.

use super::check;
use super::socket::Socket;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What happened on sockets that were waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is something to read.
    pub readable: bool,
    /// The socket has an error to tell: [`Socket::take_error`].
    pub failed: bool,
}

/// Waits for many sockets at once (epoll(7)). Closed sockets leave it by themselves.
#[derive(Debug)]
pub struct Poll(OwnedFd);

/// Sockets that are told of in one go: the rest is told of next time.
const EVENTS: usize = 64;

impl Poll {
    /// Waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed; the descriptor returned is ours alone.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` is open, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

/// Waits for many sockets at once.
pub trait Wait: std::fmt::Debug + Send {
    /// Waits for `socket` too, and calls it `token`. With `news_only` it is told of when something more comes, and not
    /// because something is still there.
    fn add(&self, socket: &Socket, token: u64, news_only: bool) -> io::Result<()>;

    /// Waits until a socket has something to say, or `timeout` is over: tokens, and what they have to say.
    fn wait(&self, timeout: Duration) -> io::Result<Vec<(u64, Ready)>>;
}

impl Wait for Poll {
    fn add(&self, socket: &Socket, token: u64, news_only: bool) -> io::Result<()> {
        let how = libc::EPOLLIN | if news_only { libc::EPOLLET } else { 0 };
        let mut event = libc::epoll_event { events: how.cast_unsigned(), u64: token };
        // SAFETY: the kernel reads `event`, which lives until the call returns.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.fd(), &raw mut event) })
            .map(drop)
    }

    fn wait(&self, timeout: Duration) -> io::Result<Vec<(u64, Ready)>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // Rounded up, or the last part of a millisecond is spent in asking again and again.
        let timeout_ms = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most EVENTS entries to `events`.
        let told = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout_ms) };
        let told = match check(told) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            told => told?,
        };
        let ready = |event: &libc::epoll_event| {
            let (events, token) = (event.events.cast_signed(), event.u64);
            let has = |what: i32| events & what != 0;
            (token, Ready { readable: has(libc::EPOLLIN), failed: has(libc::EPOLLERR) })
        };
        Ok(events.iter().take(told.cast_unsigned() as usize).map(ready).collect())
    }
}

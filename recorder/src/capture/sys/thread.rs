//! The calling thread: where it is, how urgent it is, how long it has worked.

use super::check;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Moves the calling thread into the network namespace of an open `/proc/<pid>/ns/net`.
pub fn enter_network(namespace: &std::fs::File) -> io::Result<()> {
    // SAFETY: no pointer is passed; sockets that are open stay where they were opened.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// How urgent the capture thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// As any other.
    Normal,
    /// Nice -10.
    #[default]
    Nice,
    /// Before all that is not real-time (`SCHED_RR`), at the least of its priorities.
    RealTime,
}

/// Asks for a more urgent schedule of the calling thread; without the right to it nothing changes.
pub fn hurry(urgency: Urgency) -> io::Result<()> {
    // On Linux, 0 is the calling thread (setpriority(2), "C library/kernel differences").
    match urgency {
        Urgency::Normal => Ok(()),
        // SAFETY: no pointer is passed.
        Urgency::Nice => check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) }).map(drop),
        Urgency::RealTime => {
            let parameters = libc::sched_param { sched_priority: 1 };
            // Threads it begins are as any other.
            let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
            // SAFETY: the kernel reads `parameters`, which lives until the call returns.
            check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
        }
    }
}

/// How long the calling thread has worked since it began.
pub fn thread_work() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to `time`.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

//! The kernel's calls, each made safe here.
#![allow(unsafe_code, reason = "these clocks have no safe interface")]

use formats::seal;
use std::io;
use std::time::Duration;

/// Time since the machine was started, sleep included (clock_gettime(2), CLOCK_BOOTTIME).
pub fn steady() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which lives until the call returns.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    // It is there since Linux 2.6.39.
    assert_eq!(result, 0, "the kernel has no clock since boot");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// What the kernel knows of the time of day (adjtimex(2)); asking needs no right.
pub fn state() -> io::Result<seal::Clock> {
    // SAFETY: timex is plain data, for which all zeroes is a value: one that changes nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads and writes one timex, which lives until the call returns.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let in_nanoseconds = timex.status & libc::STA_NANO != 0;
    Ok(seal::Clock {
        offset_ns: if in_nanoseconds { timex.offset } else { timex.offset.saturating_mul(1000) },
        source: "kernel".to_owned(),
        synchronised: Some(timex.status & libc::STA_UNSYNC == 0),
        error_max_ns: u64::try_from(timex.maxerror).ok().map(|microseconds| microseconds.saturating_mul(1000)),
        steps: Vec::new(),
    })
}

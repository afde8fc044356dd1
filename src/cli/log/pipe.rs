//! Whether anybody reads what is written to a pipe.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits for at most `timeout`, or until nobody can read any more what is written to `pipe`; says whether somebody can.
/// Anything that is no pipe has a reader for ever.
pub(super) fn has_reader(pipe: BorrowedFd<'_>, timeout: Duration) -> bool {
    // Asked for nothing, a descriptor tells of its end alone.
    let mut fd = libc::pollfd { fd: pipe.as_raw_fd(), events: 0, revents: 0 };
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, which lives through the call, as the borrowed descriptor does.
    unsafe { libc::poll(&raw mut fd, 1, timeout_ms) };
    fd.revents & (libc::POLLERR | libc::POLLHUP) == 0
}

//! A descriptor that becomes readable when a writer's rows have come to an end: for the event loop of a host.
//!
//! Kept: who looked at the tokens after reading the descriptor empty, and sleeps on it, is woken by the next one that
//! comes to an end.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Rung by the engine, polled and read empty by the host.
#[derive(Debug)]
pub(super) struct Signal(Ends);

#[cfg(any(target_os = "linux", target_os = "android"))]
type Ends = std::os::fd::OwnedFd;

/// The host's end and ours.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type Ends = (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream);

impl Signal {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn new() -> io::Result<Signal> {
        use std::os::fd::{FromRawFd, OwnedFd};
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, nobody else's.
        Ok(Signal(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn new() -> io::Result<Signal> {
        let (host, ours) = std::os::unix::net::UnixStream::pair()?;
        host.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        Ok(Signal((host, ours)))
    }

    /// Makes it readable. A write that is refused finds it readable already.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn ring(&self) {
        use std::os::fd::AsRawFd;
        let one = 1u64;
        // SAFETY: eight bytes of a local, which live through the call.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Makes it readable. A write that is refused finds it readable already.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn ring(&self) {
        let _ = io::Write::write(&mut &self.0.1, &[1]);
    }

    /// The host's end.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let end = &self.0;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let end = &self.0.0;
        end.as_fd()
    }
}

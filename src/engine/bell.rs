//! What wakes a worker's thread that has no sockets: a descriptor that others ring, polled beside the disk's.

#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Two connected sockets: who rings writes to one, who sleeps polls the other. Works on every Unix.
#[derive(Debug)]
pub(super) struct Bell {
    read: UnixStream,
    write: UnixStream,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Bell { read, write })
    }

    /// Wakes the sleeper, or keeps it from falling asleep. A full socket is readable already, so a refused write is as
    /// good.
    pub(super) fn ring(&self) {
        let _ = (&self.write).write(&[1]);
    }

    /// Sleeps until somebody rings, `disk` is readable, or the time is over; may wake early.
    pub(super) fn sleep(&self, disk: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
        let wanted =
            |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // Entries with a negative descriptor are passed over.
        let nobody = libc::pollfd { fd: -1, events: 0, revents: 0 };
        let mut fds = [wanted(self.read.as_fd()), disk.map_or(nobody, wanted)];
        // Rounded up: waking before the time would only mean to sleep again.
        let timeout_ms = timeout.map_or(-1, |t| t.as_nanos().div_ceil(1_000_000).min(TIMEOUT_MS_MAX) as i32);
        // SAFETY: two entries, which live through the call, as the borrowed descriptors do.
        unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
        if fds[0].revents != 0 {
            // With more rings than fit here it stays readable, which costs one idle wake-up.
            let mut sink = [0; 256];
            let _ = (&self.read).read(&mut sink);
        }
    }
}

const TIMEOUT_MS_MAX: u128 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_sleep_is_heard_once() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        bell.sleep(None, None);
        // Would hang for ever, were the first sleep not ended by the rings; this one ends by its time.
        bell.sleep(None, Some(Duration::from_millis(1)));
    }

    #[test]
    fn rings_beyond_the_sockets_room_do_not_block() {
        let bell = Bell::new().unwrap();
        (0..1_000_000).for_each(|_| bell.ring());
        bell.sleep(None, None);
    }
}

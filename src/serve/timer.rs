//! A timer finer than a poll's milliseconds: a commit that lingers must not linger five times too long.

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};

    /// A timer that makes a poll return. It counts as expired only when the poll says so: events are edges.
    #[derive(Debug)]
    pub(crate) struct Timer(OwnedFd);

    impl Timer {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
            // SAFETY: no pointers; the result is checked before it is owned.
            let fd = unsafe {
                libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)
            };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and nobody else's.
            let timer = Timer(unsafe { OwnedFd::from_raw_fd(fd) });
            registry.register(&mut SourceFd(&timer.0.as_raw_fd()), token, Interest::READABLE)?;
            Ok(timer)
        }

        /// Makes the poll return after `in_ns`; replaces what was set before. `false`: the poll's own limit must do.
        pub(crate) fn set(&self, in_ns: u64) -> bool {
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // At least one: zero would disarm it.
            let in_ns = in_ns.max(1);
            let due = libc::timespec { tv_sec: (in_ns / NS_PER_S) as _, tv_nsec: (in_ns % NS_PER_S) as _ };
            let spec = libc::itimerspec { it_interval: zero, it_value: due };
            // SAFETY: `spec` lives through the call; the old value is not asked for.
            unsafe {
                libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) == 0
            }
        }
    }

    const NS_PER_S: u64 = 1_000_000_000;
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;

    use mio::{Registry, Token};

    /// No finer timer than the poll's own.
    #[derive(Debug)]
    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Timer> {
            Ok(Timer)
        }

        pub(crate) fn set(&self, _in_ns: u64) -> bool {
            false
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Timer;
#[cfg(target_os = "linux")]
pub(crate) use linux::Timer;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};

    #[test]
    fn a_poll_returns_when_the_timer_expires_each_time_it_is_set() {
        let mut poll = Poll::new().unwrap();
        let timer = Timer::new(poll.registry(), Token(7)).unwrap();
        let mut events = Events::with_capacity(4);
        for _ in 0..3 {
            assert!(timer.set(50_000));
            poll.poll(&mut events, None).unwrap();
            assert_eq!(events.iter().map(mio::event::Event::token).collect::<Vec<_>>(), [Token(7)]);
        }
    }
}

//! TLS handshakes of a listener that came to nothing: counted, and told now and then.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, SystemClock};
use crate::sync::SharedCount;

/// What is known of a listener's handshakes, for all who take its connections.
#[derive(Debug)]
pub(in crate::serve) struct Handshakes {
    /// The listener's address.
    pub(in crate::serve) listener: String,
    /// Handshakes that were begun and came to nothing.
    pub(in crate::serve) failed: SharedCount,
    /// Of these, those that were told.
    told: AtomicU64,
    /// When the next one may be told.
    next_ns: AtomicU64,
    clock: SystemClock,
}

impl Handshakes {
    pub(in crate::serve) fn new(listener: String) -> Handshakes {
        Handshakes {
            listener,
            failed: SharedCount::default(),
            told: AtomicU64::new(0),
            next_ns: AtomicU64::new(0),
            clock: SystemClock::default(),
        }
    }

    /// Counts one, and tells of it unless another was told within the second.
    pub(in crate::serve) fn fail(&self, peer: Option<SocketAddr>, reason: &dyn Display) {
        self.failed.add(1);
        if let Some(failed) = self.tell(self.clock.monotonic_ns()) {
            let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
            let listener = &self.listener;
            tracing::warn!(listener, peer, failed, %reason, "TLS handshake failed");
        }
    }

    /// How many have failed since it was told last, if it is to be told now. Orders nothing: who tells is one of them.
    fn tell(&self, now_ns: u64) -> Option<u64> {
        let next_ns = self.next_ns.load(Ordering::Relaxed);
        let later_ns = now_ns + PAUSE_NS;
        let mine = now_ns >= next_ns
            && self.next_ns.compare_exchange(next_ns, later_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        mine.then(|| {
            let failed = self.failed.value();
            failed.saturating_sub(self.told.swap(failed, Ordering::Relaxed))
        })
    }
}

const PAUSE_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_in_a_second_one_is_told_and_the_next_one_says_how_many() {
        let handshakes = Handshakes::new("tcp://127.0.0.1:1".to_owned());
        let mut tell = |now_ns| {
            handshakes.failed.add(1);
            handshakes.tell(now_ns)
        };
        assert_eq!([5, 6, PAUSE_NS + 4, PAUSE_NS + 5].map(&mut tell), [Some(1), None, None, Some(3)]);
        assert_eq!([PAUSE_NS + 6, 9 * PAUSE_NS].map(tell), [None, Some(2)]);
    }
}

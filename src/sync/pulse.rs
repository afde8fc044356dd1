//! A count that rises whenever something happens, for threads that wait until something has.
//!
//! Anybody may beat; who waits says which count it has seen. Beating costs an addition, a fence and a load while nobody
//! waits. Beating and waiting meet as settling and waiting do in [`Watermark`](super::Watermark): a fence between the
//! two steps on both sides.

use std::time::Duration;

use super::primitive::{AtomicU64, Condvar, Mutex, Ordering, fence, wait_while};

/// The count, and whom it wakes.
#[derive(Debug)]
pub struct Pulse {
    /// [`CLOSED`] is added once there will be no more.
    beats: AtomicU64,
    waiters: AtomicU64,
    asleep: Mutex<()>,
    moved: Condvar,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            beats: AtomicU64::new(0),
            waiters: AtomicU64::new(0),
            asleep: Mutex::new(()),
            moved: Condvar::new(),
        }
    }
}

impl Pulse {
    /// Something has happened.
    pub fn beat(&self) {
        self.raise(1);
    }

    /// Nothing will happen any more. Beats that come all the same are no harm.
    pub fn close(&self) {
        if !self.is_closed() {
            self.raise(CLOSED);
        }
    }

    /// Whether it was closed. What happened before that is seen by who was told so.
    pub fn is_closed(&self) -> bool {
        self.beats() >= CLOSED
    }

    /// The count. What happened before it was reached is seen by who has it.
    pub fn beats(&self) -> u64 {
        // Acquire pairs with the Release in `raise`.
        self.beats.load(Ordering::Acquire)
    }

    /// Waits until the count is another one than `seen`; false if the time is over before that.
    pub fn wait(&self, seen: u64, timeout: Duration) -> bool {
        if self.beats() != seen {
            return true;
        }
        let guard = self.asleep.lock().expect("nothing panics under this lock");
        // Relaxed: ordered by the fences.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `raise`: the sleeper sees the beat, or who beats sees the sleeper.
        fence(Ordering::SeqCst);
        // Acquire pairs with the Release in `raise`.
        wait_while(&self.moved, guard, timeout, |()| self.beats.load(Ordering::Acquire) == seen);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        self.beats() != seen
    }

    fn raise(&self, by: u64) {
        // Release pairs with the Acquire in `beats`.
        self.beats.fetch_add(by, Ordering::Release);
        // Pairs with the fence in `wait`.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) != 0 {
            // Who has looked, but does not sleep yet, holds the lock.
            drop(self.asleep.lock().expect("nothing panics under this lock"));
            self.moved.notify_all();
        }
    }
}

/// More beats than there will ever be.
const CLOSED: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, model, thread};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiter_is_woken_whenever_it_comes() {
        model(|| {
            let pulse = Arc::new(Pulse::default());
            let seen = pulse.beats();
            let beating = Arc::clone(&pulse);
            let other = thread::spawn(move || beating.beat());
            assert!(pulse.wait(seen, LONG));
            other.join().unwrap();
            assert_eq!(pulse.beats(), seen + 1);
        });
    }

    #[test]
    fn what_happened_before_a_beat_is_seen_after_it() {
        model(|| {
            let shared = Arc::new((Pulse::default(), AtomicU64::new(0)));
            let writer = Arc::clone(&shared);
            let other = thread::spawn(move || {
                writer.1.store(7, Ordering::Relaxed);
                writer.0.beat();
            });
            assert!(shared.0.wait(0, LONG));
            assert_eq!(shared.1.load(Ordering::Relaxed), 7);
            other.join().unwrap();
        });
    }

    #[test]
    fn closing_wakes_and_time_runs_out() {
        model(|| {
            let pulse = Arc::new(Pulse::default());
            assert!(!pulse.wait(0, Duration::ZERO));
            let closing = Arc::clone(&pulse);
            let other = thread::spawn(move || closing.close());
            assert!(pulse.wait(0, LONG));
            assert!(pulse.is_closed());
            other.join().unwrap();
        });
    }
}

//! The durable watermark: how far a worker's sequences have come to an end, and how, for threads that wait for it.
//!
//! One thread, the worker, settles sequences in their order: as durable, or as failed. Others ask or wait. Asking costs
//! a load; settling costs a store, a fence and a load while nobody waits.
//!
//! Settling and waiting meet as follows. The worker stores what it settled, then looks whether somebody waits; a
//! waiter says that it waits, then looks at what is settled. With a SeqCst fence between the two steps on both
//! sides, at least one of them sees the other: the waiter does not go to sleep, or the worker wakes it.

use std::time::Duration;

use super::primitive::{AtomicU64, Condvar, Mutex, Ordering, fence, wait_while};

/// How a sequence came to an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is on stable storage.
    Durable,
    /// Its commit failed; its rows are in doubt.
    Failed,
    /// The worker ended before it did; its rows are in doubt.
    Closed,
}

/// A worker's watermark.
#[derive(Debug)]
pub struct Watermark {
    /// Sequences up to here have come to an end. [`CLOSED`] after the worker's.
    settled: AtomicU64,
    /// The highest sequence that failed; 0 if none did.
    failed: AtomicU64,
    waiters: AtomicU64,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What failed, first and last, in order.
    failures: Vec<(u64, u64)>,
    /// How far sequences were settled when the worker ended.
    closed_at: Option<u64>,
}

/// Failures that are told from successes in their neighbourhood. Of older ones only the last is known, and all
/// before it counts as failed: in doubt is the safe answer.
pub const FAILURES_KEPT_MAX: usize = 64;

impl Watermark {
    /// A watermark at `durable`: what a recovery found.
    pub fn new(durable: u64) -> Watermark {
        assert!(durable < CLOSED);
        Watermark {
            settled: AtomicU64::new(durable),
            failed: AtomicU64::new(0),
            waiters: AtomicU64::new(0),
            state: Mutex::new(State::default()),
            moved: Condvar::new(),
        }
    }

    /// All sequences up to this one that had not come to an end are durable. For the worker's thread.
    pub fn advance(&self, sequence: u64) {
        self.settle(sequence);
    }

    /// All sequences up to this one that had not come to an end have failed. For the worker's thread.
    pub fn fail(&self, sequence: u64) {
        // Relaxed: only this thread stores it.
        let first = self.settled.load(Ordering::Relaxed) + 1;
        {
            let failures = &mut self.lock().failures;
            if failures.len() == FAILURES_KEPT_MAX {
                // The two oldest become one, and with them what lies between.
                failures[1].0 = 1;
                failures.remove(0);
            }
            failures.push((first, sequence));
        }
        // Relaxed: the Release in `settle` orders it, before the sequence can be seen as settled.
        self.failed.store(sequence, Ordering::Relaxed);
        self.settle(sequence);
    }

    /// Nothing will come to an end any more. For the worker's thread.
    pub fn close(&self) {
        let settled = self.settled.load(Ordering::Relaxed);
        if settled != CLOSED {
            self.lock().closed_at = Some(settled);
            self.settle(CLOSED);
        }
    }

    fn settle(&self, sequence: u64) {
        debug_assert!(sequence >= self.settled.load(Ordering::Relaxed));
        // Release pairs with the Acquire in `outcome`: who sees the sequence settled sees the failures before it.
        self.settled.store(sequence, Ordering::Release);
        // Pairs with the fence in `wait`: see the module comment.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) != 0 {
            // A waiter that has looked, but does not sleep yet, holds the lock.
            drop(self.lock());
            self.moved.notify_all();
        }
    }

    /// How far sequences have come to an end; the greatest number once the worker has.
    pub fn settled(&self) -> u64 {
        // Acquire pairs with the Release in `settle`.
        self.settled.load(Ordering::Acquire)
    }

    /// How a sequence came to an end; `None` if it has not.
    pub fn outcome(&self, sequence: u64) -> Option<Outcome> {
        // Acquire pairs with the Release in `settle`.
        let settled = self.settled.load(Ordering::Acquire);
        if settled < sequence {
            return None;
        }
        // Relaxed: ordered by the load above.
        if settled != CLOSED && self.failed.load(Ordering::Relaxed) < sequence {
            return Some(Outcome::Durable);
        }
        Some(self.lock().outcome(sequence))
    }

    /// Waits until a sequence has come to an end; `None` if the time is over before that.
    pub fn wait(&self, sequence: u64, timeout: Duration) -> Option<Outcome> {
        if let Some(outcome) = self.outcome(sequence) {
            return Some(outcome);
        }
        let guard = self.lock();
        // Relaxed: ordered by the fences.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `settle`: see the module comment.
        fence(Ordering::SeqCst);
        wait_while(&self.moved, guard, timeout, |_| self.settled.load(Ordering::Acquire) < sequence);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        self.outcome(sequence)
    }

    fn lock(&self) -> super::primitive::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

impl State {
    fn outcome(&self, sequence: u64) -> Outcome {
        if self.closed_at.is_some_and(|at| sequence > at) {
            return Outcome::Closed;
        }
        let after = self.failures.partition_point(|&(_, last)| last < sequence);
        match self.failures.get(after) {
            Some(&(first, _)) if first <= sequence => Outcome::Failed,
            _ => Outcome::Durable,
        }
    }
}

/// No sequence is as high.
const CLOSED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, model, thread};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiter_is_woken_whenever_it_comes() {
        model(|| {
            let watermark = Arc::new(Watermark::new(4));
            let waiter = {
                let watermark = watermark.clone();
                thread::spawn(move || watermark.wait(6, LONG))
            };
            watermark.advance(5);
            watermark.advance(6);
            assert_eq!(waiter.join().unwrap(), Some(Outcome::Durable));
        });
    }

    #[test]
    fn who_sees_a_sequence_settled_knows_whether_it_failed() {
        model(|| {
            let watermark = Arc::new(Watermark::new(0));
            let reader = {
                let watermark = watermark.clone();
                thread::spawn(move || (watermark.outcome(2), watermark.outcome(3)))
            };
            watermark.fail(2);
            watermark.advance(3);
            let (second, third) = reader.join().unwrap();
            assert!(matches!(second, None | Some(Outcome::Failed)), "{second:?}");
            assert!(matches!(third, None | Some(Outcome::Durable)), "{third:?}");
        });
    }

    #[test]
    fn closing_wakes_who_waits_for_what_will_not_come() {
        model(|| {
            let watermark = Arc::new(Watermark::new(0));
            let waiter = {
                let watermark = watermark.clone();
                thread::spawn(move || watermark.wait(2, LONG))
            };
            watermark.advance(1);
            watermark.close();
            assert_eq!(waiter.join().unwrap(), Some(Outcome::Closed));
            assert_eq!(watermark.outcome(1), Some(Outcome::Durable));
        });
    }

    #[test]
    fn time_runs_out() {
        model(|| {
            assert_eq!(Watermark::new(0).wait(1, Duration::ZERO), None);
        });
    }

    #[cfg(not(loom))]
    #[test]
    fn failures_are_told_from_successes_and_old_ones_stay_failed() {
        let watermark = Watermark::new(0);
        let mut next = 0;
        for _ in 0..FAILURES_KEPT_MAX + 10 {
            watermark.fail(next + 2);
            watermark.advance(next + 5);
            next += 5;
        }
        for sequence in 1..=next {
            let failed = matches!(sequence % 5, 1 | 2) || sequence < 11 * 5;
            let expected = if failed { Outcome::Failed } else { Outcome::Durable };
            let got = watermark.outcome(sequence);
            assert!(got == Some(expected) || sequence < 11 * 5, "{sequence}: {got:?}");
            if matches!(sequence % 5, 1 | 2) {
                assert_eq!(got, Some(Outcome::Failed), "{sequence}");
            }
        }
        assert_eq!(watermark.outcome(next + 1), None);
    }
}

//! A pool of boxes that go round: taken, filled elsewhere, given back. Any thread may do either, and may wait for a box.
//!
//! A fixed number of [`Slot`]s. Looking for a box, or for a free place, starts where the last one succeeded, so that it
//! finds it soon; pools are small enough for the rest not to matter.
//!
//! Giving wakes nobody: who gives says when, and whether one or all. This and waiting meet as they do in
//! [`Watermark`](super::Watermark): the giver puts boxes, then looks whether somebody waits; a waiter says that it waits,
//! then looks for a box.

use std::time::Duration;

use super::primitive::{AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, fence, wait_while};
use super::slot::Slot;

/// A pool of boxes.
#[derive(Debug)]
pub struct Pool<T> {
    slots: Box<[Slot<T>]>,
    hint: AtomicUsize,
    waiters: AtomicU64,
    /// Nobody is to wait any more.
    closed: Mutex<bool>,
    given: Condvar,
}

impl<T: Send> Pool<T> {
    /// An empty pool with room for `capacity` boxes.
    pub fn new(capacity: usize) -> Pool<T> {
        Pool {
            slots: (0..capacity).map(|_| Slot::new()).collect(),
            hint: AtomicUsize::new(0),
            waiters: AtomicU64::new(0),
            closed: Mutex::new(false),
            given: Condvar::new(),
        }
    }

    /// Takes a box, if the pool has one. May miss one that is being given back at this moment.
    pub fn take(&self) -> Option<Box<T>> {
        self.search(Slot::take)
    }

    /// Takes a box, as soon as there is one; `None` if the time is over before that, or the pool is closed. Who comes
    /// between a box's return and the one whom it woke may get it; that one waits on.
    pub fn wait(&self, timeout: Duration) -> Option<Box<T>> {
        let guard = self.lock();
        // Relaxed: ordered by the fences.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `has_waiters`: see the module comment.
        fence(Ordering::SeqCst);
        let mut found = None;
        wait_while(&self.given, guard, timeout, |closed| {
            found = self.take();
            found.is_none() && !*closed
        });
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        found
    }

    /// Gives a box to the pool.
    ///
    /// # Errors
    /// The box, if the pool is full.
    pub fn give(&self, item: Box<T>) -> Result<(), Box<T>> {
        let mut item = Some(item);
        let given = self.search(|slot| match slot.put(item.take()?) {
            Ok(()) => Some(()),
            Err(back) => {
                item = Some(back);
                None
            }
        });
        match (given, item) {
            (None, Some(item)) => Err(item),
            _ => Ok(()),
        }
    }

    /// Wakes one who waits, since boxes were given.
    pub fn wake_one(&self) {
        if self.has_waiters() {
            self.given.notify_one();
        }
    }

    /// Wakes all who wait, since boxes were given.
    pub fn wake_all(&self) {
        if self.has_waiters() {
            self.given.notify_all();
        }
    }

    fn has_waiters(&self) -> bool {
        // Pairs with the fence in `wait`: see the module comment.
        fence(Ordering::SeqCst);
        let found = self.waiters.load(Ordering::Relaxed) != 0;
        if found {
            // One that has looked, but does not sleep yet, holds the lock.
            drop(self.lock());
        }
        found
    }

    /// Ends the waiting: of those who wait now, and of those to come.
    pub fn close(&self) {
        *self.lock() = true;
        self.given.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().expect("nothing panics under this lock")
    }

    fn search<R>(&self, mut attempt: impl FnMut(&Slot<T>) -> Option<R>) -> Option<R> {
        // Relaxed: a hint; the slots themselves hand boxes over.
        let start = self.hint.load(Ordering::Relaxed);
        for i in 0..self.slots.len() {
            let at = (start + i) % self.slots.len();
            if let Some(found) = attempt(&self.slots[at]) {
                self.hint.store(at, Ordering::Relaxed);
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, model, thread};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_box_is_with_one_thread_at_a_time() {
        model(|| {
            let pool = Arc::new(Pool::<u32>::new(2));
            pool.give(Box::new(0)).unwrap();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let pool = pool.clone();
                    thread::spawn(move || {
                        if let Some(mut item) = pool.take() {
                            *item += 1;
                            pool.give(item).unwrap();
                            return 1;
                        }
                        0
                    })
                })
                .collect();
            let taken: u32 = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert_eq!(pool.take().map(|b| *b), Some(taken));
            assert!(pool.take().is_none());
        });
    }

    #[test]
    fn a_full_pool_gives_the_box_back() {
        model(|| {
            let pool = Pool::new(1);
            pool.give(Box::new(1)).unwrap();
            assert_eq!(pool.give(Box::new(2)), Err(Box::new(2)));
            assert_eq!(pool.take(), Some(Box::new(1)));
            assert_eq!(Pool::<u32>::new(0).give(Box::new(3)), Err(Box::new(3)));
        });
    }

    fn two_waiters(pool: &Arc<Pool<u32>>) -> [thread::JoinHandle<Option<u32>>; 2] {
        [(); 2].map(|()| {
            let pool = pool.clone();
            thread::spawn(move || pool.wait(LONG).map(|item| *item))
        })
    }

    #[test]
    fn each_call_wakes_one_who_waits() {
        model(|| {
            let pool = Arc::new(Pool::<u32>::new(2));
            let waiters = two_waiters(&pool);
            for item in 1..=2 {
                pool.give(Box::new(item)).unwrap();
                pool.wake_one();
            }
            assert_eq!(waiters.map(|t| t.join().unwrap().unwrap()).iter().sum::<u32>(), 3);
        });
    }

    #[test]
    fn one_call_wakes_all_who_wait() {
        model(|| {
            let pool = Arc::new(Pool::<u32>::new(2));
            let waiters = two_waiters(&pool);
            pool.give(Box::new(1)).unwrap();
            pool.give(Box::new(2)).unwrap();
            pool.wake_all();
            assert_eq!(waiters.map(|t| t.join().unwrap().unwrap()).iter().sum::<u32>(), 3);
        });
    }

    #[test]
    fn closing_ends_the_waiting() {
        model(|| {
            let pool = Arc::new(Pool::<u32>::new(1));
            let waiter = {
                let pool = pool.clone();
                thread::spawn(move || pool.wait(LONG))
            };
            pool.close();
            assert_eq!(waiter.join().unwrap(), None);
            assert_eq!(pool.wait(LONG), None);
        });
    }

    #[test]
    fn time_runs_out() {
        model(|| assert_eq!(Pool::<u32>::new(1).wait(Duration::ZERO), None));
    }
}

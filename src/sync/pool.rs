//! A pool of boxes that go round: taken, filled elsewhere, given back. Any thread may do either; none waits.
//!
//! A fixed number of [`Slot`]s. Looking for a box, or for a free place, starts where the last one succeeded, so that it
//! finds it soon; pools are small enough for the rest not to matter.

use super::primitive::{AtomicUsize, Ordering};
use super::slot::Slot;

/// A pool of boxes.
#[derive(Debug)]
pub struct Pool<T> {
    slots: Box<[Slot<T>]>,
    hint: AtomicUsize,
}

impl<T: Send> Pool<T> {
    /// An empty pool with room for `capacity` boxes.
    pub fn new(capacity: usize) -> Pool<T> {
        Pool { slots: (0..capacity).map(|_| Slot::new()).collect(), hint: AtomicUsize::new(0) }
    }

    /// Takes a box, if the pool has one. May miss one that is being given back at this moment.
    pub fn take(&self) -> Option<Box<T>> {
        self.search(Slot::take)
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
}

//! A place for one box, which whoever comes may take. Nobody ever waits.

#![allow(unsafe_code)]

use std::ptr::{NonNull, null_mut};

use super::primitive::{AtomicPtr, Ordering};

/// A place for one box.
///
/// Invariant: (1) a pointer in `place` that is not null came out of `Box::into_raw` and belongs to the slot; taking
/// it means swapping it for null.
#[derive(Debug)]
pub struct Slot<T> {
    place: AtomicPtr<T>,
}

// SAFETY: invariant 1: the slot owns what is in it, and boxes pass between threads through it.
unsafe impl<T: Send> Send for Slot<T> {}
// SAFETY: the same; `&Slot` gives boxes away, never references into them.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T: Send> Slot<T> {
    /// An empty slot.
    pub fn new() -> Slot<T> {
        Slot { place: AtomicPtr::new(null_mut()) }
    }

    /// Takes the box, if there is one.
    pub fn take(&self) -> Option<Box<T>> {
        // Acquire pairs with the Release of `put`: who takes a box sees all that was done to it.
        let raw = self.place.swap(null_mut(), Ordering::Acquire);
        // SAFETY: invariant 1: not null, so it was the slot's, and by the swap it is ours alone.
        (!raw.is_null()).then(|| unsafe { Box::from_raw(raw) })
    }

    /// Where the box is, if there is one. What is there is another's as soon as that takes it.
    #[inline]
    pub(super) fn peek(&self) -> Option<NonNull<T>> {
        // Relaxed: it is for a thread that is ordered with those that put and take in another way.
        NonNull::new(self.place.load(Ordering::Relaxed))
    }

    /// Puts a box into the slot.
    ///
    /// # Errors
    /// The box, if there is one already.
    pub fn put(&self, item: Box<T>) -> Result<(), Box<T>> {
        let raw = Box::into_raw(item);
        // Release pairs with the Acquire of `take`. Relaxed on failure: nothing was taken.
        match self.place.compare_exchange(null_mut(), raw, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            // SAFETY: it did not get into the slot, so it is still ours.
            Err(_) => Err(unsafe { Box::from_raw(raw) }),
        }
    }
}

impl<T: Send> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot::new()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        // Relaxed would do, with `&mut self`; Acquire for the box's own drop.
        let raw = self.place.swap(null_mut(), Ordering::Acquire);
        if !raw.is_null() {
            // SAFETY: invariant 1.
            drop(unsafe { Box::from_raw(raw) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, Watched, model, thread};
    use super::*;

    #[test]
    fn a_batch_is_taken_by_the_writer_or_by_the_engine_and_by_one_of_them() {
        model(|| {
            let slot = Arc::new(Slot::<Watched>::new());
            slot.put(Box::new(Watched::new(1))).unwrap();
            let writer = {
                let slot = slot.clone();
                thread::spawn(move || {
                    let mut batch = slot.take().unwrap_or_else(|| Box::new(Watched::new(0)));
                    batch.add(10);
                    slot.put(batch).unwrap();
                })
            };
            let taken = slot.take().map_or(0, |b| b.value());
            writer.join().unwrap();
            let left = slot.take().map_or(0, |b| b.value());
            assert_eq!(taken + left, 11, "each row once");
        });
    }

    #[test]
    fn a_full_slot_refuses_and_a_dropped_one_drops_its_box() {
        model(|| {
            let item = Arc::new(());
            let slot = Slot::new();
            slot.put(Box::new(item.clone())).unwrap();
            assert!(slot.put(Box::new(item.clone())).is_err());
            drop(slot);
            assert_eq!(Arc::strong_count(&item), 1);
        });
    }
}

//! A place for one box, which whoever comes may take.
//!
//! A writer keeps its half-full batch here between two calls. During a call it has the batch in hand and the slot is
//! empty; between calls an engine whose interval is over takes the batch, and the writer, finding nothing, starts
//! another one. Neither ever waits.

#![allow(unsafe_code)]

use std::ptr::null_mut;

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

    /// Puts a box into a slot that it alone fills, and that it found empty. Cheaper than [`put`](Slot::put): nobody
    /// else can have filled the slot in between.
    ///
    /// # Panics
    /// In builds with debug assertions, if there is a box.
    #[inline]
    pub fn put_alone(&self, item: Box<T>) {
        let raw = Box::into_raw(item);
        // Relaxed: this thread alone stores anything but null.
        debug_assert!(self.place.load(Ordering::Relaxed).is_null());
        // Release pairs with the Acquire of `take`. A take at the same moment finds null or the box, whole.
        #[cfg(not(loom))]
        self.place.store(raw, Ordering::Release);
        // Loom 0.7 does not order a store behind the swap that found null before it, and lets a later take miss it.
        #[cfg(loom)]
        self.place.swap(raw, Ordering::Release);
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
        one_of_them_takes(|slot, batch| slot.put(batch).unwrap());
    }

    #[test]
    fn the_same_where_the_writer_alone_puts() {
        one_of_them_takes(Slot::put_alone);
    }

    fn one_of_them_takes(put: fn(&Slot<Watched>, Box<Watched>)) {
        model(move || {
            let slot = Arc::new(Slot::<Watched>::new());
            slot.put(Box::new(Watched::new(1))).unwrap();
            let writer = {
                let slot = slot.clone();
                thread::spawn(move || {
                    let mut batch = slot.take().unwrap_or_else(|| Box::new(Watched::new(0)));
                    batch.add(10);
                    put(&slot, batch);
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

//! A place for one box, at which its owner works, and out of which another thread takes it.
//!
//! The owner comes by with every row and holds the box where it is; the taker comes a few times a second. Each says
//! what it means to do before it looks whether the other one is at it, with a [fence](super::fence) between that
//! costs the owner nothing:
//!
//! ```text
//! owner: held = true,    fence, claimed? back out : work on the box in its place;   held = false
//! taker: claimed = true, fence, held?    go without : swap the box out;             claimed = false
//! ```
//!
//! So at least one of them sees the other. Neither ever waits: an owner that backs out may swap the box out as well and
//! has it, or learns that it is gone.

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::fence;
use super::primitive::{AtomicBool, Ordering};
use super::slot::Slot;

/// A place for one box: one thread puts and holds, another one takes.
///
/// Invariants: (1) nobody but the owner puts, and nobody but owner and taker take. (2) Between a `held` of true and one
/// of false, if `claimed` was not seen between, no other thread takes: the holder alone reaches the box. (3) One thread
/// is the owner, one the taker.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    slot: Slot<T>,
    held: AtomicBool,
    claimed: AtomicBool,
}

/// The box, in its place, while its owner works on it.
///
/// Invariant: (1) it came from `Shelf::hold`, which saw no claim: see there.
#[derive(Debug)]
pub(crate) struct Held<'a, T> {
    shelf: &'a Shelf<T>,
    item: NonNull<T>,
}

/// For the owner's thread.
impl<T: Send> Shelf<T> {
    pub(super) fn new() -> Shelf<T> {
        fence::prepare();
        Shelf { slot: Slot::new(), held: AtomicBool::new(false), claimed: AtomicBool::new(false) }
    }

    /// Holds the box, if there is one and nobody is about to take it.
    #[inline]
    pub(super) fn hold(&self) -> Option<Held<'_, T>> {
        // Relaxed: the fence orders it before the load of the claim. Pairs with the fence in `claim`.
        self.held.store(true, Ordering::Relaxed);
        fence::light();
        // Acquire pairs with the Release in `unclaim`: a box that was taken is seen to be gone.
        if !self.claimed.load(Ordering::Acquire) {
            // This thread alone puts, and a take was ordered by the claim.
            if let Some(item) = self.slot.peek() {
                return Some(Held { shelf: self, item });
            }
        }
        // Release: as at the end of a hold.
        self.held.store(false, Ordering::Release);
        None
    }

    /// Puts a box where there is none.
    ///
    /// # Panics
    /// If there is a box.
    #[inline]
    pub(super) fn put(&self, item: Box<T>) {
        assert!(self.slot.put(item).is_ok(), "a shelf has one place");
    }
}

impl<T: Send> Shelf<T> {
    /// Takes the box, if there is one: for the owner while it holds nothing, and for a taker that found it so.
    pub(super) fn take(&self) -> Option<Box<T>> {
        self.slot.take()
    }
}

/// For the taker's thread: claim, [`await_claims`], collect, unclaim.
impl<T: Send> Shelf<T> {
    /// The box is to be taken.
    pub(super) fn claim(&self) {
        // Relaxed: the fence in `await_claims` orders it.
        self.claimed.store(true, Ordering::Relaxed);
    }

    /// Takes the box that was claimed, unless its owner is at it, and ends the claim.
    pub(super) fn collect(&self) -> Option<Box<T>> {
        // Acquire pairs with the Release at the end of a hold: what was done to the box in its place is seen.
        let taken = if self.held.load(Ordering::Acquire) { None } else { self.take() };
        // Release pairs with the Acquire in `hold`.
        self.claimed.store(false, Ordering::Release);
        taken
    }
}

/// Between claims and collecting: whoever holds a box now, and saw no claim, is seen holding it.
pub(super) fn await_claims() {
    // Pairs with the fence in `hold`.
    fence::heavy();
}

impl<T: Send> Held<'_, T> {
    /// Takes the box off the shelf.
    pub(crate) fn into_box(self) -> Box<T> {
        // The taker does not swap while it is held.
        self.shelf.take().expect("it was there, and only its holder can have taken it")
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1 here, and 2 of the shelf: this thread's alone.
        unsafe { self.item.as_ref() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self`.
        unsafe { self.item.as_mut() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release pairs with the Acquire in `collect`.
        self.shelf.held.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, Watched, model, thread};
    use super::*;

    #[test]
    fn a_box_is_worked_on_or_taken_and_nothing_done_to_it_is_lost() {
        model(|| {
            let shelf = Arc::new(Shelf::<Watched>::new());
            shelf.put(Box::new(Watched::new(1)));
            let owner = {
                let shelf = shelf.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        match shelf.hold() {
                            Some(mut held) => held.add(10),
                            None => {
                                let mut item = shelf.take().unwrap_or_else(|| Box::new(Watched::new(0)));
                                item.add(10);
                                shelf.put(item);
                            }
                        }
                    }
                })
            };
            shelf.claim();
            await_claims();
            let taken = shelf.collect().map_or(0, |item| item.value());
            owner.join().unwrap();
            let left = shelf.take().map_or(0, |item| item.value());
            assert_eq!(taken + left, 21, "each addition once");
        });
    }

    /// Natively, where the owner's fence is the taker's: many short holds, and somebody who takes all the time.
    #[test]
    #[cfg(not(loom))]
    fn nothing_is_lost_where_one_side_pays_for_both_fences() {
        const HOLDS: u64 = 300_000;
        let shelf = Arc::new(Shelf::<u64>::new());
        let owner = {
            let shelf = shelf.clone();
            thread::spawn(move || {
                for _ in 0..HOLDS {
                    if let Some(mut held) = shelf.hold() {
                        *held += 1;
                        continue;
                    }
                    let item = shelf.take().unwrap_or_default();
                    shelf.put(Box::new(*item + 1));
                }
            })
        };
        let mut taken = 0;
        while !owner.is_finished() {
            shelf.claim();
            await_claims();
            taken += shelf.collect().map_or(0, |item| *item);
        }
        owner.join().unwrap();
        assert_eq!(taken + shelf.take().map_or(0, |item| *item), HOLDS);
    }

    #[test]
    fn a_holder_can_take_its_box_and_a_dropped_shelf_drops_what_is_on_it() {
        model(|| {
            let item = Arc::new(());
            let shelf = Shelf::new();
            assert!(shelf.hold().is_none());
            shelf.put(Box::new(item.clone()));
            let taken = shelf.hold().map(Held::into_box);
            assert!(taken.is_some() && shelf.hold().is_none());
            shelf.put(Box::new(item.clone()));
            // One that was collected leaves no claim to the next one.
            shelf.claim();
            await_claims();
            let collected = shelf.collect();
            assert!(collected.is_some() && shelf.collect().is_none());
            shelf.put(Box::new(item.clone()));
            assert!(shelf.hold().is_some());
            drop((shelf, taken, collected));
            assert_eq!(Arc::strong_count(&item), 1);
        });
    }
}

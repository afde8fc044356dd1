//! Where a writer's unfinished load lies between two of its calls, and what the writer and its worker tell each other
//! about it.
//!
//! ```text
//! writer, each call:  hold it, or take, or begin another load; fill it; wanted? hand it over by the ring : leave it
//! worker, a sweep:    take the flag down; for each tray: departed? | begun, but not arrived? claim; collect, or wish
//! worker, to close:   sweep until no load is begun that did not arrive
//! ```
//!
//! Loads are numbered from 1 without gaps. A writer begins a load before it fills it, puts it, and then raises the
//! worker's [`Flag`](super::Flag): a worker that has taken the flag and finds the tray empty, though a load was begun
//! that did not arrive, knows that it is in the writer's hands or in the ring. It wishes for it, and looks again by and
//! by; a wish that the writer misses costs that while, never a row. Neither ever waits for the other.
//!
//! Closing and beginning meet as follows. A writer begins a load, then looks whether the worker closes, and withdraws
//! the load if so; the worker sees that it is to close, then looks for loads that were begun. With a SeqCst fence
//! between the two steps on both sides, at least one of them sees the other: no load is filled that a worker about to
//! end does not wait for.

use super::primitive::{AtomicBool, AtomicU64, Ordering, fence};
use super::shelf::{self, Held, Shelf};

/// A writer's tray.
#[derive(Debug)]
pub(crate) struct Tray<T> {
    shelf: Shelf<T>,
    /// The load that the writer began last.
    begun: AtomicU64,
    /// The worker looked for a load that was begun and found none.
    wanted: AtomicBool,
    /// Somebody waits for the loads up to this one.
    flushed: AtomicU64,
    /// The last load of a writer that is gone; [`PRESENT`] until then.
    last: AtomicU64,
}

const PRESENT: u64 = u64::MAX;

/// For the writer's thread.
impl<T: Send> Tray<T> {
    /// An empty tray of a writer that is there.
    pub(crate) fn new() -> Tray<T> {
        Tray {
            shelf: Shelf::new(),
            begun: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            flushed: AtomicU64::new(0),
            last: AtomicU64::new(PRESENT),
        }
    }

    /// Holds the load where it is, unless the worker has it, or reaches for it at this moment.
    #[inline]
    pub(crate) fn hold(&self) -> Option<Held<'_, T>> {
        self.shelf.hold()
    }

    /// Takes the load, unless the worker has it. Not while it is held.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.shelf.take()
    }

    /// The load of this number will be filled, unless the worker is found closing now: then it is to be withdrawn.
    pub(crate) fn begin(&self, number: u64) {
        // Release pairs with the Acquire in `has_begun`: all loads before it are in the ring or were collected.
        self.begun.store(number, Ordering::Release);
        // Pairs with the fence in `await_begun`: see the module comment.
        fence(Ordering::SeqCst);
    }

    /// The load that was begun will not come: the next one has its number again. A wish for it is done with.
    pub(crate) fn withdraw(&self, number: u64) {
        self.take_wish();
        // Release as in `begin`.
        self.begun.store(number - 1, Ordering::Release);
    }

    /// Puts the load that was taken, or begun.
    ///
    /// # Panics
    /// In builds with debug assertions, if there is one already: only the writer puts.
    #[inline]
    pub(crate) fn put(&self, load: Box<T>) {
        self.shelf.put(load);
    }

    /// Whether the worker would rather have the load than find it here again.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        // Relaxed: a wish; the worker looks again should it be missed.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether the worker wished for the load that is being handed over; the wish is done with.
    pub(crate) fn take_wish(&self) -> bool {
        // Relaxed: as above.
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Somebody waits for the loads up to this one. The writer then hands over what is here; if nothing is, and loads
    /// are still under way, it raises a flag of the worker's.
    pub(crate) fn flush(&self, number: u64) {
        // Relaxed: the ring, or the flag, orders it.
        self.flushed.store(number, Ordering::Relaxed);
    }

    /// The writer goes, after this load. It raises the worker's flag behind it.
    pub(crate) fn depart(&self, last: u64) {
        // Release pairs with the Acquire in `departed`: all that it sent was sent before.
        self.last.store(last, Ordering::Release);
    }
}

/// For the worker's thread.
impl<T: Send> Tray<T> {
    /// The last load of a writer that is gone.
    pub(crate) fn departed(&self) -> Option<u64> {
        // Acquire pairs with the Release in `depart`.
        let last = self.last.load(Ordering::Acquire);
        (last != PRESENT).then_some(last)
    }

    /// To be called when the worker has seen that it is to close, and before it asks [`has_begun`](Tray::has_begun) of
    /// any tray: what is begun unseen after this sees it closing.
    pub(crate) fn await_begun() {
        // Pairs with the fence in `begin`: see the module comment.
        fence(Ordering::SeqCst);
    }

    /// Whether the load of this number was begun: if it did not arrive it is here, in the writer's hands, or in the
    /// ring, or will be withdrawn.
    pub(crate) fn has_begun(&self, number: u64) -> bool {
        // Acquire pairs with the Release in `begin`.
        self.begun.load(Ordering::Acquire) >= number
    }

    /// Announces that the load will be collected. All trays of a sweep are claimed, then there is one
    /// [`await_claims`](Tray::await_claims) for all.
    pub(crate) fn claim(&self) {
        self.shelf.claim();
    }

    /// Between claims and collecting.
    pub(crate) fn await_claims() {
        shelf::await_claims();
    }

    /// Takes the load that was claimed, or wishes for it.
    pub(crate) fn collect(&self) -> Option<Box<T>> {
        let load = self.shelf.collect();
        if load.is_none() {
            self.wish();
        }
        load
    }

    /// Wishes for the load.
    pub(crate) fn wish(&self) {
        // Relaxed: should it come too late, the next sweep finds the load.
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether somebody waits for the load of this number. A flush that is not seen here is followed by a flag.
    pub(crate) fn is_flushed(&self, number: u64) -> bool {
        // Relaxed: the ring, or the flag, orders it.
        self.flushed.load(Ordering::Relaxed) >= number
    }
}

impl<T: Send> Default for Tray<T> {
    fn default() -> Tray<T> {
        Tray::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::flag::{Flag, Level};
    use super::super::primitive::{Arc, Watched, model, thread};
    use super::super::ring::{Receiver, Sender, ring};
    use super::*;

    struct Load {
        number: u64,
        rows: Watched,
    }

    /// What the two threads share.
    struct Desk {
        tray: Tray<Load>,
        stirred: Flag,
        hurry: Flag,
        /// 1 when the worker is to close.
        state: Level,
    }

    /// A writer as the engine's is.
    struct Writer {
        desk: Arc<Desk>,
        ring: Sender<Box<Load>>,
        number: u64,
        filling: bool,
    }

    /// A worker as the engine's is; it has one tray.
    struct Worker {
        desk: Arc<Desk>,
        ring: Receiver<Box<Load>>,
        next: u64,
        early: Option<Box<Load>>,
        rows: u32,
        /// The last load in the batch that somebody was seen to wait for.
        waited_for: u64,
    }

    fn meet() -> (Writer, Worker) {
        let desk = Arc::new(Desk {
            tray: Tray::new(),
            stirred: Flag::new(),
            hurry: Flag::new(),
            state: Level::new(0),
        });
        let (sender, receiver) = ring(4);
        (
            Writer { desk: desk.clone(), ring: sender, number: 0, filling: false },
            Worker { desk, ring: receiver, next: 1, early: None, rows: 0, waited_for: 0 },
        )
    }

    impl Writer {
        /// Pushes a row; whether it was taken.
        fn push(&mut self) -> bool {
            if self.desk.state.value() != 0 {
                return false;
            }
            if self.push_in_place() {
                return true;
            }
            let taken = if self.filling { self.desk.tray.take() } else { None };
            let begun = taken.is_none();
            let mut load = match taken {
                Some(load) => load,
                None => match self.begin() {
                    Some(load) => load,
                    None => return false,
                },
            };
            load.rows.add(1);
            if self.desk.tray.is_wanted() {
                self.hand_over(load);
                return true;
            }
            self.filling = true;
            self.desk.tray.put(load);
            if begun {
                self.desk.stirred.raise();
            }
            true
        }

        fn push_in_place(&mut self) -> bool {
            let Some(mut load) = self.desk.tray.hold() else { return false };
            load.rows.add(1);
            if self.desk.tray.is_wanted() {
                let load = load.into_box();
                self.hand_over(load);
            }
            true
        }

        fn begin(&mut self) -> Option<Box<Load>> {
            self.filling = false;
            self.number += 1;
            self.desk.tray.begin(self.number);
            if self.desk.state.value() != 0 {
                self.desk.tray.withdraw(self.number);
                self.number -= 1;
                return None;
            }
            Some(Box::new(Load { number: self.number, rows: Watched::new(0) }))
        }

        fn flush(&mut self) {
            self.desk.tray.flush(self.number);
            match if self.filling { self.desk.tray.take() } else { None } {
                Some(load) => self.hand_over(load),
                None => drop(self.desk.hurry.raise()),
            }
        }

        fn hand_over(&mut self, load: Box<Load>) {
            self.desk.tray.take_wish();
            self.filling = false;
            assert!(self.ring.send(load).is_ok(), "there is room for all");
        }
    }

    impl Worker {
        /// A round of its loop. Whether it would look again without being woken.
        fn turn(&mut self) -> bool {
            if self.desk.hurry.take() {
                self.waited_for = self.next - 1;
            }
            while let Some(load) = self.ring.receive() {
                self.arrive(load);
            }
            self.sweep()
        }

        /// A round of its loop when it closes. Whether it may end.
        fn close(&mut self) -> bool {
            self.desk.state.rise(1);
            Tray::<Load>::await_begun();
            self.turn();
            while let Some(load) = self.ring.receive() {
                self.arrive(load);
            }
            !self.desk.tray.has_begun(self.next) && self.early.is_none()
        }

        fn sweep(&mut self) -> bool {
            self.desk.stirred.take();
            if self.desk.tray.departed().is_some_and(|last| last < self.next) {
                return false;
            }
            if !self.desk.tray.has_begun(self.next) {
                return false;
            }
            if self.early.is_some() {
                return true;
            }
            self.desk.tray.claim();
            Tray::<Load>::await_claims();
            match self.desk.tray.collect() {
                Some(load) => self.arrive(load),
                None => return true,
            }
            false
        }

        fn arrive(&mut self, load: Box<Load>) {
            if load.number != self.next {
                assert!(self.early.is_none() && load.number > self.next, "in order, or early and alone");
                self.early = Some(load);
                return;
            }
            self.take_in(&load);
            if let Some(early) = self.early.take_if(|early| early.number == self.next) {
                self.take_in(&early);
            }
        }

        fn take_in(&mut self, load: &Load) {
            self.next += 1;
            self.rows += load.rows.value();
            if self.desk.tray.is_flushed(load.number) {
                self.waited_for = load.number;
            }
        }
    }

    #[test]
    fn each_row_is_taken_once_and_none_is_forgotten() {
        model(|| {
            let (mut writer, mut worker) = meet();
            let thread = thread::spawn(move || (0..2).for_each(|_| assert!(writer.push())));
            let mut again = worker.turn();
            thread.join().unwrap();
            // It looks because it means to, because the flag is up, or because something is in the ring.
            while again || worker.desk.stirred.is_raised() || worker.next == 1 {
                again = worker.turn();
            }
            while worker.ring.receive().map(|load| worker.arrive(load)).is_some() {}
            assert_eq!(worker.rows, 2);
            assert!(worker.early.is_none());
        });
    }

    #[test]
    fn who_waits_is_seen_whichever_way_the_load_went() {
        model(|| {
            let (mut writer, mut worker) = meet();
            let thread = thread::spawn(move || {
                writer.push();
                writer.flush();
                writer.number
            });
            worker.turn();
            let number = thread.join().unwrap();
            worker.turn();
            assert_eq!(worker.rows, 1);
            assert_eq!(worker.waited_for, number, "the flush is seen with the load, or by the flag after it");
        });
    }

    #[test]
    fn a_wish_brings_the_load_by_the_ring_and_a_later_one_may_overtake_it() {
        model(|| {
            let (mut writer, mut worker) = meet();
            writer.push();
            let mut in_hand = writer.desk.tray.take().unwrap();
            let thread = thread::spawn(move || {
                in_hand.rows.add(1);
                writer.hand_over(in_hand);
                writer.push();
            });
            let wished = worker.sweep();
            worker.turn();
            thread.join().unwrap();
            worker.turn();
            worker.turn();
            assert_eq!(worker.rows, 3, "wished: {wished}");
            assert!(worker.early.is_none());
        });
    }

    #[test]
    fn a_worker_that_closes_has_all_rows_that_were_taken() {
        model(|| {
            let (mut writer, mut worker) = meet();
            let thread = thread::spawn(move || (0..2).map(|_| u32::from(writer.push())).sum::<u32>());
            let ended = worker.close();
            let pushed = thread.join().unwrap();
            assert!(ended || worker.close(), "what was in the writer's hands is here by now");
            assert_eq!(worker.rows, pushed, "ended at once: {ended}");
        });
    }

    #[test]
    fn one_that_closes_waits_for_what_is_handed_over() {
        model(|| {
            let (mut writer, mut worker) = meet();
            let thread = thread::spawn(move || {
                let pushed = writer.push();
                writer.flush();
                u32::from(pushed) + u32::from(writer.push())
            });
            let ended = worker.close();
            let pushed = thread.join().unwrap();
            // Twice: one that lies in the tray may be found before the one in the ring.
            assert!(
                ended || worker.close() || worker.close(),
                "what was in the writer's hands is here by now"
            );
            assert_eq!(worker.rows, pushed, "ended at once: {ended}");
        });
    }

    #[test]
    fn all_loads_of_a_writer_that_is_gone_are_found_before_its_tray_is_put_away() {
        model(|| {
            let (mut writer, mut worker) = meet();
            let thread = thread::spawn(move || {
                writer.push();
                writer.flush();
                writer.desk.tray.depart(writer.number);
                writer.desk.stirred.raise();
            });
            worker.turn();
            if let Some(last) = worker.desk.tray.departed() {
                while let Some(load) = worker.ring.receive() {
                    worker.arrive(load);
                }
                assert!(last < worker.next, "a load came after its writer had gone");
            }
            thread.join().unwrap();
            worker.turn();
            assert_eq!((worker.rows, worker.desk.tray.departed()), (1, Some(1)));
        });
    }
}

//! A bounded ring from many threads to one: items move, none waits, order is kept per sender.
//!
//! Each place has a stamp that says whose turn it is. A place of index `i` starts at stamp `i`: free for the sender
//! that holds ticket `i`. That sender leaves `i + 1`: full, for the receiver when it comes to `i`. The receiver leaves
//! `i + capacity`: free for the sender that comes by one lap later. Senders take tickets from `tail` by
//! compare-and-swap; the receiver, being alone, counts for itself. (Array queue with stamps, after D. Vyukov.)
//!
//! ```text
//! send: t = tail; s = stamp[t % n];  s == t: take the ticket, write, stamp = t + 1;   s < t: full;  s > t: again
//! receive: s = stamp[h % n];         s == h + 1: read, stamp = h + n, h += 1;          else empty
//! ```
//!
//! A sender that is stopped between its ticket and its stamp hides the items behind its own until it goes on; nobody
//! else waits for it. Whoever rings a bell after sending therefore loses nothing: the last one to stamp rings last.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use super::primitive::{Arc, AtomicUsize, Cell, Ordering, spin_loop};

/// Makes a ring with room for `capacity` items, a power of two from 2 on.
///
/// # Panics
/// If the capacity is something else.
pub fn ring<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two() && capacity >= 2, "a power of two from 2 on");
    let places =
        (0..capacity).map(|i| Place { stamp: AtomicUsize::new(i), item: Cell::new(MaybeUninit::uninit()) });
    let shared = Arc::new(Shared { places: places.collect(), tail: Tail(AtomicUsize::new(0)) });
    (Sender { shared: shared.clone() }, Receiver { shared, head: 0 })
}

/// The end that many threads send from.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that one thread receives from.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    head: usize,
}

/// Invariants: (1) the item of a place is initialized exactly while the place's stamp is its index or lap plus one,
/// that is, from the sender's last store to the receiver's; (2) between a ticket taken and the stamp stored, only the
/// ticket's holder touches the item; (3) between a full stamp seen and the free stamp stored, only the receiver
/// does, and there is one receiver.
#[derive(Debug)]
struct Shared<T> {
    places: Box<[Place<T>]>,
    tail: Tail,
}

#[derive(Debug)]
struct Place<T> {
    stamp: AtomicUsize,
    item: Cell<MaybeUninit<T>>,
}

/// On a cache line pair of its own: senders fight over it.
#[derive(Debug)]
#[repr(align(128))]
struct Tail(AtomicUsize);

// SAFETY: invariants 2 and 3: items pass from one thread to another, one at a time.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Send> Sender<T> {
    /// Sends an item.
    ///
    /// # Errors
    /// The item, if the ring is full.
    pub fn send(&self, item: T) -> Result<(), T> {
        let shared = &*self.shared;
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut ticket = shared.tail.0.load(Ordering::Relaxed);
        loop {
            let place = &shared.places[ticket & (shared.places.len() - 1)];
            // Acquire pairs with the receiver's Release of a free stamp: the item before is out when we write ours.
            let stamp = place.stamp.load(Ordering::Acquire);
            match stamp.wrapping_sub(ticket).cast_signed() {
                0 => {
                    // Relaxed: tickets only have to be different; what is written goes with the stamp.
                    let taken = shared.tail.0.compare_exchange_weak(
                        ticket,
                        ticket.wrapping_add(1),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    match taken {
                        Ok(_) => {
                            // SAFETY: invariant 2: the ticket is ours.
                            place.item.with_mut(|p| unsafe { (*p).write(item) });
                            // Release pairs with the receiver's Acquire: who sees the stamp sees the item.
                            place.stamp.store(ticket.wrapping_add(1), Ordering::Release);
                            return Ok(());
                        }
                        Err(now) => ticket = now,
                    }
                }
                behind if behind < 0 => {
                    // Full, if the ticket is still the next one.
                    let now = shared.tail.0.load(Ordering::Relaxed);
                    if now == ticket {
                        return Err(item);
                    }
                    ticket = now;
                }
                // Somebody took the ticket.
                _ => {
                    spin_loop();
                    ticket = shared.tail.0.load(Ordering::Relaxed);
                }
            }
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Receiver<T> {
    /// The next item, if there is one.
    pub fn receive(&mut self) -> Option<T> {
        let places = &self.shared.places;
        let place = &places[self.head & (places.len() - 1)];
        // Acquire pairs with the sender's Release of a full stamp.
        if place.stamp.load(Ordering::Acquire) != self.head.wrapping_add(1) {
            return None;
        }
        // SAFETY: invariants 1 and 3: the stamp says full, and we are the receiver.
        let item = place.item.with(|p| unsafe { (*p).assume_init_read() });
        // Release pairs with the Acquire of the sender one lap on.
        place.stamp.store(self.head.wrapping_add(places.len()), Ordering::Release);
        self.head = self.head.wrapping_add(1);
        Some(item)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What senders send after this goes with the last of them.
        while self.receive().is_some() {}
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let mask = self.places.len() - 1;
        for (i, place) in self.places.iter().enumerate() {
            // Relaxed: with `&mut self` there is nobody else.
            if place.stamp.load(Ordering::Relaxed) & mask == (i + 1) & mask {
                // SAFETY: invariant 1: a full stamp, of whatever lap.
                place.item.with_mut(|p| unsafe { (*p).assume_init_drop() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::primitive::{model, thread};
    use super::*;

    /// Loom has to be told that the receiver waits for others.
    fn receive_one<T>(receiver: &mut Receiver<T>) -> T {
        loop {
            match receiver.receive() {
                Some(item) => return item,
                None => thread::yield_now(),
            }
        }
    }

    #[test]
    fn what_is_received_is_all_there() {
        model(|| {
            let (sender, mut receiver) = ring::<Box<usize>>(2);
            let thread = thread::spawn(move || {
                for i in 0..3 {
                    let mut item = Box::new(i);
                    while let Err(back) = sender.send(item) {
                        item = back;
                        thread::yield_now();
                    }
                }
            });
            for i in 0..3 {
                assert_eq!(*receive_one(&mut receiver), i);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn items_of_two_senders_arrive_once_and_in_their_order() {
        model(|| {
            let (sender, mut receiver) = ring::<Box<usize>>(4);
            let threads = [10, 20].map(|base| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for i in 0..2 {
                        sender.send(Box::new(base + i)).expect("there is room for all");
                    }
                })
            });
            let got: Vec<usize> = (0..4).map(|_| *receive_one(&mut receiver)).collect();
            assert!(receiver.receive().is_none());
            for thread in threads {
                thread.join().unwrap();
            }
            for base in [10, 20] {
                let own: Vec<usize> = got.iter().copied().filter(|i| i / 10 * 10 == base).collect();
                assert_eq!(own, [base, base + 1]);
            }
        });
    }

    #[test]
    fn two_senders_and_one_place() {
        model(|| {
            let (sender, mut receiver) = ring::<Box<usize>>(2);
            sender.send(Box::new(0)).unwrap();
            let threads = [1, 2].map(|i| {
                let sender = sender.clone();
                thread::spawn(move || sender.send(Box::new(i)).is_ok())
            });
            let sent: usize = threads.map(|t| usize::from(t.join().unwrap())).iter().sum();
            assert_eq!(sent, 1);
            assert_eq!(receiver.receive().as_deref(), Some(&0));
            assert!(matches!(receiver.receive().as_deref(), Some(1 | 2)));
            assert!(receiver.receive().is_none());
        });
    }

    #[test]
    fn a_place_is_used_again_after_its_item_is_out() {
        model(|| {
            let (sender, mut receiver) = ring::<Box<usize>>(2);
            for i in 0..2 {
                sender.send(Box::new(i)).unwrap();
            }
            let other = thread::spawn(move || sender.send(Box::new(2)).is_ok());
            let first = receiver.receive();
            assert_eq!(first.as_deref(), Some(&0));
            let sent = other.join().unwrap();
            assert_eq!(receiver.receive().as_deref(), Some(&1));
            assert_eq!(receiver.receive().is_some(), sent);
            assert!(receiver.receive().is_none());
        });
    }

    #[test]
    fn a_full_ring_gives_the_item_back_and_a_dropped_one_drops_its_items() {
        model(|| {
            let (sender, receiver) = ring::<Arc<()>>(2);
            let item = Arc::new(());
            sender.send(item.clone()).unwrap();
            sender.send(item.clone()).unwrap();
            assert!(sender.send(item.clone()).is_err());
            drop(receiver);
            assert_eq!(Arc::strong_count(&item), 1);
            sender.send(item.clone()).unwrap();
            drop(sender);
            assert_eq!(Arc::strong_count(&item), 1, "sent to nobody, and dropped");
        });
    }

    #[cfg(not(loom))]
    #[test]
    fn nothing_is_lost_between_four_threads() {
        const EACH: usize = 50_000;
        let (sender, mut receiver) = ring::<(usize, usize)>(64);
        thread::scope(|scope| {
            for from in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for i in 0..EACH {
                        let mut item = (from, i);
                        while let Err(back) = sender.send(item) {
                            item = back;
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut next = [0; 4];
            while next.iter().sum::<usize>() < 4 * EACH {
                match receiver.receive() {
                    Some((from, i)) => {
                        assert_eq!(i, next[from]);
                        next[from] += 1;
                    }
                    None => thread::yield_now(),
                }
            }
        });
    }
}

//! Slabs made ready beside a thread, so that no row waits for them.
//!
//! The kernel may move other memory about to put a large page together, and clears it: up to tens of milliseconds for
//! the first touch of a slab. A thread with a stock finds some that have been touched, and gives back its full slabs
//! to be freed there.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::slab::{FullSlab, Pages};

/// Slabs that lie ready.
const READY_MAX: usize = 2;

/// Orders and slabs to be freed that may be on their way; past it a slab is freed where it is let go.
const INBOX_MAX: usize = 1024;

thread_local! {
    static STOCK: RefCell<Option<Stock>> = const { RefCell::new(None) };
}

/// This thread has a stock for as long as it has this.
#[derive(Debug)]
pub struct SlabStock {
    thread: Option<JoinHandle<()>>,
    /// Of this thread alone.
    _here: std::marker::PhantomData<*const ()>,
}

struct Stock {
    inbox: SyncSender<Message>,
    ready: Receiver<FullSlab>,
    /// Ordered, and not taken yet.
    ordered: usize,
}

enum Message {
    Order,
    Free(FullSlab),
}

impl SlabStock {
    /// Gives this thread a stock; `spawn` starts the thread that makes it. Until there is a large slab that thread
    /// sleeps, and nothing lies ready.
    ///
    /// # Errors
    /// Those of `spawn`.
    ///
    /// # Panics
    /// If this thread has one.
    pub fn open(
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
    ) -> io::Result<SlabStock> {
        let (inbox, orders) = sync_channel(INBOX_MAX);
        let (out, ready) = sync_channel(READY_MAX);
        let thread = spawn(Box::new(move || make(&orders, &out)))?;
        let before = STOCK.replace(Some(Stock { inbox, ready, ordered: 0 }));
        assert!(before.is_none(), "a thread has one stock");
        Ok(SlabStock { thread: Some(thread), _here: std::marker::PhantomData })
    }
}

impl Drop for SlabStock {
    fn drop(&mut self) {
        drop(STOCK.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// What the thread does: makes what is ordered, of what was freed if there is something, until nobody orders any more.
fn make(orders: &Receiver<Message>, out: &SyncSender<FullSlab>) {
    let mut freed = Vec::new();
    for message in orders {
        match message {
            Message::Free(slab) if freed.len() < READY_MAX => freed.push(slab),
            Message::Free(slab) => drop(slab),
            Message::Order => {
                let slab = match freed.pop() {
                    Some(slab) => {
                        // It may be one that was made in haste.
                        slab.advise(Pages::Large);
                        slab
                    }
                    None => {
                        let mut slab = FullSlab::new();
                        slab.touch();
                        slab
                    }
                };
                // There is room for all that is ordered; nobody there means that the end has come.
                let _ = out.try_send(slab);
            }
        }
    }
}

/// A full slab: a ready one if this thread has a stock with one in it. Where the stock is empty a row waits, and no
/// large page is put together for it meanwhile.
pub(super) fn take() -> FullSlab {
    STOCK.with_borrow_mut(|stock| match stock {
        Some(stock) => stock.take().unwrap_or_else(FullSlab::in_small_pages),
        None => FullSlab::new(),
    })
}

/// Full slabs will soon be needed.
pub(super) fn order() {
    STOCK.with_borrow_mut(|stock| stock.iter_mut().for_each(Stock::order));
}

/// Lets go of a full slab.
pub(super) fn give_back(slab: FullSlab) {
    // Threads end in any order: one whose stock is gone frees for itself.
    let _ = STOCK.try_with(|stock| match &*stock.borrow() {
        Some(stock) => match stock.inbox.try_send(Message::Free(slab)) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => drop(message),
        },
        None => drop(slab),
    });
}

impl Stock {
    fn take(&mut self) -> Option<FullSlab> {
        let slab = self.ready.try_recv().ok();
        self.ordered -= usize::from(slab.is_some());
        self.order();
        slab
    }

    fn order(&mut self) {
        while self.ordered < READY_MAX && self.inbox.try_send(Message::Order).is_ok() {
            self.ordered += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SLAB_BYTES, Slab};
    use super::*;

    fn start(run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().spawn(run)
    }

    #[test]
    fn slabs_lie_ready_once_a_large_one_was_made_and_end_with_their_owner() {
        let stock = SlabStock::open(start).unwrap();
        drop(Slab::<u8>::with_capacity(SLAB_BYTES / 16));
        assert_eq!(STOCK.with_borrow(|stock| stock.as_ref().unwrap().ordered), 0);
        drop(Slab::<u8>::with_capacity(SLAB_BYTES / 8));
        let of_own = FullSlab::new();
        let ready = STOCK.with_borrow(|stock| {
            let stock = stock.as_ref().unwrap();
            assert_eq!(stock.ordered, READY_MAX);
            stock.ready.recv().unwrap()
        });
        STOCK.with_borrow_mut(|stock| stock.as_mut().unwrap().ordered -= 1);
        assert_ne!(of_own.address(), ready.address());
        drop(ready);
        give_back(of_own);
        drop(stock);
        assert!(STOCK.with_borrow(Option::is_none));
    }

    #[test]
    fn a_full_slab_is_the_one_that_lay_ready_and_the_next_is_ordered() {
        let (inbox, orders) = sync_channel(INBOX_MAX);
        let (out, ready) = sync_channel(READY_MAX);
        let prepared = FullSlab::new();
        let address = prepared.address();
        assert!(out.send(prepared).is_ok());
        STOCK.set(Some(Stock { inbox, ready, ordered: 1 }));
        let full = || Slab::<u64>::with_capacity(SLAB_BYTES / 8);
        let first = full();
        assert_eq!(first.as_ptr() as usize, address);
        let ordered = || orders.try_iter().filter(|message| matches!(message, Message::Order)).count();
        assert_eq!(ordered(), READY_MAX);
        // Nothing lies ready now: the next one is made here, and no more is ordered than was.
        let second = full();
        assert_ne!(second.as_ptr() as usize, address);
        assert_eq!(ordered(), 0);
        // What is let go goes to the thread.
        drop(first);
        assert!(matches!(orders.try_recv(), Ok(Message::Free(slab)) if slab.address() == address));
        STOCK.set(None);
        drop(second);
        assert!(orders.try_recv().is_err(), "a thread without a stock frees for itself");
    }

    #[test]
    fn a_thread_without_a_stock_makes_full_slabs_itself() {
        order();
        let mut slab = Slab::<u64>::with_capacity(SLAB_BYTES / 8);
        assert_eq!(slab.as_ptr() as usize % SLAB_BYTES, 0);
        (0..slab.capacity() as u64).for_each(|n| slab.push(n));
        assert!(slab.iter().copied().eq(0..(SLAB_BYTES / 8) as u64));
    }

    #[test]
    fn what_is_freed_is_used_again_each_once_and_no_more_is_kept_than_may_lie_ready() {
        let (inbox, orders) = sync_channel(8);
        let (out, ready) = sync_channel(READY_MAX);
        let slabs: [_; READY_MAX + 1] = std::array::from_fn(|_| FullSlab::new());
        let addresses: Vec<usize> = slabs.iter().map(FullSlab::address).collect();
        slabs.into_iter().for_each(|slab| inbox.send(Message::Free(slab)).unwrap());
        (0..READY_MAX).for_each(|_| inbox.send(Message::Order).unwrap());
        drop(inbox);
        make(&orders, &out);
        let mut used: Vec<usize> = ready.try_iter().map(|slab| slab.address()).collect();
        used.reverse();
        assert_eq!(used, addresses[..READY_MAX]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_nothing_lies_ready_no_large_page_is_put_together() {
        let Ok(_) = std::fs::metadata("/sys/kernel/mm/transparent_hugepage") else {
            return; // A kernel without large pages.
        };
        let (inbox, _orders) = sync_channel(INBOX_MAX);
        let (_out, ready) = sync_channel(READY_MAX);
        let flags = |slab: &FullSlab| {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let from = maps.lines().skip_while(|line| {
                let range = line.split(' ').next().and_then(|range| range.split_once('-'));
                let number = |hex| usize::from_str_radix(hex, 16).ok();
                let range = range.and_then(|(start, end)| Some(number(start)?..number(end)?));
                !range.is_some_and(|range| range.contains(&slab.address()))
            });
            from.skip_while(|line| !line.starts_with("VmFlags:")).take(1).collect::<String>()
        };
        STOCK.set(Some(Stock { inbox, ready, ordered: 0 }));
        let in_haste = take();
        STOCK.set(None);
        assert!(flags(&in_haste).contains(" nh"), "{}", flags(&in_haste));
        assert!(flags(&take()).contains(" hg"), "a thread without a stock has the time");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_lies_ready_was_touched() {
        let (inbox, orders) = sync_channel(1);
        let (out, ready) = sync_channel(1);
        inbox.send(Message::Order).unwrap();
        drop(inbox);
        make(&orders, &out);
        assert!(ready.recv().unwrap().is_backed());
    }
}

//! The one place that starts threads: named, with all signals blocked, so that a host's handlers run on its
//! own threads.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::thread::{Builder, JoinHandle};

use tracing::Dispatch;

use crate::bytes::SlabStock;

thread_local! {
    /// Where the events of this thread, and of those that it starts, go.
    static TOLD: RefCell<Option<Dispatch>> = const { RefCell::new(None) };
}

/// Has events go to `dispatch`, in the place of the process's own subscriber, while `run` runs, and for good in all
/// threads that it starts, and they start.
pub fn telling<R>(dispatch: &Dispatch, run: impl FnOnce() -> R) -> R {
    struct Back(Option<Dispatch>);
    impl Drop for Back {
        fn drop(&mut self) {
            TOLD.set(self.0.take());
        }
    }
    let _back = Back(TOLD.replace(Some(dispatch.clone())));
    tracing::dispatcher::with_default(dispatch, run)
}

/// Starts a thread.
///
/// # Errors
/// The operating system's, when it refuses.
pub fn spawn(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    let told = TOLD.with_borrow(Clone::clone);
    Builder::new().name(format!("tdg-{name}")).spawn(move || {
        block_signals();
        match told {
            Some(dispatch) => telling(&dispatch, run),
            None => run(),
        }
    })
}

/// Has slabs made ready for this thread, a worker's: see [`SlabStock`]. Where no thread can be had for that, rows wait
/// for their slabs themselves.
pub fn stock_slabs(worker: usize) -> Option<SlabStock> {
    let stock = SlabStock::open(|run| spawn(&format!("slabs-{worker}"), run));
    stock.inspect_err(|error| tracing::warn!(%error, "no thread for a worker's slabs")).ok()
}

fn block_signals() {
    // SAFETY: `set` is written by sigfillset before it is read; the call concerns this thread alone.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

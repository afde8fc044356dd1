//! The one place that chooses between the standard library and loom, by `--cfg loom`.

#[cfg(loom)]
pub(super) use loom::{
    hint::spin_loop,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence},
    },
};
#[cfg(not(loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence},
    },
};

use std::time::Duration;

/// A cell whose accesses loom can watch.
#[cfg(loom)]
pub(super) type Cell<T> = loom::cell::UnsafeCell<T>;

/// A cell with the shape of loom's.
#[cfg(not(loom))]
#[derive(Debug)]
pub(super) struct Cell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Cell<T> {
    pub(super) fn new(value: T) -> Cell<T> {
        Cell(std::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline]
    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Waits while `unmet` says so, for at most `timeout`; whether it was met. Under loom nothing times out.
#[cfg(not(loom))]
pub(super) fn wait_while<T>(
    condvar: &Condvar,
    guard: MutexGuard<'_, T>,
    timeout: Duration,
    mut unmet: impl FnMut(&mut T) -> bool,
) -> bool {
    match condvar.wait_timeout_while(guard, timeout, &mut unmet) {
        Ok((_, result)) => !result.timed_out(),
        // Nothing that can panic runs under the lock.
        Err(_) => unreachable!("poisoned"),
    }
}

#[cfg(loom)]
pub(super) fn wait_while<T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'_, T>,
    timeout: Duration,
    mut unmet: impl FnMut(&mut T) -> bool,
) -> bool {
    while unmet(&mut guard) {
        if timeout.is_zero() {
            return false;
        }
        guard = condvar.wait(guard).expect("poisoned");
    }
    true
}

/// A number whose accesses loom watches: what it holds must have been handed over properly.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Watched(Cell<u32>);

#[cfg(test)]
#[allow(unsafe_code)]
impl Watched {
    pub(super) fn new(value: u32) -> Watched {
        Watched(Cell::new(value))
    }

    pub(super) fn add(&mut self, more: u32) {
        // SAFETY: `&mut self`.
        self.0.with_mut(|p| unsafe { *p += more });
    }

    pub(super) fn value(&self) -> u32 {
        // SAFETY: only `add` writes, by `&mut self`.
        self.0.with(|p| unsafe { *p })
    }
}

/// Runs a test's body: all its interleavings under loom, once otherwise.
#[cfg(test)]
pub(super) fn model(body: impl Fn() + Sync + Send + 'static) {
    #[cfg(loom)]
    loom::model(body);
    #[cfg(not(loom))]
    for _ in 0..REPEATS {
        body();
    }
}

#[cfg(all(test, loom))]
pub(super) use loom::thread;
#[cfg(all(test, not(loom)))]
pub(super) use std::thread;

/// Without loom, chance has to find the interleavings.
#[cfg(all(test, not(loom)))]
const REPEATS: usize = 200;

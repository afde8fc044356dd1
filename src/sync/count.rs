//! A count that threads share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that several threads add to and subtract from. Orders nothing else.
#[derive(Default, Debug)]
pub struct SharedCount(AtomicU64);

impl SharedCount {
    /// The value now.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Subtracts what was added before.
    #[inline]
    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Sets the value; for counts that only one thread writes.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

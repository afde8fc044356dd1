//! An allocator that counts what is allocated, by the thread that asks and by all.

#![allow(dead_code, reason = "each test binary uses a part of it")]
// Invariants of `Counting`: (1) it hands every call on to the system's allocator unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

/// Allocations of all threads so far.
static ALL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(0) };
    static OWN_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Allocations of this thread so far.
pub(crate) fn own() -> usize {
    OWN.get()
}

/// Bytes that this thread has asked for so far, whether or not it gave them back.
pub(crate) fn own_bytes() -> usize {
    OWN_BYTES.get()
}

/// Allocations of all threads so far.
pub(crate) fn all() -> usize {
    ALL.load(Ordering::Relaxed)
}

fn count(bytes: usize) {
    ALL.fetch_add(1, Ordering::Relaxed);
    // A thread that is ending has no counters any more; nothing is measured there.
    let _ = OWN.try_with(|n| n.set(n.get() + 1));
    let _ = OWN_BYTES.try_with(|n| n.set(n.get() + bytes));
}

// SAFETY: (1).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: (1).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: (1).
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes);
        // SAFETY: (1).
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

//! Whether the process is the one that made a handle.
//!
//! Threads, rings and the directory's lock stay with the parent of a fork. The C library tells the child that it is
//! one; asking the kernel for the process's number at every call would cost more than a row does.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the one that loaded the library.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process, among those that were forked from one another.
pub(super) fn generation() -> u32 {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler adds to an atomic, which is all that a forked child of threads may do. It stays valid: the
        // library is not unloaded.
        unsafe { libc::pthread_atfork(None, None, Some(note_fork)) };
    });
    current()
}

/// The same, where a handle is there already.
#[inline]
pub(super) fn current() -> u32 {
    // Relaxed: the fork itself orders it.
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn note_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

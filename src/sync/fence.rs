//! A fence of two sides, one of which costs nothing.
//!
//! Two threads that each write one place and then read the other's need a full fence between the two steps, or both may
//! read what was there before. Where one side comes by with every row and the other ten times a second, Linux lets the
//! rare side pay for both: `membarrier` has every thread of the process pass a full fence before it returns, and the
//! frequent side has only to keep the compiler from reordering. Where the kernel refuses, both sides fence.
//!
//! Kept: [`light`] leaves its fence out only after the process was registered for [`heavy`]'s.

#![allow(unsafe_code)]

use super::primitive::{Ordering, fence};

/// The frequent side's fence. Pairs with [`heavy`], not with another one like it.
#[inline(always)]
pub(super) fn light() {
    #[cfg(all(target_os = "linux", not(loom)))]
    if barrier::is_registered() {
        return std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }
    fence(Ordering::SeqCst);
}

/// The rare side's fence.
pub(super) fn heavy() {
    fence(Ordering::SeqCst);
    #[cfg(all(target_os = "linux", not(loom)))]
    barrier::pass_all();
}

/// Makes [`light`] cheap if that is possible here. To be called before threads meet by these fences.
pub(super) fn prepare() {
    #[cfg(all(target_os = "linux", not(loom)))]
    barrier::register();
}

#[cfg(all(target_os = "linux", not(loom)))]
mod barrier {
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, Ordering};

    static REGISTERED: AtomicBool = AtomicBool::new(false);

    #[inline(always)]
    pub(super) fn is_registered() -> bool {
        // Relaxed: while it is not seen the fence is a real one, which is as good.
        REGISTERED.load(Ordering::Relaxed)
    }

    pub(super) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let works = call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
                && call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
            REGISTERED.store(works, Ordering::Relaxed);
        });
    }

    pub(super) fn pass_all() {
        // Waits for a registration that is under way: a thread may have seen it already.
        register();
        // A process that was stopped and brought back elsewhere has to be registered again; short memory passes.
        let passed = !is_registered()
            || call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
            || (call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
                && call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED));
        // Without it a row might be lost in silence: others have left their own fences out.
        assert!(
            passed,
            "membarrier has worked in this process, and is refused: {}",
            std::io::Error::last_os_error()
        );
    }

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call reads and writes none of the process's memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

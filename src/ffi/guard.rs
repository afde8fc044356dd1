//! The one way into the library: every call's work runs here.
//!
//! Kept: no panic crosses into C; a handle that one struck, or that another process made, is used no more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::{Failure, hand_out, tdg_error};
use super::fork;
use super::status::{TDG_E_FORKED, TDG_E_INTERNAL, TDG_E_POISONED, TDG_OK, tdg_status};

#[cfg(panic = "abort")]
compile_error!("the C ABI catches panics: build it with panic = \"unwind\"");

/// Whether a handle may be used: twice the generation of the process that made it, and [`POISONED`].
#[derive(Debug)]
pub(super) struct Health(AtomicU32);

const POISONED: u32 = 1;

impl Health {
    /// That of a new handle.
    pub(super) fn sound() -> Health {
        Health(AtomicU32::new(fork::generation() << 1))
    }

    /// # Errors
    /// Why it may not be used.
    #[inline]
    pub(super) fn check(&self) -> Result<(), tdg_status> {
        // Relaxed: who poisons and who is refused need to agree on nothing else.
        let own = fork::current() << 1;
        match self.0.load(Ordering::Relaxed) ^ own {
            0 => Ok(()),
            POISONED => Err(TDG_E_POISONED),
            // Also of one that was poisoned before the fork: the parent has its threads.
            _ => Err(TDG_E_FORKED),
        }
    }

    fn poison(&self) {
        self.0.fetch_or(POISONED, Ordering::Relaxed);
    }

    /// Whether it is another process's.
    pub(super) fn is_forked(&self) -> bool {
        self.check() == Err(TDG_E_FORKED)
    }
}

/// Runs a call on a handle.
#[inline]
pub(super) fn guard(health: &Health, call: impl FnOnce() -> tdg_status) -> tdg_status {
    if let Err(status) = health.check() {
        return status;
    }
    catch(call).unwrap_or_else(|| {
        health.poison();
        TDG_E_INTERNAL
    })
}

/// Runs a cold call on a handle: what went wrong goes to `error`, too, if that is not NULL.
pub(super) unsafe fn guard_telling(
    health: Option<&Health>,
    error: *mut *mut tdg_error,
    call: impl FnOnce() -> Result<(), Failure>,
) -> tdg_status {
    let ended = match health.map_or(Ok(()), Health::check) {
        Err(status) => Err(Failure::plain(status)),
        Ok(()) => catch(call).unwrap_or_else(|| {
            health.inspect(|health| health.poison());
            Err(Failure::plain(TDG_E_INTERNAL))
        }),
    };
    match ended {
        Ok(()) => TDG_OK,
        Err(failure) => {
            let status = failure.status;
            // SAFETY: the caller of the call vouches for `error`.
            unsafe { hand_out(failure, error) };
            status
        }
    }
}

/// Runs what must not panic into C; `None` if it did.
#[inline]
pub(super) fn catch<R>(call: impl FnOnce() -> R) -> Option<R> {
    // What the panic may have left half done is not used again: the handle is poisoned, or freed.
    catch_unwind(AssertUnwindSafe(call)).map_err(std::mem::forget).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_and_poisons() {
        let health = Health::sound();
        assert_eq!(guard(&health, || TDG_OK), TDG_OK);
        assert_eq!(guard(&health, || panic!("on purpose")), TDG_E_INTERNAL);
        assert_eq!(guard(&health, || TDG_OK), TDG_E_POISONED);
        let mut error = std::ptr::null_mut();
        // SAFETY: a local.
        let status = unsafe { guard_telling(Some(&health), &raw mut error, || Ok(())) };
        assert_eq!((status, error.is_null()), (TDG_E_POISONED, false));
        // SAFETY: it was just made.
        unsafe { super::super::tdg_error_free(error) };
    }

    #[test]
    fn who_made_it_is_asked_before_whether_it_is_poisoned() {
        for poisoned in [false, true] {
            let parents = Health(AtomicU32::new((fork::current() + 5) << 1));
            if poisoned {
                parents.poison();
            }
            assert_eq!(guard(&parents, || TDG_OK), TDG_E_FORKED);
            assert!(parents.is_forked());
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_crosses_nothing() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("while dropped");
            }
        }
        assert!(catch(|| std::panic::panic_any(Bomb)).is_none());
    }
}

//! Asking the processor for memory that will be needed soon.

#![allow(unsafe_code)]

/// Fetches the cache line of `address` without waiting for it. Any address is fine, a wrong one only wastes the fetch.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; the processor ignores addresses that it may not read.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

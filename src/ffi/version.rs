//! Versions, at compile time and at run time.

use std::ffi::c_char;

/// The version of this ABI. Within one version calls, statuses and fields are only added.
pub const TDG_ABI: u32 = 1;

/// The ABI that the linked library has: at least the header's `TDG_ABI`, or it must not be used.
#[unsafe(no_mangle)]
pub extern "C" fn tdg_abi_version() -> u32 {
    TDG_ABI
}

/// The linked library's version, such as "0.1.0", as a C string of static lifetime.
#[unsafe(no_mangle)]
pub extern "C" fn tdg_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

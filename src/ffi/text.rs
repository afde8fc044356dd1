//! Strings and slices as they come from C.

use std::ffi::c_char;

use super::error::Failure;
use super::status::{TDG_E_INPUT, TDG_E_NULL, tdg_status};

/// What is wrong with what a pointer and a length are to be: hot calls pass on the status, cold ones make words of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfit {
    pub(super) status: tdg_status,
    what: &'static str,
    why: &'static str,
}

impl Unfit {
    pub(super) fn new(status: tdg_status, what: &'static str, why: &'static str) -> Unfit {
        Unfit { status, what, why }
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Failure {
        Failure::new(unfit.status, format!("{} {}", unfit.what, unfit.why))
    }
}

/// Text or bytes: a pointer and a length, not terminated. Borrowed for the call, unless its giver says otherwise. NULL
/// with length 0 is the empty string.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tdg_str {
    /// The first byte.
    pub ptr: *const c_char,
    /// How many bytes.
    pub len: usize,
}

impl tdg_str {
    pub(super) fn of(text: &str) -> tdg_str {
        tdg_str { ptr: text.as_ptr().cast(), len: text.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// They are there, or the length is 0, and stay there unchanged for `'a`.
    pub(super) unsafe fn bytes<'a>(self) -> Result<&'a [u8], Unfit> {
        // SAFETY: as of the caller.
        unsafe { slice(self.ptr.cast(), self.len, "text") }
    }

    /// The text.
    ///
    /// # Safety
    /// As of [`bytes`](tdg_str::bytes).
    pub(super) unsafe fn text<'a>(self, what: &'static str) -> Result<&'a str, Unfit> {
        // SAFETY: as of the caller.
        let bytes = unsafe { slice(self.ptr.cast(), self.len, what) }?;
        std::str::from_utf8(bytes).map_err(|_| Unfit::new(TDG_E_INPUT, what, "is not UTF-8"))
    }
}

/// The slice of a pointer and a length. NULL is fine with length 0; a length that no object has is refused.
///
/// # Safety
/// So many items are there, or the length is 0, and stay there unchanged for `'a`.
pub(super) unsafe fn slice<'a, T>(ptr: *const T, len: usize, what: &'static str) -> Result<&'a [T], Unfit> {
    if len == 0 {
        return Ok(&[]);
    }
    if ptr.is_null() {
        return Err(Unfit::new(TDG_E_NULL, what, "is NULL and its length is not 0"));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) || !ptr.is_aligned() {
        return Err(Unfit::new(TDG_E_INPUT, what, "cannot be so long, or is not aligned"));
    }
    // SAFETY: the caller's, for a pointer that is not NULL and aligned, and a length that an object can have.
    Ok(unsafe { std::slice::from_raw_parts(ptr, len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_empty_and_nothing_else() {
        // SAFETY: nothing is read of what is not there.
        unsafe {
            let status = |ptr: *const u64, len| slice(ptr, len, "x").map(<[_]>::len).map_err(|f| f.status);
            assert_eq!(status(std::ptr::null(), 0), Ok(0));
            assert_eq!(status(std::ptr::null(), 1), Err(TDG_E_NULL));
            let word = 7u64;
            assert_eq!(status(&raw const word, usize::MAX), Err(TDG_E_INPUT));
            assert_eq!(status(&raw const word, isize::MAX as usize / 8 + 1), Err(TDG_E_INPUT));
            assert_eq!(status((&raw const word).cast::<u8>().wrapping_add(1).cast(), 1), Err(TDG_E_INPUT));
            assert_eq!(status(&raw const word, 1), Ok(1));
            let bad = tdg_str { ptr: [0xffu8, 0xfe].as_ptr().cast(), len: 2 };
            assert_eq!(bad.text("x").map_err(|f| f.status), Err(TDG_E_INPUT));
        }
    }
}

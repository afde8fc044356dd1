//! A byte buffer whose memory starts on a 4 KiB boundary, as direct I/O asks.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes at a 4 KiB boundary. Grows by whole 4 KiB; never shrinks by itself.
///
/// Invariants: (1) `ptr` is valid for `capacity` bytes, all initialized, and was allocated with `layout(capacity)`, or
/// `capacity` is 0 and `ptr` dangles, aligned; (2) `len <= capacity`; (3) the memory is owned by this value alone.
pub struct AlignedBuf {
    ptr: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: invariant 3: plain bytes with one owner.
unsafe impl Send for AlignedBuf {}
// SAFETY: invariant 3, and `&self` only gives `&[u8]`.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// The boundary.
    pub const ALIGN: usize = 4096;

    /// An empty buffer that holds no memory.
    pub const fn new() -> AlignedBuf {
        // SAFETY: ALIGN is not zero.
        let ptr = unsafe { NonNull::new_unchecked(std::ptr::without_provenance_mut(Self::ALIGN)) };
        AlignedBuf { ptr, len: 0, capacity: 0 }
    }

    /// Sets the length; bytes beyond the old one are zero.
    pub fn resize(&mut self, len: usize) {
        if len > self.capacity {
            self.grow(len);
        }
        if len > self.len {
            let old = self.len;
            // SAFETY: invariant 1, and `len <= capacity` now.
            let all = unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), len) };
            all[old..].fill(0);
        }
        self.len = len;
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let old = self.len;
        let len = old + bytes.len();
        if len > self.capacity {
            self.grow(len);
        }
        self.len = len;
        self[old..].copy_from_slice(bytes);
    }

    /// Makes the length a multiple of the boundary, with zeros.
    pub fn pad(&mut self) {
        self.resize(self.len.next_multiple_of(Self::ALIGN));
    }

    /// Sets the length to 0 and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    #[cold]
    fn grow(&mut self, need: usize) {
        let capacity = need.max(self.capacity * 2).next_multiple_of(Self::ALIGN);
        let layout = layout(capacity);
        // SAFETY: the layout's size is not zero.
        let raw = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: both are valid for `len` bytes by invariant 1 and the new allocation, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr.as_ptr(), ptr.as_ptr(), self.len) };
        let len = self.len;
        *self = AlignedBuf { ptr, len, capacity };
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, AlignedBuf::ALIGN)
        .expect("a capacity below isize::MAX and a power of two")
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.capacity != 0 {
            // SAFETY: invariant 1: allocated with this layout, freed once by invariant 3.
            unsafe { dealloc(self.ptr.as_ptr(), layout(self.capacity)) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: invariants 1 and 2.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: invariants 1 and 2; `&mut self` is the only access by invariant 3.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Default for AlignedBuf {
    fn default() -> AlignedBuf {
        AlignedBuf::new()
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len).field("capacity", &self.capacity).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_growth_and_new_ones_are_zero() {
        let mut buf = AlignedBuf::new();
        buf.extend_from_slice(b"abc");
        buf.resize(10_000);
        assert_eq!(buf.as_ptr() as usize % AlignedBuf::ALIGN, 0);
        assert_eq!(&buf[..3], b"abc");
        assert!(buf[3..].iter().all(|&b| b == 0));
        buf.fill(9);
        buf.clear();
        buf.extend_from_slice(b"x");
        buf.pad();
        assert_eq!(buf.len(), 4096);
        assert!(buf[1..].iter().all(|&b| b == 0));
    }
}

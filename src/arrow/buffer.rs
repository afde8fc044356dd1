//! Memory for one column: plain numbers at a 64-byte boundary, as Arrow asks, shared once it is full.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

/// The boundary, and the unit in which memory is padded.
pub(super) const ALIGN: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([MaybeUninit<u8>; ALIGN]);

/// Numbers of which every pattern of bits is one, and which have no padding.
///
/// # Safety
/// As that says; and they are aligned to [`ALIGN`] at most, and their size divides it.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: the same.
unsafe impl Plain for i32 {}
// SAFETY: the same.
unsafe impl Plain for u32 {}
// SAFETY: the same.
unsafe impl Plain for u64 {}

/// A vector of plain numbers.
///
/// Invariants: (1) the first `len` numbers of the memory of `lines` are initialized; (2) `len` numbers fit the
/// capacity of `lines`; (3) `lines` has the length that covers `len` numbers, so that growing keeps them.
pub(super) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    of: PhantomData<T>,
}

/// Bytes that do not change any more; clones share them. Padded with zeros to whole lines.
#[derive(Clone)]
pub(super) struct Bytes {
    lines: Arc<Vec<Line>>,
    len: usize,
}

impl<T: Plain> Buffer<T> {
    pub(super) fn new() -> Buffer<T> {
        Buffer { lines: Vec::new(), len: 0, of: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.extend_from_slice(&[value]);
    }

    #[inline]
    pub(super) fn extend_from_slice(&mut self, values: &[T]) {
        self.append(values.len(), |place| {
            // SAFETY: `place` has room for so many by `append`, and memory that was just reserved or is behind `len`
            // does not overlap a borrowed slice.
            unsafe { ptr::copy_nonoverlapping(values.as_ptr(), place, values.len()) };
        });
    }

    /// Appends `count` times the same.
    pub(super) fn fill(&mut self, count: usize, value: T) {
        self.append(count, |place| {
            for i in 0..count {
                // SAFETY: `place` has room for `count` by `append`.
                unsafe { place.add(i).write(value) };
            }
        });
    }

    /// Appends a number for each of `values`.
    #[inline]
    pub(super) fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let count = values.len();
        self.append(count, |place| {
            let mut given = 0;
            for value in values.take(count) {
                // SAFETY: fewer than `count` were given, and `place` has room for that many by `append`.
                unsafe { place.add(given).write(value) };
                given += 1;
            }
            assert_eq!(given, count, "an iterator that knows its length gives as many");
        });
    }

    /// Makes room for `count` more and lets `write` write them, all of them.
    #[inline]
    fn append(&mut self, count: usize, write: impl FnOnce(*mut T)) {
        let len = self.len + count;
        let lines = (len * size_of::<T>()).div_ceil(ALIGN);
        self.lines.reserve(lines.saturating_sub(self.lines.len()));
        // SAFETY: invariant 2 for `self.len`, and the capacity covers `len` now.
        write(unsafe { self.lines.as_mut_ptr().cast::<T>().add(self.len) });
        // SAFETY: within the capacity; lines of MaybeUninit need no initialization.
        unsafe { self.lines.set_len(lines) };
        self.len = len;
    }

    /// Ends the growing.
    pub(super) fn freeze(mut self) -> Bytes {
        let bytes = self.len * size_of::<T>();
        let padding = self.lines.len() * ALIGN - bytes;
        // SAFETY: invariant 3: from the end of the numbers to the end of the lines.
        unsafe { self.lines.as_mut_ptr().cast::<u8>().add(bytes).write_bytes(0, padding) };
        Bytes { lines: Arc::new(self.lines), len: bytes }
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: invariants 1 and 2.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl Buffer<u8> {
    /// Changes a byte.
    #[inline]
    pub(super) fn set(&mut self, at: usize, value: u8) {
        assert!(at < self.len);
        // SAFETY: invariants 1 and 2, and the assertion.
        unsafe { self.lines.as_mut_ptr().cast::<u8>().add(at).write(value) };
    }
}

impl Bytes {
    /// Zeros.
    pub(super) fn zeros(len: usize) -> Bytes {
        Bytes { lines: Arc::new(vec![Line([MaybeUninit::new(0); ALIGN]); len.div_ceil(ALIGN)]), len }
    }

    /// Where they start, at a boundary; as long as a clone of this lives.
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.lines.as_ptr().cast()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `freeze` and `zeros` make them with so many initialized bytes.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_buffer_holds_what_a_vector_would(
            parts in prop::collection::vec((0usize..4, 0usize..300, any::<u64>()), 0..12),
        ) {
            let (mut buffer, mut vector) = (Buffer::<u64>::new(), Vec::new());
            for (how, count, value) in parts {
                let values: Vec<u64> = (0..count as u64).map(|i| value.wrapping_mul(i)).collect();
                match how {
                    0 => buffer.extend_from_slice(&values),
                    1 => buffer.extend(values.iter().copied()),
                    2 => values.iter().for_each(|&v| buffer.push(v)),
                    _ => buffer.fill(count, value),
                }
                vector.extend(if how == 3 { vec![value; count] } else { values });
            }
            prop_assert_eq!(&buffer[..], &vector[..]);
            let bytes = buffer.freeze();
            let plain: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
            prop_assert_eq!(&bytes[..], &plain[..]);
            prop_assert_eq!(bytes.as_ptr() as usize % ALIGN, 0);
        }
    }

    #[test]
    fn nothing_is_aligned_too_and_zeros_are() {
        assert_eq!(Buffer::<u32>::new().freeze().as_ptr() as usize % ALIGN, 0);
        assert!(Bytes::zeros(65).iter().all(|&b| b == 0) && Bytes::zeros(65).len() == 65);
    }
}

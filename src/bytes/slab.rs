//! Memory in large pieces, for what is touched in random order.
//!
//! A row of a million series in random order touches a place in each of several tables. With pages of 4 KiB most of
//! these miss the processor's cache of addresses as well, and on a virtual machine each such miss walks two page
//! tables. A full slab is one large page on its own boundary, and the kernel is asked to back it so; where it does
//! not, nothing is lost.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::stock;

/// Bytes of a full slab: a large page of x86-64, and of aarch64 with pages of 4 KiB.
pub const SLAB_BYTES: usize = 2 << 20;

/// A vector that is at most [`SLAB_BYTES`] long, and does not move unless it is told to grow.
///
/// Invariants: (1) `ptr` was allocated with `layout(capacity)`; (2) the first `len <=
/// capacity` elements are initialized; (3) the memory is owned by this value alone.
pub struct Slab<T: Copy> {
    ptr: NonNull<T>,
    len: usize,
    capacity: usize,
}

// SAFETY: invariant 3: it owns its elements, as a vector does.
unsafe impl<T: Copy + Send> Send for Slab<T> {}
// SAFETY: invariant 3, and `&self` only gives `&[T]`.
unsafe impl<T: Copy + Sync> Sync for Slab<T> {}

impl<T: Copy> Slab<T> {
    /// How many elements a full slab has.
    pub const CAPACITY_MAX: usize = SLAB_BYTES / size_of::<T>();

    /// An empty slab with room for `capacity` elements.
    ///
    /// # Panics
    /// If that is none, or over [`CAPACITY_MAX`](Slab::CAPACITY_MAX).
    pub fn with_capacity(capacity: usize) -> Slab<T> {
        assert!((1..=Self::CAPACITY_MAX).contains(&capacity), "a slab of {capacity} elements");
        let layout = Self::layout(capacity);
        let ptr = if layout == FullSlab::LAYOUT {
            stock::take().into_raw()
        } else {
            if layout.size() >= LARGE_BYTES {
                stock::order();
            }
            // SAFETY: the size is not zero: no type of no size has a CAPACITY_MAX.
            let raw = unsafe { alloc(layout) };
            NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Slab { ptr: ptr.cast(), len: 0, capacity }
    }

    /// How many elements fit.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends an element.
    ///
    /// # Panics
    /// If there is no room.
    #[inline]
    pub fn push(&mut self, value: T) {
        assert!(self.len < self.capacity, "a slab is full");
        // SAFETY: invariants 1 and 3: the place is inside the allocation and nobody else's.
        unsafe { self.ptr.as_ptr().add(self.len).write(value) };
        self.len += 1;
    }

    /// Appends elements.
    ///
    /// # Panics
    /// If there is no room for all.
    #[inline]
    pub fn extend(&mut self, values: &[T]) {
        assert!(values.len() <= self.capacity - self.len, "a slab is full");
        // SAFETY: as in `push`; `values` is borrowed, so it does not lie in memory that `&mut self` owns.
        unsafe {
            let end = self.ptr.as_ptr().add(self.len);
            std::ptr::copy_nonoverlapping(values.as_ptr(), end, values.len());
        }
        self.len += values.len();
    }

    /// Moves to twice the memory, up to a full slab.
    #[cold]
    pub fn grow(&mut self) {
        let mut grown = Slab::with_capacity((self.capacity * 2).min(Self::CAPACITY_MAX));
        grown.extend(self);
        *self = grown;
    }

    fn layout(capacity: usize) -> Layout {
        let size = capacity * size_of::<T>();
        let align = if size == SLAB_BYTES { SLAB_BYTES } else { align_of::<T>().max(CACHE_LINE_BYTES) };
        Layout::from_size_align(size, align).expect("at most SLAB_BYTES, and a power of two")
    }
}

/// What the kernel is to put behind a slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pages {
    /// One page for all of it, for which other memory may have to be moved.
    Large,
    /// A page where one is touched.
    Small,
}

/// The memory of a full slab, with nothing in it.
///
/// Invariant: the memory was allocated with `LAYOUT`, and is owned by this value alone.
pub(super) struct FullSlab(NonNull<u8>);

// SAFETY: the invariant: it is an allocation, which any thread may own.
unsafe impl Send for FullSlab {}

impl FullSlab {
    const LAYOUT: Layout = match Layout::from_size_align(SLAB_BYTES, SLAB_BYTES) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    /// One that the kernel is to back by a large page: the first touch waits for that.
    pub(super) fn new() -> FullSlab {
        let slab = FullSlab::allocate();
        slab.advise(Pages::Large);
        slab
    }

    /// One that is backed page by page as it is touched, for who can't wait.
    pub(super) fn in_small_pages() -> FullSlab {
        let slab = FullSlab::allocate();
        slab.advise(Pages::Small);
        slab
    }

    fn allocate() -> FullSlab {
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(FullSlab::LAYOUT) };
        FullSlab(NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(FullSlab::LAYOUT)))
    }

    /// Asks for pages of a kind. What is backed already stays as it is, until the kernel finds the time.
    pub(super) fn advise(&self, pages: Pages) {
        #[cfg(target_os = "linux")]
        // SAFETY: the invariant: the range is an allocation; the advice changes how it is backed and not what it
        // holds. Refusal is no error: the kernel may have no large pages.
        unsafe {
            let advice = if pages == Pages::Large { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
            libc::madvise(self.0.as_ptr().cast(), SLAB_BYTES, advice);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = pages;
    }

    /// Has the kernel put memory behind all of it.
    pub(super) fn touch(&mut self) {
        for at in (0..SLAB_BYTES).step_by(PAGE_BYTES_MIN) {
            // SAFETY: the invariant: inside the allocation, and nobody else's.
            unsafe { self.0.as_ptr().add(at).write_volatile(0) };
        }
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Whether there is memory behind all of it.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn is_backed(&self) -> bool {
        let mut pages = [0; SLAB_BYTES / PAGE_BYTES_MIN];
        // SAFETY: the call reads none of the memory, and no page is smaller than those that `pages` has room for.
        let asked = unsafe { libc::mincore(self.0.as_ptr().cast(), SLAB_BYTES, pages.as_mut_ptr()) };
        // SAFETY: the call has no conditions.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        asked == 0 && pages[..SLAB_BYTES / page_bytes].iter().all(|page| page & 1 == 1)
    }

    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for FullSlab {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        unsafe { dealloc(self.0.as_ptr(), FullSlab::LAYOUT) };
    }
}

impl<T: Copy> Drop for Slab<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        if layout == FullSlab::LAYOUT {
            // By invariants 1 and 3, and since a layout of this kind comes from a `FullSlab`, this is one.
            return stock::give_back(FullSlab(self.ptr.cast()));
        }
        // SAFETY: invariant 1: allocated with this layout, freed once by invariant 3.
        unsafe { dealloc(self.ptr.as_ptr().cast(), layout) };
    }
}

impl<T: Copy> Deref for Slab<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: invariants 1 and 2.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Slab<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: invariants 1 and 2; `&mut self` is the only access by invariant 3.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Copy> std::fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slab").field("len", &self.len).field("capacity", &self.capacity).finish()
    }
}

const CACHE_LINE_BYTES: usize = 64;

/// Where there is a slab of that size full ones will soon be needed.
const LARGE_BYTES: usize = SLAB_BYTES / 8;

/// No system has smaller pages.
const PAGE_BYTES_MIN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_slab_is_on_its_boundary_and_keeps_what_it_held() {
        let mut slab = Slab::with_capacity(3);
        slab.extend(&[1u64, 2]);
        slab.push(3);
        while slab.capacity() < Slab::<u64>::CAPACITY_MAX {
            slab.grow();
        }
        slab.push(4);
        slab[0] = 9;
        assert_eq!(*slab, [9, 2, 3, 4]);
        assert_eq!(slab.as_ptr() as usize % SLAB_BYTES, 0);
    }

    #[test]
    #[should_panic(expected = "a slab is full")]
    fn one_more_than_fits_is_refused() {
        let mut slab = Slab::with_capacity(2);
        (0..3u64).for_each(|n| slab.push(n));
    }

    #[test]
    #[should_panic(expected = "a slab is full")]
    fn more_than_fits_is_refused() {
        Slab::with_capacity(2).extend(&[1u8, 2, 3]);
    }
}

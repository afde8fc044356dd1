//! A vector in pages: grows by a page, counts in u32.

use super::{SLAB_BYTES, Slab};

/// A vector of pages of [`SLAB_BYTES`]. Growing copies at most the half of the first page; once that is full no element
/// moves any more.
#[derive(Debug)]
pub struct PagedVec<T: Copy> {
    pages: Vec<Slab<T>>,
    len: u32,
}

impl<T: Copy> Default for PagedVec<T> {
    fn default() -> PagedVec<T> {
        PagedVec { pages: Vec::new(), len: 0 }
    }
}

impl<T: Copy> PagedVec<T> {
    /// log2 of the elements of a page.
    const BITS: u32 = {
        assert!((SLAB_BYTES / size_of::<T>()).is_power_of_two(), "a shift finds the page");
        (SLAB_BYTES / size_of::<T>()).trailing_zeros()
    };

    /// Appends an element and gives its index.
    ///
    /// # Panics
    /// Past u32::MAX elements; callers are bounded well below (an arena of 4 GiB fills first).
    pub fn push(&mut self, value: T) -> u32 {
        let index = self.len;
        match self.pages.last_mut() {
            Some(page) if page.len() < page.capacity() => {}
            Some(page) if page.capacity() < Slab::<T>::CAPACITY_MAX => page.grow(),
            Some(_) => self.pages.push(Slab::with_capacity(Slab::<T>::CAPACITY_MAX)),
            None => self.pages.push(Slab::with_capacity(FIRST_BYTES.div_ceil(size_of::<T>()))),
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(value);
        }
        self.len = index.checked_add(1).expect("bounded by the arena that the elements point into");
        index
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.pages.iter().map(|p| p.capacity() * size_of::<T>()).sum()
    }
}

impl<T: Copy> std::ops::Index<u32> for PagedVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.pages[(index >> Self::BITS) as usize][(index & ((1 << Self::BITS) - 1)) as usize]
    }
}

impl<T: Copy> std::ops::IndexMut<u32> for PagedVec<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[(index >> Self::BITS) as usize][(index & ((1 << Self::BITS) - 1)) as usize]
    }
}

/// Memory of the first page at the start: a small vector is small.
const FIRST_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_over_pages() {
        let mut paged = PagedVec::default();
        // Two pages and a bit.
        for i in 0..1_200_000u32 {
            assert_eq!(paged.push(i * 3), i);
        }
        assert!((0..1_200_000).all(|i| paged[i] == i * 3));
        paged[1_199_999] = 1;
        assert_eq!((paged[1_199_999], paged.len()), (1, 1_200_000));
    }
}

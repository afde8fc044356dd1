//! A vector in pages: grows by a page, never moves an element, counts in u32.

/// A vector whose elements keep their place.
#[derive(Debug)]
pub struct PagedVec<T> {
    pages: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for PagedVec<T> {
    fn default() -> PagedVec<T> {
        PagedVec { pages: Vec::new(), len: 0 }
    }
}

impl<T> PagedVec<T> {
    /// Appends an element and gives its index.
    ///
    /// # Panics
    /// Past u32::MAX elements; callers are bounded well below (an arena of 4 GiB fills first).
    pub fn push(&mut self, value: T) -> u32 {
        let index = self.len;
        if index as usize & (PAGE - 1) == 0 {
            // The first page grows as a vector does, so that a small one is small; it has 4,096 elements at most.
            let capacity = if self.pages.is_empty() { 0 } else { PAGE };
            self.pages.push(Vec::with_capacity(capacity));
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

    /// The address of an element, for prefetching.
    #[inline]
    pub fn address(&self, index: u32) -> *const T {
        self.pages[index as usize >> PAGE_BITS].as_ptr().wrapping_add(index as usize & (PAGE - 1))
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.pages.iter().map(|p| p.capacity() * size_of::<T>()).sum()
    }
}

impl<T> std::ops::Index<u32> for PagedVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.pages[index as usize >> PAGE_BITS][index as usize & (PAGE - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for PagedVec<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[index as usize >> PAGE_BITS][index as usize & (PAGE - 1)]
    }
}

const PAGE_BITS: usize = 12;
const PAGE: usize = 1 << PAGE_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_over_pages() {
        let mut paged = PagedVec::default();
        for i in 0..10_000u32 {
            assert_eq!(paged.push(i * 3), i);
        }
        assert!((0..10_000).all(|i| paged[i] == i * 3));
        paged[9_999] = 1;
        assert_eq!((paged[9_999], paged.len()), (1, 10_000));
    }
}

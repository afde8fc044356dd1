//! A hash index of numbers that grows without a pause.
//!
//! Extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979): a directory, addressed by the hash's highest bits,
//! points to pages of [`SLOTS`] slots. A full page is split in two, a few microseconds; when a page is as deep as the
//! directory, the directory doubles, a copy of 4 bytes per [`SLOTS_USED_MAX`] entries. No insert ever rehashes more
//! than a page, which is what keeps a row of another series from waiting.
//!
//! A slot is the hash's upper 32 bits and the number plus one; 0 is empty. Everything is derived from those 32 bits:
//! their highest address the directory, their lowest the place in the page, so that a split needs no keys.

use crate::bytes::{PagedVec, prefetch};

/// Numbers by hash. What they stand for is the caller's: it compares.
#[derive(Debug)]
pub(super) struct Index {
    directory: Vec<u32>,
    depth: u32,
    pages: PagedVec<Slots>,
    /// A page's fill and depth, apart from the pages: a look-up does not need them, and finds more pages in the cache.
    fills: Vec<Fill>,
}

type Slots = [u64; SLOTS];

#[derive(Clone, Copy, Debug)]
struct Fill {
    used: u32,
    depth: u32,
}

/// The index cannot grow: too many entries share their hash's upper bits.
#[derive(Debug)]
pub(super) struct IndexFull;

impl Default for Index {
    fn default() -> Index {
        let mut pages = PagedVec::default();
        pages.push([0; SLOTS]);
        Index { directory: vec![0], depth: 0, pages, fills: vec![Fill { used: 0, depth: 0 }] }
    }
}

impl Index {
    /// The number whose hash this is and that `eq` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut eq: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let slots = self.page(tag);
        let mut at = tag as usize;
        loop {
            let slot = slots[at % SLOTS];
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == tag && eq(slot as u32 - 1) {
                return Some(slot as u32 - 1);
            }
            at += 1;
        }
    }

    /// Adds a number; whether it is there already is the caller's business.
    pub(super) fn insert(&mut self, hash: u64, number: u32) -> Result<(), IndexFull> {
        let tag = tag(hash);
        loop {
            let page_at = self.directory[self.directory_at(tag)];
            if self.fills[page_at as usize].used < SLOTS_USED_MAX {
                self.fills[page_at as usize].used += 1;
                place(&mut self.pages[page_at], u64::from(tag) << 32 | u64::from(number + 1));
                return Ok(());
            }
            self.split(page_at, tag)?;
        }
    }

    /// Starts fetching the slots of a hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let tag = tag(hash);
        prefetch(&raw const self.page(tag)[tag as usize % SLOTS]);
    }

    /// The first number with this hash, unverified: for prefetching what it stands for.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.memory_bytes() + self.fills.capacity() * size_of::<Fill>() + self.directory.capacity() * 4
    }

    #[inline]
    fn page(&self, tag: u32) -> &Slots {
        &self.pages[self.directory[self.directory_at(tag)]]
    }

    #[inline]
    fn directory_at(&self, tag: u32) -> usize {
        // A shift by 32 is not defined for u32, hence u64: depth 0 gives 0.
        (u64::from(tag) >> (32 - self.depth)) as usize
    }

    fn split(&mut self, page_at: u32, tag: u32) -> Result<(), IndexFull> {
        let old = self.fills[page_at as usize];
        let depth = old.depth;
        if depth == DEPTH_MAX {
            return Err(IndexFull);
        }
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&p| [p, p]).collect();
            self.depth += 1;
        }
        let mut low = [0; SLOTS];
        let mut high = [0; SLOTS];
        let mut used_high = 0;
        for &slot in self.pages[page_at].iter().filter(|&&s| s != 0) {
            let upper = slot >> (63 - depth) & 1 == 1;
            used_high += u32::from(upper);
            place(if upper { &mut high } else { &mut low }, slot);
        }
        let used_low = old.used - used_high;
        self.pages[page_at] = low;
        self.fills[page_at as usize] = Fill { used: used_low, depth: depth + 1 };
        let high_at = self.pages.push(high);
        self.fills.push(Fill { used: used_high, depth: depth + 1 });
        // The directory's entries of the old page are one aligned run; its upper half now means the new page.
        let run = 1usize << (self.depth - depth);
        let start = self.directory_at(tag) / run * run;
        self.directory[start + run / 2..start + run].fill(high_at);
        Ok(())
    }
}

/// Puts a slot where probing finds it; there is an empty one.
#[inline]
fn place(page: &mut Slots, slot: u64) {
    let mut at = (slot >> 32) as usize;
    while page[at % SLOTS] != 0 {
        at += 1;
    }
    page[at % SLOTS] = slot;
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Slots of a page: 4 KiB of them.
const SLOTS: usize = 512;

/// A page is split when so many are used: probing stays short, and every probe meets an empty slot.
const SLOTS_USED_MAX: u32 = (SLOTS / 8 * 7) as u32;

/// The deepest page. With 2^22 pages of 448 the index is far beyond the u32 arena of the keys.
const DEPTH_MAX: u32 = 22;
const _: () = assert!(DEPTH_MAX + SLOTS.trailing_zeros() < 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(i: u32) -> u64 {
        // Fibonacci hashing: spreads enough for a test, and repeats.
        u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn all_that_was_inserted_is_found_and_nothing_else() {
        let mut index = Index::default();
        for i in 0..300_000 {
            assert_eq!(index.find(hash(i), |n| n == i), None);
            index.insert(hash(i), i).unwrap();
        }
        assert!((0..300_000).all(|i| index.find(hash(i), |n| n == i) == Some(i)));
        assert!((300_000..400_000).all(|i| index.find(hash(i), |n| n == i).is_none()));
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_caller() {
        let mut index = Index::default();
        for i in 0..100 {
            index.insert(7 << 40, i).unwrap();
        }
        assert!((0..100).all(|i| index.find(7 << 40, |n| n == i) == Some(i)));
    }

    #[test]
    fn hashes_that_never_separate_are_refused_not_looped_on() {
        let mut index = Index::default();
        let refused = (0..1000).find(|&i| index.insert(u64::MAX, i).is_err());
        assert_eq!(refused, Some(SLOTS_USED_MAX));
    }
}

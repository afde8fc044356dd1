//! Keys that a decoder has announced: what is fetched of them while others are found.
//!
//! In: keys, in the order in which they will be asked for. Out: the hash of each when it is asked for. A key is known
//! again by its place and length, not by its bytes: who uses the hash compares these.

use super::stream::ContextId;
use super::table::Table;

/// Keys announced and not yet asked for, oldest first.
#[derive(Default, Debug)]
pub(super) struct Announced {
    keys: [Announcement; ANNOUNCED_MAX],
    len: usize,
    taken: usize,
}

#[derive(Clone, Copy, Default, Debug)]
struct Announcement {
    hash: u64,
    address: usize,
    len: usize,
}

impl Announced {
    /// Remembers a key that will be asked for, and fetches the slot of its hash. Those that are too many are forgotten.
    #[inline]
    pub(super) fn add(&mut self, context: ContextId, key: &[u8], table: &Table) {
        if self.taken > 0 {
            self.forget();
        }
        if self.len < ANNOUNCED_MAX {
            let hash = table.hash(context, key);
            table.prefetch_slot(hash);
            self.keys[self.len] = Announcement { hash, address: key.as_ptr() as usize, len: key.len() };
            self.len += 1;
        }
    }

    pub(super) fn forget(&mut self) {
        self.len = 0;
        self.taken = 0;
    }

    /// The hash of `key` if it is the next one announced. At the first one taken the keys of all are
    /// fetched: by then their slots have arrived.
    #[inline]
    pub(super) fn take(&mut self, key: &[u8], table: &Table) -> Option<u64> {
        if self.taken == self.len {
            return None;
        }
        if self.taken == 0 {
            self.fetch(table);
        }
        let next = self.keys[self.taken];
        if next.address != key.as_ptr() as usize || next.len != key.len() {
            self.forget();
            return None;
        }
        self.taken += 1;
        Some(next.hash)
    }

    fn fetch(&self, table: &Table) {
        self.keys[..self.len].iter().for_each(|announced| table.prefetch_candidate(announced.hash));
    }
}

/// Keys that an announcement remembers; enough to hide memory behind each other's latency.
const ANNOUNCED_MAX: usize = 32;

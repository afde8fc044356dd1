//! Keys that a decoder has announced: what is fetched of them while others are found.
//!
//! In: keys, in the order in which they will be asked for. Out: when a key is asked for, its hash, and the known key
//! that it probably is. A key is known again by its place and length, not by its bytes: who uses the answer compares
//! these.
//!
//! A key passes two fetches on its way: of the slots of its hash, and, when these have come, of the key that they
//! name. Both are done for [`GROUP`] keys at a time, by a loop with nothing else in it. A prefetch is not done with
//! before the address of its page is known, and holds up what comes after it as long; of a loop as short the processor
//! sees many turns at once, and looks for their pages side by side.

use super::stream::{ContextId, NO_KEY};
use super::table::Table;

/// Keys announced and not yet asked for. The counters only grow, each is at most the next one, and a key lies at its
/// count in the ring.
#[derive(Default, Debug)]
pub(super) struct Announced {
    ring: [Announcement; ANNOUNCED_MAX],
    /// The next one to be asked for.
    front: usize,
    /// Before this one the keys are fetched.
    fetched: usize,
    /// Before this one the slots are fetched.
    slotted: usize,
    /// Behind the one announced last.
    back: usize,
}

/// What is known of a key before it is asked for.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Announcement {
    pub(super) hash: u64,
    /// The key that has this hash, not compared yet; or [`NO_KEY`].
    pub(super) candidate: u32,
    len: u32,
    address: usize,
}

impl Announced {
    /// Remembers a key that will be asked for. Those that are too many are forgotten.
    #[inline]
    pub(super) fn add(&mut self, context: ContextId, key: &[u8], table: &Table) {
        if self.back - self.front == ANNOUNCED_MAX {
            return;
        }
        let (address, len) = (key.as_ptr() as usize, key.len() as u32);
        let hash = table.hash(context, key);
        self.ring[self.back % ANNOUNCED_MAX] = Announcement { hash, candidate: NO_KEY, len, address };
        self.back += 1;
        if self.back - self.slotted == GROUP {
            self.fetch_slots(table);
        }
    }

    pub(super) fn forget(&mut self) {
        (self.front, self.fetched, self.slotted) = (self.back, self.back, self.back);
    }

    /// What is known of `key` if it is the next one announced; if it is not, all are forgotten.
    #[inline]
    pub(super) fn take(&mut self, key: &[u8], table: &Table) -> Option<Announcement> {
        if self.front == self.back {
            return None;
        }
        let next = self.ring[self.front % ANNOUNCED_MAX];
        if next.address != key.as_ptr() as usize || next.len as usize != key.len() {
            self.forget();
            return None;
        }
        if self.fetched - self.front < GROUP && self.fetched < self.back {
            self.fetch_keys(table);
        }
        let next = self.ring[self.front % ANNOUNCED_MAX];
        self.front += 1;
        Some(next)
    }

    #[inline(never)]
    fn fetch_slots(&mut self, table: &Table) {
        for at in self.slotted..self.back {
            table.prefetch_slot(self.ring[at % ANNOUNCED_MAX].hash);
        }
        self.slotted = self.back;
    }

    #[inline(never)]
    fn fetch_keys(&mut self, table: &Table) {
        self.fetch_slots(table);
        let until = self.back.min(self.front + 2 * GROUP);
        for at in self.fetched..until {
            let key = &mut self.ring[at % ANNOUNCED_MAX];
            if let Some(candidate) = table.candidate(key.hash) {
                key.candidate = candidate;
                table.prefetch_key_of(candidate, key.len as usize);
            }
        }
        self.fetched = until;
    }
}

/// Keys that an announcement remembers; enough to hide memory behind each other's latency.
const ANNOUNCED_MAX: usize = 32;

/// Keys whose slots, and then themselves, are fetched together. There are as many at least between the fetch of a key
/// and its use, if as many are announced.
const GROUP: usize = 8;

//! What was said of metrics in this generation, so that it is not written twice.
//!
//! Scrapes and writers say it again and again. Compared by bytes; when much has been said all of it is forgotten, and
//! written once more.

use hashbrown::HashTable;

use crate::bytes::Arena;
use crate::model::Metadata;

use super::hash::KeyHasher;
use super::parcel::{read_sized, write_sized};

/// The last that was said of each metric, by name.
#[derive(Debug)]
pub(super) struct Said {
    hasher: KeyHasher,
    entries: Arena,
    index: HashTable<u32>,
    entry: Vec<u8>,
}

/// Bytes of metadata that are remembered: of some fifty thousand metrics.
const BYTES_MAX: u64 = 8 << 20;

impl Said {
    pub(super) fn new(hasher: KeyHasher) -> Said {
        Said { hasher, entries: Arena::default(), index: HashTable::new(), entry: Vec::new() }
    }

    /// Whether this is what was said of the metric last.
    pub(super) fn knows(&mut self, metadata: &Metadata<'_>) -> bool {
        self.encode(metadata);
        let (entries, name) = (&self.entries, metadata.name);
        let known = self.index.find(self.hasher.hash(name), |&at| name_of(entries.bytes(at)) == name);
        known.is_some_and(|&at| entries.bytes(at) == self.entry)
    }

    /// Remembers what is said of the metric now.
    pub(super) fn learn(&mut self, metadata: &Metadata<'_>) {
        if self.entries.content_bytes() > BYTES_MAX {
            self.forget();
        }
        self.encode(metadata);
        // What is too long to be remembered is not taken.
        let Some(new) = self.entries.push(&self.entry) else { return };
        let (entries, hasher, name) = (&self.entries, &self.hasher, metadata.name);
        let hash = hasher.hash(name);
        match self.index.find_mut(hash, |&at| name_of(entries.bytes(at)) == name) {
            Some(at) => *at = new,
            None => {
                self.index.insert_unique(hash, new, |&at| hasher.hash(name_of(entries.bytes(at))));
            }
        }
    }

    /// Forgets everything: another generation begins.
    pub(super) fn forget(&mut self) {
        *self = Said::new(self.hasher.clone());
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes() + self.index.capacity() * 5
    }

    fn encode(&mut self, metadata: &Metadata<'_>) {
        self.entry.clear();
        write_sized(&mut self.entry, metadata.name);
        self.entry.push(metadata.kind as u8);
        write_sized(&mut self.entry, metadata.unit);
        write_sized(&mut self.entry, metadata.help);
    }
}

fn name_of(mut entry: &[u8]) -> &[u8] {
    read_sized(&mut entry).unwrap_or_default()
}

//! The series table of one generation: raw keys, canonical series, symbols, and the indexes that find them.
//!
//! A table belongs to a segment: its dictionary's numbers are the segment's. When the segment is rotated the table
//! freezes, a new one starts empty, and series that still send are promoted from the frozen one when they first miss.
//!
//! Memory per series, the figure that the layout serves: the raw key with a head of 18 bytes before it (see [`Keys`]),
//! the canonical key of about 2 bytes a label, for each of key, series and new symbols an index slot, and for the
//! latter two the 4-byte number that says where they lie.

use crate::model::{
    Dictionary, LabelsBuf, METRIC_NAME, Refusal, SeriesId, ShapeId, SymbolId, decode_series, encode_series,
};

use super::hash::KeyHasher;
use super::index::Index;
use super::keys::{DROPPED, KEY_BYTES_MAX, Key, Keys};
use super::stream::{ContextId, NO_KEY};

/// The series of one generation.
#[derive(Debug)]
pub struct Table {
    generation: u32,
    hasher: KeyHasher,
    keys: Keys,
    key_index: Index,
    series_index: Index,
    symbol_index: Index,
    dictionary: Dictionary,
    scratch: Vec<u8>,
    /// The labels of the series defined last: the next one's names, and some of its values, are probably the same.
    latest: Vec<(SymbolId, SymbolId)>,
}

/// The symbol of [`METRIC_NAME`], first in every dictionary.
const METRIC_NAME_SYMBOL: SymbolId = SymbolId(0);

impl Table {
    /// An empty table. Generations of one worker must differ.
    pub fn new(generation: u32, hasher: KeyHasher) -> Table {
        let mut table = Table {
            generation,
            hasher,
            keys: Keys::default(),
            key_index: Index::default(),
            series_index: Index::default(),
            symbol_index: Index::default(),
            dictionary: Dictionary::default(),
            scratch: Vec::new(),
            latest: Vec::new(),
        };
        let first = table.intern(METRIC_NAME);
        debug_assert_eq!(first, Some(METRIC_NAME_SYMBOL));
        table
    }

    /// Its generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Its symbols and series.
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// How many series it has.
    pub fn series_count(&self) -> u64 {
        u64::from(self.dictionary.mark().series)
    }

    /// Whether any key is known, be it of a series that is dropped.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes()
            + self.key_index.memory_bytes()
            + self.series_index.memory_bytes()
            + self.symbol_index.memory_bytes()
            + self.dictionary.memory_bytes()
    }

    /// Bytes in the fullest of the arenas, each of which can hold 4 GiB.
    pub fn fullest_bytes(&self) -> u64 {
        self.keys.memory_bytes().max(self.dictionary.fullest_bytes()) as u64
    }

    /// The metric's name of a series; empty if it has none, or is dropped.
    pub fn metric_name(&self, series: SeriesId) -> &[u8] {
        if series == DROPPED {
            return &[];
        }
        let mut labels = self.dictionary.series_labels(series);
        labels
            .find(|(name, _)| *name == METRIC_NAME_SYMBOL)
            .map_or(&[], |(_, value)| self.dictionary.symbol(value))
    }

    #[inline]
    pub(super) fn hash(&self, context: ContextId, key: &[u8]) -> u64 {
        self.hasher.hash_in(context, key)
    }

    #[inline]
    pub(super) fn find(&self, context: ContextId, key: &[u8], hash: u64) -> Option<u32> {
        self.key_index.find(hash, |at| {
            let stored = self.keys.key(at);
            stored.bytes == key && stored.context == context
        })
    }

    /// What is known of a key.
    #[inline(always)]
    pub(super) fn key(&self, key: u32) -> Key<'_> {
        self.keys.key(key)
    }

    /// Notes that `next` followed `key`.
    #[inline]
    pub(super) fn set_next(&mut self, key: u32, next: u32) {
        self.keys.set_next(key, next);
    }

    /// Notes the shape of the key's last row.
    #[inline]
    pub(super) fn set_shape(&mut self, key: u32, shape: ShapeId) {
        self.keys.set_shape(key, shape);
    }

    /// Fetches what comparing with the key that followed this one will read: a row takes less time than a fetch, so
    /// that one row ahead is too late.
    #[inline]
    pub(super) fn prefetch_key_after(&self, key: u32) {
        let next = self.keys.next(key);
        self.keys.prefetch(if next == NO_KEY { key } else { next });
    }

    #[inline]
    pub(super) fn prefetch_slot(&self, hash: u64) {
        self.key_index.prefetch(hash);
    }

    /// Fetches the key that a hash probably means.
    #[inline]
    pub(super) fn prefetch_candidate(&self, hash: u64) {
        if let Some(key) = self.key_index.candidate(hash) {
            self.keys.prefetch(key);
        }
    }

    /// Adds a key that is not there yet and spells these labels.
    pub(super) fn define(
        &mut self,
        context: ContextId,
        key: &[u8],
        hash: u64,
        labels: &mut LabelsBuf,
    ) -> Result<u32, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        let mut canonical = std::mem::take(&mut self.scratch);
        canonical.clear();
        let interned = labels.iter().enumerate().try_for_each(|(i, (name, value))| {
            let (name, value) = self.intern_label(i, name, value)?;
            encode_series(&mut canonical, name, value);
            Some(())
        });
        let added = match interned {
            Some(()) => self.add_key(context, key, hash, &canonical),
            None => Err(FULL),
        };
        self.scratch = canonical;
        added
    }

    /// Adds a key that is not there yet and whose rows are dropped.
    pub(super) fn define_dropped(
        &mut self,
        context: ContextId,
        key: &[u8],
        hash: u64,
    ) -> Result<u32, Refusal> {
        if key.len() > KEY_BYTES_MAX {
            return Err(KEY_TOO_LONG);
        }
        let at = self.keys.push(context, key).ok_or(FULL)?;
        self.keys.set_series(at, DROPPED);
        self.key_index.insert(hash, at).map_err(|_| FULL)?;
        Ok(at)
    }

    /// Adds a key of the frozen table `old`, with its series, symbol by symbol.
    pub(super) fn promote(&mut self, old: &Table, old_key: u32, hash: u64) -> Result<u32, Refusal> {
        let old_key = old.keys.key(old_key);
        if old_key.series == DROPPED {
            let key = self.define_dropped(old_key.context, old_key.bytes, hash)?;
            self.keys.set_shape(key, old_key.shape);
            return Ok(key);
        }
        let mut canonical = std::mem::take(&mut self.scratch);
        canonical.clear();
        let mut labels = decode_series(old.dictionary.series_key(old_key.series));
        let interned = labels.try_for_each(|(name, value)| {
            let name = self.intern(old.dictionary.symbol(name))?;
            encode_series(&mut canonical, name, self.intern(old.dictionary.symbol(value))?);
            Some(())
        });
        let added = match interned {
            Some(()) => self.add_key(old_key.context, old_key.bytes, hash, &canonical),
            None => Err(FULL),
        };
        self.scratch = canonical;
        let key = added?;
        self.keys.set_shape(key, old_key.shape);
        Ok(key)
    }

    /// The numbers of label `i` of a series. Looks first whether the series defined last had the same.
    fn intern_label(&mut self, i: usize, name: &[u8], value: &[u8]) -> Option<(SymbolId, SymbolId)> {
        let latest = self.latest.get(i).copied();
        let same = |symbol: &SymbolId, text: &[u8]| self.dictionary.symbol(*symbol) == text;
        let known_name = latest.map(|(n, _)| n).filter(|n| same(n, name));
        let known_value = latest.map(|(_, v)| v).filter(|v| same(v, value));
        let label = (known_name.or_else(|| self.intern(name))?, known_value.or_else(|| self.intern(value))?);
        match self.latest.get_mut(i) {
            Some(latest) => *latest = label,
            None => self.latest.push(label),
        }
        Some(label)
    }

    /// Whether labels in canonical form are a series that is known. `scratch` is written over.
    pub(super) fn has_series(&self, labels: &LabelsBuf, scratch: &mut Vec<u8>) -> bool {
        scratch.clear();
        let symbol = |text| self.find_symbol(text, self.hasher.hash(text));
        let known = labels.iter().try_for_each(|(name, value)| {
            encode_series(scratch, symbol(name)?, symbol(value)?);
            Some(())
        });
        known.is_some() && self.find_series(scratch, self.hasher.hash(scratch)).is_some()
    }

    fn find_symbol(&self, text: &[u8], hash: u64) -> Option<SymbolId> {
        self.symbol_index.find(hash, |n| self.dictionary.symbol(SymbolId(n)) == text).map(SymbolId)
    }

    fn find_series(&self, canonical: &[u8], hash: u64) -> Option<SeriesId> {
        self.series_index.find(hash, |n| self.dictionary.series_key(SeriesId(n)) == canonical).map(SeriesId)
    }

    /// The number of a symbol, new or known. `None` when the dictionary is full.
    pub(super) fn intern(&mut self, text: &[u8]) -> Option<SymbolId> {
        let hash = self.hasher.hash(text);
        if let Some(known) = self.find_symbol(text, hash) {
            return Some(known);
        }
        let symbol = self.dictionary.add_symbol(text)?;
        self.symbol_index.insert(hash, symbol.0).ok()?;
        Some(symbol)
    }

    fn add_key(
        &mut self,
        context: ContextId,
        key: &[u8],
        hash: u64,
        canonical: &[u8],
    ) -> Result<u32, Refusal> {
        if key.len() > KEY_BYTES_MAX {
            return Err(KEY_TOO_LONG);
        }
        let canonical_hash = self.hasher.hash(canonical);
        // The key is copied while the series' slot is fetched.
        self.series_index.prefetch(canonical_hash);
        let at = self.keys.push(context, key).ok_or(FULL)?;
        let series = match self.find_series(canonical, canonical_hash) {
            Some(known) => known,
            None => {
                let series = self.dictionary.add_series(canonical).ok_or(FULL)?;
                self.series_index.insert(canonical_hash, series.0).map_err(|_| FULL)?;
                series
            }
        };
        self.keys.set_series(at, series);
        self.key_index.insert(hash, at).map_err(|_| FULL)?;
        Ok(at)
    }
}

pub(super) const KEY_TOO_LONG: Refusal =
    Refusal::TooLarge { what: "the series key's length", max: KEY_BYTES_MAX as u64 };

/// The generation's numbers are used up: four billion bytes of keys or of symbols.
const FULL: Refusal = Refusal::TooLarge { what: "the series table", max: u32::MAX as u64 };

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelsBuf {
        let mut labels = LabelsBuf::default();
        pairs.iter().for_each(|(n, v)| labels.push(n.as_bytes(), v.as_bytes()));
        labels
    }

    fn add(table: &mut Table, context: u32, key: &str, pairs: &[(&str, &str)]) -> u32 {
        let context = ContextId(context);
        let hash = table.hash(context, key.as_bytes());
        assert_eq!(table.find(context, key.as_bytes(), hash), None);
        table.define(context, key.as_bytes(), hash, &mut labels(pairs)).unwrap()
    }

    #[test]
    fn spellings_of_the_same_labels_are_one_series() {
        let mut table = Table::new(1, KeyHasher::new(7));
        let a = add(&mut table, 0, "cpu,a=1,b=2", &[("__name__", "cpu"), ("a", "1"), ("b", "2")]);
        let b = add(&mut table, 0, "cpu,b=2,a=1", &[("__name__", "cpu"), ("b", "2"), ("a", "1")]);
        let c = add(&mut table, 0, "cpu,b=2,a=2", &[("__name__", "cpu"), ("b", "2"), ("a", "2")]);
        assert_eq!(table.key(a).series, table.key(b).series);
        assert_ne!(table.key(a).series, table.key(c).series);
        assert_eq!(table.series_count(), 2);
        assert_eq!(table.metric_name(table.key(c).series), b"cpu");
    }

    #[test]
    fn the_same_bytes_in_another_context_are_another_key() {
        let mut table = Table::new(1, KeyHasher::new(7));
        add(&mut table, 0, "cpu", &[("__name__", "cpu")]);
        add(&mut table, 1, "cpu", &[("__name__", "cpu"), ("job", "x")]);
        assert_eq!(table.series_count(), 2);
    }

    #[test]
    fn promotion_keeps_key_labels_and_identity() {
        let mut old = Table::new(1, KeyHasher::new(7));
        add(&mut old, 3, "unused", &[("__name__", "unused")]);
        let key = add(&mut old, 3, "cpu,b=2,a=1", &[("__name__", "cpu"), ("b", "2"), ("a", "1")]);
        let mut new = Table::new(2, KeyHasher::new(7));
        let hash = new.hash(ContextId(3), b"cpu,b=2,a=1");
        let promoted = new.promote(&old, key, hash).unwrap();
        assert_eq!(new.find(ContextId(3), b"cpu,b=2,a=1", hash), Some(promoted));
        let text: Vec<_> = new
            .dictionary()
            .series_labels(new.key(promoted).series)
            .map(|(n, v)| (new.dictionary().symbol(n), new.dictionary().symbol(v)))
            .collect();
        assert_eq!(text, [(&b"__name__"[..], &b"cpu"[..]), (b"a", b"1"), (b"b", b"2")]);
        assert_eq!(new.series_count(), 1);
    }
}

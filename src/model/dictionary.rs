//! The dictionary of a segment: the symbols and series that its rows name by number.
//!
//! Append-only. Numbers are given in order of arrival, so that "what a block must define" is always a range, and a
//! [`DictionaryMark`] says where it starts. Finding a number by content is the business of `ingest`.

use crate::bytes::{Arena, PagedVec, read_varint, write_varint};

/// A string of the dictionary: label name, label value, field name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SymbolId(pub u32);

/// A series of the dictionary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesId(pub u32);

/// How much of a dictionary there was at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DictionaryMark {
    /// Symbols below this number.
    pub symbols: u32,
    /// Series below this number.
    pub series: u32,
}

/// Symbols and series by number.
#[derive(Default, Debug)]
pub struct Dictionary {
    symbol_bytes: Arena,
    symbols: PagedVec<u32>,
    series_bytes: Arena,
    series: PagedVec<u32>,
}

impl Dictionary {
    /// Adds a symbol; whether it is new is the caller's business.
    ///
    /// Returns `None` when the dictionary holds all that its numbers can count.
    pub fn add_symbol(&mut self, text: &[u8]) -> Option<SymbolId> {
        let at = self.symbol_bytes.push(text)?;
        Some(SymbolId(self.symbols.push(at)))
    }

    /// Adds a series by its canonical key: see [`encode_series`].
    pub fn add_series(&mut self, key: &[u8]) -> Option<SeriesId> {
        let at = self.series_bytes.push(key)?;
        Some(SeriesId(self.series.push(at)))
    }

    /// The text of a symbol.
    #[inline]
    pub fn symbol(&self, id: SymbolId) -> &[u8] {
        self.symbol_bytes.bytes(self.symbols[id.0])
    }

    /// The canonical key of a series: (name, value) symbol numbers as varints, in the order of the names' text.
    #[inline]
    pub fn series_key(&self, id: SeriesId) -> &[u8] {
        self.series_bytes.bytes(self.series[id.0])
    }

    /// The labels of a series as pairs of symbols.
    pub fn series_labels(&self, id: SeriesId) -> impl Iterator<Item = (SymbolId, SymbolId)> + '_ {
        decode_series(self.series_key(id))
    }

    /// How much there is now.
    pub fn mark(&self) -> DictionaryMark {
        DictionaryMark { symbols: self.symbols.len(), series: self.series.len() }
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.symbol_bytes.memory_bytes()
            + self.symbols.memory_bytes()
            + self.series_bytes.memory_bytes()
            + self.series.memory_bytes()
    }

    /// Bytes in the fuller one of the two arenas.
    pub fn fullest_bytes(&self) -> usize {
        self.symbol_bytes.memory_bytes().max(self.series_bytes.memory_bytes())
    }

    /// Bytes of text and keys: about what a full checkpoint of it weighs before compression.
    pub fn content_bytes(&self) -> u64 {
        self.symbol_bytes.content_bytes() + self.series_bytes.content_bytes()
    }
}

/// Appends a label of a canonical series key to `out`.
pub fn encode_series(out: &mut Vec<u8>, name: SymbolId, value: SymbolId) {
    write_varint(out, u64::from(name.0));
    write_varint(out, u64::from(value.0));
}

/// The labels of a canonical series key that this process encoded.
pub fn decode_series(mut key: &[u8]) -> impl Iterator<Item = (SymbolId, SymbolId)> + '_ {
    std::iter::from_fn(move || {
        let name = read_varint(&mut key)?;
        let value = read_varint(&mut key)?;
        Some((SymbolId(name as u32), SymbolId(value as u32)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_give_back_their_labels() {
        let mut dictionary = Dictionary::default();
        let name = dictionary.add_symbol(b"host").unwrap();
        let value = dictionary.add_symbol(b"").unwrap();
        let mut key = Vec::new();
        encode_series(&mut key, name, value);
        encode_series(&mut key, value, name);
        let id = dictionary.add_series(&key).unwrap();
        assert_eq!(dictionary.series_labels(id).collect::<Vec<_>>(), [(name, value), (value, name)]);
        assert_eq!(dictionary.symbol(name), b"host");
        assert_eq!(dictionary.symbol(value), b"");
        assert_eq!(dictionary.mark(), DictionaryMark { symbols: 2, series: 1 });
    }
}

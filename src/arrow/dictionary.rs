//! The dictionaries of a batch: metrics' names, field names, and the labels of series, each text once.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::{HashMap, HashTable};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::array::{Array, Texts, TooLong};
use super::buffer::Buffer;
use crate::bytes::write_varint;
use crate::model::{METRIC_NAME, SeriesId, SymbolId};
use crate::reader::{BlockTable, Labels};

/// No entry: a null.
pub(super) const NONE: i32 = -1;

/// Byte strings by number, in the order in which they came.
struct Interned {
    secrets: RapidSecrets,
    bytes: Vec<u8>,
    entries: HashTable<Entry>,
}

struct Entry {
    hash: u64,
    start: usize,
    end: usize,
    index: i32,
}

impl Interned {
    fn new() -> Interned {
        let secrets = RapidSecrets::seed(RandomState::new().build_hasher().finish());
        Interned { secrets, bytes: Vec::new(), entries: HashTable::new() }
    }

    /// The number of a byte string, and whether it is new.
    fn index(&mut self, key: &[u8]) -> (i32, bool) {
        let hash = rapidhash_v3_seeded(key, &self.secrets);
        let bytes = &self.bytes;
        if let Some(entry) = self.entries.find(hash, |e| e.hash == hash && bytes[e.start..e.end] == *key) {
            return (entry.index, false);
        }
        // Blocks have far fewer series than this can count.
        let index = self.entries.len() as i32;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let entry = Entry { hash, start, end: self.bytes.len(), index };
        self.entries.insert_unique(hash, entry, |e| e.hash);
        (index, true)
    }
}

/// Appends text; where it is no UTF-8 each stray byte becomes `\x` and its two hexadecimal digits.
fn push_text(texts: &mut Texts, text: &[u8]) -> Result<(), TooLong> {
    if std::str::from_utf8(text).is_ok() {
        return texts.push(text);
    }
    let mut escaped = String::new();
    for chunk in text.utf8_chunks() {
        escaped.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| escaped.push_str(&format!("\\x{byte:02x}")));
    }
    texts.push(escaped.as_bytes())
}

/// Texts, each once.
pub(super) struct Names {
    known: Interned,
    texts: Texts,
}

impl Names {
    pub(super) fn new() -> Names {
        Names { known: Interned::new(), texts: Texts::new() }
    }

    pub(super) fn index(&mut self, text: &[u8]) -> Result<i32, TooLong> {
        let (index, new) = self.known.index(text);
        if new {
            push_text(&mut self.texts, text)?;
        }
        Ok(index)
    }

    pub(super) fn finish(self) -> Array {
        self.texts.finish_full()
    }
}

/// Field names by their symbols.
pub(super) struct Fields {
    by_symbol: HashMap<u32, i32, RandomState>,
    names: Names,
}

impl Fields {
    pub(super) fn new() -> Fields {
        Fields { by_symbol: HashMap::with_hasher(RandomState::new()), names: Names::new() }
    }

    pub(super) fn index(&mut self, symbol: SymbolId, text: &[u8]) -> Result<i32, TooLong> {
        if let Some(&index) = self.by_symbol.get(&symbol.0) {
            return Ok(index);
        }
        let index = self.names.index(text)?;
        self.by_symbol.insert(symbol.0, index);
        Ok(index)
    }

    pub(super) fn finish(self) -> Array {
        self.names.finish()
    }
}

/// What a series is in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Of the metric's name; [`NONE`] if it has none.
    pub(super) name: i32,
    /// Of the other labels.
    pub(super) labels: i32,
}

/// Series by their numbers: their metrics' names, and their other labels as maps.
pub(super) struct Series {
    by_number: HashMap<u32, Place, RandomState>,
    names: Names,
    known: Interned,
    /// Where the labels of each map start, and where the last end.
    offsets: Buffer<i32>,
    keys: Texts,
    values: Texts,
    key: Vec<u8>,
}

impl Series {
    pub(super) fn new() -> Series {
        let mut offsets = Buffer::new();
        offsets.push(0);
        Series {
            by_number: HashMap::with_hasher(RandomState::new()),
            names: Names::new(),
            known: Interned::new(),
            offsets,
            keys: Texts::new(),
            values: Texts::new(),
            key: Vec::new(),
        }
    }

    /// The place of a series that `table` has, and that is defined.
    #[inline]
    pub(super) fn place(&mut self, series: SeriesId, table: &BlockTable<'_>) -> Result<Place, TooLong> {
        match self.by_number.get(&series.0) {
            Some(&place) => Ok(place),
            None => self.meet(series, table.labels(series)),
        }
    }

    fn meet(&mut self, series: SeriesId, labels: Option<Labels<'_>>) -> Result<Place, TooLong> {
        let labels = || labels.into_iter().flat_map(Labels::iter);
        let mut name = NONE;
        self.key.clear();
        for (label, value) in labels() {
            if label == METRIC_NAME {
                name = self.names.index(value)?;
            } else {
                for text in [label, value] {
                    write_varint(&mut self.key, text.len() as u64);
                    self.key.extend_from_slice(text);
                }
            }
        }
        let (index, new) = self.known.index(&self.key);
        if new {
            for (label, value) in labels().filter(|(label, _)| *label != METRIC_NAME) {
                push_text(&mut self.keys, label)?;
                push_text(&mut self.values, value)?;
            }
            self.offsets.push(i32::try_from(self.keys.len()).map_err(|_| TooLong)?);
        }
        let place = Place { name, labels: index };
        self.by_number.insert(series.0, place);
        Ok(place)
    }

    /// The names, and the maps.
    pub(super) fn finish(self) -> (Array, Array) {
        let (maps, entries) = (self.offsets.len() - 1, self.keys.len());
        let entries = Array::rows(entries, vec![self.keys.finish_full(), self.values.finish_full()]);
        let labels = Array { children: vec![entries], ..Array::full(maps, vec![self.offsets.freeze()]) };
        (self.names.finish(), labels)
    }
}

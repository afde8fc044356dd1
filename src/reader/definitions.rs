//! What the numbers in a segment's rows mean: its symbols and series, as far as they can still be read.
//!
//! Unlike a writer's dictionary it may have holes: damage to a block takes the definitions that only it had.

use super::pages::Pages;
use crate::block::{DecodeError, DictionaryPart, DictionaryParts};
use crate::bytes::Arena;
use crate::model::{SeriesId, SymbolId, decode_series, encode_series};

/// Definitions of one segment. Memory: their text and keys, 4 GiB of each at most, and four bytes for each.
#[derive(Default, Debug)]
pub(super) struct Definitions {
    symbols: Texts,
    series: Texts,
    /// Definitions that contradict an earlier one; the earlier one stays.
    pub(super) conflicts: u64,
}

#[derive(Default, Debug)]
struct Texts {
    arena: Arena,
    /// Where each lies in the arena, plus one; 0 for those not defined.
    places: Pages<u32>,
}

/// The labels of a series, sorted by name.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'r> {
    key: &'r [u8],
    definitions: &'r Definitions,
}

impl Definitions {
    /// Takes over what a dictionary section or a footer defines.
    pub(super) fn learn(&mut self, parts: &DictionaryParts<'_>) -> Result<(), DecodeError> {
        let mut key = Vec::new();
        parts.for_each(|part| {
            match part {
                DictionaryPart::Symbols(part) => {
                    for (id, text) in part.iter() {
                        self.conflicts += u64::from(!self.symbols.define(id.0, text)?);
                    }
                }
                DictionaryPart::Series(part) => {
                    for (id, labels) in part.iter() {
                        key.clear();
                        labels.iter().for_each(|&(name, value)| encode_series(&mut key, name, value));
                        self.conflicts += u64::from(!self.series.define(id.0, &key)?);
                    }
                }
            }
            Ok(())
        })
    }

    #[inline]
    pub(super) fn symbol(&self, id: SymbolId) -> Option<&[u8]> {
        self.symbols.text(id.0)
    }

    /// The labels of a series; `None` if it or one of its symbols is not defined.
    pub(super) fn labels(&self, id: SeriesId) -> Option<Labels<'_>> {
        let labels = self.labels_known(id)?;
        let defined = |id| self.symbol(id).is_some();
        decode_series(labels.key).all(|(name, value)| defined(name) && defined(value)).then_some(labels)
    }

    /// As [`labels`](Definitions::labels), for a series that was found to be whole before.
    #[inline]
    pub(super) fn labels_known(&self, id: SeriesId) -> Option<Labels<'_>> {
        Some(Labels { key: self.series.text(id.0)?, definitions: self })
    }

    /// All series that are defined, whole or not.
    pub(super) fn series(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.series.places.iter().filter(|&(_, place)| place != 0).map(|(number, _)| SeriesId(number))
    }
}

impl Texts {
    /// Whether `text` is now what the number means.
    fn define(&mut self, number: u32, text: &[u8]) -> Result<bool, DecodeError> {
        if let Some(known) = self.text(number) {
            return Ok(known == text);
        }
        let place = self.arena.push(text).ok_or(DecodeError::TooLarge("the definitions of a segment"))?;
        // Places end below the end of the arena's last chunk.
        self.places.set(number, place + 1);
        Ok(true)
    }

    #[inline]
    fn text(&self, number: u32) -> Option<&[u8]> {
        Some(self.arena.bytes(self.places.at(number).checked_sub(1)?))
    }
}

impl<'r> Labels<'r> {
    /// The labels as (name, value), sorted by name.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        decode_series(self.key).filter_map(move |(name, value)| {
            Some((self.definitions.symbol(name)?, self.definitions.symbol(value)?))
        })
    }

    /// The value of a label, if the series has it.
    pub fn value(self, name: &[u8]) -> Option<&'r [u8]> {
        self.iter().find(|&(n, _)| n == name).map(|(_, value)| value)
    }
}

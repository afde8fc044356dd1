//! Decoding a dictionary section.

use super::super::DecodeError;
use super::super::codec::{integers, strings};
use super::super::container::{Container, OPTIONAL, entry};
use super::super::input::Input;
use super::super::limits::{PART_ITEMS_MAX, PART_LABELS_MAX};
use super::REPEATED;
use crate::model::{SeriesId, SymbolId};

/// A dictionary section, its directory checked.
pub struct DictionaryParts<'a> {
    container: Option<Container<'a>>,
}

/// Definitions of one entry.
pub enum DictionaryPart<'c> {
    /// Symbols.
    Symbols(SymbolsPart<'c>),
    /// Series.
    Series(SeriesPart),
}

/// Symbols of consecutive numbers.
pub struct SymbolsPart<'c> {
    first: u32,
    count: u32,
    repeated: bool,
    strings: strings::Strings<'c>,
}

/// Series of consecutive numbers.
pub struct SeriesPart {
    first: u32,
    repeated: bool,
    labels: Vec<(SymbolId, SymbolId)>,
    ends: Vec<u32>,
}

/// Opens the dictionary section of a block, whose checksum was right.
///
/// # Errors
/// [`DecodeError`] if the section's directory is not sound.
pub fn decode_dictionary(section: &[u8]) -> Result<DictionaryParts<'_>, DecodeError> {
    let container = if section.is_empty() { None } else { Some(Container::open(section)?) };
    Ok(DictionaryParts { container })
}

impl<'a> DictionaryParts<'a> {
    pub(in crate::block) fn of(container: Container<'a>) -> DictionaryParts<'a> {
        DictionaryParts { container: Some(container) }
    }

    pub(in crate::block) fn container(&self) -> Option<&Container<'a>> {
        self.container.as_ref()
    }

    /// Hands each part to `take`, in order: symbols before the series that need them, unless damage took the block
    /// that defined those.
    ///
    /// One part is in memory at a time: at most 65,536 items and 1,048,576 labels. That numbers follow on what was
    /// defined before, and that labels name known symbols, is for the caller to check.
    ///
    /// # Errors
    /// [`DecodeError`] at the first part that is not sound; those before it have been handed over.
    pub fn for_each<E: From<DecodeError>>(
        &self,
        mut take: impl FnMut(DictionaryPart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(container) = &self.container else { return Ok(()) };
        for entry in container.entries()? {
            match entry.kind {
                entry::SYMBOLS => take(DictionaryPart::Symbols(SymbolsPart::decode(container, entry.body)?))?,
                entry::SERIES => take(DictionaryPart::Series(SeriesPart::decode(container, entry.body)?))?,
                entry::BLOCKS => {}
                kind if kind & OPTIONAL != 0 => {}
                _ => return Err(DecodeError::Newer("an entry of a dictionary").into()),
            }
        }
        Ok(())
    }
}

/// Reads what symbols and series have in common: repeated, first number, count.
fn read_head(input: &mut Input<'_>) -> Result<(bool, u32, usize), DecodeError> {
    let flags = input.u8()?;
    if flags & !REPEATED != 0 {
        return Err(DecodeError::Newer("flags of a dictionary's entry"));
    }
    let first = input.u32()?;
    let count = input.count(PART_ITEMS_MAX, "items in an entry of a dictionary")?;
    if count == 0 || u64::from(first) + count as u64 > u64::from(u32::MAX) {
        return Err(DecodeError::Damaged("the numbers of a dictionary's entry"));
    }
    Ok((flags & REPEATED != 0, first, count))
}

impl<'c> SymbolsPart<'c> {
    fn decode(container: &'c Container<'_>, mut input: Input<'_>) -> Result<SymbolsPart<'c>, DecodeError> {
        let (repeated, first, count) = read_head(&mut input)?;
        let strings = strings::decode_plain(count, container, &mut input)?;
        input.end()?;
        Ok(SymbolsPart { first, count: count as u32, repeated, strings })
    }

    /// Whether an earlier block of the segment defined them.
    pub fn repeated(&self) -> bool {
        self.repeated
    }

    /// The number of the first.
    pub fn first(&self) -> SymbolId {
        SymbolId(self.first)
    }

    /// Number and text of each, numbers rising by one.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &'c [u8])> + '_ {
        (0..self.count).map(|i| (SymbolId(self.first + i), self.strings.string(i as usize)))
    }
}

impl SeriesPart {
    fn decode(container: &Container<'_>, mut input: Input<'_>) -> Result<SeriesPart, DecodeError> {
        let (repeated, first, count) = read_head(&mut input)?;
        let lists = input.count(count, "lists of names")?;
        if lists == 0 {
            return Err(DecodeError::Damaged("series without a list of names"));
        }
        let mut words = Vec::new();
        integers::decode(lists, None, container, &mut input, &mut words)?;
        let name_ends = ends(&words)?;
        let name_total = name_ends.last().map_or(0, |&e| e as usize);
        let mut names = Vec::new();
        if name_total > 0 {
            integers::decode(name_total, None, container, &mut input, &mut names)?;
        }
        let names = numbers(&names)?;
        let mut list_of = Vec::new();
        integers::decode(count, None, container, &mut input, &mut list_of)?;
        if list_of.iter().any(|&l| l >= lists as u64) {
            return Err(DecodeError::Damaged("a series of an unknown list of names"));
        }
        let len_of = |list: u64| words[list as usize];
        let ends = ends(&list_of.iter().map(|&l| len_of(l)).collect::<Vec<_>>())?;
        let total = ends.last().map_or(0, |&e| e as usize);

        let mut labels = vec![(SymbolId(0), SymbolId(0)); total];
        let mut by_list: Vec<u32> = (0..count as u32).collect();
        by_list.sort_by_key(|&s| list_of[s as usize]);
        let longest = list_of.iter().map(|&l| len_of(l)).max().unwrap_or(0) as usize;
        let mut values = Vec::new();
        for label in 0..longest {
            by_list.retain(|&s| len_of(list_of[s as usize]) > label as u64);
            values.clear();
            integers::decode(by_list.len(), None, container, &mut input, &mut values)?;
            for (&s, value) in by_list.iter().zip(numbers(&values)?) {
                let s = s as usize;
                let list = list_of[s] as usize;
                let name = names[name_ends[list] as usize - words[list] as usize + label];
                labels[ends[s] as usize - words[list] as usize + label] = (name, value);
            }
        }
        input.end()?;
        Ok(SeriesPart { first, repeated, labels, ends })
    }

    /// Whether an earlier block of the segment defined them.
    pub fn repeated(&self) -> bool {
        self.repeated
    }

    /// The number of the first.
    pub fn first(&self) -> SeriesId {
        SeriesId(self.first)
    }

    /// Number and labels (name, value) of each, numbers rising by one.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &[(SymbolId, SymbolId)])> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends).map(|(start, &end)| &self.labels[start as usize..end as usize]);
        (self.first..).map(SeriesId).zip(spans)
    }
}

/// Sums of lengths, bounded by the labels of a part.
fn ends(lengths: &[u64]) -> Result<Vec<u32>, DecodeError> {
    let mut end = 0u64;
    let mut ends = Vec::with_capacity(lengths.len());
    for &len in lengths {
        end = end.saturating_add(len);
        if end > PART_LABELS_MAX as u64 {
            return Err(DecodeError::TooLarge("labels in an entry of a dictionary"));
        }
        ends.push(end as u32);
    }
    Ok(ends)
}

fn numbers(words: &[u64]) -> Result<Vec<SymbolId>, DecodeError> {
    let number = |&w: &u64| u32::try_from(w).map(SymbolId);
    words.iter().map(number).collect::<Result<_, _>>().map_err(|_| DecodeError::Damaged("a symbol's number"))
}

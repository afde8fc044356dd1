//! Encoding ranges of a dictionary.

use rapidhash::RapidHashMap;
use rapidhash::v3::rapidhash_v3;

use super::super::codec::{integers, strings};
use super::super::container::{ContainerWriter, entry};
use super::super::limits::{PART_ITEMS_MAX, PART_LABELS_MAX, PART_TEXT_BYTES};
use super::REPEATED;
use crate::bytes::write_varint;
use crate::model::{Dictionary, DictionaryMark, SeriesId, SymbolId};

/// Memory kept between blocks.
#[derive(Default)]
pub(in crate::block) struct Scratch {
    body: Vec<u8>,
    words: Vec<u64>,
    /// Names of the lists, one list behind the other, and where each ends.
    names: Vec<u64>,
    names_ends: Vec<u32>,
    lists: RapidHashMap<u64, u32>,
    list_of: Vec<u64>,
    /// Label values of the part's series, one series behind the other, and where each ends.
    values: Vec<u32>,
    values_ends: Vec<u32>,
    by_list: Vec<u32>,
}

/// Writes what `from` knew not and `to` knows, as entries of at most [`PART_ITEMS_MAX`] items.
pub(in crate::block) fn encode_range(
    dictionary: &Dictionary,
    (from, to): (DictionaryMark, DictionaryMark),
    repeated: bool,
    scratch: &mut Scratch,
    integers: &mut integers::Scratch,
    container: &mut ContainerWriter,
) {
    let flags = if repeated { REPEATED } else { 0 };
    let mut next = from.symbols;
    while next < to.symbols {
        let end = scratch.symbols_entry(dictionary, next, to.symbols, flags, integers, container);
        container.entry(entry::SYMBOLS, &scratch.body);
        next = end;
    }
    let mut next = from.series;
    while next < to.series {
        let end = scratch.gather(dictionary, next, to.series);
        scratch.series_entry(next, end, flags, integers, container);
        container.entry(entry::SERIES, &scratch.body);
        next = end;
    }
}

impl Scratch {
    fn symbols_entry(
        &mut self,
        dictionary: &Dictionary,
        first: u32,
        to: u32,
        flags: u8,
        integers: &mut integers::Scratch,
        container: &mut ContainerWriter,
    ) -> u32 {
        let mut text = 0;
        let within = |&s: &u32| {
            let open = text < PART_TEXT_BYTES;
            text += dictionary.symbol(SymbolId(s)).len();
            open
        };
        let end = first + (first..to).take(PART_ITEMS_MAX).take_while(within).count() as u32;
        self.head(flags, first, end);
        let symbols = (first..end).map(|s| dictionary.symbol(SymbolId(s)));
        strings::encode_plain(symbols, &mut self.words, integers, container, &mut self.body);
        end
    }

    fn head(&mut self, flags: u8, first: u32, end: u32) {
        self.body.clear();
        self.body.push(flags);
        write_varint(&mut self.body, u64::from(first));
        write_varint(&mut self.body, u64::from(end - first));
    }

    /// Takes series apart into lists of names and values, until the range or an entry's bounds end.
    fn gather(&mut self, dictionary: &Dictionary, first: u32, to: u32) -> u32 {
        self.names.clear();
        self.names_ends.clear();
        self.lists.clear();
        self.list_of.clear();
        self.values.clear();
        self.values_ends.clear();
        let mut next = first;
        while next < to && ((next - first) as usize) < PART_ITEMS_MAX {
            let id = SeriesId(next);
            // A label of a key is two varints: at least two bytes.
            if self.values.len() + dictionary.series_key(id).len() / 2 > PART_LABELS_MAX {
                break;
            }
            let (start, known) = (self.values.len(), self.names.len());
            let before = self.list_of.last().map_or(0..0, |&l| self.list(l));
            // Names are appended, and taken back if the list is known: most series have their predecessor's.
            let mut same = true;
            for (i, (name, value)) in dictionary.series_labels(id).enumerate() {
                self.values.push(value.0);
                let name = u64::from(name.0);
                same = same && before.len() > i && self.names[before.start + i] == name;
                self.names.push(name);
            }
            same = same && before.len() == self.values.len() - start && !self.list_of.is_empty();
            self.values_ends.push(self.values.len() as u32);
            let list = match self.list_of.last() {
                Some(&list) if same => Some(list),
                _ => self.find_list(known),
            };
            match list {
                Some(_) => self.names.truncate(known),
                None => self.names_ends.push(self.names.len() as u32),
            }
            self.list_of.push(list.unwrap_or(self.names_ends.len() as u64 - 1));
            next += 1;
        }
        next
    }

    /// The number of the list that equals the names from `start`; those become a new list's if there is none.
    fn find_list(&mut self, start: usize) -> Option<u64> {
        let names = &self.names[start..];
        let mut hash = names.iter().fold(names.len() as u64, |h, n| rapidhash_v3(&(h ^ n).to_le_bytes()));
        // Lists of one hash take the next free numbers, so that a collision costs a step and no mistake.
        loop {
            let Some(&list) = self.lists.get(&hash) else {
                self.lists.insert(hash, self.names_ends.len() as u32);
                return None;
            };
            if self.names[self.list(u64::from(list))] == self.names[start..] {
                return Some(u64::from(list));
            }
            hash = hash.wrapping_add(1);
        }
    }

    fn list(&self, list: u64) -> std::ops::Range<usize> {
        let start = if list == 0 { 0 } else { self.names_ends[list as usize - 1] as usize };
        start..self.names_ends[list as usize] as usize
    }

    fn series_entry(
        &mut self,
        first: u32,
        end: u32,
        flags: u8,
        integers: &mut integers::Scratch,
        container: &mut ContainerWriter,
    ) {
        self.head(flags, first, end);
        let lists = self.names_ends.len();
        write_varint(&mut self.body, lists as u64);
        self.words.clear();
        let mut start = 0;
        self.words
            .extend(self.names_ends.iter().map(|&end| u64::from(end - std::mem::replace(&mut start, end))));
        let longest = self.words.iter().max().copied().unwrap_or(0) as usize;
        integers::encode(&mut self.words, integers, container, &mut self.body);
        if !self.names.is_empty() {
            self.words.clear();
            self.words.extend_from_slice(&self.names);
            integers::encode(&mut self.words, integers, container, &mut self.body);
        }
        self.words.clear();
        self.words.extend_from_slice(&self.list_of);
        integers::encode(&mut self.words, integers, container, &mut self.body);

        self.by_list.clear();
        self.by_list.extend(0..end - first);
        if lists > 1 {
            self.by_list.sort_unstable_by_key(|&s| (self.list_of[s as usize], s));
        }
        for label in 0..longest {
            self.words.clear();
            let (values, ends, words) = (&self.values, &self.values_ends, &mut self.words);
            // Series that have no more labels leave, so that all of this takes a step a label.
            self.by_list.retain(|&s| {
                let start = if s == 0 { 0 } else { ends[s as usize - 1] };
                let value = values[start as usize..ends[s as usize] as usize].get(label);
                words.extend(value.map(|&v| u64::from(v)));
                value.is_some()
            });
            integers::encode(&mut self.words, integers, container, &mut self.body);
        }
    }
}

//! The rolling checkpoint: which slice of the dictionary a block repeats.
//!
//! Repeating all of it in one block would stall that block's commit. So each block repeats a slice, and after
//! [`CYCLE_BLOCKS`] of them, or more where the dictionary is large, all of it has been repeated. Symbols and series
//! advance side by side, each by its share.

use std::ops::Range;

use super::super::limits::REPEAT_BYTES_MAX;
use crate::model::{Dictionary, DictionaryMark};

/// How far the rolling checkpoint of a segment has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Checkpoint {
    next: DictionaryMark,
}

impl Checkpoint {
    /// The range that the next block repeats: for [`EncodeInput::repeat`](super::super::EncodeInput::repeat).
    ///
    /// `known` is the dictionary's mark before the block's own definitions. A slice is at least [`SLICE_ITEMS_MIN`]
    /// items and about a [`CYCLE_BLOCKS`]th of the dictionary, but not over 1 MiB of text and keys.
    pub fn next_slice(&mut self, dictionary: &Dictionary, known: DictionaryMark) -> Range<DictionaryMark> {
        let items = u64::from(known.symbols) + u64::from(known.series);
        let bytes_each = dictionary.content_bytes() / items.max(1) + 1;
        let items_max = (REPEAT_BYTES_MAX / 2 / bytes_each).max(1);
        let take = |from: u32, known: u32| {
            let usual = (known / CYCLE_BLOCKS).max(SLICE_ITEMS_MIN);
            from + u64::from(usual).min(items_max).min(u64::from(known - from)) as u32
        };
        let mut start = self.next;
        if start.symbols >= known.symbols && start.series >= known.series {
            start = DictionaryMark::default();
        }
        start.symbols = start.symbols.min(known.symbols);
        start.series = start.series.min(known.series);
        let mut end = DictionaryMark {
            symbols: take(start.symbols, known.symbols),
            series: take(start.series, known.series),
        };
        clip(dictionary, start, &mut end);
        self.next = end;
        start..end
    }
}

/// Ends a slice early where its items are longer than the dictionary's are on average.
fn clip(dictionary: &Dictionary, start: DictionaryMark, end: &mut DictionaryMark) {
    let within = |len: usize, budget: &mut u64| {
        let fits = len as u64 <= *budget;
        *budget = budget.saturating_sub(len as u64);
        fits
    };
    let mut budget = REPEAT_BYTES_MAX / 2;
    let mut symbols = start.symbols..end.symbols;
    let over = symbols.find(|&s| !within(dictionary.symbol(crate::model::SymbolId(s)).len(), &mut budget));
    end.symbols = over.unwrap_or(end.symbols);
    let mut budget = REPEAT_BYTES_MAX / 2;
    let mut series = start.series..end.series;
    let over = series.find(|&s| !within(dictionary.series_key(crate::model::SeriesId(s)).len(), &mut budget));
    end.series = over.unwrap_or(end.series);
}

const CYCLE_BLOCKS: u32 = 256;
const SLICE_ITEMS_MIN: u32 = 64;
// One item always fits a slice, so that the cycle never stands still.
const _: () = assert!(crate::bytes::ARENA_ENTRY_BYTES_MAX as u64 <= REPEAT_BYTES_MAX / 2);

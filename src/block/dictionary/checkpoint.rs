//! The rolling checkpoint: which slice of the dictionary a block repeats.
//!
//! Repeating all of it in one block would stall that block's commit. So each block repeats a slice, in proportion to
//! its rows, so that what a row costs does not depend on how many come together: one symbol and one series for
//! [`ROWS_PER_ITEM`] rows. A dictionary of a million series is repeated once in 64 million rows.

use std::ops::Range;

use super::super::limits::REPEAT_BYTES_MAX;
use crate::model::{Dictionary, DictionaryMark, SeriesId, SymbolId};

/// How far the rolling checkpoint of a segment has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Checkpoint {
    next: DictionaryMark,
}

impl Checkpoint {
    /// The range that the next block repeats: for [`EncodeInput::repeat`](super::super::EncodeInput::repeat).
    ///
    /// `known` is the dictionary's mark before the block's own definitions, `rows` the block's rows. A slice is at
    /// least 16 of each, if there are so many, and at most 1 MiB of text and keys.
    pub fn next_slice(
        &mut self,
        dictionary: &Dictionary,
        known: DictionaryMark,
        rows: usize,
    ) -> Range<DictionaryMark> {
        let items = ((rows / ROWS_PER_ITEM) as u32).max(SLICE_ITEMS_MIN);
        let take = |from: u32, known: u32| from + items.min(known - from);
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

/// Ends a slice early where its items are long.
fn clip(dictionary: &Dictionary, start: DictionaryMark, end: &mut DictionaryMark) {
    let within = |len: usize, budget: &mut u64| {
        let fits = len as u64 <= *budget;
        *budget = budget.saturating_sub(len as u64);
        fits
    };
    let mut budget = REPEAT_BYTES_MAX / 2;
    let mut symbols = start.symbols..end.symbols;
    let over = symbols.find(|&s| !within(dictionary.symbol(SymbolId(s)).len(), &mut budget));
    end.symbols = over.unwrap_or(end.symbols);
    let mut budget = REPEAT_BYTES_MAX / 2;
    let mut series = start.series..end.series;
    let over = series.find(|&s| !within(dictionary.series_key(SeriesId(s)).len(), &mut budget));
    end.series = over.unwrap_or(end.series);
}

const ROWS_PER_ITEM: usize = 64;
const SLICE_ITEMS_MIN: u32 = 16;
// One item always fits a slice, so that the cycle never stands still.
const _: () = assert!(crate::bytes::ARENA_ENTRY_BYTES_MAX as u64 <= REPEAT_BYTES_MAX / 2);

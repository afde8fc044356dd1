//! From rows to columns: one visit to each row, in the order to be written, then column by column.

use rapidhash::RapidHashMap;

use super::super::codec::{Codec, find_starts, floats, integers, ones, prefetch, strings};
use super::super::container::{ContainerWriter, Soft, entry};
use super::super::encoder::EncodeInput;
use super::super::order::Sorter;
use super::plan::{Plan, TableRows};
use super::{PARTIAL, RowOrder, section};
use crate::bytes::write_varint;
use crate::model::{Batch, FieldType, NarrowRows, SymbolId};

/// Memory for columns and descriptions, kept between blocks.
#[derive(Default)]
pub(in crate::block) struct Scratch {
    pub(in crate::block) integers: integers::Scratch,
    pub(super) floats: floats::Scratch,
    pub(super) strings: strings::Scratch,
    sorter: Sorter,
    /// All columns of a table, one behind the other: series, times, then fields.
    pub(super) words: Vec<u64>,
    columns: Vec<ColumnPlan>,
    column_of: RapidHashMap<(SymbolId, FieldType), u32>,
    /// The columns of a shape's fields, one shape of the table behind the other, and where each shape's start.
    targets: Vec<u32>,
    targets_of: Vec<u32>,
    /// Bit maps of the columns that not all rows have.
    present: Vec<u8>,
    /// Where the runs start of a column that all rows have, and of one that not all have.
    starts: Vec<u32>,
    starts_of_some: Vec<u32>,
    pub(super) body: Vec<u8>,
    pub(super) section: Vec<u8>,
    /// The side records of a table.
    pub(super) picked: Vec<u32>,
}

/// A column: of a field, or of start times.
struct ColumnPlan {
    field: SymbolId,
    kind: FieldType,
    /// Rows that have it.
    rows: usize,
    /// Where it starts in the words, and how many it has so far.
    start: usize,
    len: usize,
    /// Where its bit map starts, if not all rows have it.
    present: Option<usize>,
}

impl Scratch {
    /// Writes table `index` of a plan.
    pub(in crate::block) fn encode(
        &mut self,
        input: &EncodeInput<'_>,
        plan: &mut Plan,
        index: usize,
        container: &mut ContainerWriter,
    ) {
        let table = plan.tables[index].clone();
        let range = table.rows.start as usize..table.rows.end as usize;
        let order = self.sorter.arrange(&mut plan.rows[range.clone()], &plan.series, input.batch);
        let rows = &plan.rows[range];
        self.lay_out(input, plan, &table);
        if table.shapes.len() == 1 {
            self.transpose_one_shape(input.batch, rows);
        } else {
            self.transpose(input.batch, rows, &plan.slot_of);
        }
        let series = self.words[..rows.len()].iter().map(|&series| series as u32);
        find_starts(series, rows.len(), &mut self.starts);
        let series_of = |row: usize| plan.series[rows[row] as usize];
        self.write(input.batch, rows.len(), order, table.metric, series_of, container);
    }

    /// Writes the table of all rows of a batch whose rows are narrow.
    pub(in crate::block) fn encode_narrow(
        &mut self,
        input: &EncodeInput<'_>,
        rows: &NarrowRows,
        container: &mut ContainerWriter,
    ) {
        let view = (input.shapes)(rows.shape());
        let column = ColumnPlan {
            field: view.fields[0],
            kind: view.shape.fields[0].kind,
            rows: rows.len(),
            start: 0,
            len: rows.len(),
            present: None,
        };
        self.columns.clear();
        self.columns.push(column);
        self.place_columns(rows.len());
        let stride = rows.len() + COLUMN_GAP;
        let (series, rest) = self.words.split_at_mut(stride);
        let (times, words) = rest.split_at_mut(stride);
        let columns = [series, times, words].map(|column| &mut column[..rows.len()]);
        let order = self.sorter.arrange_narrow(rows, columns, &mut self.starts);
        self.write(input.batch, rows.len(), order, None, |row| rows.series()[row], container);
    }

    /// Writes the columns that lie in the words, with their runs' starts, as a table. `series_of` tells the series of a
    /// row by its place in the table; it is asked only of columns that not all rows have.
    fn write(
        &mut self,
        batch: &Batch,
        rows: usize,
        order: RowOrder,
        metric: Option<SymbolId>,
        series_of: impl Fn(usize) -> u32,
        container: &mut ContainerWriter,
    ) {
        self.body.clear();
        self.body.push(order as u8);
        write_varint(&mut self.body, rows as u64);
        write_varint(&mut self.body, metric.map_or(0, |m| u64::from(m.0) + 1));
        write_varint(&mut self.body, 2 + self.columns.len() as u64);
        let (series, rest) = self.words.split_at_mut(rows);
        integers::encode(series, &mut self.integers, container, &mut self.section);
        close_section(section::SERIES, &mut self.section, &mut self.body);
        let times = &mut rest[COLUMN_GAP..COLUMN_GAP + rows];
        integers::encode_by_series(times, &self.starts, &mut self.integers, container, &mut self.section);
        close_section(section::TIME, &mut self.section, &mut self.body);
        let mut bits_before: &[u8] = &[];
        for column in &self.columns {
            let words = &mut self.words[column.start..column.start + column.len];
            let out = &mut self.section;
            let is_field = column.kind != FieldType::StartTime;
            if is_field {
                write_varint(out, u64::from(column.field.0));
                out.push(column.kind as u8);
            }
            let mut starts = &self.starts;
            match column.present {
                None => out.push(0),
                Some(at) => {
                    out.push(PARTIAL);
                    write_varint(out, column.rows as u64);
                    let len = rows.div_ceil(8);
                    let (stream, room) = container.soft(Soft::Common, len);
                    let bits = &self.present[at..at + len];
                    room.copy_from_slice(bits);
                    stream.write(out);
                    // Columns of one shape have the same rows.
                    if bits != bits_before {
                        let series = ones(bits).map(&series_of);
                        find_starts(series, column.rows, &mut self.starts_of_some);
                        bits_before = bits;
                    }
                    starts = &self.starts_of_some;
                }
            }
            match column.kind {
                FieldType::F64 => {
                    floats::encode(words, starts, &mut self.floats, &mut self.integers, container, out);
                }
                FieldType::I64 | FieldType::U64 => {
                    out.push(Codec::Words as u8);
                    integers::encode_by_series(words, starts, &mut self.integers, container, out);
                }
                FieldType::Bool => {
                    out.push(Codec::Words as u8);
                    integers::encode_bits(words, container, out);
                }
                FieldType::String | FieldType::Bytes | FieldType::Nested | FieldType::Histogram => {
                    let heap = batch.heap();
                    strings::encode(words, heap, &mut self.strings, &mut self.integers, container, out);
                }
                FieldType::Null => out.push(Codec::None as u8),
                FieldType::StartTime => {
                    integers::encode_by_series(words, starts, &mut self.integers, container, out);
                }
            }
            let kind = if is_field { section::FIELD } else { section::START_TIME };
            close_section(kind, &mut self.section, &mut self.body);
        }
        container.entry(entry::ROWS, &self.body);
    }

    /// Finds the table's columns and gives each its place.
    fn lay_out(&mut self, input: &EncodeInput<'_>, plan: &Plan, table: &TableRows) {
        self.columns.clear();
        self.column_of.clear();
        self.targets.clear();
        self.targets_of.resize(plan.shapes.len(), 0);
        let slots = &plan.by_table[table.shapes.start as usize..table.shapes.end as usize];
        for &slot in slots {
            let shape = &plan.shapes[slot as usize];
            let view = (input.shapes)(shape.id);
            self.targets_of[slot as usize] = self.targets.len() as u32;
            let symbols = view.fields.iter().copied().chain(std::iter::repeat(NO_SYMBOL));
            for (field, kind) in symbols.zip(view.shape.fields.iter().map(|f| f.kind)) {
                let next = self.columns.len() as u32;
                let column = match slots.len() {
                    1 => next,
                    _ => *self.column_of.entry((field, kind)).or_insert(next),
                };
                if column == next {
                    self.columns.push(ColumnPlan { field, kind, rows: 0, start: 0, len: 0, present: None });
                }
                self.columns[column as usize].rows += shape.rows as usize;
                self.targets.push(column);
            }
        }
        self.place_columns(table.rows.len());
    }

    /// Gives each column its place behind series and times.
    fn place_columns(&mut self, rows: usize) {
        let mut start = 2 * (rows + COLUMN_GAP);
        let mut present = 0;
        for column in &mut self.columns {
            column.start = start;
            start += column.rows + COLUMN_GAP;
            if column.rows < rows {
                column.present = Some(present);
                present += rows.div_ceil(8);
            }
        }
        if self.words.len() < start {
            self.words.resize(start, 0);
        }
        self.present.clear();
        self.present.resize(present, 0);
    }

    /// Rows of one shape have all columns, in the columns' order.
    fn transpose_one_shape(&mut self, batch: &Batch, rows: &[u32]) {
        let (words, offsets) = (batch.words(), batch.offsets());
        let stride = rows.len() + COLUMN_GAP;
        let width = 2 + self.columns.len();
        for (i, &row) in rows.iter().enumerate() {
            fetch_ahead(words, offsets, rows, i, width);
            let start = offsets[row as usize] as usize;
            let row = &words[start..start + width];
            self.words[i] = u64::from(row[0] as u32);
            let mut at = i + stride;
            for &word in &row[1..] {
                self.words[at] = word;
                at += stride;
            }
        }
        for column in &mut self.columns {
            column.len = rows.len();
        }
    }

    fn transpose(&mut self, batch: &Batch, rows: &[u32], slot_of: &[u32]) {
        let times = rows.len() + COLUMN_GAP;
        for (i, &row) in rows.iter().enumerate() {
            fetch_ahead(batch.words(), batch.offsets(), rows, i, 1);
            let start = self.targets_of[slot_of[row as usize] as usize] as usize;
            let row = batch.row(row as usize);
            self.words[i] = u64::from(row.series.0);
            self.words[times + i] = row.time_ns as u64;
            for (&target, &word) in self.targets[start..].iter().zip(row.values) {
                let column = &mut self.columns[target as usize];
                self.words[column.start + column.len] = word;
                column.len += 1;
                if let Some(at) = column.present {
                    self.present[at + i / 8] |= 1 << (i % 8);
                }
            }
        }
    }
}

/// Asks for a row some steps before it is visited: sorted rows lie anywhere in the batch.
#[inline(always)]
fn fetch_ahead(words: &[u64], offsets: &[u32], rows: &[u32], i: usize, width: usize) {
    if let Some(&ahead) = rows.get(i + ROWS_AHEAD) {
        let start = offsets[ahead as usize] as usize;
        for word in (0..width.min(FETCH_WORDS_MAX)).step_by(CACHE_LINE_WORDS) {
            prefetch(words, start + word);
        }
        prefetch(words, start + width - 1);
    }
}

pub(super) fn close_section(kind: u8, section: &mut Vec<u8>, body: &mut Vec<u8>) {
    body.push(kind);
    write_varint(body, section.len() as u64);
    body.extend_from_slice(section);
    section.clear();
}

/// A start time has no name.
const NO_SYMBOL: SymbolId = SymbolId(u32::MAX);

/// Words between columns, so that columns of a power of two of rows do not all meet in one set of the cache.
const COLUMN_GAP: usize = 9;
const ROWS_AHEAD: usize = 8;
const CACHE_LINE_WORDS: usize = 8;
const FETCH_WORDS_MAX: usize = 32;

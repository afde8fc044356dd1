//! Which rows of a batch make a table.

use std::ops::Range;

use rapidhash::{RapidHashMap, RapidHashSet};

use super::super::codec::prefetch;
use super::super::encoder::EncodeInput;
use super::super::limits::FIELDS_MAX;
use crate::model::{Batch, FieldType, ShapeId, SymbolId};

/// The tables of a batch. Its memory is kept between blocks.
#[derive(Default)]
pub(in crate::block) struct Plan {
    /// The series of each row of the batch.
    pub(super) series: Vec<u32>,
    /// The place in `shapes` of each row's shape.
    pub(super) slot_of: Vec<u32>,
    pub(super) shapes: Vec<ShapeRows>,
    /// Places in `shapes`, table by table.
    pub(super) by_table: Vec<u32>,
    /// Rows, table by table, in order of arrival within one.
    pub(super) rows: Vec<u32>,
    pub(super) tables: Vec<TableRows>,
    /// The place in `shapes` of each shape the worker has; [`UNSEEN`] between blocks.
    slots: Vec<u32>,
    keys: RapidHashMap<TableKey, u32>,
    union: RapidHashSet<(SymbolId, FieldType)>,
}

/// A shape of the batch.
pub(super) struct ShapeRows {
    pub(super) id: ShapeId,
    pub(super) rows: u32,
    table: u32,
}

/// A table of the batch.
#[derive(Clone)]
pub(super) struct TableRows {
    pub(super) metric: Option<SymbolId>,
    /// A range of [`Plan::by_table`].
    pub(super) shapes: Range<u32>,
    /// A range of [`Plan::rows`].
    pub(super) rows: Range<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum TableKey {
    Field(SymbolId, FieldType),
    Metric(SymbolId),
}

impl Plan {
    /// Assigns the rows of a batch to tables.
    pub(in crate::block) fn assign(&mut self, input: &EncodeInput<'_>) {
        self.shapes.clear();
        self.tables.clear();
        self.read_heads(input.batch);
        self.group_shapes(input);
        self.place_rows();
        for shape in &self.shapes {
            self.slots[shape.id.0 as usize] = UNSEEN;
        }
    }

    /// How many tables there are.
    pub(in crate::block) fn tables(&self) -> usize {
        self.tables.len()
    }

    fn read_heads(&mut self, batch: &Batch) {
        self.series.clear();
        self.slot_of.clear();
        let (words, offsets) = (batch.words(), batch.offsets());
        let mut last = ShapeId::NONE;
        for (i, &offset) in offsets.iter().enumerate() {
            if let Some(&ahead) = offsets.get(i + HEADS_AHEAD) {
                prefetch(words, ahead as usize);
            }
            let head = words[offset as usize];
            let shape = ShapeId((head >> 32) as u32);
            if shape != last {
                self.end_run(last, i);
                last = shape;
            }
            self.series.push(head as u32);
        }
        self.end_run(last, offsets.len());
    }

    /// Rows up to `end` that have no slot yet have this shape.
    fn end_run(&mut self, shape: ShapeId, end: usize) {
        let run = end - self.slot_of.len();
        if run > 0 {
            let slot = self.slot(shape);
            self.shapes[slot as usize].rows += run as u32;
            self.slot_of.resize(end, slot);
        }
    }

    fn slot(&mut self, id: ShapeId) -> u32 {
        let index = id.0 as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, UNSEEN);
        }
        if self.slots[index] == UNSEEN {
            self.slots[index] = self.shapes.len() as u32;
            self.shapes.push(ShapeRows { id, rows: 0, table: 0 });
        }
        self.slots[index]
    }

    fn group_shapes(&mut self, input: &EncodeInput<'_>) {
        self.keys.clear();
        for shape in &mut self.shapes {
            let view = (input.shapes)(shape.id);
            let key = match (view.fields, &*view.shape.fields) {
                // A start time, which has no symbol, may follow.
                ([symbol], [field, ..]) => TableKey::Field(*symbol, field.kind),
                _ => TableKey::Metric(view.metric),
            };
            let next = self.keys.len() as u32;
            shape.table = *self.keys.entry(key).or_insert(next);
        }
        self.by_table.clear();
        self.by_table.extend(0..self.shapes.len() as u32);
        let shapes = &self.shapes;
        self.by_table.sort_unstable_by_key(|&slot| (shapes[slot as usize].table, slot));

        let mut start = 0;
        while start < self.by_table.len() {
            let key = self.table_of(start);
            let len = self.by_table[start..].iter().take_while(|&&s| self.shapes[s as usize].table == key);
            let end = start + len.count();
            self.add_tables(input, start, end);
            start = end;
        }
        for (t, table) in self.tables.iter().enumerate() {
            for &slot in &self.by_table[table.shapes.start as usize..table.shapes.end as usize] {
                self.shapes[slot as usize].table = t as u32;
            }
        }
    }

    fn table_of(&self, at: usize) -> u32 {
        self.shapes[self.by_table[at] as usize].table
    }

    /// Makes one table of the shapes `start..end`, or one of each where most cells of a common one were empty.
    fn add_tables(&mut self, input: &EncodeInput<'_>, start: usize, end: usize) {
        let slots = &self.by_table[start..end];
        let (mut rows, mut samples) = (0, 0);
        self.union.clear();
        for &slot in slots {
            let shape = &self.shapes[slot as usize];
            let view = (input.shapes)(shape.id);
            assert!(
                view.fields.len() <= FIELDS_MAX,
                "rows of too many fields are refused before they get here"
            );
            rows += u64::from(shape.rows);
            samples += u64::from(shape.rows) * view.fields.len() as u64;
            if slots.len() > 1 {
                self.union.extend(view.fields.iter().copied().zip(view.shape.fields.iter().map(|f| f.kind)));
            }
        }
        let first = (input.shapes)(self.shapes[slots[0] as usize].id);
        let metric = (first.fields.len() != 1).then_some(first.metric);
        let sparse = self.union.len() as u64 * rows > samples * CELLS_PER_SAMPLE_MAX;
        let step = if sparse || self.union.len() > FIELDS_MAX { 1 } else { slots.len() };
        for at in (start..end).step_by(step) {
            let shapes = at as u32..(at + step) as u32;
            self.tables.push(TableRows { metric, shapes, rows: 0..0 });
        }
    }

    fn place_rows(&mut self) {
        let mut start = 0;
        for table in &mut self.tables {
            let slots = &self.by_table[table.shapes.start as usize..table.shapes.end as usize];
            table.rows = start..start;
            start += slots.iter().map(|&s| self.shapes[s as usize].rows).sum::<u32>();
        }
        self.rows.clear();
        if let [table] = &mut self.tables[..] {
            self.rows.extend(0..start);
            table.rows = 0..start;
            return;
        }
        self.rows.resize(start as usize, 0);
        for (row, &slot) in self.slot_of.iter().enumerate() {
            let end = &mut self.tables[self.shapes[slot as usize].table as usize].rows.end;
            self.rows[*end as usize] = row as u32;
            *end += 1;
        }
    }
}

const UNSEEN: u32 = u32::MAX;
const HEADS_AHEAD: usize = 16;
const CELLS_PER_SAMPLE_MAX: u64 = 4;

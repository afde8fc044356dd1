//! A row as a reader gives it: labels and field names as text, in the order of names.

use super::Labels;
use super::definitions::Definitions;
use crate::block::{Column, StartTimes, Table, Value};
use crate::model::FieldType;

/// A row, borrowed from the block that it is in.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Its labels.
    pub labels: Labels<'r>,
    /// Its place in the order of arrival.
    pub arrival: Arrival,
    /// Its tenant; 0 where there are none.
    pub tenant: u32,
    /// The number of its segment among those of its worker.
    pub segment: u64,
    /// The number of its series within the segment. Equal numbers are equal labels; a series has another number in
    /// each segment.
    pub series: u32,
    start_time_ns: Option<i64>,
    fields: &'r [Field<'r>],
    /// How many values of each column stood in rows before, or that all rows have it.
    seen: &'r [u32],
    row: usize,
}

/// A row's place in the order of arrival, which is the order in which they are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Arrival {
    /// When its block was sealed: nanoseconds since the Unix epoch.
    pub stamp_ns: u64,
    /// The worker that took it.
    pub worker: u32,
    /// Its block in the worker's sequence.
    pub sequence: u64,
    /// Its place in the block.
    pub position: u32,
}

/// What the rows of a block share.
#[derive(Clone, Copy)]
pub(super) struct BlockPlace {
    pub(super) segment: u64,
    pub(super) tenant: u32,
}

/// A column with its name.
#[derive(Clone, Copy)]
pub(super) struct Field<'r> {
    pub(super) name: &'r [u8],
    column: &'r Column<'r>,
    /// All rows have it.
    full: bool,
}

impl<'r> Row<'r> {
    /// When its counters began to count, if it says so: nanoseconds since the Unix epoch.
    #[inline]
    pub fn start_time_ns(&self) -> Option<i64> {
        self.start_time_ns
    }

    /// The fields as (name, value), sorted by name; two values of one name, which differ in type, by the number of
    /// their type.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = (&'r [u8], Value<'r>)> + use<'r> {
        let (row, seen) = (self.row, self.seen);
        self.fields.iter().zip(seen).filter_map(move |(field, &seen)| {
            let at = match field.full {
                true => row,
                false if field.column.has(row) => seen as usize,
                false => return None,
            };
            Some((field.name, field.column.value(at)))
        })
    }
}

/// A walk over the rows of a table.
pub(super) struct TableWalk<'t> {
    table: &'t Table<'t>,
    fields: Vec<Field<'t>>,
    seen: Vec<u32>,
    /// How many start times stood in rows before.
    starts_seen: usize,
    row: usize,
}

impl<'t> TableWalk<'t> {
    /// `None` if the name of a field is not defined.
    pub(super) fn new(table: &'t Table<'t>, definitions: &'t Definitions) -> Option<TableWalk<'t>> {
        let rows = table.series.len();
        let field = |column: &'t Column<'t>| {
            let name = definitions.symbol(column.field)?;
            Some(Field { name, column, full: column.len() == rows })
        };
        let mut fields = table.columns.iter().map(field).collect::<Option<Vec<_>>>()?;
        fields.sort_by_key(|f| (f.name, type_number(f.column.kind)));
        let seen = vec![0; fields.len()];
        Some(TableWalk { table, fields, seen, starts_seen: 0, row: 0 })
    }

    /// The present row, with these labels.
    #[inline]
    pub(super) fn row<'w>(&'w self, labels: Labels<'w>, arrival: Arrival, block: BlockPlace) -> Row<'w> {
        Row {
            time_ns: self.table.times[self.row],
            labels,
            arrival,
            tenant: block.tenant,
            segment: block.segment,
            series: self.table.series[self.row].0,
            start_time_ns: self.start_times().map(|starts| starts.time_ns(self.starts_seen)),
            fields: &self.fields,
            seen: &self.seen,
            row: self.row,
        }
    }

    /// Goes on to the next row.
    #[inline]
    pub(super) fn step(&mut self) {
        for (seen, field) in self.seen.iter_mut().zip(&self.fields) {
            if !field.full {
                *seen += u32::from(field.column.has(self.row));
            }
        }
        self.starts_seen += usize::from(self.start_times().is_some());
        self.row += 1;
    }

    /// The start times, if the present row has one.
    #[inline]
    fn start_times(&self) -> Option<&'t StartTimes<'t>> {
        self.table.start_times.as_ref().filter(|starts| starts.has(self.row))
    }
}

fn type_number(kind: FieldType) -> u8 {
    kind as u8
}

//! A block as a whole: who it is, and its tables as columns, for those who want no rows.

use super::Labels;
use super::query::Query;
use super::rows::Undefined;
use super::stream::{Head, Open, Verdict};
use crate::block::{Column, DecodeError, StartTimes, Table, decode_rows};
use crate::model::{LogId, SeriesId, SymbolId};

/// What tells a block from every other one, for ever: who has seen it need not take it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockId {
    /// The log.
    pub log: LogId,
    /// The worker that wrote it.
    pub worker: u32,
    /// Its place in the worker's sequence.
    pub sequence: u64,
}

/// A block, its rows not decoded yet.
pub struct Block<'r> {
    head: &'r Head,
    payload: &'r [u8],
    open: &'r mut Open,
    query: &'r Query,
    undefined: Undefined,
    failed: Option<(DecodeError, u64)>,
}

/// Rows of a block that have their columns in common.
pub struct BlockTable<'r> {
    table: &'r Table<'r>,
    open: &'r Open,
    /// The place of its first row among the block's.
    pub first_row: u32,
    /// The rows that are wanted, by their places in the table; `None` if all are.
    pub wanted: Option<&'r [u32]>,
}

impl<'r> Block<'r> {
    pub(super) fn new(head: &'r Head, payload: &'r [u8], open: &'r mut Open, query: &'r Query) -> Block<'r> {
        Block { head, payload, open, query, undefined: Undefined::default(), failed: None }
    }

    /// Which block it is.
    pub fn id(&self) -> BlockId {
        let header = &self.head.header;
        BlockId { log: header.log, worker: header.worker, sequence: header.sequence }
    }

    /// When it was sealed: nanoseconds since the Unix epoch.
    pub fn stamp_ns(&self) -> u64 {
        self.head.header.stamp_ns
    }

    /// The tenant of its rows; 0 where there are none.
    pub fn tenant(&self) -> u32 {
        self.head.header.tenant
    }

    /// How many rows it has, wanted or not.
    pub fn rows(&self) -> u32 {
        self.head.header.rows
    }

    /// How many values its rows have.
    pub fn samples(&self) -> u64 {
        self.head.header.samples
    }

    /// Hands each table to `take`, in order, one in memory at a time.
    ///
    /// Rows whose series or fields cannot be named are left out, and so is what cannot be decoded; the reader tells of
    /// that as a loss.
    ///
    /// # Errors
    /// What `take` says.
    pub fn for_each_table<E>(
        &mut self,
        mut take: impl FnMut(&BlockTable<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut first_row = 0;
        let decoded = decode_rows(&self.head.header, self.payload).map_err(Stop::Decode).and_then(|block| {
            block.for_each_table(|table| {
                let wanted = self.wanted(table);
                let taken = match &wanted {
                    Some(none) if none.is_empty() => Ok(()),
                    _ => take(&BlockTable { table, open: self.open, first_row, wanted: wanted.as_deref() }),
                };
                first_row += table.series.len() as u32;
                taken.map_err(Stop::Take)
            })
        });
        match decoded {
            Err(Stop::Take(error)) => return Err(error),
            Err(Stop::Decode(error)) => {
                let rows = u64::from(self.head.header.rows.saturating_sub(first_row));
                self.failed = Some((error, rows));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// What was not to be named, and what was not to be decoded with how many rows.
    pub(super) fn end(self) -> (Undefined, Option<(DecodeError, u64)>) {
        (self.undefined, self.failed)
    }

    /// The rows of a table that are wanted; `None` if all are.
    fn wanted(&mut self, table: &Table<'_>) -> Option<Vec<u32>> {
        let definitions = &self.open.definitions;
        if table.columns.iter().any(|column| definitions.symbol(column.field).is_none()) {
            self.undefined.see_all(table);
            return Some(Vec::new());
        }
        let mut all = self.query.takes_every_time();
        let mut previous = None;
        for &series in &table.series {
            // Rows of one series stand together more often than not.
            if previous.replace(series) != Some(series) {
                all &= self.open.verdict(series, self.query) == Verdict::Taken;
            }
        }
        if all {
            return None;
        }
        let mut wanted = Vec::new();
        for ((row, &series), &time_ns) in (0..).zip(&table.series).zip(&table.times) {
            match self.open.verdict(series, self.query) {
                _ if !self.query.takes_time(time_ns) => {}
                Verdict::Taken => wanted.push(row),
                Verdict::Lost => self.undefined.see(series.0),
                Verdict::Refused | Verdict::Unknown => {}
            }
        }
        Some(wanted)
    }
}

impl<'r> BlockTable<'r> {
    /// How many rows there are, wanted or not.
    pub fn rows(&self) -> usize {
        self.table.series.len()
    }

    /// The time of each row, nanoseconds since the Unix epoch.
    pub fn times(&self) -> &'r [i64] {
        &self.table.times
    }

    /// The series of each row.
    pub fn series(&self) -> &'r [SeriesId] {
        &self.table.series
    }

    /// When the counters of the rows began to count, if any of them says so.
    pub fn start_times(&self) -> Option<&'r StartTimes<'r>> {
        self.table.start_times.as_ref()
    }

    /// The columns, each the values of one field in one type.
    pub fn columns(&self) -> &'r [Column<'r>] {
        &self.table.columns
    }

    /// The labels of a series; every wanted row's series has some.
    pub fn labels(&self, series: SeriesId) -> Option<Labels<'r>> {
        self.open.definitions.labels_known(series)
    }

    /// The text of a symbol; every column's field has one.
    pub fn symbol(&self, symbol: SymbolId) -> Option<&'r [u8]> {
        self.open.definitions.symbol(symbol)
    }
}

enum Stop<E> {
    Decode(DecodeError),
    Take(E),
}

impl<E> From<DecodeError> for Stop<E> {
    fn from(error: DecodeError) -> Stop<E> {
        Stop::Decode(error)
    }
}

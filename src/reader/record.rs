//! Rows and what was said beside them: exemplars and metadata.

use super::loss::Loss;
use super::row::Row;
use super::rows::Rows;
use crate::block::ExemplarLabels;
use crate::log::LogError;
use crate::model::Metadata;

/// What a reader gives.
#[derive(Clone, Copy)]
pub enum Record<'r> {
    /// A row.
    Row(Row<'r>),
    /// An example of what a series counts.
    Exemplar(Exemplar<'r>),
    /// What is said of a metric.
    Metadata(Metadata<'r>),
}

/// An example of what a series counts.
#[derive(Clone, Copy)]
pub struct Exemplar<'r> {
    /// The series, the exemplar's own time, and its value under the name of the field that it belongs to. The place in
    /// the order of arrival is of no meaning within the block.
    pub row: Row<'r>,
    /// Its own labels.
    pub labels: ExemplarLabels<'r>,
}

/// Rows and side records of a directory, block by block: of each block the rows first.
#[derive(Debug)]
pub struct Records(Rows);

impl Records {
    pub(super) fn new(rows: Rows) -> Records {
        Records(rows)
    }

    /// Hands the wanted records of the next block to `take`: see [`Rows::next_block`].
    ///
    /// # Errors
    /// As there.
    pub fn next_block<E: From<LogError>>(
        &mut self,
        mut take: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.0.next_records(true, &mut take)
    }

    /// Looks for what has become durable since: see [`Rows::refresh`].
    ///
    /// # Errors
    /// As there.
    pub fn refresh(&mut self) -> Result<bool, LogError> {
        self.0.refresh()
    }

    /// What could not be read: see [`Rows::take_losses`].
    pub fn take_losses(&mut self) -> Vec<Loss> {
        self.0.take_losses()
    }

    /// How much could not be read so far, fetched or not.
    pub fn losses(&self) -> u64 {
        self.0.losses()
    }
}

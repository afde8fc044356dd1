//! The reader: rows back out of a data directory, as they went in.
//!
//! Comes in: a directory, which another process may be writing to, and a [`Query`]. Goes out: rows, and what was said
//! beside them, in order of arrival, with their labels and field names, borrowed from the block that they are in; or
//! whole blocks, as columns ([`Blocks`]); and word of what could not be read. Of a directory that is being written,
//! rows are seen when they are durable. A [`CursorReader`] waits for them, in the process that writes, and remembers
//! how far it was.
//!
//! Keeps: nothing is created, changed or removed but a cursor's position; every row is given once; damage costs what
//! was damaged, and is told; memory is bounded, however much there is to read.
//!
//! Refuses to know: formats, selectors, terminals. What it writes about a loss is for people.
//!
//! # Example
//!
//! ```
//! use tidegate::block::Value;
//! use tidegate::log::LogError;
//! use tidegate::reader::{Query, Reader};
//!
//! /// The sum of a field over the rows of one metric.
//! fn sum(directory: &std::path::Path, metric: &str, field: &str) -> Result<f64, LogError> {
//!     let (metric, field) = (metric.as_bytes().to_vec(), field.as_bytes());
//!     let query = Query {
//!         series: Some(std::sync::Arc::new(move |labels| labels.value(b"__name__") == Some(&metric[..]))),
//!         start_ns: Some(0),
//!         ..Query::default()
//!     };
//!     let mut rows = Reader::open(directory)?.rows(query)?;
//!     let mut sum = 0.0;
//!     rows.for_each(|row| {
//!         for (name, value) in row.fields() {
//!             if let (true, Value::F64(v)) = (name == field, value) {
//!                 sum += v;
//!             }
//!         }
//!         Ok::<_, LogError>(())
//!     })?;
//!     for loss in rows.take_losses() {
//!         eprintln!("{loss}");
//!     }
//!     Ok(sum)
//! }
//! # assert!(sum(std::path::Path::new("/nonexistent"), "cpu", "usage").is_err());
//! ```

mod block;
mod blocks;
mod cursor;
mod dedup;
mod definitions;
mod loss;
mod pages;
mod query;
mod record;
mod row;
mod rows;
mod stats;
mod stream;
mod verify;

use std::path::Path;
use std::sync::Arc;

use crate::log::{Cursor, LogError, Positions, ReadDirectory, Survey, Tally};
use crate::model::LogId;

pub use block::{Block, BlockId, BlockTable};
pub use blocks::Blocks;
pub use cursor::CursorReader;
pub use definitions::Labels;
pub use loss::{LOSSES_KEPT_MAX, Loss, LossKind};
pub use query::{Dedup, MetricFilter, Query, SeriesFilter};
pub use record::{Exemplar, Record, Records};
pub use row::{Arrival, Row};
pub use rows::Rows;
pub use stats::Stats;
pub use verify::{Finding, Verified};

use dedup::{Dropped, PASS_ROWS, RowHasher};

/// A data directory, open for reading.
#[derive(Debug)]
pub struct Reader {
    directory: Arc<ReadDirectory>,
}

impl Reader {
    /// Opens a data directory.
    ///
    /// # Errors
    /// [`LogError::Missing`], [`LogError::Foreign`], [`LogError::Newer`], [`LogError::Io`].
    pub fn open(directory: &Path) -> Result<Reader, LogError> {
        Ok(Reader { directory: Arc::new(ReadDirectory::open(directory)?) })
    }

    /// The log's identity.
    pub fn log(&self) -> LogId {
        self.directory.log()
    }

    /// What segments there are now; in a directory that is being written, with the durable watermark as their limit.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn survey(&self) -> Result<Survey, LogError> {
        self.directory.survey()
    }

    /// The rows that there are now, as far as `query` asks for them.
    ///
    /// With [`Query::dedup`] they are all read here to find those that stay, and once more when they are handed over.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn rows(&self, query: Query) -> Result<Rows, LogError> {
        let survey = self.survey()?;
        let open = || Rows::new(Arc::clone(&self.directory), &survey, query.clone());
        let Some(dedup) = query.dedup else { return Ok(open()) };
        let rows_max = survey.segments.iter().map(|s| s.totals.rows).sum();
        let mut hasher = RowHasher::new();
        let dropped = Dropped::find(dedup, rows_max, PASS_ROWS, |take| {
            open().for_each(|row| {
                take(hasher.row(row, dedup), row.arrival);
                Ok::<_, LogError>(())
            })
        })?;
        Ok(open().without(dropped))
    }

    /// As [`rows`](Reader::rows), with exemplars and metadata among them.
    ///
    /// # Errors
    /// As [`rows`](Reader::rows).
    pub fn records(&self, query: Query) -> Result<Records, LogError> {
        self.rows(query).map(Records::new)
    }

    /// The blocks that there are now, as wholes, with the rows that `query` takes. [`Query::dedup`] is not looked at.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn blocks(&self, query: Query) -> Result<Blocks, LogError> {
        self.blocks_behind(Positions::default(), query)
    }

    /// As [`blocks`](Reader::blocks), without those that are passed: for who keeps positions of their own.
    ///
    /// # Errors
    /// As there.
    pub fn blocks_behind(&self, passed: Positions, query: Query) -> Result<Blocks, LogError> {
        Blocks::open(Arc::clone(&self.directory), query, passed)
    }

    /// The cursors of the directory as they are on disk, by name.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn cursors(&self) -> Result<Vec<Cursor>, LogError> {
        self.directory.cursors()
    }

    /// What is durable and not passed by a cursor, in the segments of a survey.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn behind(&self, cursor: &Cursor, survey: &Survey) -> Result<Tally, LogError> {
        Tally::ahead_of(&cursor.positions, survey, self.directory.files(), self.directory.log())
    }

    /// Reads and decodes everything, and hands what is worth saying to `tell`. `done` is told how many bytes were
    /// read so far, of those that `survey` shows.
    ///
    /// # Errors
    /// What `tell` says, or [`LogError::Io`] if a segment cannot be opened.
    pub fn verify<E: From<LogError>>(
        &self,
        survey: &Survey,
        tell: impl FnMut(Finding) -> Result<(), E>,
        done: impl FnMut(u64),
    ) -> Result<Verified, E> {
        verify::verify(&self.directory, survey, tell, done)
    }

    /// Counts what there is, without decoding rows.
    ///
    /// Memory: the definitions of one segment, and about 20 bytes for each series of the directory, up to 40 while the
    /// table of them grows.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn stats(&self) -> Result<Stats, LogError> {
        stats::stats(&self.directory, &self.survey()?)
    }
}

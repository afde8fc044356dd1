//! Blocks as Arrow: what the reader gives, in the layout that pyarrow, DuckDB, Polars and their like take without
//! copying.
//!
//! Comes in: blocks ([`crate::reader::Block`]). Goes out: the structs of Arrow's C data interface ([`ArrowArray`],
//! [`ArrowSchema`], [`ArrowArrayStream`]), a batch a block, all of one type, so that any number of blocks is one table.
//! `docs/arrow.md` lists the columns.
//!
//! The table is long: a value a row. Rows of any fields then have one type, whatever was written; the columns `worker`,
//! `sequence` and `row` say which values were one row. Each type of value has a column of its own, since a union is
//! taken by few, and a column that holds nothing costs nothing. Series are a dictionary of maps: labels are there once
//! for each series of a batch and not for each value. *Not taken:* a column for each field, which is another type for
//! each block, and a map for each value, which for usual labels is several times the rest of the row.
//!
//! Keeps: every bit of every value, NaN's too; buffers start at 64-byte boundaries and are padded; arrays own their
//! memory and outlive reader, stream and log. Exemplars and metadata are no rows and do not come.
//!
//! Refuses to know: segments, cursors, files.

mod array;
mod batch;
mod buffer;
mod c;
mod dictionary;
mod schema;

pub use batch::{Batch, TooMuchText};
pub use c::{ArrowArray, ArrowArrayStream, ArrowSchema};

use crate::model::LogId;
use crate::reader::Blocks;
use c::StreamError;

/// The type of every batch of a log.
pub fn schema(log: LogId) -> ArrowSchema {
    ArrowSchema::of(&schema::schema(log))
}

/// All blocks that a reader finds, as a stream of batches; it ends where the log ends now. Blocks without a value have
/// no batch.
///
/// What could not be read is left out, named in the program's log, and told when all else was given: the stream then
/// fails once (`EIO`), and ends.
///
/// # Example
///
/// ```
/// use tidegate::arrow;
/// use tidegate::reader::{Query, Reader};
///
/// /// Hands a directory to whoever takes a stream, such as `pyarrow.RecordBatchReader._import_from_c`.
/// fn export(directory: &std::path::Path) -> Result<arrow::ArrowArrayStream, tidegate::log::LogError> {
///     let reader = Reader::open(directory)?;
///     Ok(arrow::stream(reader.blocks(Query::default())?, reader.log()))
/// }
/// # assert!(export(std::path::Path::new("/nonexistent")).is_err());
/// ```
pub fn stream(mut blocks: Blocks, log: LogId) -> ArrowArrayStream {
    let (mut told, mut rows_lost) = (0, 0);
    let next = move || {
        loop {
            let made = blocks.next_block(Batch::of);
            for loss in blocks.take_losses() {
                tracing::error!(%loss, "left out");
                rows_lost += loss.rows();
            }
            match made {
                Err(error) => return Err(StreamError { code: libc::EIO, message: error.to_string() }),
                Ok(None) if blocks.losses() == told => return Ok(None),
                Ok(None) => {
                    told = blocks.losses();
                    return Err(StreamError { code: libc::EIO, message: left_out(told, rows_lost) });
                }
                Ok(Some(Err(error))) => {
                    return Err(StreamError { code: libc::EOVERFLOW, message: error.to_string() });
                }
                Ok(Some(Ok(batch))) if batch.values() > 0 => return Ok(Some(batch.into_array())),
                Ok(Some(Ok(_))) => {}
            }
        }
    };
    ArrowArrayStream::of(Box::new(move || schema(log)), Box::new(next))
}

fn left_out(places: u64, rows: u64) -> String {
    let several = |number| if number == 1 { "" } else { "s" };
    let (places_s, rows_s) = (several(places), several(rows));
    format!(
        "all that can be read was given; left out: {places} damaged place{places_s}, known to have had {rows} \
         row{rows_s} (`tidegate log verify` names them)"
    )
}

//! The rows of a block: its tables, checked against the header before anything is decoded.

use super::DecodeError;
use super::container::{Container, OPTIONAL, entry};
use super::limits::{ROWS_MAX, SAMPLES_MAX};
use super::table::{
    Exemplars, MetadataTable, Table, TableHead, TableKind, decode_exemplars, decode_metadata,
};
use crate::model::BlockHeader;

/// The payload of a block of rows, its directory checked.
pub struct BlockRows<'a> {
    container: Container<'a>,
    rows: usize,
}

/// Opens the payload of a block whose checksum was right.
///
/// Memory: the directory (32 MiB and 12 MiB of lists at most). What is decoded later: the payload's frames (256 MiB at
/// most, as they are needed) and, for one table at a time, at most 32 bytes for each of 1,048,576 rows and 8,388,608
/// values, and 256 bytes for each of 262,144 columns.
///
/// # Errors
/// [`DecodeError`] if the directory is not sound or does not fit the header.
pub fn decode_rows<'a>(header: &BlockHeader, payload: &'a [u8]) -> Result<BlockRows<'a>, DecodeError> {
    let rows = BlockRows { container: Container::open(payload)?, rows: header.rows as usize };
    if rows.rows > ROWS_MAX || header.samples > SAMPLES_MAX as u64 {
        return Err(DecodeError::TooLarge("rows or values in a block"));
    }
    let (mut row_count, mut samples) = (0, 0);
    rows.for_each_head(|head| {
        row_count += head.rows as u64;
        samples += head.samples();
        Ok::<_, DecodeError>(())
    })?;
    if row_count != u64::from(header.rows) || samples != header.samples {
        return Err(DecodeError::Damaged("tables do not add up to the header's rows and values"));
    }
    Ok(rows)
}

/// A part of a payload.
pub enum Part<'t, 'c> {
    /// Rows.
    Rows(&'t Table<'c>),
    /// Exemplars.
    Exemplars(&'t Exemplars<'c>),
    /// What is said of metrics.
    Metadata(&'t MetadataTable<'c>),
}

impl BlockRows<'_> {
    /// Hands each table to `take`, in order. One table is in memory at a time.
    ///
    /// # Errors
    /// [`DecodeError`] at the first table that is not sound; those before it have been handed over.
    pub fn for_each_table<E: From<DecodeError>>(
        &self,
        mut take: impl FnMut(&Table<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_head(|head| take(&head.decode(&self.container)?))
    }

    /// Hands all parts to `take`, tables and side records, in order. One part is in memory at a time.
    ///
    /// # Errors
    /// As [`for_each_table`](BlockRows::for_each_table).
    pub fn for_each_part<E: From<DecodeError>>(
        &self,
        mut take: impl FnMut(Part<'_, '_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let container = &self.container;
        for entry in container.entries()? {
            match entry.kind {
                entry::ROWS => {
                    let head = TableHead::read(entry.body, self.rows, TableKind::Rows)?;
                    take(Part::Rows(&head.decode(container)?))?;
                }
                entry::EXEMPLARS => take(Part::Exemplars(&decode_exemplars(entry.body, container)?))?,
                entry::METADATA => take(Part::Metadata(&decode_metadata(entry.body, container)?))?,
                // Others that may not be skipped were refused when the payload was opened.
                _ => {}
            }
        }
        Ok(())
    }

    fn for_each_head<E: From<DecodeError>>(
        &self,
        mut take: impl FnMut(TableHead<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in self.container.entries()? {
            match entry.kind {
                entry::ROWS => take(TableHead::read(entry.body, self.rows, TableKind::Rows)?)?,
                kind if kind & OPTIONAL != 0 => {}
                _ => return Err(DecodeError::Newer("an entry of a payload").into()),
            }
        }
        Ok(())
    }
}

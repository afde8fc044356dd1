//! Readers: blocks of the log as Arrow, on a cursor or of a whole directory.

use super::cursor::cursors;
use super::engine::{on_engine, tdg_engine, timeout};
use super::error::{Failure, tdg_error};
use super::guard::{Health, catch, guard_telling};
use super::log::Voice;
use super::status::{TDG_E_CORRUPT, TDG_E_INPUT, TDG_E_LIMIT, TDG_E_TIMEOUT, tdg_status};
use super::text::tdg_str;
use crate::arrow::{self, ArrowArrayStream, Batch, TooMuchText};
use crate::log::{CursorError, Positions};
use crate::model::LogId;
use crate::reader::{BlockId, CursorReader, Loss, Query, Reader};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// A reader on a cursor: gives the log's blocks as they become durable, and moves the cursor behind them. A cursor has
/// one at a time.
///
/// Threads: one at a time. It may outlive its engine: it is given what was durable when that had closed, and commits
/// nothing more.
#[derive(Debug)]
pub struct tdg_reader {
    health: Health,
    reading: Reading,
}

/// What a reader does.
#[derive(Debug)]
pub(super) struct Reading {
    reader: CursorReader,
    /// The engine's.
    told: Option<tracing::Dispatch>,
    /// What could not be read, and the caller has not been told: before the block that was read after it.
    losses: VecDeque<Loss>,
    next: Option<Next>,
}

/// A block that is to be given.
#[derive(Debug)]
struct Next {
    block: tdg_block,
    batch: Result<Batch, TooMuchText>,
    /// How far blocks had been given before it.
    before: Positions,
}

/// A block that was given. `log`, `worker` and `sequence` tell it from every other one for ever: it is given again if
/// it was not committed, and whoever remembers the highest `sequence` of each worker takes nothing twice.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tdg_block {
    /// Its place among its worker's blocks: rising, with gaps.
    pub sequence: u64,
    /// When it was sealed: nanoseconds since the Unix epoch.
    pub arrival_ns: i64,
    /// Its values, each a row of the record batch.
    pub values: u64,
    /// Its rows.
    pub rows: u32,
    /// The worker that wrote it.
    pub worker: u32,
    /// The log's identity.
    pub log: [u8; 16],
}

/// Begins to read behind a cursor.
///
/// `reader` gets a handle that the caller owns, for `tdg_reader_free`.
///
/// Errors: `TDG_E_INPUT` if there is no such cursor; `TDG_E_LOCKED` if a reader has it; `TDG_E_CLOSED`, `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_reader_open(
    engine: *const tdg_engine,
    cursor: tdg_str,
    reader: *mut *mut tdg_reader,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            if reader.is_null() {
                return Err(Failure::null("reader"));
            }
            let reading = Reading {
                reader: CursorReader::open(cursors(&engine.embedded)?, cursor.text("cursor")?)?,
                told: engine.voice.as_ref().map(Voice::dispatch),
                losses: VecDeque::new(),
                next: None,
            };
            let opened = tdg_reader { health: Health::sound(), reading };
            reader.write(Box::into_raw(Box::new(opened)));
            Ok(())
        })
    }
}

/// Gives the next block, waiting for one at most `timeout_ns` (-1: for ever; 0: not at all): what it is to `block`,
/// and its values to `batches`, a stream of one record batch that the caller owns and releases. A block of which
/// no value could be read gives a stream without a batch. The stream outlives reader and engine. The columns are listed
/// in docs/arrow.md; every block has the same.
///
/// `block` may be NULL; `batches` may not, and what it holds is not released.
///
/// Errors: `TDG_E_TIMEOUT` if there is none by then; `TDG_E_CORRUPT` if something before the next block, or in it, is
/// damaged and left out: once for each damaged place, which the message names, and then the calls go on behind it;
/// `TDG_E_LIMIT` if a block has more text than Arrow's columns can count: `block` is written and says which, and it is
/// passed over; `TDG_E_CLOSED` if the engine is closed and there is no more: what its closing committed is given
/// before, and can be committed by the next engine's reader alone, which is given it again; `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_reader_next(
    reader: *mut tdg_reader,
    timeout_ns: i64,
    block: *mut tdg_block,
    batches: *mut ArrowArrayStream,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, and the reader is used by this thread alone.
    unsafe {
        on_reader(reader, error, |reader| {
            if batches.is_null() {
                return Err(Failure::null("batches"));
            }
            let next = reader.advance(timeout(timeout_ns))?;
            if !block.is_null() {
                block.write(next.block);
            }
            let batch = next.batch.map_err(|error| Failure::new(TDG_E_LIMIT, error.to_string()))?;
            batches.write(batch.into_stream());
            Ok(())
        })
    }
}

/// Moves the cursor behind a block that this reader gave, and so behind all earlier ones of its worker; with NULL
/// behind all that it gave, and the damage that it told of. That is on disk when this returns: the blocks do not come
/// again, and retention may take them. Commit what is safe elsewhere, and nothing else.
///
/// Errors: `TDG_E_INPUT` if the block was not given; `TDG_E_CLOSED` once the engine is closed, since the directory may
/// be another's by then: read and commit before you close; `TDG_E_IO`: the cursor is where it was, or where it was to
/// be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_reader_commit(
    reader: *mut tdg_reader,
    block: *const tdg_block,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, and the reader is used by this thread alone.
    unsafe {
        on_reader(reader, error, |reader| {
            match block.as_ref() {
                None => reader.reader.commit(&reader.given())?,
                Some(block) => reader.commit_block(block)?,
            }
            Ok(())
        })
    }
}

/// Frees a reader. Its cursor stays where it was committed. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_reader_free(reader: *mut tdg_reader) {
    if reader.is_null() {
        return;
    }
    // SAFETY: it came from `tdg_reader_open`, and is freed once.
    let reader = unsafe { Box::from_raw(reader) };
    if reader.health.is_forked() {
        // Another thread of the parent may have held a lock that it would take.
        std::mem::forget(reader);
    } else {
        catch(|| drop(reader));
    }
}

/// All rows that a data directory holds now, as a stream of record batches that the caller owns and releases; of one
/// that a process is writing, what is durable. Needs no engine, locks nothing and changes nothing.
///
/// What is damaged is left out, and not in silence: when all else was given, the stream's `get_next` fails once (`EIO`,
/// and `get_last_error` says how much is missing), then it ends. `tidegate log verify` names each place.
///
/// Errors: `TDG_E_INCOMPATIBLE` if it is no data directory, or a newer version's; `TDG_E_IO`, also if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_directory_read(
    directory: tdg_str,
    batches: *mut ArrowArrayStream,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        guard_telling(None, error, || {
            if batches.is_null() {
                return Err(Failure::null("batches"));
            }
            let reader = Reader::open(Path::new(directory.text("directory")?))?;
            let blocks = reader.blocks(Query::default())?;
            batches.write(arrow::stream(blocks, reader.log()));
            Ok(())
        })
    }
}

/// Runs a cold call on a reader.
///
/// # Safety
/// The pointers are NULL or valid, and no other thread uses the reader.
pub(super) unsafe fn on_reader(
    reader: *mut tdg_reader,
    error: *mut *mut tdg_error,
    call: impl FnOnce(&mut Reading) -> Result<(), Failure>,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        match reader.as_mut() {
            Some(tdg_reader { health, reading }) => guard_telling(Some(health), error, || call(reading)),
            None => guard_telling(None, error, || Err(Failure::null("reader"))),
        }
    }
}

impl Reading {
    /// The next block, or what could not be read before it and in it: one loss a call.
    fn advance(&mut self, timeout: Duration) -> Result<Next, Failure> {
        if self.losses.is_empty() && self.next.is_none() {
            self.look(timeout)?;
        }
        if let Some(loss) = self.losses.pop_front() {
            return Err(Failure::new(TDG_E_CORRUPT, format!("left out: {loss}")));
        }
        self.next.take().ok_or_else(|| Failure::plain(TDG_E_TIMEOUT))
    }

    fn look(&mut self, timeout: Duration) -> Result<(), CursorError> {
        let before = self.reader.position();
        let taken = self.reader.next(timeout, |block| (Batch::of(block), tdg_block::of(block)));
        self.losses.extend(self.reader.take_losses());
        let tell = || self.losses.iter().for_each(|loss| tracing::error!(%loss, "left out"));
        match &self.told {
            Some(dispatch) => tracing::dispatcher::with_default(dispatch, tell),
            None => tell(),
        }
        self.next = taken?.map(|(batch, mut block)| {
            block.values = batch.as_ref().map_or(0, |batch| batch.values() as u64);
            Next { block, batch, before }
        });
        Ok(())
    }

    /// How far the caller has been given blocks.
    fn given(&self) -> Positions {
        self.next.as_ref().map_or_else(|| self.reader.position(), |next| next.before.clone())
    }

    fn commit_block(&self, block: &tdg_block) -> Result<(), Failure> {
        if self.reader.log() != LogId(block.log) {
            return Err(Failure::new(TDG_E_INPUT, "the block is of another log"));
        }
        if block.sequence > self.given().passed(block.worker) {
            return Err(Failure::new(TDG_E_INPUT, "the block was not given by this reader"));
        }
        Ok(self.reader.commit_block(block.id())?)
    }
}

impl tdg_block {
    fn of(block: &crate::reader::Block<'_>) -> tdg_block {
        let BlockId { log, worker, sequence } = block.id();
        // Stamps are of this age, and fit for some hundred years more.
        let arrival_ns = i64::try_from(block.stamp_ns()).unwrap_or(i64::MAX);
        tdg_block { sequence, arrival_ns, values: block.samples(), rows: block.rows(), worker, log: log.0 }
    }

    fn id(&self) -> BlockId {
        BlockId { log: LogId(self.log), worker: self.worker, sequence: self.sequence }
    }
}

#[cfg(test)]
mod tests;

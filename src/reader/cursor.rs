//! Reading on a cursor: blocks as they become durable, each worker's in order, and the cursor behind them.
//!
//! Delivery is at least once. What was given out and not committed when the process ends is given again by the next
//! reader; a block's [`BlockId`] tells whether it was taken before. Blocks of one worker come in the order of their
//! sequence; between workers the one that arrived first comes first, of those that are there when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use super::block::{Block, BlockId};
use super::blocks::Blocks;
use super::loss::Loss;
use super::query::Query;
use crate::clock::{Clock, SystemClock};
use crate::log::disk::SystemFiles;
use crate::log::{CursorError, Cursors, Positions, Tally};
use crate::model::LogId;

/// A reader on a cursor, in the process that writes the log. A cursor has one at a time.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tidegate::engine::{Embedded, Options};
/// use tidegate::log::CursorStart;
/// use tidegate::reader::CursorReader;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let engine = Embedded::open(Options::new(directory.path()))?;
/// let cursors = engine.cursors().expect("it was opened on a directory");
/// cursors.create("to-my-store", CursorStart::Oldest)?;
///
/// let mut rows = engine.writer()?;
/// let load = rows.series(&[("__name__", "load"), ("host", "a")])?;
/// rows.push(load, 1_700_000_000_000_000_000, 0.5)?;
///
/// let mut reader = CursorReader::open(cursors, "to-my-store")?;
/// let (id, rows) = reader.next(Duration::from_secs(10), |block| (block.id(), block.rows()))?.expect("a block");
/// assert_eq!(rows, 1);
/// // ... hand it on, wait until it is safe there, and only then:
/// reader.commit_block(id)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CursorReader {
    cursors: Arc<Cursors<SystemFiles>>,
    name: String,
    blocks: Blocks,
}

impl CursorReader {
    /// Begins to read behind a cursor's positions.
    ///
    /// # Errors
    /// [`CursorError::Missing`], [`CursorError::InUse`], [`CursorError::Closed`], [`CursorError::Log`].
    pub fn open(cursors: &Arc<Cursors<SystemFiles>>, name: &str) -> Result<CursorReader, CursorError> {
        let cursor = cursors.claim(name)?;
        let blocks = Blocks::open(Arc::new(cursors.directory()), Query::default(), cursor.positions);
        match blocks {
            Ok(blocks) => Ok(CursorReader { cursors: Arc::clone(cursors), name: name.to_owned(), blocks }),
            Err(error) => {
                cursors.release(name);
                Err(error.into())
            }
        }
    }

    /// The cursor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The log's identity.
    pub fn log(&self) -> LogId {
        self.cursors.log()
    }

    /// Hands the next block to `take`, waiting for one for at most `timeout`; `None` if there is none by then. Blocks
    /// without a row are passed over.
    ///
    /// # Errors
    /// [`CursorError::Closed`] once the engine is closed and all that it had made durable was given;
    /// [`CursorError::Log`].
    pub fn next<R>(
        &mut self,
        timeout: Duration,
        take: impl FnOnce(&mut Block<'_>) -> R,
    ) -> Result<Option<R>, CursorError> {
        let cursors = Arc::clone(&self.cursors);
        let moved = cursors.moved().ok_or(CursorError::Closed)?;
        let clock = SystemClock::default();
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let mut take = Some(take);
        loop {
            let seen = moved.beats();
            // Asked before the watermarks are: those of a closed engine are the last ones.
            let closed = moved.is_closed();
            if !self.blocks.is_ready()?
                && let Some(watermarks) = cursors.watermarks()
            {
                self.blocks.follow(&watermarks)?;
            }
            let taken = self.blocks.next_block(|block| match take.take() {
                Some(give) if block.rows() > 0 => Some(give(block)),
                kept => {
                    take = kept;
                    None
                }
            })?;
            match taken {
                Some(Some(taken)) => return Ok(Some(taken)),
                Some(None) => {}
                None if closed => return Err(CursorError::Closed),
                None => {
                    let left_ns = timeout_ns.saturating_sub(clock.monotonic_ns());
                    if left_ns == 0 || !moved.wait(seen, Duration::from_nanos(left_ns)) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// How far blocks were given out, or had nothing to give: what to commit when all of them are safe elsewhere.
    pub fn position(&self) -> Positions {
        self.blocks.position()
    }

    /// Moves the cursor behind these positions. They are durable when this returns, and retention is held no longer by
    /// what they pass.
    ///
    /// # Errors
    /// [`CursorError::Ahead`] if they were not given out; [`CursorError::Closed`]; [`CursorError::Log`].
    pub fn commit(&self, upto: &Positions) -> Result<(), CursorError> {
        let given = self.position();
        match upto.iter().find(|&(worker, sequence)| sequence > given.passed(worker)) {
            Some((worker, sequence)) => Err(CursorError::Ahead { worker, sequence }),
            None => self.cursors.commit(&self.name, upto),
        }
    }

    /// Moves the cursor behind a block, and with it behind all earlier ones of the same worker.
    ///
    /// # Errors
    /// As [`commit`](CursorReader::commit).
    pub fn commit_block(&self, id: BlockId) -> Result<(), CursorError> {
        self.commit(&[(id.worker, id.sequence)].into_iter().collect())
    }

    /// What is durable and not committed.
    ///
    /// # Errors
    /// [`CursorError::Log`].
    pub fn behind(&self) -> Result<Tally, CursorError> {
        self.cursors.behind(&self.name)
    }

    /// What retention took before it was passed, ever.
    pub fn lost(&self) -> Tally {
        self.cursors.cursor(&self.name).map_or_else(Tally::default, |cursor| cursor.lost)
    }

    /// What could not be read so far, and was not fetched yet.
    pub fn take_losses(&mut self) -> Vec<Loss> {
        self.blocks.take_losses()
    }
}

impl Drop for CursorReader {
    fn drop(&mut self) {
        self.cursors.release(&self.name);
    }
}

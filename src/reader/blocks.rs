//! The blocks of a directory in order of arrival, as wholes.

use std::sync::Arc;

use super::block::Block;
use super::loss::Loss;
use super::query::Query;
use super::rows::Rows;
use crate::log::{LogError, Positions, ReadDirectory};

/// Blocks of a directory, one at a time.
#[derive(Debug)]
pub struct Blocks(Rows);

impl Blocks {
    /// The blocks that there are now, behind `passed`, and of them the rows that `query` takes. What the query says of
    /// rows that came more than once is not looked at.
    pub(super) fn open(
        directory: Arc<ReadDirectory>,
        query: Query,
        passed: Positions,
    ) -> Result<Blocks, LogError> {
        let survey = directory.survey()?;
        Ok(Blocks(Rows::new(directory, &survey, query).behind(passed)))
    }

    /// Hands the next block to `take`; `None` if there was none. Some have nothing but exemplars or metadata, and no
    /// row.
    ///
    /// # Errors
    /// [`LogError::Io`] if a segment cannot be opened.
    pub fn next_block<R>(&mut self, take: impl FnOnce(&mut Block<'_>) -> R) -> Result<Option<R>, LogError> {
        self.0.next_whole(take)
    }

    /// Looks for what has become durable since, in whichever process: see [`Rows::refresh`].
    ///
    /// # Errors
    /// As there.
    pub fn refresh(&mut self) -> Result<bool, LogError> {
        self.0.refresh()
    }

    /// How far blocks were given, or had nothing to give.
    pub fn position(&self) -> Positions {
        self.0.reached()
    }

    /// What could not be read: see [`Rows::take_losses`].
    pub fn take_losses(&mut self) -> Vec<Loss> {
        self.0.take_losses()
    }

    /// How much could not be read so far, fetched or not.
    pub fn losses(&self) -> u64 {
        self.0.losses()
    }

    pub(super) fn is_ready(&mut self) -> Result<bool, LogError> {
        self.0.advance(true)
    }

    pub(super) fn follow(&mut self, watermarks: &[u64]) -> Result<bool, LogError> {
        self.0.follow(watermarks)
    }
}

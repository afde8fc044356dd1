//! How much of the log lies behind a position: what a cursor has still before it, or has lost.

use std::ops::AddAssign;

use super::Positions;
use crate::log::disk::{BlockFile, Files};
use crate::log::error::LogError;
use crate::log::survey::{Segment, Survey};
use crate::log::walk::{Owner, Step, Walk};
use crate::model::{BlockKind, LogId};

/// Blocks of the log, counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Blocks.
    pub blocks: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes on disk, padding included.
    pub bytes: u64,
}

impl Tally {
    /// What a survey shows that is not passed.
    ///
    /// # Errors
    /// [`LogError::Io`]. Segments that are gone meanwhile count nothing.
    pub fn ahead_of<S: Files>(
        positions: &Positions,
        survey: &Survey,
        files: &S,
        log: LogId,
    ) -> Result<Tally, LogError> {
        let mut tally = Tally::default();
        for segment in &survey.segments {
            tally += Tally::in_segment(segment, positions.passed(segment.name.worker), files, log)?;
        }
        Ok(tally)
    }

    /// What a segment shows above the sequence `passed`, by the headers of its blocks.
    fn in_segment<S: Files>(
        segment: &Segment,
        passed: u64,
        files: &S,
        log: LogId,
    ) -> Result<Tally, LogError> {
        if !is_ahead_of(segment, passed) {
            return Ok(Tally::default());
        }
        let path = segment.name.to_string();
        match files.open_shared(&path) {
            Ok(file) if segment.is_in(&file) => Ok(Tally::in_file(segment, passed, &file, log)),
            Ok(_) => Ok(Tally::default()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Tally::default()),
            Err(e) => Err(LogError::io("open", path)(e)),
        }
    }

    /// As [`in_segment`](Tally::in_segment), the segment being in `file`.
    pub(super) fn in_file<F: BlockFile>(segment: &Segment, passed: u64, file: &F, log: LogId) -> Tally {
        let mut tally = Tally::default();
        if !is_ahead_of(segment, passed) {
            return tally;
        }
        tally.count(segment, passed, file.clone(), log);
        if segment.is_closed() && segment.totals.first_sequence > passed {
            // Blocks whose headers are damaged count as well, by what the trailer says of them.
            tally.blocks = tally.blocks.max(segment.totals.blocks);
            tally.rows = tally.rows.max(segment.totals.rows);
        }
        tally
    }

    fn count<F: BlockFile>(&mut self, segment: &Segment, passed: u64, file: F, log: LogId) {
        let owner = Owner { log, worker: segment.name.worker, epoch: segment.epoch };
        let mut walk = Walk::new(file, owner, segment.blocks_end());
        loop {
            match walk.step() {
                Step::Block { header, .. } => {
                    let shown = header.sequence <= segment.limit && header.kind != BlockKind::Footer;
                    if shown && header.sequence > passed {
                        self.blocks += 1;
                        self.rows += u64::from(header.rows);
                        self.bytes += header.block_len() as u64;
                    }
                }
                Step::Gap { .. } => {}
                Step::End { .. } => return,
            }
        }
    }
}

fn is_ahead_of(segment: &Segment, passed: u64) -> bool {
    segment.totals.blocks > 0 && segment.totals.last_sequence > passed
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

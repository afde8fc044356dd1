//! What could not be read, and what that costs.

use super::rows::Undefined;
use crate::block::DecodeError;
use crate::log::{Damage, SegmentName};

/// Something that a reader came upon and could not read. Reading goes on behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// In which segment.
    pub segment: SegmentName,
    /// What it is.
    pub kind: LossKind,
}

/// What could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LossKind {
    /// Bytes that are not what was written.
    Damage(Damage),
    /// A block whose checksums are right and whose content still breaks the format.
    Undecodable {
        /// Where the block starts in the file.
        offset: u64,
        /// Its sequence.
        sequence: u64,
        /// Rows that it has and that were not read, at most.
        rows: u64,
        /// What is wrong.
        error: DecodeError,
    },
    /// Rows whose series or fields were defined in a damaged place, and not again since.
    Undefined {
        /// Where their block starts in the file.
        offset: u64,
        /// Its sequence.
        sequence: u64,
        /// How many rows.
        rows: u64,
        /// Of how many series.
        series: u64,
    },
    /// Exemplars and metadata of series, fields or metrics that were defined in a damaged place, and not again since.
    UndefinedSide {
        /// Where their block starts in the file.
        offset: u64,
        /// Its sequence.
        sequence: u64,
        /// How many.
        records: u64,
    },
}

impl Loss {
    /// Rows known to be lost by it.
    pub fn rows(&self) -> u64 {
        match &self.kind {
            LossKind::Damage(damage) => damage.rows,
            LossKind::Undecodable { rows, .. } | LossKind::Undefined { rows, .. } => *rows,
            LossKind::UndefinedSide { .. } => 0,
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.segment)?;
        match &self.kind {
            LossKind::Damage(damage) => {
                damage.fmt(f)?;
                if damage.rows > 0 { write!(f, ", {} rows", damage.rows) } else { Ok(()) }
            }
            LossKind::Undecodable { offset, sequence, rows, error } => {
                write!(f, "block at byte {offset}, sequence {sequence}, {rows} rows: {error}")
            }
            LossKind::Undefined { offset, sequence, rows, series } => {
                write!(f, "block at byte {offset}, sequence {sequence}: ")?;
                write!(f, "{rows} rows of {series} series whose definition is lost")
            }
            LossKind::UndefinedSide { offset, sequence, records } => {
                write!(f, "block at byte {offset}, sequence {sequence}: ")?;
                write!(f, "{records} exemplars or metadata whose definition is lost")
            }
        }
    }
}

/// Losses not yet fetched: the first [`LOSSES_KEPT_MAX`] as they are, all by number.
#[derive(Default, Debug)]
pub(super) struct Losses {
    kept: Vec<Loss>,
    pub(super) count: u64,
}

impl Losses {
    pub(super) fn push(&mut self, loss: Loss) {
        self.count += 1;
        if self.kept.len() < LOSSES_KEPT_MAX {
            self.kept.push(loss);
        }
    }

    /// What a block at a place (segment, offset, sequence) has that cannot be named.
    pub(super) fn push_undefined(&mut self, place: (SegmentName, u64, u64), undefined: &Undefined) {
        let (segment, offset, sequence) = place;
        if undefined.rows > 0 {
            self.push(Loss { segment, kind: undefined.loss(offset, sequence) });
        }
        if undefined.side_records > 0 {
            self.push(Loss { segment, kind: undefined.side_loss(offset, sequence) });
        }
    }

    /// So many rows of the block at a place cannot be decoded.
    pub(super) fn push_undecodable(&mut self, place: (SegmentName, u64, u64), rows: u64, error: DecodeError) {
        let (segment, offset, sequence) = place;
        self.push(Loss { segment, kind: LossKind::Undecodable { offset, sequence, rows, error } });
    }

    pub(super) fn take(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.kept)
    }
}

/// Losses described between two calls of [`Rows::take_losses`](super::Rows::take_losses); more are only counted.
pub const LOSSES_KEPT_MAX: usize = 1024;

//! A count of what a format has no text for.

use std::ops::AddAssign;

/// What was left out, because the format can't express it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct LeftOut {
    /// Whole rows.
    pub(super) rows: u64,
    /// Values of rows that are there without them.
    pub(super) values: u64,
    /// Exemplars and metadata.
    pub(super) side_records: u64,
}

impl LeftOut {
    /// A row.
    pub(super) const ROW: LeftOut = LeftOut { rows: 1, values: 0, side_records: 0 };

    /// An exemplar or metadata.
    pub(super) const SIDE_RECORD: LeftOut = LeftOut { rows: 0, values: 0, side_records: 1 };
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, other: LeftOut) {
        self.rows += other.rows;
        self.values += other.values;
        self.side_records += other.side_records;
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows and {} values of others", self.rows, self.values)?;
        if self.side_records > 0 {
            write!(f, ", {} exemplars and metadata", self.side_records)?;
        }
        f.write_str(" are left out: the format can't express them")
    }
}

//! Cursors: how far somebody has read the log, by name, one position for each worker, kept on disk.
//!
//! In: names, and the positions that readers have come to ([`Cursors::commit`]). Out: the positions again, after any
//! crash, and word of what a cursor has lost. Kept: a commit is durable when it returns; a position never goes back;
//! retention takes nothing that a cursor has not passed while that is within its bound, and what it takes all the same
//! is counted and named. `slot.rs` draws the file.
//!
//! A position is a sequence, and means all blocks of the worker up to it. Sequences rise over all segments and never
//! come back, so a position needs no name of a file, and outlives those that it points into.
//!
//! Not known: rows, who reads, the clock.

mod slot;
mod store;
mod tally;

pub(super) use store::read_cursors;
pub use store::{Cursor, CursorError, CursorStart, Cursors, GivenUp};
pub use tally::Tally;

use std::collections::BTreeMap;

/// How far each worker's blocks have been passed: by worker, the sequence up to which they have. A worker that is not
/// named has nothing passed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Positions(BTreeMap<u32, u64>);

impl Positions {
    /// The sequence up to which a worker's blocks are passed.
    pub fn passed(&self, worker: u32) -> u64 {
        self.0.get(&worker).copied().unwrap_or(0)
    }

    /// Passes a worker's blocks up to `sequence`; true if they were not all passed before.
    pub fn pass(&mut self, worker: u32, sequence: u64) -> bool {
        let ahead = sequence > self.passed(worker);
        if ahead {
            self.0.insert(worker, sequence);
        }
        ahead
    }

    /// Passes all that `other` has; true if that is news.
    pub fn pass_all(&mut self, other: &Positions) -> bool {
        other.iter().fold(false, |news, (worker, sequence)| self.pass(worker, sequence) | news)
    }

    /// The workers that have something passed, and up to which sequence, by worker.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.0.iter().map(|(&worker, &sequence)| (worker, sequence))
    }

    /// How many workers have something passed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is passed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u32, u64)> for Positions {
    fn from_iter<I: IntoIterator<Item = (u32, u64)>>(positions: I) -> Positions {
        let mut out = Positions::default();
        positions.into_iter().for_each(|(worker, sequence)| _ = out.pass(worker, sequence));
        out
    }
}

/// The longest name of a cursor.
pub const CURSOR_NAME_BYTES_MAX: usize = 64;

/// Cursors of one log. Each costs a commit's look at retention, and can hold back all of it.
pub const CURSORS_MAX: usize = 64;

/// Whether a name can be a cursor's: 1 to [`CURSOR_NAME_BYTES_MAX`] letters and digits of ASCII, `_`, `-` and `.`.
pub fn is_cursor_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=CURSOR_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_go_forward() {
        let mut positions = Positions::default();
        assert!(positions.pass(3, 7) && !positions.pass(3, 7) && !positions.pass(3, 6));
        assert!(!positions.pass(4, 0));
        let newer: Positions = [(3, 5), (9, 1)].into_iter().collect();
        assert!(positions.pass_all(&newer) && !positions.pass_all(&newer));
        assert_eq!(positions.iter().collect::<Vec<_>>(), [(3, 7), (9, 1)]);
    }

    #[test]
    fn names_are_plain_and_short() {
        assert!(is_cursor_name("a") && is_cursor_name("to-parquet_2.tmp") && is_cursor_name(&"x".repeat(64)));
        for bad in ["", "a/b", "a b", "\u{e4}", "a\0", &"x".repeat(65)] {
            assert!(!is_cursor_name(bad), "{bad:?}");
        }
    }
}

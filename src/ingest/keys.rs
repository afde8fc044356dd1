//! Raw keys, and what is known of each, side by side in memory: a row in random order touches one place, not two.
//!
//! ```text
//! | series u32 | next u32 | shape u32 | context u16 | key as received ... |
//! ```

use crate::bytes::Arena;
use crate::model::{SeriesId, ShapeId};

use super::prefetch::prefetch;
use super::stream::{ContextId, NO_KEY};

/// The series of keys whose rows are dropped: no number of a dictionary reaches it.
pub(super) const DROPPED: SeriesId = SeriesId(u32::MAX);

/// Bytes before a key.
pub(super) const HEAD_BYTES: usize = 14;

/// Raw keys by number.
#[derive(Default, Debug)]
pub(super) struct Keys(Arena);

/// A key and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// Its bytes as received.
    pub(super) bytes: &'a [u8],
    /// What makes the same bytes another key.
    pub(super) context: ContextId,
    /// The series, or [`DROPPED`]; several keys may spell one.
    pub(super) series: SeriesId,
    /// The key of the row that followed in the same stream, last time.
    pub(super) next: u32,
    /// The shape of the last row.
    pub(super) shape: ShapeId,
}

impl Keys {
    /// Adds a key whose series is to be said yet. `None` if it is too long or all numbers are given.
    pub(super) fn push(&mut self, context: ContextId, key: &[u8]) -> Option<u32> {
        let mut head = [0; HEAD_BYTES];
        head[4..8].copy_from_slice(&NO_KEY.to_le_bytes());
        head[8..12].copy_from_slice(&ShapeId::NONE.0.to_le_bytes());
        head[12..].copy_from_slice(&context.0.to_le_bytes());
        self.0.push_parts(&head, key)
    }

    /// The key of this number.
    #[inline]
    pub(super) fn key(&self, at: u32) -> Key<'_> {
        let (head, bytes) = self.0.bytes(at).split_at(HEAD_BYTES);
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        Key {
            bytes,
            context: ContextId(u16::from_le_bytes([head[12], head[13]])),
            series: SeriesId(word(0)),
            next: word(4),
            shape: ShapeId(word(8)),
        }
    }

    /// Says which series a key spells.
    pub(super) fn set_series(&mut self, at: u32, series: SeriesId) {
        self.0.bytes_mut(at)[..4].copy_from_slice(&series.0.to_le_bytes());
    }

    #[inline]
    pub(super) fn set_next(&mut self, at: u32, next: u32) {
        self.0.bytes_mut(at)[4..8].copy_from_slice(&next.to_le_bytes());
    }

    #[inline]
    pub(super) fn set_shape(&mut self, at: u32, shape: ShapeId) {
        self.0.bytes_mut(at)[8..12].copy_from_slice(&shape.0.to_le_bytes());
    }

    /// Fetches a key of usual length.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        let start = self.0.address(at);
        prefetch(start);
        prefetch(start.wrapping_add(64));
        prefetch(start.wrapping_add(128));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

//! Raw keys, and what is known of each, side by side in memory: a row in random order touches one place, not two.
//!
//! ```text
//! | series u32 | next u32 | shape u32 | context u32 | length u16 | (length u32) | key as received ... |
//! ```
//!
//! The second length is there if the first is [`LONG`].

use crate::bytes::{ARENA_ENTRY_BYTES_MAX, Arena, prefetch};
use crate::model::{SeriesId, ShapeId};

use super::stream::{ContextId, NO_KEY};

/// The series of keys whose rows are dropped: no number of a dictionary reaches it.
pub(super) const DROPPED: SeriesId = SeriesId(u32::MAX);

/// The longest raw key. Longer than any label set that a receiver would take.
pub(super) const KEY_BYTES_MAX: usize = ARENA_ENTRY_BYTES_MAX - HEAD_BYTES - 4;

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
        head[NEXT..SHAPE].copy_from_slice(&NO_KEY.to_le_bytes());
        head[SHAPE..CONTEXT].copy_from_slice(&ShapeId::NONE.0.to_le_bytes());
        head[CONTEXT..LENGTH].copy_from_slice(&context.0.to_le_bytes());
        let short = u16::try_from(key.len()).unwrap_or(LONG);
        head[LENGTH..].copy_from_slice(&short.to_le_bytes());
        let long = (key.len() as u32).to_le_bytes();
        self.0.push_unframed([&head, if short == LONG { &long } else { &[] }, key])
    }

    /// The key of this number.
    #[inline(always)]
    pub(super) fn key(&self, at: u32) -> Key<'_> {
        let Some((head, rest)) = self.0.from(at).split_first_chunk::<HEAD_BYTES>() else {
            unreachable!("a key has a head");
        };
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let half = |i: usize| u16::from_le_bytes([head[i], head[i + 1]]);
        let bytes = match half(LENGTH) {
            LONG => long(rest),
            len => &rest[..usize::from(len)],
        };
        Key {
            bytes,
            context: ContextId(word(CONTEXT)),
            series: SeriesId(word(0)),
            next: word(NEXT),
            shape: ShapeId(word(SHAPE)),
        }
    }

    /// The key of the row that followed a key's in the same stream, last time.
    #[inline(always)]
    pub(super) fn next(&self, at: u32) -> u32 {
        let Some((head, _)) = self.0.from(at).split_first_chunk::<HEAD_BYTES>() else {
            unreachable!("a key has a head");
        };
        u32::from_le_bytes([head[NEXT], head[NEXT + 1], head[NEXT + 2], head[NEXT + 3]])
    }

    /// Says which series a key spells.
    pub(super) fn set_series(&mut self, at: u32, series: SeriesId) {
        self.0.from_mut(at)[..NEXT].copy_from_slice(&series.0.to_le_bytes());
    }

    #[inline(always)]
    pub(super) fn set_next(&mut self, at: u32, next: u32) {
        self.0.from_mut(at)[NEXT..SHAPE].copy_from_slice(&next.to_le_bytes());
    }

    #[inline]
    pub(super) fn set_shape(&mut self, at: u32, shape: ShapeId) {
        self.0.from_mut(at)[SHAPE..CONTEXT].copy_from_slice(&shape.0.to_le_bytes());
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

/// A key of 64 KiB or more, behind its own length.
#[cold]
fn long(rest: &[u8]) -> &[u8] {
    let Some((len, key)) = rest.split_first_chunk() else { unreachable!("a long key has a second length") };
    &key[..u32::from_le_bytes(*len) as usize]
}

const NEXT: usize = 4;
const SHAPE: usize = 8;
const CONTEXT: usize = 12;
const LENGTH: usize = 16;
const HEAD_BYTES: usize = 18;

/// The key's length does not fit the head.
const LONG: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_keep_what_is_known_of_them() {
        let mut keys = Keys::default();
        let lens = [0, 1, 127, 128, 65_534, 65_535, 65_536, KEY_BYTES_MAX];
        let text = |len: usize| vec![len as u8; len];
        let at = lens.map(|len| keys.push(ContextId(len as u32), &text(len)).unwrap());
        for (i, at) in at.into_iter().enumerate() {
            keys.set_series(at, SeriesId(i as u32));
            keys.set_next(at, 100 + i as u32);
            keys.set_shape(at, ShapeId(200 + i as u32));
        }
        for (i, (at, len)) in at.into_iter().zip(lens).enumerate() {
            let key = keys.key(at);
            assert_eq!(key.bytes, text(len));
            assert_eq!((key.context, key.series), (ContextId(len as u32), SeriesId(i as u32)));
            assert_eq!((key.next, key.shape), (100 + i as u32, ShapeId(200 + i as u32)));
        }
    }
}

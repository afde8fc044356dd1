//! The codecs: a closed, numbered set. A folder each, with the same two files.
//!
//! | number | name | values | words of its own |
//! |---|---|---|---|
//! | 0 | none | null | none |
//! | 1 | words | f64 bits, i64, u64, bool | one a value |
//! | 2 | decimal | f64 | one a value, and exceptions |
//! | 3 | strings | string, bytes, nested, histogram | a length a value |
//! | 4 | string dictionary | the same | an index a value |
//!
//! All of them end in `integers`, which turns words into streams of bytes for a [container](super::container).

pub(super) mod floats;
pub(super) mod integers;
mod kernels;
mod runs;
pub(super) mod strings;

/// The codec of a column, by its number on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Codec {
    None = 0,
    Words = 1,
    Decimal = 2,
    Strings = 3,
    StringDictionary = 4,
}

impl Codec {
    pub(super) fn from_number(number: u8) -> Option<Codec> {
        Some(match number {
            0 => Codec::None,
            1 => Codec::Words,
            2 => Codec::Decimal,
            3 => Codec::Strings,
            4 => Codec::StringDictionary,
            _ => return None,
        })
    }
}

pub(super) use kernels::prefetch;
pub(super) use runs::{Runs, find_starts, ones};

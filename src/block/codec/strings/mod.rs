//! Byte strings: lengths and bytes, or indices into the block's own dictionary of a column where few differ.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(in crate::block) use decode::{Strings, decode, decode_plain};
pub(in crate::block) use encode::{Scratch, encode, encode_plain};

/// Strings in a column's dictionary.
const DISTINCT_MAX: usize = 4096;

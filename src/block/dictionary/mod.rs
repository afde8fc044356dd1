//! The dictionary section: symbols and series that are new to the segment, and a slice of older ones again.
//!
//! Numbers are dense, so an entry is a first number and contents. Series come in columns: which list of label names
//! a series has, then, label by label, the numbers of the values, for series of one list together.

mod checkpoint;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use decode::{DictionaryPart, DictionaryParts, SeriesPart, SymbolsPart, decode_dictionary};
pub(super) use encode::{Scratch, encode_range};

/// Bit of an entry's flags: the definitions were given before, in an earlier block of the segment.
const REPEATED: u8 = 1;

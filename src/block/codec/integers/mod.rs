//! Words as integers: origin and scale, differences, then low bits packed and high bytes in planes.
//!
//! ```text
//! word --(minus origin, / scale)--> q --(0, 1 or 2 differences)--> d --(zigzag, or minus base)--> w
//! w = high bytes | low bits
//!     `- planes: byte-aligned, so that zstd's entropy coder sees them: soft
//!                `- packed: noise, where there is nothing to win: hard
//! ```
//!
//! By series, the words at the starts of [runs](super::Runs) are no differences: they are integers themselves, whose
//! planes are gathered apart.
//!
//! Packing everything to the last bit would hide the bytes' statistics from zstd; compressing everything would spend
//! most of the time on bits that stay as they are. The split is measured, column by column.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(in crate::block) use decode::decode;
pub(in crate::block) use encode::{Scratch, encode, encode_bits, encode_by_series};

/// The first byte of a description.
mod form {
    /// How many times differences were taken: 0, 1, 2.
    pub(super) const ORDER: u8 = 0b0011;
    /// Differences are zigzagged; else they are counted from a base.
    pub(super) const ZIGZAG: u8 = 0b0100;
    /// The words were divided by a scale.
    pub(super) const SCALED: u8 = 0b1000;
    /// Differences are within runs; what the runs start with stands apart.
    pub(super) const BY_SERIES: u8 = 0b1_0000;
}

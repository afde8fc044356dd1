//! Floats: as scaled decimals where they are some, else by their bits.
//!
//! Most floats of metrics were decimal numbers of a few digits once: `58.27` is `5827 / 10^2`, and division is
//! correctly rounded, so the reader gets every bit back. The writer checks each value by doing that division; what
//! does not come back (other NaNs, infinities, -0.0, longer numbers) is an exception, kept by position and bits. The
//! idea of scaled decimals with exceptions is from "ALP: Adaptive Lossless floating-Point Compression" (Afroozeh,
//! Kuffo, Boncz, 2023).
//!
//! Where too many are exceptions, the bits themselves are taken as integers: neighbours of one series differ little.
//! No arithmetic ever touches a value that is kept by its bits.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(in crate::block) use decode::decode_decimals;
pub(in crate::block) use encode::{Scratch, encode};

/// The powers of ten that scale decimals; each is a float exactly.
const SCALES: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

//! One byte at a time: every processor, and the oracle.

use super::Scan;

/// The plain loops.
pub(in super::super) struct Scalar;

impl Scan for Scalar {
    #[inline]
    fn key_stop(input: &[u8], from: usize) -> usize {
        find(input, from, |b| matches!(b, b' ' | b'\n' | b'\\'))
    }

    #[inline]
    fn newline(input: &[u8], from: usize) -> usize {
        find(input, from, |b| b == b'\n')
    }

    #[inline]
    fn string_stop(input: &[u8], from: usize) -> usize {
        find(input, from, |b| matches!(b, b'"' | b'\\'))
    }
}

#[inline(always)]
pub(super) fn find(input: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    input[from..].iter().position(|&b| wanted(b)).map_or(input.len(), |i| from + i)
}

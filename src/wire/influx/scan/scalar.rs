//! One byte at a time: every processor, and the oracle.

use super::{BLOCK_BYTES, Scan, mask};

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

    #[inline(always)]
    fn same_start(a: &[u8; BLOCK_BYTES], b: &[u8; BLOCK_BYTES], len: usize) -> bool {
        let (a, b, mask) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0, mask(len).as_chunks::<8>().0);
        let word = |chunk: &[u8; 8]| u64::from_le_bytes(*chunk);
        let mut different = 0;
        for i in 0..BLOCK_BYTES / 8 {
            different |= (word(&a[i]) ^ word(&b[i])) & word(&mask[i]);
        }
        different == 0
    }
}

#[inline(always)]
pub(super) fn find(input: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    input[from..].iter().position(|&b| wanted(b)).map_or(input.len(), |i| from + i)
}

//! Thirty-two bytes at a time, on x86-64 processors that have AVX2 and the bit instructions that came with it.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_testc_si256,
};

use super::{BLOCK_BYTES, Job, Scan, mask, scalar};

/// Whether this processor can run [`Avx2`] .
#[inline]
pub(in super::super) fn available() -> bool {
    // The macro remembers its answers.
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

/// The vector loops.
///
/// Invariant 1: its functions are called only where [`available`] said yes.
pub(in super::super) struct Avx2;

impl Scan for Avx2 {
    #[inline(always)]
    fn key_stop(input: &[u8], from: usize) -> usize {
        // SAFETY: invariant 1.
        unsafe { find(input, from, [b' ', b'\n', b'\\']) }
    }

    #[inline(always)]
    fn newline(input: &[u8], from: usize) -> usize {
        // SAFETY: invariant 1.
        unsafe { find(input, from, [b'\n']) }
    }

    #[inline(always)]
    fn string_stop(input: &[u8], from: usize) -> usize {
        // SAFETY: invariant 1.
        unsafe { find(input, from, [b'"', b'\\']) }
    }

    #[inline(always)]
    fn same_start(a: &[u8; BLOCK_BYTES], b: &[u8; BLOCK_BYTES], len: usize) -> bool {
        // SAFETY: invariant 1.
        unsafe { same_start(a, b, mask(len)) }
    }
}

/// Runs a job, compiled for these instructions.
///
/// # Panics
/// Where they are not [`available`].
#[inline]
pub(in super::super) fn run<J: Job>(job: J) -> J::Answer {
    assert!(available());
    // SAFETY: invariant 1.
    unsafe { run_here(job) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn run_here<J: Job>(job: J) -> J::Answer {
    job.run::<Avx2>()
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn find<const N: usize>(input: &[u8], from: usize, wanted: [u8; N]) -> usize {
    let needles = wanted.map(|b| _mm256_set1_epi8(b as i8));
    let mut at = from;
    while let Some(chunk) = input.get(at..).and_then(|rest| rest.first_chunk::<LANES>()) {
        // SAFETY: `chunk` is LANES bytes long, and the load needs no alignment.
        let bytes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast::<__m256i>()) };
        let mut hits = _mm256_cmpeq_epi8(bytes, needles[0]);
        for needle in &needles[1..] {
            hits = _mm256_or_si256(hits, _mm256_cmpeq_epi8(bytes, *needle));
        }
        let mask = _mm256_movemask_epi8(hits) as u32;
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += LANES;
    }
    scalar::find(input, at, |b| wanted.contains(&b))
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn same_start(a: &[u8; BLOCK_BYTES], b: &[u8; BLOCK_BYTES], mask: &[u8; BLOCK_BYTES]) -> bool {
    const { assert!(BLOCK_BYTES == LANES) };
    let load = |block: &[u8; BLOCK_BYTES]| {
        // SAFETY: a block is LANES bytes long, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) }
    };
    // The carry of this test is set where no bit of the mask is missing in the comparison.
    _mm256_testc_si256(_mm256_cmpeq_epi8(load(a), load(b)), load(mask)) != 0
}

const LANES: usize = 32;

//! Encoding floats.

use super::super::super::container::ContainerWriter;
use super::super::{Codec, integers, kernels};
use super::SCALES;
use crate::bytes::write_varint;

/// Memory for decimals and exceptions, kept between columns.
#[derive(Default)]
pub(in crate::block) struct Scratch {
    decimals: Vec<u64>,
    positions: Vec<u64>,
    bits: Vec<u64>,
}

/// Encodes floats by their bits, at least one, and writes codec and description to `out`. The words are used up.
/// `starts` has the starts of the column's runs, or nothing.
pub(in crate::block) fn encode(
    floats: &mut [u64],
    starts: &[u32],
    scratch: &mut Scratch,
    integers: &mut integers::Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    let Some(exponent) = find_exponent(floats).and_then(|e| scratch.scale(floats, e)) else {
        out.push(Codec::Words as u8);
        integers::encode_by_series(floats, starts, integers, container, out);
        return;
    };
    out.extend_from_slice(&[Codec::Decimal as u8, exponent as u8]);
    write_varint(out, scratch.positions.len() as u64);
    if !scratch.positions.is_empty() {
        integers::encode(&mut scratch.positions, integers, container, out);
        integers::encode(&mut scratch.bits, integers, container, out);
    }
    integers::encode_by_series(&mut scratch.decimals, starts, integers, container, out);
}

impl Scratch {
    /// Fills the decimals, with `exponent` or a greater one if the sample missed some digits. `None` if too many
    /// floats have no decimal.
    fn scale(&mut self, floats: &[u64], exponent: usize) -> Option<usize> {
        self.decimals.resize(floats.len(), 0);
        self.positions.clear();
        self.bits.clear();
        let exceptions_max = exceptions_max(floats.len());
        let mut exponent = exponent;
        loop {
            let scale = SCALES[exponent];
            let mut misses = 0;
            for (floats, out) in floats.chunks(CHUNK).zip(self.decimals.chunks_mut(CHUNK)) {
                misses += kernels::decimals(floats, scale, out);
                if misses > exceptions_max {
                    break;
                }
            }
            if misses <= exceptions_max {
                if misses > 0 {
                    self.keep_exceptions(floats, scale);
                }
                return Some(exponent);
            }
            // More digits than the sample showed, or no decimals at all: ask the first ones that missed.
            let missed = floats.iter().filter(|&&f| !kernels::decimal(f, scale).1).take(RETRY_SAMPLE);
            exponent = missed.filter_map(|&f| exponent_of(f)).max().filter(|&e| e > exponent)?;
        }
    }

    #[cold]
    fn keep_exceptions(&mut self, floats: &[u64], scale: f64) {
        let mut before = 0;
        for (i, (d, &bits)) in self.decimals.iter_mut().zip(floats).enumerate() {
            if kernels::decimal(bits, scale).1 {
                before = *d;
            } else {
                self.positions.push(i as u64);
                self.bits.push(bits);
                // Any number will do; the last one costs no bits.
                *d = before;
            }
        }
    }
}

/// The exponent that makes most of a sample whole, if there is one.
fn find_exponent(floats: &[u64]) -> Option<usize> {
    let step = floats.len().div_ceil(SAMPLE);
    let (mut exponent, mut none, mut odd) = (0, 0, 0);
    let sampled = floats.len().div_ceil(step);
    for &bits in floats.iter().step_by(step) {
        match exponent_of(bits) {
            Some(e) => exponent = exponent.max(e),
            None if f64::from_bits(bits).is_finite() && bits != NEGATIVE_ZERO => none += 1,
            None => odd += 1,
        }
        // Exceptions are kept for what has no decimal by nature; full-precision floats mean another codec.
        if none * NONE_SHARE > sampled || (none > 0 && sampled < NONE_SHARE) {
            return None;
        }
    }
    if odd > sampled / 2 { None } else { Some(exponent) }
}

/// The least exponent that makes a float whole.
fn exponent_of(bits: u64) -> Option<usize> {
    SCALES.iter().position(|&scale| kernels::decimal(bits, scale).1)
}

/// More exceptions than this cost more than the decimals save.
fn exceptions_max(floats: usize) -> usize {
    floats / EXCEPTIONS_SHARE + 1
}

const CHUNK: usize = 1024;
const SAMPLE: usize = 32;
const NONE_SHARE: usize = 8;
const EXCEPTIONS_SHARE: usize = 16;
const RETRY_SAMPLE: usize = 8;
const NEGATIVE_ZERO: u64 = 1 << 63;
